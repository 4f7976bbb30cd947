package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"concord"
)

// Drain orders a node to hand its partitions over, and no node to give it any. Nothing is lost and nothing stops for long;
// Status shows what is left. It holds until Undrain, restarts included. Errors: NotFound, Conflict when no other node is there
// to take over, Unavailable.
func (m *Members) Drain(ctx context.Context, name string) error {
	v, _ := m.View()
	if _, ok := v.Member(name); !ok {
		return concord.Errorf(concord.NotFound, "no node %s in this cluster; concord cluster status lists them", concord.Clip(name, 80))
	}
	others := 0
	for _, c := range v.Candidates() {
		if mem, _ := v.Member(c.Name); c.Name != name && !mem.Leaving {
			others++
		}
	}
	if others == 0 {
		return concord.Errorf(concord.Conflict, "no other node is there to take over from %s", name)
	}
	data, err := json.Marshal(leaving{Since: time.Now().UTC()})
	if err != nil {
		return err
	}
	_, err = m.cfg.Store.Put(ctx, leavingPrefix+name, data, 0)
	if concord.KindOf(err) == concord.Conflict {
		return nil // it is leaving already
	}
	return err
}

// Undrain takes the order to leave back. Errors: Conflict when the node was removed already, Unavailable.
func (m *Members) Undrain(ctx context.Context, name string) error {
	man, l, err := m.readLeaving(ctx, name)
	if err != nil || man.Revision == 0 {
		return err
	}
	if l.Removed {
		return concord.Errorf(concord.Conflict, "node %s was removed; it has to join again, with a token", name)
	}
	return m.cfg.Store.Delete(ctx, leavingPrefix+name, man.Revision)
}

// Remove takes a node out for good: its certificate is refused and its record goes. It has to be drained first; force
// removes one that is dead, and gives up what only that node had, or one that joined and never came. Errors: NotFound; Conflict says what is in the way;
// Unavailable. It can be repeated.
func (m *Members) Remove(ctx context.Context, name string, force bool) error {
	v, _ := m.View()
	mem, ok := v.Member(name)
	if !ok && force && m.cfg.Revoke != nil { // it joined, and never came
		return m.cfg.Revoke(ctx, name)
	}
	if !ok {
		return concord.Errorf(concord.NotFound, "no node %s in this cluster; concord cluster status lists them", concord.Clip(name, 80))
	}
	if err := removable(mem, force); err != nil {
		return err
	}
	if m.cfg.Revoke != nil {
		if err := m.cfg.Revoke(ctx, name); err != nil {
			return fmt.Errorf("remove %s: %w", name, err)
		}
	}
	man, l, err := m.readLeaving(ctx, name)
	if err != nil {
		return err
	}
	if man.Revision == 0 {
		l.Since = time.Now().UTC()
	}
	l.Removed, l.Generation = true, mem.Generation
	data, err := json.Marshal(l)
	if err != nil {
		return err
	}
	if _, err := m.cfg.Store.Put(ctx, leavingPrefix+name, data, man.Revision); err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	record, err := m.cfg.Store.Get(ctx, memberPrefix+name)
	if err == nil {
		err = m.cfg.Store.Delete(ctx, memberPrefix+name, record.Revision)
	}
	if concord.KindOf(err) == concord.NotFound {
		return nil
	}
	return err
}

// removable says what stands in the way of removing a node.
func removable(mem Member, force bool) error {
	left := mem.left()
	switch {
	case mem.Leaving && len(left) == 0:
		return nil
	case mem.Live && !mem.Leaving:
		return concord.Errorf(concord.Conflict, "node %s is at work: drain it first (concord cluster drain %s)", mem.Name, mem.Name)
	case mem.Live:
		return concord.Errorf(concord.Conflict, "node %s still has to hand over %d parts, %s first: wait for it (concord cluster status), or stop the node and use force", mem.Name, len(left), left[0])
	case !force:
		return concord.Errorf(concord.Conflict, "node %s does not answer and was not drained: start it and drain it, or use force to give up what only that machine has", mem.Name)
	}
	return nil
}

// left is what a node has to hand over before it may be removed.
func (m *Member) left() []string {
	var left []string
	for _, h := range m.Owns {
		left = append(left, h.Partition)
	}
	return append(left, m.Keeps...)
}

// readLeaving reads the order to a node to leave; revision 0 says that there is none.
func (m *Members) readLeaving(ctx context.Context, name string) (concord.Manifest, leaving, error) {
	var l leaving
	man, err := m.cfg.Store.Get(ctx, leavingPrefix+name)
	if concord.KindOf(err) == concord.NotFound {
		return concord.Manifest{}, l, nil
	}
	if err != nil {
		return man, l, err
	}
	if err := json.Unmarshal(man.Data, &l); err != nil {
		return man, l, concord.Errorf(concord.Corrupt, "value %s%s: %w", leavingPrefix, name, err)
	}
	return man, l, nil
}
