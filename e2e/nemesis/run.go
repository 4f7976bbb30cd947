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
}

// step is the beginning or the end of a fault.
type step struct {
	at    time.Duration
	fault int
	end   bool
}

// Run carries the plan out and returns when the last fault is over: every host's node runs and all wires are good. Steps are taken one after
// the other, so one that takes long, such as a slow start, delays those after it. Errors: the first of a step, of Check, and of a node that
// ended by itself without a full disk; what is broken then stays as it is, for a person to look at.
func (p Plan) Run(ctx context.Context, field Field) error {
	var steps []step
	for i, f := range p.Faults {
		steps = append(steps, step{f.At, i, false}, step{f.At + f.For, i, true})
	}
	slices.SortStableFunc(steps, func(a, b step) int { return int(a.at - b.at) })
	r := &run{Field: field, hosts: map[string]*Host{}, nodes: p.Hosts, notes: map[int][]string{}, began: time.Now()}
	for _, h := range field.Net.Hosts() {
		r.hosts[h.Name] = h
	}
	for _, s := range steps {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Until(r.began.Add(s.at))):
		}
		if err := r.take(ctx, s, p.Faults[s.fault]); err != nil {
			return fmt.Errorf("fault %d, %v: %w", s.fault+1, p.Faults[s.fault], err)
		}
	}
	return nil
}

// run is a plan being carried out.
type run struct {
	Field
	hosts map[string]*Host
	nodes []string
	notes map[int][]string // what was seen of each fault
	wires []Fault          // faults of links that last
	began time.Time
}

func (r *run) take(ctx context.Context, s step, f Fault) error {
	hosts := make([]*Host, len(f.Hosts))
	for i, name := range f.Hosts {
		if hosts[i] = r.hosts[name]; hosts[i] == nil {
			return fmt.Errorf("there is no host %s", name)
		}
	}
	note := func(format string, args ...any) {
		r.notes[s.fault] = append(r.notes[s.fault], fmt.Sprintf(format, args...))
	}
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
	if err := r.end(ctx, f, hosts, note); err != nil {
		return err
	}
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

func (r *run) end(ctx context.Context, f Fault, hosts []*Host, note func(string, ...any)) error {
	h := hosts[0]
	switch f.Kind {
	case Pause:
		return all(hosts, (*Host).Resume)
	case Clock:
		return all(hosts, func(h *Host) error { return h.SkewClock(0) })
	case Isolate, Deaf, Mute, Split, Apart, Slow:
		r.wires = slices.DeleteFunc(r.wires, func(o Fault) bool { return o.At == f.At && slices.Equal(o.Hosts, f.Hosts) })
		return r.rewire()
	case LowDisk, FullDisk:
		if err := h.FreeDisk(); err != nil {
			return err
		}
		if f.Kind == FullDisk && h.Running() && r.Settle != nil {
			if err := r.Settle(ctx, h); err != nil {
				return err
			}
		}
		switch up := h.Running(); {
		case up:
			note("it went on")
			return nil
		case f.Kind == LowDisk:
			return fmt.Errorf("the node of %s ended by itself", h.Name)
		default:
			note("it had ended by itself") // as a node may that does not know what is on its disk
		}
	}
	// All at once: a node of a cluster waits for others.
	start, took, errs := time.Now(), make([]time.Duration, len(hosts)), make([]error, len(hosts))
	var wg sync.WaitGroup
	for i, h := range hosts {
		wg.Go(func() {
			errs[i] = r.Start(ctx, h)
			took[i] = time.Since(start)
		})
	}
	wg.Wait()
	for i, h := range hosts {
		note("%s ready again after %v", h.Name, took[i].Round(time.Millisecond))
	}
	return errors.Join(errs...)
}
