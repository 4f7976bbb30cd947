package cluster

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"
)

// step is what the keeper should do about one partition.
type step struct {
	take bool   // try for its lease
	to   string // hand it over to that node, which asks for it
	why  string
}

// planner turns views into steps. What it remembers is only since when things are as they are.
type planner struct {
	node       string
	partitions []string
	settle     time.Duration // before a partition that runs elsewhere is asked for
	grace      time.Duration // before a partition that nobody runs is taken by who it is not assigned to

	candidates []Candidate
	assigned   map[string]string
	since      map[string]time.Time // when assigned changed
	unowned    map[string]time.Time // since when nobody runs it
	unsteady   time.Time            // when this node lost a lease last: it settles anew
}

// plan returns a step for each partition, and the partitions this node asks other nodes for. A node that does not hear the others goes
// on with what it has, and takes and gives nothing.
func (pl *planner) plan(v *View, now time.Time) (steps map[string]step, wants []string) {
	if !v.Loaded {
		return nil, nil
	}
	pl.assign(v, now)
	owners := v.owners()
	self, _ := v.Member(pl.node)
	steps = make(map[string]step, len(pl.partitions))
	for _, p := range pl.partitions {
		c, owned := owners[p]
		if owned {
			delete(pl.unowned, p)
		} else if _, known := pl.unowned[p]; !known {
			pl.unowned[p] = now
		}
		mine := pl.assigned[p] == pl.node
		switch {
		case owned && c.owner.Name == pl.node:
			steps[p] = pl.keepOrGive(v, p, c)
		case owned && self.runs(p): // this node has lost it and does not know yet
		case owned && mine && (c.owner.Leaving || pl.settled(p, now)):
			wants = append(wants, p)
		case !owned:
			steps[p] = step{take: mine || pl.graceOver(p, now)}
		}
	}
	return steps, wants
}

// settled says whether this node has been steady, and a partition its own, for long enough to take it from another.
func (pl *planner) settled(p string, now time.Time) bool {
	return now.Sub(pl.since[p]) >= pl.settle && now.Sub(pl.unsteady) >= pl.settle
}

// assign follows the candidates of the view.
func (pl *planner) assign(v *View, now time.Time) {
	candidates := v.Candidates()
	if pl.assigned != nil && slices.Equal(candidates, pl.candidates) {
		return
	}
	if pl.since == nil {
		pl.since, pl.unowned = map[string]time.Time{}, map[string]time.Time{}
	}
	next := Assign(pl.partitions, candidates)
	for _, p := range pl.partitions {
		if pl.assigned == nil || next[p] != pl.assigned[p] {
			pl.since[p] = now
		}
	}
	pl.candidates, pl.assigned = candidates, next
}

// keepOrGive is the step for a partition this node runs: it goes to the node it is assigned to, once that one asks.
func (pl *planner) keepOrGive(v *View, p string, c claim) step {
	to, ok := v.Member(pl.assigned[p])
	switch {
	case !ok || to.Name == pl.node:
		return step{take: ok}
	case !to.Live || !slices.Contains(to.Wants, p):
		return step{}
	case c.owner.Leaving:
		return step{to: to.Name, why: whyDrained(pl.node)}
	}
	return step{to: to.Name, why: whyBalance(to.Name)}
}

func whyDrained(node string) string { return "node " + node + " is being drained" }
func whyBalance(node string) string { return "it belongs to node " + node + "'s share" }

// graceOver says whether a partition has been without an owner for so long that who it is assigned to will not take it, and
// those who like it better than this node had their time as well.
func (pl *planner) graceOver(p string, now time.Time) bool {
	waited := now.Sub(pl.unowned[p])
	if waited < pl.grace {
		return false
	}
	turn := time.Duration(1)
	for _, name := range ranking(p, pl.candidates) {
		switch name {
		case pl.assigned[p]:
		case pl.node:
			return waited >= turn*pl.grace
		default:
			turn++
		}
	}
	return false
}

