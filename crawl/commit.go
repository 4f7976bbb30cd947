package crawl

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"sync/atomic"
	"time"

	"concord"
	"concord/warc"

	"github.com/google/uuid"
)

const (
	commitLinger  = 3 * time.Millisecond // how long a finished fetch waits for others to share its syncs; more wait while a commit is made
	commitResults = 256                  // finished fetches in one commit
	commitBytes   = 32 << 20             // of their bodies
	appendMax     = 1000                 // messages in one append: what the log takes as one
	appendBytes   = 8 << 20              // of their data
	retryFirst    = 50 * time.Millisecond
	retryLast     = 5 * time.Second
)

// committer makes finished fetches durable, many with one sync: first their records in the archive, then their captures
// and pages in the captures log, then their outcomes and links in the frontier log. While a step cannot be done it is
// tried again, and the fetchers wait.
type committer struct {
	c     *Crawler
	in    chan *result
	ended atomic.Bool // nothing is committed any more
}

func (k *committer) init(c *Crawler) { k.c, k.in = c, make(chan *result, commitResults) }

func (k *committer) run(ctx context.Context) error {
	k.ended.Store(false)
	defer k.ended.Store(true)
	var linger <-chan time.Time
	var batch []*result
	var size int64
	for {
		full := len(batch) >= commitResults || size >= commitBytes
		if full {
			linger = nil
		} else {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case r := <-k.in:
				if len(batch) == 0 {
					linger = time.After(commitLinger)
				}
				batch, size = append(batch, r), size+r.held
				continue
			case <-linger:
				linger = nil
			}
		}
		if err := k.commit(ctx, batch); err != nil {
			return err
		}
		batch, size = batch[:0], 0
	}
}

// commit makes a batch durable. It fails only when ctx ends, or when what failed cannot come right by itself.
func (k *committer) commit(ctx context.Context, batch []*result) error {
	defer func() {
		for i, r := range batch {
			k.settled(r)
			batch[i] = nil
		}
	}()
	batch = slices.DeleteFunc(batch, func(r *result) bool {
		fenced := r.awaited && !r.f.holdsStill(r.fence) // the next owner fetches again
		if fenced {
			k.settled(r)
		}
		return fenced
	})
	begun := time.Now()
	if err := k.archive(ctx, batch); err != nil {
		return err
	}
	archived := time.Now()
	seq, err := k.append(ctx, "captures log", k.c.cfg.Captures, k.captureMessages(batch))
	if err != nil {
		return err
	}
	for _, r := range batch {
		if r.fetched != nil && (len(r.captures) > 0 || len(r.removals) > 0) {
			r.fetched.CapSeq = seq
		}
	}
	if _, err := k.append(ctx, "frontier log", k.c.cfg.Frontier, frontierMessages(batch)); err != nil {
		return err
	}
	k.trace(batch, begun, archived)
	for _, r := range batch {
		if r.done != nil {
			r.done()
		}
	}
	return nil
}

// settled gives back what a result holds.
func (k *committer) settled(r *result) {
	k.c.held.Add(-r.held)
	if r.awaited {
		r.f.submitted.Add(-1)
	}
	if r.over != nil {
		r.over()
	}
}

// archive appends the records of a batch and notes where they lie.
func (k *committer) archive(ctx context.Context, batch []*result) error {
	var groups [][]warc.Record
	for _, r := range batch {
		groups = append(groups, r.groups...)
	}
	if len(groups) == 0 {
		return nil
	}
	err := k.try(ctx, "archive", func() error {
		places, err := k.c.cfg.Archive.Append(groups)
		if err != nil {
			return err
		}
		for _, r := range batch {
			for i := range r.groups {
				r.captures[i].Location = places[0][0]
				places = places[1:]
			}
		}
		return nil
	})
	if concord.KindOf(err) != concord.Invalid {
		return err
	}
	if len(batch) > 1 { // one of them cannot be kept: find out which
		for i := range batch {
			if err := k.archive(ctx, batch[i:i+1]); err != nil {
				return err
			}
		}
		return nil
	}
	spoil(batch[0], err)
	return nil
}

// spoil turns a fetch whose records cannot be kept into a failed one.
func spoil(r *result, err error) {
	m := r.fetched
	*r = result{f: r.f, fetched: m, held: r.held, awaited: r.awaited, done: r.done, fence: r.fence, over: r.over}
	if m != nil {
		*m = fetchedMsg{Crawl: m.Crawl, URL: m.URL, Kind: m.Kind, Entry: m.Entry, Start: m.Start, Took: m.Took, Outcome: failed,
			Note: concord.Clip("cannot be archived: "+err.Error(), maxNote)}
		if m.Kind == kindRobots {
			m.RobotsKind = robotsUnreachable
		}
	}
}

