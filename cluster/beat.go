package cluster

import (
	"context"
	"time"

	"concord"
)

// beater writes one node's heartbeats. Nobody else writes the record, so a conflict means that a write of our own was
// accepted unheard, that the node was removed, or that a second process has its name.
type beater struct {
	m        *Members
	revision uint64 // of the record as we know it
	known    bool   // revision is right, as far as we know
	begun    bool   // a heartbeat of this process was accepted
}

// write puts the next heartbeat, or the goodbye. Errors: Unavailable for what may pass, Unauthorized and Conflict as Run.
func (b *beater) write(ctx context.Context, stopped bool) error {
	const tries = 3 // one to learn, one to write, one for a heartbeat that was accepted unheard
	for range tries {
		if !b.known {
			if err := b.learn(ctx); err != nil {
				return err
			}
		}
		again, err := b.put(ctx, stopped)
		if err != nil || !again {
			return err
		}
	}
	return concord.Errorf(concord.Unavailable, "the record changed under %d tries", tries)
}

func (b *beater) put(ctx context.Context, stopped bool) (again bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, b.m.cfg.TTL)
	defer cancel()
	m := b.m
	m.mu.Lock()
	m.self.Beat++
	r := m.self
	m.mu.Unlock()
	r.Stopped = stopped
	data, err := r.encode()
	if err != nil {
		return false, err
	}
	rev, err := m.cfg.Store.Put(ctx, memberPrefix+r.Name, data, b.revision)
	switch {
	case err == nil:
		b.revision, b.begun = rev, true
		m.mu.Lock()
		m.beaten = time.Now()
		m.mu.Unlock()
		return false, nil
	case concord.KindOf(err) == concord.Conflict:
		b.known = false
		return true, nil
	}
	b.known = false // it may have been accepted
	return false, err
}

// learn reads what is on record under this node's name.
func (b *beater) learn(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, b.m.cfg.TTL)
	defer cancel()
	name := b.m.cfg.Self.Name
	if err := b.m.readmit(ctx); err != nil {
		return err
	}
	man, err := b.m.cfg.Store.Get(ctx, memberPrefix+name)
	if concord.KindOf(err) == concord.NotFound {
		b.revision, b.known = 0, true
		return nil
	}
	if err != nil {
		return err
	}
	r, err := decodeRecord(name, man.Data)
	if err != nil {
		b.m.cfg.Logger.Warn("the record of this node is damaged, writing it anew", "error", err)
	}
	if b.begun && err == nil && r.Life != b.m.cfg.Self.Life {
		return concord.Errorf(concord.Conflict, "another process runs under the name of this node, on a copy of its data directory: stop one of them")
	}
	b.m.mu.Lock()
	b.m.self.Beat = max(b.m.self.Beat, r.Beat)
	b.m.mu.Unlock()
	b.revision, b.known = man.Revision, true
	return nil
}

// readmit refuses a node that was removed, unless it has joined again since: then the removal is taken off the record.
func (m *Members) readmit(ctx context.Context) error {
	man, l, err := m.readLeaving(ctx, m.cfg.Self.Name)
	if err != nil || !l.Removed {
		return err
	}
	if m.cfg.Self.Generation <= l.Generation {
		return m.goneError()
	}
	if err := m.cfg.Store.Delete(ctx, leavingPrefix+m.cfg.Self.Name, man.Revision); err != nil {
		return concord.Errorf(concord.Unavailable, "take %s back into the cluster: %w", m.cfg.Self.Name, err)
	}
	return nil
}
