package bus

import (
	"context"
	"fmt"
	"slices"

	"concord"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// scrubConsumers bounds how many readers are made to have one at each copy: the engine puts each at any of them.
	scrubConsumers = 60
	// maxDamage bounds how many messages a report names.
	maxDamage = 100
)

// Damage is a message that a copy of a stream does not have as the others do, or cannot read.
type Damage struct {
	Stream string
	Node   string
	Seq    uint64
	What   string // "missing", "differs", or why it and all that follow cannot be read
}

// Scrub reads every copy of a stream beside the others, message by message, and returns what is wrong with which. It costs as much as
// reading the stream from each of its machines, and goes up to the message that is the last when it starts. Messages that were
// trimmed, or whose time ran out, while it reads are not damage; nor can it see what only the engine's memory still has right.
//
// The engine finds damaged bytes when it reads them (in blocks that are compressed, of a whole block of some MiB) and then serves the
// stream without them, or stands still, but neither says so to readers nor mends it from another copy. What mends it is DropCopy.
// Errors: Unavailable when a copy is at a node that is down, or not up to date.
func (b *Bus) Scrub(ctx context.Context, name string) ([]Damage, error) {
	stream, err := b.js.Stream(ctx, name)
	if err != nil {
		return nil, wrap("scrub "+name, err)
	}
	logs, err := b.Logs(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(logs, func(l LogStatus) bool { return l.Name == name })
	if i < 0 {
		return nil, concord.Errorf(concord.NotFound, "scrub %s: no such stream", name)
	}
	l := logs[i]
	for _, c := range l.Copies {
		if !c.Online || !c.Current {
			return nil, concord.Errorf(concord.Unavailable, "scrub %s: the copy at %s is not up to date", name, c.Node)
		}
	}
	s := &scrub{stream: stream, name: name, upTo: l.Last}
	defer s.close(ctx)
	if err := s.open(ctx, l.Copies); err != nil {
		return nil, wrap("scrub "+name, err)
	}
	if err := s.run(ctx); err != nil {
		return nil, wrap("scrub "+name, err)
	}
	return s.confirmed(ctx)
}

// scrub is one run of Scrub.
type scrub struct {
	stream jetstream.Stream
	name   string
	upTo   uint64
	copies []*copyReader
	damage []Damage
}

type copyReader struct {
	node   string
	walker *walker
	head   *stored // nil: it has no more, or cannot be read on
}

// open makes a reader at every copy.
func (s *scrub) open(ctx context.Context, copies []Copy) error {
	for range scrubConsumers {
		if len(s.copies) == len(copies) {
			return nil
		}
		w, err := walk(ctx, s.stream, 1, s.upTo)
		if err != nil {
			return err
		}
		node := w.node()
		if node == "" {
			node = copies[0].Node
		}
		if slices.ContainsFunc(s.copies, func(c *copyReader) bool { return c.node == node }) {
			w.forget(ctx, s.stream)
			continue
		}
		s.copies = append(s.copies, &copyReader{node: node, walker: w})
	}
	if len(s.copies) < len(copies) {
		return concord.Errorf(concord.Unavailable, "the engine gives readers at %d of %d copies only", len(s.copies), len(copies))
	}
	return nil
}

func (s *scrub) close(ctx context.Context) {
	for _, c := range s.copies {
		c.walker.forget(ctx, s.stream)
	}
}

// run merges the copies by sequence number.
func (s *scrub) run(ctx context.Context) error {
	for len(s.damage) < maxDamage {
		next := uint64(0)
		for _, c := range s.copies {
			if err := s.fill(ctx, c); err != nil {
				return err
			}
			if c.head != nil && (next == 0 || c.head.seq < next) {
				next = c.head.seq
			}
		}
		if next == 0 {
			return nil
		}
		s.compare(next)
	}
	return nil
}

// fill finds the next message of a copy. One that cannot go on is damaged from there, and left out.
func (s *scrub) fill(ctx context.Context, c *copyReader) (err error) {
	if c.walker.broken {
		return nil
	}
	c.head, err = c.walker.head(ctx)
	if concord.KindOf(err) == concord.Corrupt {
		s.damage = append(s.damage, Damage{Stream: s.name, Node: c.node, Seq: c.walker.last + 1, What: "cannot be read from here on"})
		c.walker.broken = true
		return nil
	}
	if err != nil {
		return fmt.Errorf("copy at %s: %w", c.node, err)
	}
	return nil
}

// compare takes message seq from the copies that have it. What most of those say is right.
func (s *scrub) compare(seq uint64) {
	votes := map[stored]int{}
	var right stored
	for _, c := range s.copies {
		if c.head != nil && c.head.seq == seq {
			if votes[*c.head]++; votes[*c.head] > votes[right] {
				right = *c.head
			}
		}
	}
	for _, c := range s.copies {
		switch {
		case c.walker.broken:
			continue
		case c.head == nil || c.head.seq != seq:
			if !right.mayEnd {
				s.damage = append(s.damage, Damage{Stream: s.name, Node: c.node, Seq: seq, What: "missing"})
			}
			continue
		case *c.head != right:
			s.damage = append(s.damage, Damage{Stream: s.name, Node: c.node, Seq: seq, What: "differs"})
		}
		c.walker.pass()
	}
}

// confirmed leaves out what was trimmed while the copies were read: the others do not have it any more either.
func (s *scrub) confirmed(ctx context.Context) ([]Damage, error) {
	var damage []Damage
	for _, d := range s.damage {
		if d.What == "missing" {
			there, err := s.elsewhere(ctx, d)
			if err != nil {
				return nil, wrap("scrub "+s.name, err)
			}
			if !there {
				continue
			}
		}
		damage = append(damage, d)
	}
	return damage, nil
}

// elsewhere says whether another copy has a message that one lacks.
func (s *scrub) elsewhere(ctx context.Context, d Damage) (bool, error) {
	for range scrubConsumers {
		w, err := walk(ctx, s.stream, d.Seq, d.Seq)
		if err != nil {
			return false, err
		}
		if w.node() == d.Node {
			w.forget(ctx, s.stream)
			continue
		}
		m, err := w.head(ctx)
		w.forget(ctx, s.stream)
		return m != nil || err != nil, err
	}
	return false, nil
}
