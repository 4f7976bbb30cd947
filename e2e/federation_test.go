//go:build e2e && linux

package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"concord/e2e/nemesis"
	"concord/web"
)

// With -short each fault of fedFew comes once. This takes a quarter of an hour:
//
//	go test -tags e2e -timeout 1h -run TestNemesisFederation ./e2e/ -federation-faults 40 -federation-longest 20s
var (
	fedFaultsFlag  = flag.Int("federation-faults", 16, "faults that a federation meets; each kind comes once before one comes again")
	fedLongestFlag = flag.Duration("federation-longest", 8*time.Second, "how long one fault lasts at most, beside what is checked meanwhile")
)

// fedKinds are the faults of four operators.
var fedKinds = []nemesis.Fault{
	{Kind: nemesis.Kill, Hosts: make([]string, 1)},
	{Kind: nemesis.Stop, Hosts: make([]string, 1)},
	{Kind: nemesis.Pause, Hosts: make([]string, 1)},
	{Kind: nemesis.Kill, Hosts: make([]string, 2)},
	{Kind: nemesis.Stop, Hosts: make([]string, 2)},
	{Kind: nemesis.Pause, Hosts: make([]string, 2)},
	{Kind: nemesis.Split, Hosts: make([]string, 1)},
	{Kind: nemesis.Split, Hosts: make([]string, 2)},
	{Kind: nemesis.Isolate, Hosts: make([]string, 1)},
	{Kind: nemesis.Deaf, Hosts: make([]string, 1)},
	{Kind: nemesis.Mute, Hosts: make([]string, 1)},
	{Kind: nemesis.Slow, Hosts: make([]string, 1), Link: nemesis.Link{Delay: 150 * time.Millisecond, Jitter: 50 * time.Millisecond, Rate: 200_000, Loss: 0.01}},
	{Kind: nemesis.Clock, Hosts: make([]string, 1), By: time.Hour},
	{Kind: nemesis.Clock, Hosts: make([]string, 1), By: -time.Hour},
	{Kind: nemesis.Power, Hosts: make([]string, 1)},
	{Kind: nemesis.Blackout, Hosts: make([]string, 4)},
}

// fedFew are those that -short is content with.
func fedFew(f *nemesis.Fault) bool {
	switch f.Kind {
	case nemesis.Kill, nemesis.Split:
		return len(f.Hosts) == 2
	case nemesis.Clock:
		return f.By > 0
	case nemesis.Mute, nemesis.Blackout:
		return true
	}
	return false
}

// fedPlan draws a plan in which one fault follows the other.
func fedPlan(seed uint64, hosts []string) nemesis.Plan {
	rng := rand.New(rand.NewPCG(seed, 5))
	p := nemesis.Plan{Seed: seed, Hosts: hosts}
	count, longest := *fedFaultsFlag, *fedLongestFlag
	deck := slices.Clone(fedKinds)
	if testing.Short() {
		deck = slices.DeleteFunc(deck, func(f nemesis.Fault) bool { return !fedFew(&f) })
		count, longest = len(deck), 2*time.Second
	}
	kinds := slices.Clone(deck)
	at := time.Second
	for len(p.Faults) < count {
		if len(deck) == 0 {
			deck = slices.Clone(kinds)
		}
		i := rng.IntN(len(deck))
		f := deck[i]
		deck = slices.Delete(deck, i, i+1)
		order := rng.Perm(len(hosts))[:len(f.Hosts)]
		slices.Sort(order)
		f.Hosts = nil
		for _, x := range order {
			f.Hosts = append(f.Hosts, hosts[x])
		}
		f.At, f.For = at, min(longest, time.Second+time.Duration(rng.Int64N(int64(longest))))
		at += f.For + time.Second
		p.Faults = append(p.Faults, f)
	}
	return p
}

// goOn are the operators of which a fault leaves enough together to go on; none: the ledger stands still. rest are the others whose nodes run.
func (f *federationField) goOn(x nemesis.Fault) (on, rest []*operator) {
	met, well := f.named(x.Hosts), f.but(x.Hosts)
	switch x.Kind {
	case nemesis.Slow:
		return f.ops, nil
	case nemesis.Clock:
		if x.By > 0 {
			return f.ops, nil
		} // who is behind the blocks of the others waits until its clock is right
	case nemesis.Blackout:
		return nil, nil
	case nemesis.Kill, nemesis.Stop, nemesis.Power, nemesis.Pause:
		met = nil
	}
	if len(well) == 3 {
		return well, met
	}
	return nil, append(well, met...)
}

