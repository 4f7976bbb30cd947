package shard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"concord/index"

	"github.com/cockroachdb/pebble/v2"
)

const (
	// mergeFactor is how many segments of one size class make one of the next: each document is written again once for
	// every factor of mergeFactor in the shard's size.
	mergeFactor = 6
	// smallestClass is the size under which all segments are alike.
	smallestClass = 100
	// maxMergedDocs bounds a merged segment: larger ones gain nothing and take long to write.
	maxMergedDocs = 2 << 20
	// idleSmall is the total of documents up to which an idle shard merges what it has into one segment.
	idleSmall = 200_000
	// maxDeadShare is the share of deleted documents from which a segment is written anew.
	maxDeadShare = 0.3
	mergePause   = 500 * time.Millisecond
	// fullPause is the wait for space on a full disk.
	fullPause = 10 * time.Second
	// refreshBatch bounds how many documents get late link texts in one commit.
	refreshBatch = 500
)

// mergeLoop keeps the number of segments small and, when nothing else is to do, brings late link texts into documents.
func (s *Shard) mergeLoop(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(mergePause):
		}
		s.stageMu.Lock()
		idle := time.Since(s.touched) > s.cfg.idle
		s.stageMu.Unlock()
		if idle {
			if err := s.refreshAnchors(); err != nil {
				return err
			}
		}
		for ctx.Err() == nil {
			picked := s.pick(idle)
			if picked == nil {
				break
			}
			if err := s.merge(ctx, picked); err != nil {
				if ctx.Err() != nil {
					return nil
				}
				if !errors.Is(err, syscall.ENOSPC) {
					return err
				}
				// What is searchable stays so; a merge is only housekeeping.
				s.cfg.Logger.Warn("segments are not merged: the disk is full", "shard", s.cfg.Shard, "error", err)
				select {
				case <-ctx.Done():
					return nil
				case <-time.After(fullPause):
				}
			}
		}
	}
}

// pick chooses segments worth merging; nil: none.
func (s *Shard) pick(idle bool) []*segment {
	s.mu.RLock()
	defer s.mu.RUnlock()
	classes := map[int][]*segment{}
	total := 0
	for _, g := range s.segments {
		total += g.seg.Live()
		classes[class(g.seg.Live())] = append(classes[class(g.seg.Live())], g)
	}
	for c := range 32 {
		if len(classes[c]) >= mergeFactor {
			return fit(classes[c])
		}
	}
	for _, g := range s.segments {
		if dead := g.seg.Docs() - g.seg.Live(); dead > smallestClass && float64(dead) > maxDeadShare*float64(g.seg.Docs()) {
			return []*segment{g}
		}
	}
	if idle && len(s.segments) > 1 && total <= idleSmall {
		return slices.Clone(s.segments)
	}
	return nil
}

// class is the size class of a segment: 0 up to smallestClass documents, then one more for each factor of mergeFactor.
func class(docs int) int {
	c := 0
	for n := smallestClass; docs > n && c < 31; n *= mergeFactor {
		c++
	}
	return c
}

// fit takes the smallest segments that together stay below maxMergedDocs; fewer than two are nothing to merge.
func fit(list []*segment) []*segment {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b *segment) int { return cmp.Compare(a.seg.Live(), b.seg.Live()) })
	n, docs := 0, 0
	for n < len(list) && n < 4*mergeFactor && docs+list[n].seg.Live() <= maxMergedDocs {
		docs += list[n].seg.Live()
		n++
	}
	if n < 2 {
		return nil
	}
	return list[:n]
}

// merge writes one segment of several and puts it in their place. Documents deleted meanwhile are deleted in it.
func (s *Shard) merge(ctx context.Context, picked []*segment) error {
	views := make([]*index.Segment, len(picked))
	s.mu.RLock()
	for i, g := range picked {
		views[i] = g.seg.View()
	}
	var cfg index.Config
	if len(picked) < len(s.segments) {
		lengths := s.lengths()
		cfg.Lengths = &lengths
	} // else the segment is the whole shard: its own averages are the right ones, without what was deleted
	s.mu.RUnlock()
	defer func() {
		for _, v := range views {
			v.Close()
		}
	}()
	id := s.reserveID()
	start := time.Now()
	info, err := index.Merge(ctx, s.segmentPath(id), views, cfg)
	if err != nil {
		return fmt.Errorf("merge %d segments: %w", len(picked), err)
	}
	if err := s.replace(picked, views, id); err != nil {
		return err
	}
	s.cfg.Logger.Debug("segments merged", "shard", s.cfg.Shard, "segments", len(picked), "docs", info.Docs, "bytes", info.Bytes, "took", time.Since(start))
	return nil
}

