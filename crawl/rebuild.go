package crawl

import (
	"context"
	"errors"
	"net/http"
	"time"

	"concord"
	"concord/warc"
	"concord/weburl"
)

// Rebuild makes the state of the frontier and the messages for the shards again from an archive. It is the same fold that
// follows the log, fed with what the archive says instead: Prepare takes one entry apart, Apply takes the entries in the
// order of the archive, Finish makes the state durable.
//
// What the archive has on record, decisions included, comes out as it was. Captures from before decisions were recorded
// are decided on anew, without links: Rebuilt counts them.
type Rebuild struct {
	c       *Crawler
	earlier func(captureID string) (payload []byte, err error)
	index   map[string]int // partition by subject
	pending [][]any        // messages by partition
	waiting int
	seq     uint64
	stats   Rebuilt
}

// Rebuilt counts what a rebuild found.
type Rebuilt struct {
	Captures  int64 `json:"captures"`
	Pages     int64 `json:"pages"`     // captures whose page went to the index
	Imported  int64 `json:"imported"`  // captures that came from WARC files of others
	Undecided int64 `json:"undecided"` // captures without the crawler's decision: decided anew
	NoCrawl   int64 `json:"noCrawl"`   // captures of crawls that the archive does not describe
	Unread    int64 `json:"unread"`    // pages that were in the index and cannot be read from the archive any more
	Reread    int64 `json:"reread"`    // pages whose text is read differently by this version of the program
	Crawls    int64 `json:"crawls"`
	Removals  int64 `json:"removals"` // pages that the operator deleted
}

// replayBatch is how many messages are applied in one write.
const replayBatch = 512

// NewRebuild begins in cfg.Dir, which must not exist. Logs and archive of cfg are not used. earlier returns the payload of
// a capture that came before in the archive.
func NewRebuild(cfg Config, earlier func(captureID string) ([]byte, error)) (*Rebuild, error) {
	cfg.Frontier, cfg.Captures, cfg.Archive = concord.NoLog{}, concord.NoLog{}, noArchive{}
	c, err := Open(cfg)
	if err != nil {
		return nil, err
	}
	r := &Rebuild{c: c, earlier: earlier, index: map[string]int{}, pending: make([][]any, len(c.parts))}
	for i := range c.parts {
		r.index[concord.FrontierSubject(i)] = i
	}
	return r, nil
}

// noArchive is the archive of a crawler that writes to none.
type noArchive struct{}

func (noArchive) Append([][]warc.Record) ([][]concord.Location, error) {
	return nil, concord.Errorf(concord.Internal, "a rebuild writes to no archive")
}

// Prepared is an entry of the archive, taken apart.
type Prepared struct {
	entry    warc.Entry
	note     warc.Fields
	decision *decision
	crawl    string // ID as the record states it; empty: it does not
	url      weburl.URL
	page     *concord.Page
	problem  string
}

// Prepare takes an entry apart and reads its page. It may be called by many at a time.
func (r *Rebuild) Prepare(ctx context.Context, e warc.Entry) *Prepared {
	p := &Prepared{entry: e}
	if e.Note != nil {
		p.note = e.Note.Metadata()
		return p
	}
	var err error
	if p.url, err = weburl.Parse(e.Item.URL); err != nil {
		p.problem = "not a web address: " + concord.Clip(e.Item.URL, 100)
		return p
	}
	p.decision, p.crawl = decisionOf(e.Item)
	d, status := p.decision, statusOrOK(e.Item)
	if d == nil || d.Kind != kindNames[kindPage] && d.Kind != kindNames[kindImport] || status < 200 || status >= 300 {
		return p
	}
	if d.Text.IsZero() && d.Mime == "" {
		return p
	}
	payload := e.Item.Payload
	if e.Item.Kind == warc.TypeRevisit {
		if d.Kind == kindNames[kindImport] {
			return p // nobody read what it stands for
		}
		if payload, err = r.earlier(e.Item.RefersTo.ID); err != nil {
			p.problem = err.Error()
			return p
		}
	}
	tokens := r.c.reading(e.Item.Mime, p.url)
	tokens <- struct{}{}
	p.page, _, _ = r.c.extractPage(ctx, p.url, withMime(e.Item), payload)
	<-tokens
	return p
}

