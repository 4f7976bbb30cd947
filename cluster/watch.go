package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"time"

	"concord"
)

// watch learns what the others write.
func (m *Members) watch(ctx context.Context) error {
	for {
		m.mu.Lock()
		m.watches, m.told = m.watches+1, 0
		m.mu.Unlock()
		err := m.cfg.Store.Watch(ctx, valuePrefix, m.tell)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errGone):
			return m.goneError()
		}
		m.cfg.Logger.Warn("members not watched, trying again", "error", err)
		m.mu.Lock()
		m.loaded = false
		m.announce()
		m.mu.Unlock()
		pause(ctx, m.cfg.TTL/beatsPerTTL)
	}
}

// errGone ends a member whose removal was told.
var errGone = errors.New("removed")

func (m *Members) goneError() error {
	return concord.Errorf(concord.Unauthorized, "node %s was removed from its cluster: to take part again it has to join again, with a token", m.cfg.Self.Name)
}

// tell takes in one value of the store.
func (m *Members) tell(value string, man concord.Manifest) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if name := nameOf(value, memberPrefix); name != "" {
		m.tellMember(name, man)
	} else if name := nameOf(value, leavingPrefix); name != "" {
		return m.tellLeaving(name, man)
	}
	return nil
}

func (m *Members) tellMember(name string, man concord.Manifest) {
	if name == m.self.Name {
		m.toldOwn(man)
		return
	}
	p := m.peers[name]
	if man.Revision == 0 {
		if p != nil {
			delete(m.peers, name)
			m.announce()
		}
		return
	}
	r, err := decodeRecord(name, man.Data)
	if err != nil { // others live on; this one will be dead until it writes what can be read
		m.cfg.Logger.Warn("member not understood", "node", name, "error", err)
		return
	}
	if p == nil {
		p = &peer{}
		m.peers[name] = p
	}
	was, wasLive := p.Record, p.live
	if man.Revision > p.revision {
		// The first sight of a record counts as a change: whether its node still lives shows within the time to live.
		p.Record, p.revision, p.seen, p.live = r, man.Revision, time.Now(), !r.Stopped
	}
	p.watch = m.watches
	if wasLive != p.live || !sameNews(was, p.Record) {
		m.announce()
	}
}

// toldOwn sees this node's own heartbeat come back. The second one in a watch must be a change, so that all values there
// were have been told before it; what this watch has not told is gone.
func (m *Members) toldOwn(man concord.Manifest) {
	r, err := decodeRecord(m.self.Name, man.Data)
	if err != nil || man.Revision == 0 || r.Life != m.self.Life {
		return
	}
	if !m.loaded {
		m.loaded = true
		m.announce()
	}
	if m.told++; m.told != 2 {
		return
	}
	known := len(m.peers) + len(m.leaving)
	maps.DeleteFunc(m.peers, func(_ string, p *peer) bool { return p.watch < m.watches })
	maps.DeleteFunc(m.leaving, func(_ string, o *order) bool { return o.watch < m.watches })
	if len(m.peers)+len(m.leaving) < known {
		m.announce()
	}
}

func (m *Members) tellLeaving(name string, man concord.Manifest) error {
	if man.Revision == 0 {
		delete(m.leaving, name)
		m.announce()
		return nil
	}
	var l leaving
	if err := json.Unmarshal(man.Data, &l); err != nil {
		m.cfg.Logger.Warn("order to leave not understood", "node", name, "error", err)
		return nil
	}
	m.leaving[name] = &order{leaving: l, watch: m.watches}
	m.announce()
	if name == m.self.Name && l.Removed && m.self.Generation <= l.Generation {
		return errGone
	}
	return nil
}