// federationRun is a federation that goes through a plan.
type federationRun struct {
	*federationField
	*archive
	rng     *rand.Rand
	failed  error // what was wrong while a fault lasted
	notes   []string
	written int
}

const (
	// goOnLimit is how long it may take until a transaction is in the ledger while one operator is away. A slow link and a busy machine are in it.
	goOnLimit = time.Minute
	// stillFor is how long a ledger that stands still is watched.
	stillFor = 3 * time.Second
	// underWay is how long a block that was almost decided when the fault began may still take.
	underWay = 2 * time.Second
	// wholeLimit is how long after a fault all may take to be together again, with everything in the ledger that waited.
	wholeLimit = 90 * time.Second
)

// Four operators share one ledger while they crawl, attest and notarise, and are killed, paused, cut off from each other, slowed down, an hour
// wrong, and without power. With one of four away the ledger goes on; with two it stands still, and crawling and searching do not. After each
// fault everything that was ever acknowledged is in every log, every receipt holds, and there is one history.
func TestNemesisFederation(t *testing.T) {
	s := seed(t)
	var hosts []string
	for i := range 4 {
		hosts = append(hosts, fmt.Sprintf("n%d", i+1))
	}
	plan := fedPlan(s, hosts)
	f := newOperators(t, s, len(hosts), 4*(len(plan.Faults)+6))
	r := &federationRun{federationField: f, archive: newArchive(f), rng: rand.New(rand.NewPCG(s, 6))}
	f.found(func() {
		f.must(nil, f.crawl(f.ops...)) // attested while one votes: these receipts are the oldest
		f.must(nil, within(t.Context(), goOnLimit, func() error {
			if _, err := r.collect(f.ops...); err != nil {
				return err
			}
			if len(r.receipts) == 0 {
				return errors.New("no receipt yet")
			}
			return nil
		}))
	})
	t.Log(plan)
	f.must(nil, r.backup(f.ops[3]))
	watch := r.watch()
	err := plan.Run(t.Context(), nemesis.Field{Net: f.net, Start: func(ctx context.Context, h *nemesis.Host) error { return f.named([]string{h.Name})[0].start(ctx) },
		InTurn: true, Begun: r.meanwhile, Check: r.check, Log: func(line string) { t.Log(line) }})
	if err == nil {
		err = r.restore(f.ops[3])
	}
	watch()
	if err == nil {
		err = r.last()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// watch keeps every head that is shown, all the time, until stop is called.
func (r *federationRun) watch() (stop func()) {
	var probes []*nemesis.Probe
	for _, o := range r.ops {
		probes = append(probes, nemesis.NewProbe(time.Second, 10*time.Second, func(context.Context) error {
			err := r.look(o)
			if err != nil {
				r.t.Error(err)
			}
			return err
		}))
	}
	return func() {
		for _, p := range probes {
			p.Close()
		}
	}
}

// meanwhile checks what must hold while a fault lasts. Its error is that of the check after it.
func (r *federationRun) meanwhile(x nemesis.Fault) {
	r.notes = nil
	begun := time.Now()
	on, rest := r.goOn(x)
	var err error
	switch {
	case len(on) > 0:
		err = r.goesOn(on)
	case len(rest) > 0:
		err = r.standsStill(rest)
	}
	if err != nil {
		r.failed = fmt.Errorf("while it lasted: %w", err)
	}
	r.notes = append(r.notes, fmt.Sprintf("lasted %v longer", time.Since(begun).Round(100*time.Millisecond)))
}

// paper is a document that nobody has notarised.
func (r *federationRun) paper() string {
	r.written++
	return fmt.Sprintf("document %d of the run, %x", r.written, r.rng.Uint64())
}

// goesOn says whether the ledger takes transactions of those that are together, and a quorum cosigns them.
func (r *federationRun) goesOn(on []*operator) error {
	if err := r.crawlAndFind(goOnLimit, on...); err != nil {
		return err
	}
	o := on[r.rng.IntN(len(on))]
	begun := time.Now()
	if _, err := r.notarise(o, r.paper()); err != nil {
		return err
	}
	p := r.papers[len(r.papers)-1]
	err := within(r.t.Context(), goOnLimit, func() error {
		if _, err := r.collect(o); err != nil {
			return err
		}
		if level := r.have[o.Name+" "+p.text]; level < bestLevel {
			return fmt.Errorf("the note of %s has a receipt of level %d", o.Name, level)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("the ledger does not go on with %s: %w", namesOf(on), err)
	}
	r.notes = append(r.notes, fmt.Sprintf("goes on with %s: a note of %s cosigned after %v", namesOf(on), o.Name, time.Since(begun).Round(10*time.Millisecond)))
	return nil
}

// sizes are how far each operator is.
func (r *federationRun) sizes(list []*operator) (sizes [][2]uint64, err error) {
	for _, o := range list {
		s, err := o.federation()
		if err != nil {
			return nil, err
		}
		sizes = append(sizes, [2]uint64{s.Size, s.Agreed})
	}
	return sizes, nil
}

// standsStill says whether nothing is added and nothing new cosigned by a quorum, while the operators that run crawl and search, and
// promise what they cannot have logged.
func (r *federationRun) standsStill(rest []*operator) error {
	time.Sleep(underWay)
	before, err := r.sizes(rest)
	if err != nil {
		return err
	}
	o := rest[r.rng.IntN(len(rest))]
	paper, begun := r.paper(), time.Now()
	noted := make(chan error, 1)
	go func() {
		logged, err := r.notarise(o, paper)
		if err == nil && logged {
			err = fmt.Errorf("a note of %s is said to be in the ledger, which stands still", o.Name)
		}
		noted <- err
	}()
	err = r.crawlAndFind(goOnLimit, rest...)
	crawled := time.Since(begun)
	if err := errors.Join(err, <-noted); err != nil {
		return fmt.Errorf("while the ledger stands still: %w", err)
	}
	var nodes []*fieldNode
	for _, o := range rest {
		nodes = append(nodes, o.fieldNode)
	}
	if err := each(nodes, (*fieldNode).ask); err != nil { // the other operators are asked too, and some do not answer
		return fmt.Errorf("searching while the ledger stands still: %w", err)
	}
	time.Sleep(time.Until(begun.Add(stillFor)))
	if _, err := r.collect(o); err != nil {
		return err
	}
	if level, ok := r.have[o.Name+" "+paper]; !ok || level != 0 {
		return fmt.Errorf("the note of %s has a receipt of level %d (%v) while the ledger stands still, want a promise, level 0", o.Name, level, ok)
	}
	after, err := r.sizes(rest)
	if err == nil && !slices.Equal(before, after) {
		err = fmt.Errorf("the ledger grew with too few operators: sizes and cosigned sizes of %s were %v and are %v", namesOf(rest), before, after)
	}
	r.notes = append(r.notes, fmt.Sprintf("stands still for %s for %v; they crawl and find it after %v; a note has a receipt of level 0", namesOf(rest), time.Since(begun).Round(10*time.Millisecond), crawled.Round(10*time.Millisecond)))
	return err
}

// together waits until all have the same log, a quorum cosigned all of it, and everything that waited is in it.
func (r *federationRun) together(barred ...*operator) error {
	return within(r.t.Context(), wholeLimit, func() error {
		var first web.FederationStatus
		for i, o := range r.ops {
			s, err := o.federation()
			if err != nil {
				return err
			}
			if i == 0 {
				first = s
			}
			if s.Size != first.Size || s.Agreed != s.Size || s.Error != "" || s.VotersUp != len(r.ops) {
				return fmt.Errorf("%s has %d entries, %d cosigned, %d voters up (%s); %s has %d", o.Name, s.Size, s.Agreed, s.VotersUp, s.Error, r.ops[0].Name, first.Size)
			}
			if s.Barred != "" && !slices.Contains(barred, o) {
				return fmt.Errorf("%s votes no more: %s", o.Name, s.Barred)
			}
			for _, m := range s.Members {
				if m.State != "active" {
					return fmt.Errorf("for %s, %s is %s", o.Name, m.Name, m.State)
				}
			}
		}
		missing, err := r.collect(r.but(hostsOf(barred))...)
		if err == nil && len(missing) > 0 {
			err = fmt.Errorf("%d receipts are not there or not cosigned by several yet, the first is %s", len(missing), missing[0])
		}
		return err
	})
}

func hostsOf(list []*operator) (hosts []string) {
	for _, o := range list {
		hosts = append(hosts, o.Name)
	}
	return hosts
}

// check is what must hold when a fault is over.
func (r *federationRun) check(ctx context.Context, x nemesis.Fault) (string, error) {
	if r.failed != nil {
		return "", r.failed
	}
	if x.Kind == nemesis.Clock { // a crawler keeps what it may ask when by the clock of the day, until it is started again
		for _, o := range r.named(x.Hosts) {
			if _, err := o.Terminate(); err != nil {
				return "", err
			}
			if err := o.start(ctx); err != nil {
				return "", err
			}
		}
	}
	over := time.Now()
	if err := r.together(); err != nil {
		return "", fmt.Errorf("all are not together: %w", err)
	}
	took := time.Since(over)
	checked, err := r.everything(false)
	if err == nil {
		err = r.replay(r.named(x.Hosts)...)
	}
	return fmt.Sprintf("%s; all together %v after its end; %s; replayed on %s", strings.Join(r.notes, ", "), took.Round(10*time.Millisecond), checked, strings.Join(x.Hosts, " ")), err
}

// old is where the backup of an operator's data directory is.
func (o *operator) old() string { return filepath.Join(o.Disk(), "old") }

// backup copies an operator's data directory while its node does not run.
func (r *federationRun) backup(o *operator) error {
	if _, err := o.Terminate(); err != nil {
		return err
	}
	for _, cmd := range [][]string{{"cp", "-a", o.data(), o.old()}, {"sync", "-f", o.old()}} { // a power cut may follow
		if _, err := o.Run(r.t.Context(), cmd[0], cmd[1:]...); err != nil {
			return err
		}
	}
	return o.start(r.t.Context())
}

// restore puts the old backup of an operator into place: it may not vote, nor sign a head that contradicts one it signed. The others go on.
func (r *federationRun) restore(o *operator) error {
	if _, err := o.Terminate(); err != nil {
		return err
	}
	for _, mv := range [][]string{{"mv", o.data(), o.data() + ".lost"}, {"mv", o.old(), o.data()}} {
		if out, err := o.Run(r.t.Context(), mv[0], mv[1:]...); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
	}
	o.sites = nil // its captures since the backup are lost; the receipts of them that it gave out are not
	if err := o.start(r.t.Context()); err != nil {
		return fmt.Errorf("with an old backup: %w", err)
	}
	why := ""
	err := within(r.t.Context(), wholeLimit, func() error {
		s, err := o.federation()
		if why = s.Barred; err == nil && !strings.Contains(why, "backup") {
			err = fmt.Errorf("%s runs on an old backup, and says %q", o.Name, why)
		}
		return err
	})
	if err == nil {
		err = r.goesOn(r.but([]string{o.Name}))
	}
	if err == nil {
		err = r.together(o)
	}
	checked := ""
	if err == nil {
		checked, err = r.everything(true)
	}
	if err != nil {
		return fmt.Errorf("restore of an old backup of %s: %w", o.Name, err)
	}
	r.t.Logf("%s has an old backup: it says %q; %s; checked: %s", o.Name, why, r.notes[len(r.notes)-1], checked)
	return nil
}

// last is the invariant at the end of the run, with everything read from its first entry, and replayed without the nodes.
func (r *federationRun) last() error {
	checked, err := r.everything(true)
	if err == nil {
		err = r.replay(r.ops...)
	}
	if err != nil {
		return err
	}
	for _, o := range r.ops {
		if took, err := o.Terminate(); err != nil {
			return fmt.Errorf("SIGTERM of %s: %w after %v", o.Name, err, took)
		}
		cmd := exec.Command(binary(r.t), "ledger", "replay", "--offline", "--quiet", "--data", o.Path(o.data()))
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("replay of the ledger of %s, which does not run: %w: %s", o.Name, err, out)
		}
	}
	r.t.Logf("at the end: %s; replayed on all, running and stopped", checked)
	return nil
}
