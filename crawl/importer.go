package crawl

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"concord"
	"concord/page"
	"concord/warc"
	"concord/weburl"
)

const (
	// maxImports is how many items of an import wait for the committer: enough for a full batch.
	maxImports = commitResults
)

// ImportedBefore is the reason of an item that is passed over because it is here already.
const ImportedBefore = "imported before"

// Imported says what became of one item.
type Imported struct {
	Captured bool
	Indexed  bool
	Reason   string // why it was not captured, or not indexed
}

// Importer takes captures out of WARC files of other tools into the archive, the index and the frontier. An item that
// was imported before is passed over, so an import that was cut short is simply repeated. It is not safe for concurrent
// use. The partitions of the frontier must be running; where machines share the frontier, those that get something.
type Importer struct {
	c     *Crawler
	ctx   context.Context
	open  sync.WaitGroup
	slots chan struct{}
	seen  map[concord.Digest]struct{} // of items that are not on record yet
	used  map[*Frontier]struct{}
	lost  atomic.Bool // something was dropped
	mu    sync.Mutex
}

// Import begins an import. Its items are on record when Flush returns.
func (c *Crawler) Import(ctx context.Context) *Importer {
	return &Importer{c: c, ctx: ctx, slots: make(chan struct{}, maxImports), seen: map[concord.Digest]struct{}{}, used: map[*Frontier]struct{}{}}
}

// Add takes one item in. It returns before the item is durable; Flush waits for that. An error means that the import
// cannot go on, not that the item is unfit: the latter is said by Imported.Reason. Errors: Unavailable when another machine
// runs the item's partition, or will in a moment.
func (i *Importer) Add(it *warc.Item) (Imported, error) {
	u, err := weburl.Parse(it.URL)
	if err != nil {
		return Imported{Reason: "not a web address: " + concord.Clip(it.URL, 100)}, nil
	}
	f := i.c.partition(u.Site())
	fence, err := f.admit()
	if err != nil {
		return Imported{}, err
	}
	out, res, err := i.item(f, u, it)
	if res == nil {
		if fence != 0 {
			f.submitted.Add(-1)
		}
		return out, err
	}
	res.awaited, res.fence = fence != 0, fence
	return out, i.submit(res)
}

// item makes a result of an item; nil: there is nothing to commit.
func (i *Importer) item(f *Frontier, u weburl.URL, it *warc.Item) (Imported, *result, error) {
	id := itemDigest(it)
	known, err := i.known(f, id)
	if err != nil {
		return Imported{}, nil, err
	}
	if known {
		before, err := f.record(u.String())
		return Imported{Reason: ImportedBefore, Indexed: before != nil && before.Indexed && before.Fetched == it.Time.UnixMilli()}, nil, err
	}
	res, err := f.importItem(i.ctx, u, it, id)
	if err != nil {
		return Imported{}, nil, err
	}
	return Imported{Captured: true, Indexed: res.fetched.Indexed, Reason: res.fetched.Skip}, res, nil
}

// submit hands a result to the committer.
func (i *Importer) submit(res *result) error {
	i.used[res.f] = struct{}{}
	select {
	case i.slots <- struct{}{}:
	case <-i.ctx.Done():
		i.c.committer.settled(res)
		return i.ctx.Err()
	}
	i.open.Add(1)
	durable := false
	res.learn(func() { durable = true })
	res.over = func() {
		if !durable {
			i.lost.Store(true)
		}
		<-i.slots
		i.open.Done()
	}
	select {
	case i.c.committer.in <- res:
		return nil
	case <-i.ctx.Done():
		i.c.committer.settled(res)
		return i.ctx.Err()
	}
}

// known reports whether an item is on record, or about to be.
func (i *Importer) known(f *Frontier, id concord.Digest) (bool, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if _, ok := i.seen[id]; ok {
		return true, nil
	}
	if len(i.seen) > 16*maxImports { // the earlier ones are on record long since
		clear(i.seen)
	}
	f.mu.Lock()
	v, err := load(f.db, key(keyImport, string(id[:])))
	f.mu.Unlock()
	if v == nil && err == nil {
		i.seen[id] = struct{}{}
	}
	return v != nil, err
}

