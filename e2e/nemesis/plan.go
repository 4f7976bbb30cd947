package nemesis

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Kind is what a fault does to its hosts.
type Kind string

// The kinds of faults. All end after their time: processes run again, wires are good, disks have space.
const (
	Kill     Kind = "kill -9" // as Stop, Pause and Power: of one host in a drawn plan, of all that are named in others
	Stop     Kind = "SIGTERM"
	Pause    Kind = "pause"
	Power    Kind = "power cut"
	Blackout Kind = "power cut of all" // at one moment; counts as one fault, whatever MaxDown is
	Isolate  Kind = "cut off"          // from everybody, both ways
	Deaf     Kind = "deaf"             // nothing arrives at it; what it says arrives
	Mute     Kind = "mute"             // nothing it says arrives
	Split    Kind = "split"            // a minority of the nodes from the other nodes; all still reach the web
	Apart    Kind = "all apart"        // each node from each other, so that nobody has a majority; counts as Blackout does
	Slow     Kind = "slow link"        // to and from everybody
	LowDisk  Kind = "low disk"         // less than the node's floor is free
	FullDisk Kind = "full disk"        // not a byte is free
	Clock    Kind = "wrong clock"      // the clock of the day is wrong by Fault.By
)

// Kinds are all kinds of faults that a plan draws, in their order. Clock is for plans that were not drawn.
var Kinds = []Kind{Kill, Stop, Pause, Power, Blackout, Isolate, Deaf, Mute, Split, Slow, LowDisk, FullDisk, Apart}

// Fault is one fault of a plan.
type Fault struct {
	Kind  Kind
	Hosts []string
	At    time.Duration // since the plan began
	For   time.Duration
	Link  Link          // for Slow
	By    time.Duration // for Clock
}

func (f Fault) String() string {
	s := fmt.Sprintf("%7.2fs %-10s %s for %.2fs", f.At.Seconds(), f.Kind, strings.Join(f.Hosts, " "), f.For.Seconds())
	if f.Kind == Slow {
		s += " (" + f.Link.String() + ")"
	}
	if f.Kind == Clock {
		s += fmt.Sprintf(" (by %v)", f.By)
	}
	return s
}

// wire is what a fault makes of the way from one host to another. nodes are all hosts that are no web.
func (f *Fault) wire(from, to string, nodes []string) Link {
	out, in := slices.Contains(f.Hosts, from), slices.Contains(f.Hosts, to)
	switch f.Kind {
	case Isolate:
		return Link{Cut: in || out}
	case Deaf:
		return Link{Cut: in}
	case Mute:
		return Link{Cut: out}
	case Split:
		return Link{Cut: in != out && slices.Contains(nodes, from) && slices.Contains(nodes, to)}
	case Apart:
		return Link{Cut: slices.Contains(nodes, from) && slices.Contains(nodes, to)}
	case Slow:
		if in || out {
			return f.Link
		}
	}
	return Link{}
}

// PlanConfig bounds a plan.
type PlanConfig struct {
	Hosts   []string      // whom faults may meet
	Length  time.Duration // the last fault ends before that
	MinFor  time.Duration // of one fault
	MaxFor  time.Duration
	Gap     time.Duration // average time until the next fault is tried, which begins if there is somebody for it
	Rest    time.Duration // least time between the end of a fault and the next one of the same host
	MaxDown int           // hosts that a fault has at a time; a slow link does not count
	Weights map[Kind]int  // how often each kind comes, beside the others; at least one has a weight
}

// Plan is a schedule of faults. Equal seeds and configurations give equal plans.
type Plan struct {
	Seed   uint64
	Hosts  []string // the nodes
	Faults []Fault
}

// NewPlan draws a plan.
func NewPlan(seed uint64, cfg PlanConfig) Plan {
	d := &drawing{cfg: cfg, rng: rand.New(rand.NewPCG(seed, 3)), busy: map[string]time.Duration{}}
	p := Plan{Seed: seed, Hosts: slices.Clone(cfg.Hosts)}
	for at := d.gap(); ; at += d.gap() {
		f := Fault{Kind: d.kind(), At: at, For: cfg.MinFor + time.Duration(d.rng.Int64N(int64(cfg.MaxFor-cfg.MinFor)+1))}
		if f.Kind == Blackout || f.Kind == Apart || f.Kind == Split {
			for _, until := range d.busy { // it wants everybody well
				f.At = max(f.At, until)
			}
			at = f.At
		}
		if f.At+f.For > cfg.Length {
			return p
		}
		if d.meet(&f) {
			p.Faults = append(p.Faults, f)
		} else {
			d.deck = append(d.deck, f.Kind) // for the next time
		}
	}
}

// drawing is what has been decided so far.
type drawing struct {
	cfg  PlanConfig
	rng  *rand.Rand
	busy map[string]time.Duration // until when a host has a fault, or rests from one
	down []Fault
	deck []Kind
}

// gap is between half and one and a half times the average.
func (d *drawing) gap() time.Duration {
	return d.cfg.Gap/2 + time.Duration(d.rng.Int64N(int64(d.cfg.Gap)+1))
}

// meet chooses whom a fault meets, or says that there is nobody for it now.
func (d *drawing) meet(f *Fault) bool {
	free := slices.DeleteFunc(slices.Clone(d.cfg.Hosts), func(h string) bool { return d.busy[h] > f.At })
	d.rng.Shuffle(len(free), func(i, j int) { free[i], free[j] = free[j], free[i] })
	room := d.cfg.MaxDown
	for _, o := range d.down {
		if o.At+o.For > f.At {
			room -= len(o.Hosts)
		}
	}
	want := 1
	switch f.Kind {
	case Blackout, Apart:
		want = len(d.cfg.Hosts)
		room = want
	case Split:
		most := min(room, (len(d.cfg.Hosts)-1)/2)
		if most < 1 {
			return false
		}
		want = 1 + d.rng.IntN(most)
	case Slow:
		f.Link = d.slow()
		room = 1
	}
	if want > len(free) || want > room {
		return false
	}
	f.Hosts = free[:want]
	slices.Sort(f.Hosts)
	for _, h := range f.Hosts {
		d.busy[h] = f.At + f.For + d.cfg.Rest
	}
	if f.Kind != Slow {
		d.down = append(d.down, *f)
	}
	return true
}

// kind draws from a deck in which each kind is as often as its weight says: a short plan has most kinds, a long one all.
func (d *drawing) kind() Kind {
	if len(d.deck) == 0 {
		for _, k := range Kinds {
			for range d.cfg.Weights[k] {
				d.deck = append(d.deck, k)
			}
		}
		d.rng.Shuffle(len(d.deck), func(i, j int) { d.deck[i], d.deck[j] = d.deck[j], d.deck[i] })
	}
	k := d.deck[len(d.deck)-1]
	d.deck = d.deck[:len(d.deck)-1]
	return k
}

// slow draws a bad wire: to the other side of the world, over a narrow line, or a lossy one.
func (d *drawing) slow() Link {
	ms := func(low, high int) time.Duration { return time.Duration(low+d.rng.IntN(high-low)) * time.Millisecond }
	return Link{Delay: ms(5, 150), Jitter: ms(1, 50), Rate: int64(50_000 + d.rng.IntN(1_000_000)), Loss: float64(d.rng.IntN(4)) / 100}
}

// String lists the faults, one a line.
func (p Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "plan of seed %d, %d faults:\n", p.Seed, len(p.Faults))
	for i, f := range p.Faults {
		fmt.Fprintf(&b, "  %2d %v\n", i+1, f)
	}
	return b.String()
}