// try does something until it succeeds. It gives up with ctx, and on errors that time does not heal.
func (k *committer) try(ctx context.Context, what string, fn func() error) error {
	for pause := retryFirst; ; pause = min(2*pause, retryLast) {
		err := fn()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if kind := concord.KindOf(err); kind != concord.Unavailable && kind != concord.Conflict {
			return fmt.Errorf("%s: %w", what, err)
		}
		k.c.stats.commitRetries.Add(1)
		k.c.log.Warn("commit waits", "for", what, "pause", pause, "error", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// append appends messages in slices that the log takes as one, in order, and returns the number of the last.
func (k *committer) append(ctx context.Context, what string, log concord.Log, msgs []concord.Message) (seq uint64, err error) {
	for len(msgs) > 0 {
		n, size := 0, 0
		for n < len(msgs) && n < appendMax && (n == 0 || size+len(msgs[n].Data) <= appendBytes) {
			size += len(msgs[n].Data)
			n++
		}
		err = k.try(ctx, what, func() (err error) {
			seq, err = log.Append(ctx, msgs[:n]...)
			return err
		})
		if err != nil {
			return 0, err
		}
		msgs = msgs[n:]
	}
	return seq, nil
}

// captureMessages are the messages of a batch for the shards: of each fetch its captures with their pages first, then
// what it says of other pages.
func (k *committer) captureMessages(batch []*result) []concord.Message {
	var msgs []concord.Message
	for _, r := range batch {
		id := ""
		for i, c := range r.captures {
			id = c.ID
			msgs = append(msgs, concord.Message{Subject: k.c.captureSubject(c.URL), ID: c.ID, Data: encodeCapture(c, r.pages[i])})
		}
		for i := range r.removals {
			e := &concord.Event{Remove: &r.removals[i]}
			msgs = append(msgs, concord.Message{Subject: k.c.captureSubject(e.Remove.URL), ID: id + ".r" + itoa(i), Data: mustEncode(e)})
		}
		msgs = append(msgs, k.anchorMessages(id, r.anchors)...)
	}
	return msgs
}

// anchorMessages groups link texts by the shard of the page they lead to.
func (k *committer) anchorMessages(id string, anchors []concord.Anchor) []concord.Message {
	if len(anchors) == 0 {
		return nil
	}
	byShard := map[int][]concord.Anchor{}
	for _, a := range anchors {
		shard := concord.PartitionOf(a.URL, k.c.cfg.Shards)
		byShard[shard] = append(byShard[shard], a)
	}
	var msgs []concord.Message
	for shard, list := range byShard {
		msgs = append(msgs, concord.Message{Subject: concord.CaptureSubject(shard), ID: id + ".a" + itoa(shard), Data: mustEncode(&concord.Event{Anchors: list})})
	}
	sort.Slice(msgs, func(i, j int) bool { return msgs[i].Subject < msgs[j].Subject })
	return msgs
}

func encodeCapture(c *concord.Capture, p *concord.Page) []byte {
	return mustEncode(&concord.Event{Capture: c, Page: p})
}

// mustEncode encodes an event. Its fields are strings, numbers and times of our own making, which always encode.
func mustEncode(e *concord.Event) []byte {
	data, err := e.Encode()
	if err != nil {
		panic(fmt.Sprintf("crawl: encode event: %v", err))
	}
	return data
}

// frontierMessages are the messages of a batch for the partitions: of each fetch its links first, so that what closes
// its queue entry is last.
func frontierMessages(batch []*result) []concord.Message {
	var msgs []concord.Message
	for _, r := range batch {
		id := uuid.NewString()
		for i := range r.links {
			msgs = append(msgs, concord.Message{Subject: concord.FrontierSubject(r.route[i]), ID: id + ".l" + itoa(i), Data: r.links[i].encode()})
		}
		if r.refused != nil {
			msgs = append(msgs, concord.Message{Subject: r.f.subject, ID: id + ".x", Data: r.refused.encode()})
		}
		if r.fetched != nil {
			msgs = append(msgs, concord.Message{Subject: r.f.subject, ID: id, Data: r.fetched.encode()})
		}
	}
	return msgs
}