func statusOrOK(it *warc.Item) int {
	if it.Status == 0 {
		return http.StatusOK
	}
	return it.Status
}

// Applied is what an entry says to the shards and to the attestor.
type Applied struct {
	Messages []concord.Message // for the captures log's followers, in order; none for a note
	Capture  *concord.Capture  // nil for a note
	Own      bool              // the capture is this operator's and to be attested
	Batch    warc.Fields       // a note that is not the crawler's
	Problem  string            // what could not be used, in plain words
}

// Apply applies an entry. The entries must come in the order of the archive.
func (r *Rebuild) Apply(ctx context.Context, p *Prepared) (Applied, error) {
	if p.entry.Note != nil {
		return r.applyNote(p)
	}
	if p.entry.Item == nil || p.url == (weburl.URL{}) {
		return Applied{Problem: p.problem}, nil
	}
	r.stats.Captures++
	if p.decision == nil {
		return r.decide(ctx, p)
	}
	res, m, own := r.again(p)
	out := Applied{Capture: res.captures[0], Own: own, Messages: r.c.committer.captureMessages([]*result{res}), Problem: p.problem}
	if res.pages[0] != nil {
		r.stats.Pages++
	}
	for i := range res.links {
		r.add(res.route[i], &res.links[i])
	}
	if m != nil {
		r.add(res.f.id, m)
	}
	err := r.flush(replayBatch)
	if res.done != nil {
		res.done()
	}
	return out, err
}

func (r *Rebuild) add(partition int, m any) {
	r.pending[partition] = append(r.pending[partition], m)
	r.waiting++
}

// flush applies what waits, when it is at least least messages.
func (r *Rebuild) flush(least int) error {
	if r.waiting < least {
		return nil
	}
	for i, f := range r.c.parts {
		if len(r.pending[i]) == 0 {
			continue
		}
		if err := f.replay(&r.seq, r.pending[i]); err != nil {
			return err
		}
		clear(r.pending[i])
		r.pending[i] = r.pending[i][:0]
	}
	r.waiting = 0
	return nil
}

// Stats returns what was found so far.
func (r *Rebuild) Stats() Rebuilt { return r.stats }

// Finish makes the state durable and closes it. positions are where the partitions stand in the frontier log.
func (r *Rebuild) Finish(positions []uint64) error {
	err := r.flush(1)
	for i, f := range r.c.parts {
		if err != nil {
			break
		}
		if err = f.settle(positions[i]); err == nil {
			err = f.db.Flush()
		}
	}
	return errors.Join(err, r.c.Close())
}

// Close gives the state up without finishing it.
func (r *Rebuild) Close() error { return r.c.Close() }

// NoMessage returns a message for a partition of the frontier log that changes nothing: it makes a new log as long as the
// position of the state that is to follow it.
func NoMessage(partition int) concord.Message {
	return concord.Message{Subject: concord.FrontierSubject(partition), Data: (&refusedMsg{}).encode()}
}

// decide takes a capture without a decision like one from elsewhere: what it says is on record and in the index, where it
// leads is not followed.
func (r *Rebuild) decide(ctx context.Context, p *Prepared) (Applied, error) {
	r.stats.Undecided++
	if err := r.flush(1); err != nil { // it is compared with what is on record
		return Applied{}, err
	}
	f := r.c.partition(p.url.Site())
	res, err := f.importItem(ctx, p.url, p.entry.Item, itemDigest(p.entry.Item))
	if err != nil {
		return Applied{}, err
	}
	r.c.held.Add(-res.held)
	c := res.captures[0]
	c.Location, c.Crawl = p.entry.Location, p.crawl
	if c.Crawl == "" {
		c.Crawl = concord.ImportCrawl
	}
	if res.pages[0] != nil {
		r.stats.Pages++
	}
	r.add(f.id, res.fetched)
	return Applied{Capture: c, Messages: r.c.committer.captureMessages([]*result{res})}, r.flush(1)
}

// itemDigest is under what an item's import is on record.
func itemDigest(it *warc.Item) concord.Digest {
	return concord.Sum([]byte(it.ID + " " + it.URL + " " + it.Time.Format(time.RFC3339Nano) + " " + it.Block.String()))
}
