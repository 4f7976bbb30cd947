//go:build e2e && linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"concord/e2e/nemesis"
	"concord/web"
)

// Two processes run with the keys of one operator, each connected to others. Either they vote for two blocks of one height, and the others put that
// into the ledger and take the vote away; or one sees first what the other signed, and votes no more. One history goes on in both cases.
func TestTwins(t *testing.T) {
	f := newOperators(t, seed(t), 5, 1)
	twin, dave := f.ops[4], f.ops[3]
	f.ops = f.ops[:4]
	f.found(func() {})
	a := newArchive(f)
	if _, err := dave.Terminate(); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cp", "-a", dave.Path(dave.data()), twin.Path(twin.data())).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	twin.cfg = dave.cfg
	// A node lets each key connect once: one of the two has the first operator, the other has the other two.
	hosts := func(list ...*operator) (h []*nemesis.Host) {
		for _, o := range list {
			h = append(h, o.Host)
		}
		return h
	}
	if err := errors.Join(f.net.Cut(hosts(dave), hosts(f.ops[1], f.ops[2], twin)), f.net.Cut(hosts(twin), hosts(f.ops[0]))); err != nil {
		t.Fatal(err)
	}
	f.ops = f.ops[:3]
	twins := []*operator{dave, twin}
	if err := each([]*fieldNode{dave.fieldNode, twin.fieldNode}, func(n *fieldNode) error { return n.start(t.Context()) }); err != nil {
		t.Fatal(err)
	}
	err := within(t.Context(), ceremonyLimit, func() error {
		for _, o := range f.ops {
			s, err := o.federation()
			if err == nil && s.VotersUp < 4 {
				err = fmt.Errorf("%s is connected to %d of 4 voters", o.Name, s.VotersUp)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	f.must(nil, err)
	begun, notes, ended := time.Now(), 0, ""
	err = within(t.Context(), 2*time.Minute, func() error {
		for _, o := range f.ops {
			notes++
			if _, err := a.notarise(o, fmt.Sprintf("document %d beside twins, %v", notes, begun)); err != nil {
				return err
			}
		}
		for _, o := range twins {
			if s, err := o.federation(); err == nil && strings.Contains(s.Barred, "votes no more") {
				ended = fmt.Sprintf("%s saw what the other signed, and says %q", o.Name, s.Barred)
				return nil
			}
		}
		for _, o := range f.ops {
			s, err := o.federation()
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(s.Members, func(m web.FederationMember) bool {
				return m.Name == dave.name() && m.State == "faulted" && m.Power == 0
			}) {
				return fmt.Errorf("for %s after %d notes: %+v", o.Name, notes, s.Members)
			}
		}
		ended = twinsFaulted
		return nil
	})
	if err != nil {
		t.Fatalf("the twins are not found out: %v", err)
	}
	took := time.Since(begun)
	err = within(t.Context(), wholeLimit, func() error {
		missing, err := a.collect(f.ops...)
		if err == nil && len(missing) > 0 {
			err = fmt.Errorf("%d receipts are missing, the first is %s", len(missing), missing[0])
		}
		return err
	})
	checked := ""
	if err == nil {
		checked, err = a.everything(true)
	}
	if err == nil {
		err = f.replay(f.ops...)
	}
	if err != nil {
		t.Fatal(err)
	}
	recorded := slices.ContainsFunc(a.log, func(e string) bool { return strings.Contains(e, "\nbad DUPLICATE_VOTE "+dave.name()+" ") })
	if ended == twinsFaulted && !recorded {
		t.Error("the evidence is in no block's record")
	}
	t.Logf("after %v and %d notes %s; checked: %s; replayed on %s", took.Round(100*time.Millisecond), notes, ended, checked, namesOf(f.ops))
}

const twinsFaulted = "two votes of one key were in the ledger"

// digits are what tells files of one kind apart.
var digits = regexp.MustCompile(`[0-9]+`)

// damageKinds are the files under chain/ and of the keys, one of each kind; those of -short are the ones that nothing but them holds, and one of
// each engine.
func damageKinds(o *operator) (list []string, err error) {
	root, seen := o.Path(o.data()), map[string]bool{}
	few := regexp.MustCompile(`^keys|genesis|cosign|priv_validator|node_key|peers|cs\.wal|blockstore.*\.(ldb|log)$|^chain/log/.*\.(sst|log)$`)
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		kind := digits.ReplaceAllString(rel, "N")
		info, err := d.Info()
		if err != nil || info.Size() == 0 || seen[kind] || !strings.HasPrefix(rel, "chain/") && !strings.HasPrefix(rel, "keys") {
			return err
		}
		if base := filepath.Base(rel); base == "LOCK" || base == "LOG" || base == "LOG.old" || testing.Short() && !few.MatchString(rel) {
			return nil
		}
		seen[kind] = true
		list = append(list, rel)
		return nil
	})
	return list, err
}

// One flipped bit in each kind of file of one operator: it refuses with a message that names the file or the engine's directory, or mends itself, and the
// others never hear of it. A copy of that moment makes it whole.
func TestDamagedOperator(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: takes minutes; flipped bits in an operator's files were not tried: run it without -short (package chain tries the ledger's)")
	}
	s := seed(t)
	rng := rand.New(rand.NewPCG(s, 8))
	f := newOperators(t, s, 4, 16)
	r := &federationRun{federationField: f, archive: newArchive(f), rng: rng}
	f.found(func() {})
	victim := f.ops[3]
	f.must(nil, f.crawl(f.ops...))
	f.must(nil, r.together())
	kinds, err := damageKinds(victim)
	f.must(nil, err)
	for _, kind := range kinds {
		if _, err := r.notarise(f.ops[rng.IntN(3)], r.paper()); err != nil {
			t.Fatal(err)
		}
		if _, err := victim.Terminate(); err != nil {
			t.Fatal(err)
		}
		rel := current(victim, kind)
		if rel == "" {
			t.Logf("%s: no such file any more", kind)
			f.must(nil, victim.start(t.Context()))
			continue
		}
		said, err := r.damage(victim, rel)
		if err != nil {
			t.Errorf("%s: %v", rel, err)
			return
		}
		t.Logf("%s: %s", rel, said)
	}
	checked, err := r.everything(true)
	if err == nil {
		err = f.replay(f.ops...)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("checked: %s; replayed on all", checked)
}

// current is a file of the kind of another that may be gone.
func current(o *operator, like string) (found string) {
	root, kind := o.Path(o.data()), digits.ReplaceAllString(like, "N")
	_ = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if rel, _ := filepath.Rel(root, p); digits.ReplaceAllString(rel, "N") == kind {
				if info, err := d.Info(); err == nil && info.Size() > 0 {
					found = rel
				}
			}
		}
		return nil
	})
	return found
}

