package shard

import (
	"context"
	"fmt"
	"slices"
	"time"

	"concord"
	"concord/index"
	"concord/weburl"

	"github.com/cockroachdb/pebble/v2"
)

// staging is what has been applied and not yet committed.
type staging struct {
	captures []*concord.Capture
	docs     map[string]*index.Document // by URL; nil: to be removed
	anchors  map[string]*anchorSet
	fresh    []string // URLs whose documents get all link texts known: their mark for a refresh goes
	last     uint64   // number of the last message applied
	bytes    int
	since    time.Time
	traced   []traced // captures whose life is recorded
}

func newStaging() *staging {
	return &staging{docs: map[string]*index.Document{}, anchors: map[string]*anchorSet{}}
}

func (st *staging) empty() bool { return st.last == 0 && len(st.docs) == 0 && len(st.fresh) == 0 }

// apply stages a batch of messages. It commits itself only when the stage is full, so that memory stays bounded however
// fast captures come.
func (s *Shard) apply(msgs []concord.Message) error {
	s.stageMu.Lock()
	st := s.staged
	if st.since.IsZero() {
		st.since = time.Now()
	}
	for _, m := range msgs {
		e, err := concord.DecodeEvent(m.Data)
		if err == nil {
			err = s.stage(st, e)
		}
		if err != nil {
			s.stageMu.Unlock()
			return fmt.Errorf("message %d: %w", m.Seq, err)
		}
		st.last = m.Seq
		st.bytes += len(m.Data)
	}
	s.touched = time.Now()
	full := st.bytes > maxStagedBytes || len(st.docs) > maxStagedDocs
	s.stageMu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
	if full {
		return s.flush()
	}
	return nil
}

// stage applies one event.
func (s *Shard) stage(st *staging, e *concord.Event) error {
	if c := e.Capture; c != nil {
		st.captures = append(st.captures, c)
		if p := s.cfg.Trace.Page(c.ID); p != nil {
			st.traced = append(st.traced, traced{p, time.Now()})
		}
		switch {
		case c.Skip == "" && e.Page != nil:
			d, err := document(c, e.Page)
			if err != nil {
				return err
			}
			st.docs[c.URL] = d
		case replaces(c):
			st.docs[c.URL] = nil
		}
	}
	if e.Remove != nil {
		st.docs[e.Remove.URL] = nil
	}
	return s.addAnchors(st, e.Anchors)
}

// replaces reports whether a capture that is not to be indexed nevertheless ends what was indexed under its URL: the page
// has moved, asks to be left out, or repeats another. A server's bad day (5xx, 429) or an unchanged page ends nothing.
func replaces(c *concord.Capture) bool {
	if c.Skip == concord.SkipRevisit || c.Skip == concord.SkipOlder || c.Skip == concord.SkipWitness {
		return false
	}
	return c.Skip != "" && c.Revisit == "" && c.Status >= 200 && c.Status < 400 && c.Status != 304
}

// document puts a capture and its page into the index's form.
func document(c *concord.Capture, p *concord.Page) (*index.Document, error) {
	u, err := weburl.Parse(c.URL)
	if err != nil {
		return nil, fmt.Errorf("capture of %q: %w", c.URL, err)
	}
	return &index.Document{
		URL: c.URL, Site: u.Site(), Host: u.HostPort(), Language: p.Language, FileType: p.FileType,
		Fetched: c.Time, Published: p.Published, Title: p.Title, Description: p.Description, Headings: p.Headings, Body: p.Body,
		Capture: c.ID, NoArchive: p.NoArchive, NoSnippet: p.NoSnippet, MaxSnippet: p.MaxSnippet,
	}, nil
}

// commitLoop commits what is staged, flushInterval after the first of it.
func (s *Shard) commitLoop(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(flushInterval):
		}
		if err := s.flush(); err != nil {
			return err
		}
	}
}

// flush commits what is staged: the new segment first, then everything that makes it visible.
func (s *Shard) flush() error {
	s.commitMu.Lock()
	defer s.commitMu.Unlock()
	s.stageMu.Lock()
	st := s.staged
	s.staged = newStaging()
	s.stageMu.Unlock()
	if st.empty() {
		return nil
	}
	begun := time.Now()
	b := s.db.NewBatch()
	defer b.Close()
	man := s.man
	if st.last > 0 {
		man.Position = st.last
	}
	for _, c := range st.captures {
		fresh, err := s.putCapture(b, c)
		if err != nil {
			return err
		}
		if fresh {
			man.Captures++
		}
	}
	if err := s.commitAnchors(b, st); err != nil {
		return err
	}
	added, err := s.writeSegment(st, &man)
	if err != nil {
		return err
	}
	changed, err := s.deleteOld(b, st)
	if err != nil {
		return err
	}
	if err := s.commit(b, man); err != nil {
		return err
	}
	s.publish(man, changed, added)
	s.trace(st.traced, begun)
	return nil
}

