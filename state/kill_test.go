package state

import (
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

const (
	killEnv   = "CONCORD_STATE_KILL" // what the child does: "save" or "load"
	killDir   = "CONCORD_STATE_DIR"
	killFence = "CONCORD_STATE_FENCE"
	killBytes = 500
)

// TestKillChild is the process that the tests below kill. It is no test of its own.
func TestKillChild(t *testing.T) {
	dir := os.Getenv(killDir)
	fence, _ := strconv.ParseUint(os.Getenv(killFence), 10, 64)
	if dir == "" {
		t.Skip("SKIPPED: no " + killDir + ": this is no test but the child of TestKillSave and TestKillLoad; run those instead")
	}
	n := newNode(t, dir, filepath.Join(dir, "child"), "child")
	n.blobs.slow = time.Millisecond
	o := n.claim(fence)
	if os.Getenv(killEnv) == "load" {
		n.s.cfg.Streams = 1
		n.blobs.slow = 3 * time.Millisecond
		if _, err := o.Load(t.Context(), n.dir, n.peek); err != nil {
			t.Fatal(err)
		}
		return
	}
	if _, err := o.Load(t.Context(), n.dir, n.peek); err != nil {
		t.Fatal(err)
	}
	n.open(fence)
	for {
		n.apply(n.pos+10, killBytes)
		n.save(o)
	}
}

func child(t *testing.T, dir, what string, fence int) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKillChild$")
	cmd.Env = append(os.Environ(), killDir+"="+dir, killEnv+"="+what, killFence+"="+strconv.Itoa(fence))
	return cmd
}

// TestKillSave kills an owner at random moments of its saving: what the manifest names can be loaded after each, as a whole.
func TestKillSave(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
	last := uint64(0)
	const rounds = 8
	for round := range rounds {
		cmd := child(t, dir, "save", round+1)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		other := newNode(t, dir, t.TempDir(), "other")
		for { // a slow machine takes its time to begin
			if m, err := other.s.Manifest(t.Context(), part); err == nil && m.Fence == uint64(round+1) && len(m.States) > 0 {
				break
			}
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Duration(rng.IntN(150)) * time.Millisecond)
		errIs(t, cmd.Process.Kill(), nil)
		_ = cmd.Wait()
		out, err := other.s.Load(t.Context(), part, other.dir, other.peek)
		if err != nil || out.How != Newest || out.Position < last {
			t.Fatalf("round %d: %+v, %v", round, out, err)
		}
		last = out.Position
		other.holds(last, killBytes)
	}
	if last == 0 {
		t.Error("nothing was ever saved")
	}
	t.Logf("%d kills, %d messages saved", rounds, last)
	end := newNode(t, dir, t.TempDir(), "end")
	o := end.own(rounds+1, Newest)
	end.apply(last+1, killBytes)
	end.save(o)
	end.blobsNamed()
}

// TestKillLoad kills a node at random moments of its loading: its directory holds the old state or the new one, and the next load goes
// on with what is there.
func TestKillLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := newNode(t, dir, filepath.Join(dir, "a"), "a")
	o := a.own(2, Empty)
	a.apply(150, killBytes)
	a.save(o)
	a.close()
	b := newNode(t, dir, filepath.Join(dir, "child"), "b")
	rng := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
	count := map[uint64]int{}
	const rounds = 12
	for round := range rounds {
		if round%3 != 1 { // every third goes on with what the one before left
			errIs(t, errors.Join(os.RemoveAll(b.dir), os.RemoveAll(buildingPath(b.dir)), os.RemoveAll(replacedPath(b.dir))), nil)
			b.open(1)
			b.apply(30, killBytes)
			b.close()
		}
		cmd := child(t, dir, "load", round+3)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10*time.Millisecond + time.Duration(rng.IntN(150))*time.Millisecond)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		errIs(t, Recover(b.dir), nil)
		local, err := b.peek(b.dir)
		if err != nil {
			t.Fatal(err)
		}
		if local.Position != 30 && local.Position != 150 {
			t.Fatalf("round %d: the directory is at %d", round, local.Position)
		}
		count[local.Position]++
		b.holds(local.Position, killBytes)
	}
	t.Logf("after %d kills: old state %d times, new one %d times", rounds, count[30], count[150])
	b.own(rounds+3, map[bool]How{true: Newest, false: Kept}[at(t, b) == 30])
	b.close()
	b.holds(150, killBytes)
}

func at(t *testing.T, n *node) uint64 {
	t.Helper()
	local, err := n.peek(n.dir)
	if err != nil {
		t.Fatal(err)
	}
	return local.Position
}

// TestRecover goes through every step of a change of directories that a kill can fall behind.
func TestRecover(t *testing.T) {
	for _, tt := range []struct {
		there []string // what there is after the kill: "" is the directory itself
		want  string   // which of them is in its place afterwards
		left  string   // what stays beside it
	}{
		{[]string{"", ".loading"}, "", ".loading"},
		{[]string{".replaced", ".loading"}, ".loading", ""},
		{[]string{".replaced", ""}, "", ""},
		{[]string{".replaced"}, ".replaced", ""},
		{[]string{".loading"}, "none", ".loading"},
		{nil, "none", ""},
	} {
		dir := filepath.Join(t.TempDir(), "partition")
		for _, suffix := range tt.there {
			errIs(t, errors.Join(os.Mkdir(dir+suffix, 0o700), os.WriteFile(filepath.Join(dir+suffix, "was"), []byte(suffix), 0o600)), nil)
		}
		for range 2 {
			errIs(t, Recover(dir), nil)
			was, err := os.ReadFile(filepath.Join(dir, "was"))
			if got := string(was); err == nil && got != tt.want || err != nil && tt.want != "none" {
				t.Errorf("of %q, %q is in place, %v", tt.there, got, err)
			}
			for _, suffix := range []string{".loading", ".replaced"} {
				if exists(dir+suffix) != (suffix == tt.left) {
					t.Errorf("of %q, %s is left: %v", tt.there, suffix, exists(dir+suffix))
				}
			}
		}
	}
}
