//go:build linux

package nemesis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Field is where a plan is carried out.
type Field struct {
	Net *Net
	// Start runs the node of a host again and returns when it serves.
	Start func(ctx context.Context, h *Host) error
	// Begun is called when a fault has begun; nil: nothing is.
	Begun func(f Fault)
	// Check is called after each fault has ended. It says what it checked.
	Check func(ctx context.Context, f Fault) (checked string, err error)
	// LowDisk is how many bytes LowDisk leaves: less than the node's floor.
	LowDisk int64
	// Settle waits, when there is space again for a node that went on on a full disk, until it serves or has ended by itself, as one may whose
	// message engine met an error. It is then started again. nil: it goes on.
	Settle func(ctx context.Context, h *Host) error
	// Log gets one line for each fault that is over.
	Log func(line string)
	// InTurn lets a fault begin only when all before it are over and their nodes serve.
	InTurn bool
}

// step is the beginning or the end of a fault.
type step struct {
	at    time.Duration
	fault int
	end   bool
}

// agenda is what of a plan is still to be done.
type agenda struct {
	faults []Fault
	begun  []time.Duration // when each fault really began; negative: it has not
	over   []bool
	inTurn bool
}

func newAgenda(faults []Fault, inTurn bool) *agenda {
	a := &agenda{slices.Clone(faults), make([]time.Duration, len(faults)), make([]bool, len(faults)), inTurn}
	for i := range a.begun {
		a.begun[i] = -1
	}
	return a
}

// next returns the step that comes first of those that can be taken: a fault can end when it has begun, and begin when none before it has one
// of its hosts any more and none of these is being started; in turn, as if each fault had all hosts. What cannot be taken yet holds up nothing else, least of all the ends of
// faults that a starting node waits for.
func (a *agenda) next(starts func(hosts []string) bool) (first step, ok bool) {
	for i, f := range a.faults {
		s := step{f.At, i, a.begun[i] >= 0}
		switch {
		case a.over[i]:
			continue
		case s.end:
			s.at = a.begun[i] + f.For
		case starts(f.Hosts) || a.meets(i):
			continue
		}
		if !ok || s.at < first.at {
			first, ok = s, true
		}
	}
	return first, ok
}

// meets says that a fault before the i-th has one of its hosts, and is not over.
func (a *agenda) meets(i int) bool {
	for j, o := range a.faults {
		if !a.over[j] && o.At < a.faults[i].At && (a.inTurn || slices.ContainsFunc(o.Hosts, func(h string) bool { return slices.Contains(a.faults[i].Hosts, h) })) {
			return true
		}
	}
	return false
}

// taken notes that a step was taken so long after the beginning.
func (a *agenda) taken(s step, at time.Duration) {
	if s.end {
		a.over[s.fault] = true
		return
	}
	a.begun[s.fault] = at
}

// Run carries the plan out and returns when the last fault is over: every host's node runs and all wires are good. Steps are taken one after
// the other, so one that takes long delays those after it; but nodes start side by side, since one may wait for another, and only the next fault
// of a host waits until its node serves: it then begins late, and lasts as long. Errors: the first of a step, of Check, and of a node that ended by
// itself without a full disk; what is broken then stays as it is, for a person to look at.
func (p Plan) Run(ctx context.Context, field Field) error {
	r := &run{Field: field, hosts: map[string]*Host{}, nodes: p.Hosts, notes: map[int][]string{}, began: time.Now(), started: make(chan *starting, len(p.Faults))}
	for _, h := range field.Net.Hosts() {
		r.hosts[h.Name] = h
	}
	for todo := newAgenda(p.Faults, field.InTurn); ; {
		s, ok := todo.next(r.starts)
		if !ok && len(r.starting) == 0 {
			return nil
		}
		var then <-chan time.Time
		if ok {
			then = time.After(time.Until(r.began.Add(s.at)))
		}
		if !ok || time.Until(r.began.Add(s.at)) > 0 {
			if err := r.await(ctx, then); err != nil {
				return err
			}
			continue
		}
		if err := r.take(ctx, s, p.Faults[s.fault]); err != nil {
			return about(s, p.Faults[s.fault], err)
		}
		todo.taken(s, time.Since(r.began))
	}
}

func about(s step, f Fault, err error) error {
	return fmt.Errorf("fault %d, %v: %w", s.fault+1, f, err)
}

// starting is the end of a fault whose nodes start.
type starting struct {
	step  step
	fault Fault
	took  []time.Duration // until each of the hosts served
	err   error
}

// starts says that a node of these hosts is being started; in turn, any.
func (r *run) starts(hosts []string) bool {
	if r.InTurn {
		return len(r.starting) > 0
	}
	return slices.ContainsFunc(r.starting, func(x *starting) bool {
		return slices.ContainsFunc(x.fault.Hosts, func(h string) bool { return slices.Contains(hosts, h) })
	})
}

// await waits until the nodes of a fault serve, and finishes it, or until then.
func (r *run) await(ctx context.Context, then <-chan time.Time) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-then:
		return nil
	case x := <-r.started:
		r.starting = slices.DeleteFunc(r.starting, func(o *starting) bool { return o == x })
		for i, name := range x.fault.Hosts {
			r.note(x.step, "%s ready again after %v", name, x.took[i].Round(time.Millisecond))
		}
		err := x.err
		if err == nil {
			err = r.over(ctx, x.step, x.fault)
		}
		if err != nil {
			return about(x.step, x.fault, err)
		}
		return nil
	}
}