// commitAnchors adds new link texts to the batch, gives the staged documents all that are known, and marks the other
// documents concerned for a refresh.
func (s *Shard) commitAnchors(b *pebble.Batch, st *staging) error {
	for url, set := range st.anchors {
		if !set.grown {
			continue
		}
		for text, isNew := range set.texts {
			if isNew {
				if err := b.Set(append(append(urlKey('a', url), 0), text...), nil, nil); err != nil {
					return err
				}
			}
		}
		if _, indexing := st.docs[url]; !indexing {
			if err := b.Set(urlKey('r', url), nil, nil); err != nil {
				return err
			}
		}
	}
	for url, d := range st.docs {
		if d == nil {
			continue
		}
		if set, staged := st.anchors[url]; staged {
			d.Anchors = set.list()
		} else {
			texts, err := s.anchorTexts(url)
			if err != nil {
				return err
			}
			d.Anchors = texts
		}
		slices.Sort(d.Anchors)
		if err := b.Delete(urlKey('r', url), nil); err != nil {
			return err
		}
	}
	for _, url := range st.fresh {
		if err := b.Delete(urlKey('r', url), nil); err != nil {
			return err
		}
	}
	return nil
}

// writeSegment writes the staged documents as a new segment, durable but in no manifest yet. Nil: there were none.
func (s *Shard) writeSegment(st *staging, man *manifest) (*segment, error) {
	lengths := s.lengths()
	builder := index.NewBuilder(index.Config{Lengths: &lengths})
	for _, d := range st.docs {
		if d == nil {
			continue
		}
		if err := builder.Add(d); err != nil {
			if concord.KindOf(err) != concord.Invalid {
				return nil, err
			}
			s.cfg.Logger.Warn("document left out of the index", "url", d.URL, "error", err)
		}
	}
	if builder.Docs() == 0 {
		return nil, nil
	}
	id := man.Next
	man.Next++
	if _, err := builder.Write(s.segmentPath(id)); err != nil {
		return nil, err
	}
	seg, err := index.Open(s.segmentPath(id))
	if err != nil {
		return nil, err
	}
	man.Segments = append(slices.Clone(man.Segments), id)
	return &segment{id, seg}, nil
}

// lengths sums the statistics of all segments, for the impacts of a new one.
func (s *Shard) lengths() index.Lengths {
	var l index.Lengths
	for _, g := range s.segments {
		l.Add(g.seg.Lengths())
	}
	return l
}

// deleteOld adds to the batch the deletes of every older document of a staged URL and returns the views that show them.
func (s *Shard) deleteOld(b *pebble.Batch, st *staging) (map[uint64]*index.Segment, error) {
	changed := map[uint64]*index.Segment{}
	for _, g := range s.segments {
		var deletes *index.Deletes
		for url := range st.docs {
			doc, found, err := g.seg.Lookup(url)
			if err != nil {
				return nil, err
			}
			if !found || g.seg.Deleted(doc) {
				continue
			}
			if deletes == nil {
				deletes = deletesOf(g.seg)
			}
			deletes.Add(doc)
		}
		if deletes == nil {
			continue
		}
		view, err := setDeletes(b, g, deletes)
		if err != nil {
			return nil, err
		}
		changed[g.id] = view
	}
	return changed, nil
}

// deletesOf returns a copy of a segment's deletes that may be added to.
func deletesOf(seg *index.Segment) *index.Deletes {
	if d := seg.Deletes(); d != nil {
		return d.Clone()
	}
	return index.NewDeletes(seg.Docs())
}

func setDeletes(b *pebble.Batch, g *segment, d *index.Deletes) (*index.Segment, error) {
	enc, err := d.Encode()
	if err != nil {
		return nil, err
	}
	if err := b.Set(deletesKey(g.id), enc, nil); err != nil {
		return nil, err
	}
	return g.seg.WithDeletes(d)
}

// publish shows a committed state to readers.
func (s *Shard) publish(man manifest, changed map[uint64]*index.Segment, added *segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.man = man
	next := make([]*segment, 0, len(s.segments)+1)
	var old []*segment
	for _, g := range s.segments {
		if view, ok := changed[g.id]; ok {
			old = append(old, g)
			g = &segment{g.id, view}
		}
		next = append(next, g)
	}
	if added != nil {
		next = append(next, added)
	}
	s.segments = next
	s.show()
	for _, g := range old {
		g.seg.Close()
	}
}