// planLoop follows the members, and says what this node has and wants.
func (k *Keeper) planLoop(ctx context.Context, partitions []string) {
	pl := &planner{node: k.Node, partitions: partitions, settle: k.Settle, grace: k.ttl()}
	if pl.settle == 0 {
		pl.settle = DefaultSettle
	}
	for ctx.Err() == nil {
		v, changed := k.Members.View()
		k.mu.Lock()
		pl.unsteady = k.lost
		k.mu.Unlock()
		steps, wants := pl.plan(v, time.Now())
		k.follow(steps)
		slices.Sort(wants)
		k.Members.Update(func(r *Record) {
			if !slices.Equal(r.Wants, wants) {
				r.Wants = wants
			}
		})
		tick := time.NewTimer(k.ttl() / sweepsPerTTL)
		select {
		case <-ctx.Done():
		case <-changed:
		case <-tick.C:
		}
		tick.Stop()
	}
	k.Members.Update(func(r *Record) { r.Wants = nil })
}

// follow makes steps the plan, and wakes who waits for one that differs.
func (k *Keeper) follow(steps map[string]step) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if maps.Equal(k.plan, steps) {
		return
	}
	k.plan = steps
	close(k.changed)
	k.changed = make(chan struct{})
}

// step returns what to do about a partition, and a channel that is closed when that may have changed.
func (k *Keeper) step(partition string) (step, <-chan struct{}) {
	if k.Members == nil {
		return step{take: true}, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.plan[partition], k.changed
}

// awaitTaker waits until the partition is to be handed over and it is its turn, and then has the token of handovers. It returns
// false when ctx ends first.
func (k *Keeper) awaitTaker(ctx context.Context, name string) bool {
	for {
		s, changed := k.step(name)
		if s.to == "" {
			select {
			case <-ctx.Done():
				return false
			case <-changed:
			}
			continue
		}
		select {
		case <-ctx.Done():
			return false
		case <-k.handover:
		}
		if s, _ = k.step(name); s.to != "" && ctx.Err() == nil {
			k.Logger.Info("handing partition over", "partition", name, "to", s.to, "why", s.why)
			k.setMoving(name, s)
			return true
		}
		k.handover <- struct{}{}
	}
}

// awaitOwner waits until another node runs the partition, or long enough for it to have had its chance.
func (k *Keeper) awaitOwner(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(ctx, 2*k.ttl())
	defer cancel()
	for ctx.Err() == nil {
		v, changed := k.Members.View()
		if _, owned := v.owners()[name]; owned {
			return
		}
		select {
		case <-ctx.Done():
		case <-changed:
		}
	}
}

func (k *Keeper) setHeld(h *hold) {
	k.mu.Lock()
	k.held[h.Partition] = h
	k.mu.Unlock()
	k.publish()
}

func (k *Keeper) setMoving(name string, s step) {
	k.mu.Lock()
	if h := k.held[name]; h != nil {
		h.To, h.Why = s.to, s.why
	}
	k.mu.Unlock()
	k.publish()
}

func (k *Keeper) prolong(name string, until time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if h := k.held[name]; h != nil {
		h.until = until
	}
}

// setUnsteady makes this node settle anew before it takes partitions from others.
func (k *Keeper) setUnsteady() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lost = time.Now()
	k.losses++
}

func (k *Keeper) setFree(name string) {
	k.mu.Lock()
	delete(k.held, name)
	k.mu.Unlock()
	k.publish()
}

// publish tells the other nodes what this one runs.
func (k *Keeper) publish() {
	if k.Members == nil {
		return
	}
	k.Members.Update(func(r *Record) {
		k.mu.Lock()
		defer k.mu.Unlock()
		r.Owns = nil
		for _, h := range k.held {
			r.Owns = append(r.Owns, h.Holding)
		}
		slices.SortFunc(r.Owns, func(a, b Holding) int { return strings.Compare(a.Partition, b.Partition) })
	})
}