// reserveID takes the next segment id for a file that a later commit may name.
func (s *Shard) reserveID() uint64 {
	s.commitMu.Lock()
	defer s.commitMu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	id := s.man.Next
	s.man.Next++
	return id
}

// replace commits the merged segment in place of the picked ones.
func (s *Shard) replace(picked []*segment, views []*index.Segment, id uint64) error {
	s.commitMu.Lock()
	defer s.commitMu.Unlock()
	merged, err := index.Open(s.segmentPath(id))
	if err != nil {
		return err
	}
	b := s.db.NewBatch()
	defer b.Close()
	g := &segment{id, merged}
	if g.seg, err = s.carryDeletes(b, g, picked, views); err != nil {
		return err
	}
	old := map[uint64]bool{}
	for _, p := range picked {
		old[p.id] = true
		if err := b.Delete(deletesKey(p.id), nil); err != nil {
			return err
		}
	}
	man := s.man
	man.Segments = slices.DeleteFunc(slices.Clone(man.Segments), func(i uint64) bool { return old[i] })
	man.Segments = append(man.Segments, id)
	if err := s.commit(b, man); err != nil {
		return err
	}
	s.mu.Lock()
	s.man = man
	var gone []*segment
	s.segments = append(slices.DeleteFunc(slices.Clone(s.segments), func(x *segment) bool {
		if old[x.id] {
			gone = append(gone, x)
		}
		return old[x.id]
	}), g)
	s.show()
	s.mu.Unlock()
	for _, x := range gone {
		x.seg.Close()
		if err := os.Remove(s.segmentPath(x.id)); err != nil {
			return err
		}
	}
	return nil
}

// carryDeletes deletes in the merged segment what was deleted in its parts while they were merged.
func (s *Shard) carryDeletes(b *pebble.Batch, g *segment, picked []*segment, views []*index.Segment) (*index.Segment, error) {
	current := map[uint64]*index.Segment{}
	for _, x := range s.segments {
		current[x.id] = x.seg
	}
	var deletes *index.Deletes
	for i, p := range picked {
		now := current[p.id]
		if now == nil || now.Live() == views[i].Live() {
			continue
		}
		for doc := range index.DocID(now.Docs()) {
			if !now.Deleted(doc) || views[i].Deleted(doc) {
				continue
			}
			url, err := now.URL(doc)
			if err != nil {
				return nil, err
			}
			if to, found, err := g.seg.Lookup(url); err != nil {
				return nil, err
			} else if found {
				if deletes == nil {
					deletes = index.NewDeletes(g.seg.Docs())
				}
				deletes.Add(to)
			}
		}
	}
	if deletes == nil {
		return g.seg, nil
	}
	view, err := setDeletes(b, g, deletes)
	if err != nil {
		return nil, err
	}
	g.seg.Close()
	return view, nil
}

// refreshAnchors indexes documents anew for which link texts came after them.
func (s *Shard) refreshAnchors() error {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte("r"), UpperBound: []byte("s")})
	if err != nil {
		return err
	}
	var urls []string
	for ok := it.First(); ok && len(urls) < refreshBatch; ok = it.Next() {
		urls = append(urls, string(it.Key()[1:]))
	}
	if err := it.Close(); err != nil || len(urls) == 0 {
		return err
	}
	if err := s.stageRefreshed(urls); err != nil {
		return err
	}
	return s.flush()
}

// stageRefreshed stages the documents of those URLs whose link texts have changed. It holds commitMu, so that no newer
// document can be committed between the look at the old one and its return to the stage.
func (s *Shard) stageRefreshed(urls []string) error {
	s.commitMu.Lock()
	defer s.commitMu.Unlock()
	views := s.Views()
	defer func() {
		for _, v := range views {
			v.Close()
		}
	}()
	fresh := map[string]*index.Document{}
	for _, url := range urls {
		d, err := find(views, url)
		if err != nil {
			return err
		}
		if d == nil {
			continue
		}
		texts, err := s.anchorTexts(url)
		if err != nil {
			return err
		}
		slices.Sort(texts)
		if !slices.Equal(texts, d.Anchors) {
			fresh[url] = d
		}
	}
	s.stageMu.Lock()
	defer s.stageMu.Unlock()
	for url, d := range fresh {
		if _, newer := s.staged.docs[url]; !newer {
			s.staged.docs[url] = d
		}
	}
	s.staged.fresh = append(s.staged.fresh, urls...)
	return nil
}

// find returns the live document of a URL, nil when there is none.
func find(views []*index.Segment, url string) (*index.Document, error) {
	for _, v := range views {
		doc, found, err := v.Lookup(url)
		if err != nil {
			return nil, err
		}
		if found && !v.Deleted(doc) {
			return v.Document(doc)
		}
	}
	return nil, nil
}
