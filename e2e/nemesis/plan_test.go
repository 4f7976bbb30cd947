package nemesis

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func planConfig() PlanConfig {
	cfg := PlanConfig{Hosts: []string{"a", "b", "c", "d", "e"}, Length: 10 * time.Minute, MinFor: time.Second, MaxFor: 8 * time.Second,
		Gap: 2 * time.Second, Rest: time.Second, MaxDown: 2, Weights: map[Kind]int{}}
	for _, k := range Kinds {
		cfg.Weights[k] = 1
	}
	return cfg
}

func TestPlanIsRepeatable(t *testing.T) {
	a, b := NewPlan(42, planConfig()), NewPlan(42, planConfig())
	if diff := cmp.Diff(a, b); diff != "" {
		t.Errorf("the same seed gives two plans:\n%s", diff)
	}
	if cmp.Equal(a, NewPlan(43, planConfig())) {
		t.Error("two seeds give the same plan")
	}
}

// Whatever the seed, a plan keeps its bounds and has every kind of fault.
func TestPlanKeepsItsBounds(t *testing.T) {
	cfg := planConfig()
	for seed := range uint64(50) {
		p := NewPlan(seed, cfg)
		seen := map[Kind]int{}
		for i, f := range p.Faults {
			seen[f.Kind]++
			if f.For < cfg.MinFor || f.For > cfg.MaxFor || f.At < 0 || f.At+f.For > cfg.Length || len(f.Hosts) == 0 {
				t.Fatalf("seed %d: %v is outside its bounds", seed, f)
			}
			if f.Kind == Split && len(f.Hosts) > 2 {
				t.Errorf("seed %d: %v is no minority of five", seed, f)
			}
			down := map[string]bool{}
			for _, o := range p.Faults[:i+1] {
				if o.At+o.For <= f.At {
					continue
				}
				for _, h := range o.Hosts {
					if o.At != f.At && slices.Contains(f.Hosts, h) {
						t.Fatalf("seed %d: %v begins while %v lasts", seed, f, o)
					}
					down[h] = down[h] || o.Kind != Slow
				}
			}
			count := 0
			for _, d := range down {
				if d {
					count++
				}
			}
			if f.Kind != Blackout && f.Kind != Apart && f.Kind != Slow && count > cfg.MaxDown && !blackout(p.Faults[:i], f.At) {
				t.Errorf("seed %d: %v makes %d hosts down", seed, f, count)
			}
		}
		for _, k := range Kinds {
			if seen[k] == 0 {
				t.Errorf("seed %d: no %s among %d faults", seed, k, len(p.Faults))
			}
		}
	}
}

func blackout(faults []Fault, at time.Duration) bool {
	return slices.ContainsFunc(faults, func(f Fault) bool { return (f.Kind == Blackout || f.Kind == Apart) && f.At+f.For > at })
}

func TestWires(t *testing.T) {
	nodes := []string{"a", "b", "c"}
	slow := Link{Delay: time.Second}
	for _, c := range []struct {
		kind     Kind
		from, to string
		want     Link
	}{
		{Isolate, "a", "web", Link{Cut: true}}, {Isolate, "b", "a", Link{Cut: true}}, {Isolate, "b", "c", Link{}},
		{Deaf, "b", "a", Link{Cut: true}}, {Deaf, "a", "b", Link{}},
		{Mute, "b", "a", Link{}}, {Mute, "a", "web", Link{Cut: true}},
		{Split, "a", "b", Link{Cut: true}}, {Split, "a", "web", Link{}}, {Split, "b", "c", Link{}},
		{Apart, "b", "c", Link{Cut: true}}, {Apart, "b", "web", Link{}},
		{Slow, "web", "a", slow}, {Slow, "b", "c", Link{}}, {Kill, "a", "b", Link{}},
	} {
		f := Fault{Kind: c.kind, Hosts: []string{"a"}, Link: slow}
		if got := f.wire(c.from, c.to, nodes); got != c.want {
			t.Errorf("%s of a: %s to %s is %v, want %v", c.kind, c.from, c.to, got, c.want)
		}
	}
}