// Flush waits until everything added is durable and the partitions have it on record. Errors: Unavailable when something was
// dropped because its partition went to another machine meanwhile.
func (i *Importer) Flush() error {
	done := make(chan struct{})
	go func() { i.open.Wait(); close(done) }()
	select {
	case <-done:
	case <-i.ctx.Done():
		return i.ctx.Err()
	}
	wait, cancel := i.ctx, func() {}
	if !i.c.cfg.Shared {
		wait, cancel = context.WithTimeout(i.ctx, applyWait)
	}
	defer cancel()
	for f := range i.used {
		f.awaitApplied(wait, ^uint64(0))
	}
	if err := i.ctx.Err(); err != nil {
		return err
	}
	if i.lost.Load() {
		return errElsewhere
	}
	return nil
}

// importItem makes capture and page of an item, and decides what becomes of it.
func (f *Frontier) importItem(ctx context.Context, u weburl.URL, it *warc.Item, id concord.Digest) (*result, error) {
	before, err := f.record(u.String())
	if err != nil {
		return nil, err
	}
	status := it.Status
	if status == 0 {
		status = http.StatusOK // a resource: what it holds is the content itself
	}
	m := &fetchedMsg{URL: u.String(), Kind: kindImport, Start: it.Time.UnixMilli(), Outcome: answered, Status: status, Bytes: int64(len(it.Payload)),
		Capture: it.ID, Raw: it.Raw, Record: id}
	c := &concord.Capture{ID: it.ID, URL: m.URL, Time: it.Time.UTC().Truncate(time.Second), Status: status, Size: m.Bytes, Raw: it.Raw,
		Record: it.Block, Crawl: concord.ImportCrawl, Mime: it.Mime}
	res := &result{f: f, fetched: m, groups: [][]warc.Record{append([]warc.Record{it.Record}, it.Related...)},
		captures: []*concord.Capture{c}, pages: []*concord.Page{nil}, held: int64(len(it.Record.Block))}
	f.c.held.Add(res.held)
	j := &job{fl: &flight{queued: queued{e: &entry{URL: m.URL}}}, url: u, before: before}
	skip := func(why string) { m.Skip, c.Skip = why, why }
	switch {
	case it.Kind == warc.TypeRevisit:
		c.Revisit, m.NotMod = it.RefersTo.ID, true
		skip(concord.SkipRevisit)
	case u.Path() == "/robots.txt":
		skip(skipRobots)
	case before != nil && before.State == stateDeleted:
		skip("deleted")
	case before != nil && before.Fetched > m.Start:
		skip(concord.SkipOlder)
	case status >= 300 && status < 400 && it.Header.Get("Location") != "":
		skip(skipRedirect)
		if target, err := u.Resolve(it.Header.Get("Location")); err == nil {
			c.Redirect, m.Redirect = target.String(), target.String()
		}
	case status < 200 || status >= 300:
		skip("status " + strconv.Itoa(status))
	default:
		tokens := f.c.reading(it.Mime, u)
		tokens <- struct{}{}
		f.read(ctx, j, &warc.CaptureInfo{Head: warc.Head{Status: status, Header: withMime(it)}, Payload: it.Payload}, m, c, res)
		<-tokens
	}
	if c.Mime == "" {
		c.Mime = page.Sniff(it.Mime, it.Payload)
	}
	if before != nil && before.Indexed && !m.Indexed {
		if m.NotMod || c.Skip == concord.SkipOlder || status >= 400 {
			m.NotMod = true
			m.stands(before)
		} else {
			f.removeStale(j, m, res)
		}
	}
	f.writeImport(m, res)
	return res, nil
}

// withMime returns the header of an item, with the media type that a record without HTTP header states.
func withMime(it *warc.Item) http.Header {
	if it.Header != nil {
		return it.Header
	}
	return http.Header{"Content-Type": {it.Mime}}
}