// run is a plan being carried out.
type run struct {
	Field
	hosts map[string]*Host
	nodes []string
	notes map[int][]string // what was seen of each fault
	wires []Fault          // faults of links that last
	began time.Time

	starting []*starting
	started  chan *starting
}

func (r *run) note(s step, format string, args ...any) {
	r.notes[s.fault] = append(r.notes[s.fault], fmt.Sprintf(format, args...))
}

func (r *run) take(ctx context.Context, s step, f Fault) error {
	hosts := make([]*Host, len(f.Hosts))
	for i, name := range f.Hosts {
		if hosts[i] = r.hosts[name]; hosts[i] == nil {
			return fmt.Errorf("there is no host %s", name)
		}
	}
	note := func(format string, args ...any) { r.note(s, format, args...) }
	if !s.end {
		for _, h := range hosts {
			if !h.Running() {
				return fmt.Errorf("the node of %s has ended by itself", h.Name)
			}
		}
		if err := r.begin(f, hosts, note); err != nil {
			return err
		}
		if r.Begun != nil {
			r.Begun(f)
		}
		return nil
	}
	starts, err := r.end(ctx, f, hosts, note)
	if err != nil {
		return err
	}
	if starts {
		r.start(ctx, s, f, hosts)
		return nil
	}
	return r.over(ctx, s, f)
}

// over checks what a fault has left.
func (r *run) over(ctx context.Context, s step, f Fault) error {
	checked, err := r.Check(ctx, f)
	if err == nil && r.Log != nil {
		r.Log(fmt.Sprintf("fault %2d %v: %s; checked: %s", s.fault+1, f, strings.Join(append(r.notes[s.fault], "over"), ", "), checked))
	}
	return err
}

func (r *run) begin(f Fault, hosts []*Host, note func(string, ...any)) error {
	h := hosts[0]
	switch f.Kind {
	case Kill:
		return all(hosts, (*Host).Kill)
	case Stop:
		return all(hosts, func(h *Host) error {
			took, err := h.Terminate()
			note("%s ended after %v", h.Name, took.Round(time.Millisecond))
			return err
		})
	case Pause:
		return all(hosts, (*Host).Pause)
	case Clock:
		return all(hosts, func(h *Host) error { return h.SkewClock(f.By) })
	case Power, Blackout:
		return PowerCut(hosts...)
	case LowDisk:
		return h.FillDisk(r.LowDisk)
	case FullDisk:
		return h.FillDisk(0)
	case Isolate, Deaf, Mute, Split, Apart, Slow:
		r.wires = append(r.wires, f)
		return r.rewire()
	}
	return fmt.Errorf("there is no fault %q", f.Kind)
}

// all does something with each host, one after the other.
func all(hosts []*Host, do func(*Host) error) error {
	var errs []error
	for _, h := range hosts {
		errs = append(errs, do(h))
	}
	return errors.Join(errs...)
}

// rewire makes every way what the faults say that last.
func (r *run) rewire() error {
	all := r.Net.Hosts()
	var errs []error
	for _, from := range all {
		for _, to := range all {
			if from == to {
				continue
			}
			var l Link
			for _, f := range r.wires {
				if w := f.wire(from.Name, to.Name, r.nodes); w != (Link{}) && !l.Cut {
					l = w
				}
			}
			errs = append(errs, r.Net.SetLink(from, to, l))
		}
	}
	return errors.Join(errs...)
}

// end ends a fault. starts says that its nodes are to be started now.
func (r *run) end(ctx context.Context, f Fault, hosts []*Host, note func(string, ...any)) (starts bool, err error) {
	h := hosts[0]
	switch f.Kind {
	case Pause:
		return false, all(hosts, (*Host).Resume)
	case Clock:
		return false, all(hosts, func(h *Host) error { return h.SkewClock(0) })
	case Isolate, Deaf, Mute, Split, Apart, Slow:
		r.wires = slices.DeleteFunc(r.wires, func(o Fault) bool { return o.At == f.At && slices.Equal(o.Hosts, f.Hosts) })
		return false, r.rewire()
	case LowDisk, FullDisk:
		if err := h.FreeDisk(); err != nil {
			return false, err
		}
		if f.Kind == FullDisk && h.Running() && r.Settle != nil {
			if err := r.Settle(ctx, h); err != nil {
				return false, err
			}
		}
		switch up := h.Running(); {
		case up:
			note("it went on")
			return false, nil
		case f.Kind == LowDisk:
			return false, fmt.Errorf("the node of %s ended by itself", h.Name)
		default:
			note("it had ended by itself") // as a node may that does not know what is on its disk
		}
	}
	return true, nil
}

// start starts the nodes of a fault, all at once: a node of a cluster waits for others.
func (r *run) start(ctx context.Context, s step, f Fault, hosts []*Host) {
	x := &starting{step: s, fault: f, took: make([]time.Duration, len(hosts))}
	r.starting = append(r.starting, x)
	go func() {
		begin, errs := time.Now(), make([]error, len(hosts))
		var wg sync.WaitGroup
		for i, h := range hosts {
			wg.Go(func() {
				errs[i] = r.Start(ctx, h)
				x.took[i] = time.Since(begin)
			})
		}
		wg.Wait()
		x.err = errors.Join(errs...)
		r.started <- x
	}()
}