// damage flips a bit of a file of an operator that does not run, starts it, and says what it did. It runs and is whole when damage returns.
func (r *federationRun) damage(o *operator, rel string) (string, error) {
	file := o.Path(filepath.Join(o.data(), rel))
	info, err := os.Stat(file)
	if err != nil {
		return "", err
	}
	at, bit := r.rng.Int64N(info.Size()), byte(1)<<r.rng.IntN(8)
	flip := func() error {
		b, err := os.OpenFile(file, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer b.Close()
		x := make([]byte, 1)
		if _, err := b.ReadAt(x, at); err != nil {
			return err
		}
		x[0] ^= bit
		_, err = b.WriteAt(x, at)
		return err
	}
	copied := o.data() + ".whole"
	run := func(cmd ...string) error {
		_, err := o.Run(r.t.Context(), cmd[0], cmd[1:]...)
		return err
	}
	if err := run("rm", "-rf", copied); err != nil {
		return "", err
	}
	if err := run("cp", "-a", o.data(), copied); err != nil {
		return "", err
	}
	if err := flip(); err != nil {
		return "", err
	}
	logged, _ := os.ReadFile(o.log)
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	said, whole := "", flip
	if err := o.start(ctx); err != nil {
		// It has signed nothing since, so the copy is not old. An engine that recovers may have written its files anew without what it could not read.
		whole = func() error { return errors.Join(run("rm", "-rf", o.data()), run("mv", copied, o.data())) }
		after, _ := os.ReadFile(o.log)
		why := lastLine(strings.TrimPrefix(string(after), string(logged)))
		said = "refuses: " + why
		if !names(why, rel) {
			return "", fmt.Errorf("bit %#x of byte %d: it refuses with a message that names no file: %s", bit, at, why)
		}
	} else if err := r.together(); err != nil {
		said = fmt.Sprintf("it runs and is not whole: %v", err)
	} else if err := r.replay(o); err != nil {
		said = fmt.Sprintf("it runs, and its replay finds it: %v", err)
	} else {
		checked, err := r.everything(false)
		if err != nil {
			return "", err
		}
		return "it runs, and is whole: " + checked, nil
	}
	others := &archive{f: &federationField{field: r.field, ops: r.but([]string{o.Name})}, heads: r.heads, receipts: r.receipts, log: r.log, hashes: r.hashes}
	if _, err := others.everything(false); err != nil {
		return "", fmt.Errorf("what others have after %q: %w", said, err)
	}
	r.log, r.hashes = others.log, others.hashes
	if o.Running() {
		if _, err := o.Terminate(); err != nil {
			return "", err
		}
	}
	if err := whole(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err := o.start(r.t.Context()); err != nil {
		return "", fmt.Errorf("%s; with what it had before: %w", said, err)
	}
	if err := r.together(); err != nil {
		return "", fmt.Errorf("%s; with what it had before: %w", said, err)
	}
	return said + "; whole with what it had before", nil
}

// names says whether a message names a file, or the directory of the engine that it is of.
func names(message, rel string) bool {
	for strings.Contains(rel, "/") {
		if strings.Contains(message, rel) {
			return true
		}
		rel = filepath.Dir(rel)
	}
	return false
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}
