//go:build linux

package nemesis

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A plan with every kind of fault on three hosts is carried out in order, and leaves all running, all wires good and all disks empty.
func TestRun(t *testing.T) {
	t.Parallel()
	n := newNet(t, 3, 32<<20)
	var names []string
	for _, h := range n.Hosts() {
		sleeper(t, h)
		echo(t, h)
		names = append(names, h.Name)
	}
	cfg := PlanConfig{Hosts: names, Length: 3 * time.Second, MinFor: 20 * time.Millisecond, MaxFor: 150 * time.Millisecond,
		Gap: 40 * time.Millisecond, Rest: 20 * time.Millisecond, MaxDown: 2, Weights: map[Kind]int{}}
	for _, k := range Kinds {
		cfg.Weights[k] = 1
	}
	plan := NewPlan(5, cfg)
	seen := map[Kind]int{}
	var lines []string
	settled := 0
	var starts atomic.Int64 // nodes are started side by side
	err := plan.Run(context.Background(), Field{Net: n, LowDisk: 1 << 20,
		Settle: func(_ context.Context, h *Host) error {
			if settled++; settled%2 == 1 {
				return h.Kill() // it ends, and is started again
			}
			return nil
		},
		Start: func(_ context.Context, h *Host) error { starts.Add(1); sleeper(t, h); return nil },
		Check: func(_ context.Context, f Fault) (string, error) {
			seen[f.Kind]++
			for _, name := range f.Hosts {
				for _, h := range n.Hosts() {
					if h.Name == name && !h.Running() {
						return "", errors.New(name + " does not run")
					}
				}
			}
			return "it runs", nil
		},
		Log: func(line string) { lines = append(lines, line) },
	})
	if err != nil {
		t.Fatalf("%v\nso far:\n%s", err, strings.Join(lines, "\n"))
	}
	if len(lines) != len(plan.Faults) || starts.Load() == 0 || settled == 0 {
		t.Errorf("%d lines of %d faults, %d starts, %d nodes that went on on a full disk", len(lines), len(plan.Faults), starts.Load(), settled)
	}
	for _, k := range Kinds {
		if seen[k] == 0 {
			t.Errorf("no %s among %d faults", k, len(plan.Faults))
		}
	}
	for i, from := range n.Hosts() {
		check(t, from, n.Hosts()[(i+1)%3], true)
		if free, err := from.FreeSpace(); err != nil || free < 16<<20 {
			t.Errorf("%s has %d bytes free: %v", from.Name, free, err)
		}
	}
}

// A node that ends by itself is noticed.
func TestRunNoticesAnEnd(t *testing.T) {
	n := newNet(t, 1, 0)
	h := n.Hosts()[0]
	sleeper(t, h)
	must(t, h.Kill()) // nobody's plan
	plan := Plan{Hosts: []string{h.Name}, Faults: []Fault{{Kind: Pause, Hosts: []string{h.Name}, For: time.Millisecond}}}
	if err := plan.Run(context.Background(), Field{Net: n}); err == nil || !strings.Contains(err.Error(), "by itself") {
		t.Errorf("a node that is gone: %v", err)
	}
}

// A fault whose host is still being started holds up no other one's end: the node may be waiting for just that.
func TestAgenda(t *testing.T) {
	second := time.Second
	faults := []Fault{
		{At: 1 * second, Kind: Kill, Hosts: []string{"a"}, For: 2 * second},
		{At: 2 * second, Kind: Mute, Hosts: []string{"b"}, For: 10 * second},
		{At: 4 * second, Kind: Slow, Hosts: []string{"a"}, For: 3 * second},
		{At: 13 * second, Kind: Pause, Hosts: []string{"b", "a"}, For: second},
	}
	a := newAgenda(faults, false)
	starting := map[string]bool{}
	starts := func(hosts []string) bool {
		return slices.ContainsFunc(hosts, func(h string) bool { return starting[h] })
	}
	take := func(want step) {
		t.Helper()
		got, ok := a.next(starts)
		if !ok || got != want {
			t.Fatalf("next is %+v, %v; want %+v", got, ok, want)
		}
		a.taken(got, got.at)
	}
	take(step{1 * second, 0, false})
	take(step{2 * second, 1, false})
	take(step{3 * second, 0, true})
	starting["a"] = true
	take(step{12 * second, 1, true}) // not the third fault, which begins first
	if s, ok := a.next(starts); ok {
		t.Fatalf("%+v while its host starts", s)
	}
	starting["a"] = false
	s, _ := a.next(starts)
	if s != (step{4 * second, 2, false}) {
		t.Fatalf("next is %+v", s)
	}
	a.taken(s, 20*second) // eight seconds late
	take(step{23 * second, 2, true})
	take(step{13 * second, 3, false})
	take(step{14 * second, 3, true})
	if s, ok := a.next(starts); ok {
		t.Fatalf("%+v after all is over", s)
	}
	a = newAgenda(faults, true)
	take(step{1 * second, 0, false})
	take(step{3 * second, 0, true})
	take(step{2 * second, 1, false})
	take(step{12 * second, 1, true})
	take(step{4 * second, 2, false})
}
