package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"concord"
	"concord/attest"
	"concord/crawl"
	"concord/receipt"
	"concord/shard"
	"concord/warc"
	"concord/web"
	"concord/weburl"
)

// What the web server needs of a node, in its own words. Each type here is one of its interfaces.

type crawls struct {
	*crawl.Crawler
	n *Node
}

// Searchable implements web.Crawls: a crawl is searchable when every shard has committed what it captured.
func (c crawls) Searchable(ctx context.Context, id string) (bool, error) {
	seq, done, err := c.Drained(ctx, id)
	if err != nil || !done {
		return false, err
	}
	return c.n.searchable(ctx, seq)
}

// searchable reports whether every message of the captures log up to seq is committed by its shard.
func (n *Node) searchable(ctx context.Context, seq uint64) (bool, error) {
	for i, s := range n.shards {
		last, err := n.captures.Last(ctx, concord.CaptureSubject(i))
		if err != nil {
			return false, err
		}
		if s.Position() < min(last, seq) {
			return false, nil
		}
	}
	return true, nil
}

// shardOf returns the shard that keeps a URL.
func (n *Node) shardOf(url string) *shard.Shard {
	return n.shards[concord.PartitionOf(url, len(n.shards))]
}

// capture finds a capture by its ID alone, for receipts and revisits.
func (n *Node) capture(id string) (*concord.Capture, error) {
	for _, s := range n.shards {
		c, err := s.Capture(id)
		if err == nil || concord.KindOf(err) != concord.NotFound {
			return c, err
		}
	}
	return nil, concord.Errorf(concord.NotFound, "no capture %s", concord.Clip(id, 60))
}

type pages struct{ n *Node }

func (p pages) Captures(_ context.Context, url string, limit int) ([]concord.Capture, error) {
	u, err := weburl.Parse(url)
	if err != nil {
		return nil, err
	}
	return p.n.shardOf(u.String()).Captures(u.String(), limit)
}

// Delete implements web.Pages: when it returns, the page is not found any more.
func (p pages) Delete(ctx context.Context, url, reason string) error {
	if err := p.n.crawler.Delete(ctx, url, reason); err != nil {
		return err
	}
	return p.n.awaitSearchable(ctx)
}

type receipts struct{ n *Node }

func (r receipts) Receipt(ctx context.Context, captureID string) ([]byte, error) {
	proof, err := r.n.attestor.Receipt(ctx, captureID)
	if concord.KindOf(err) != concord.NotFound {
		return proof, err
	}
	c, known := r.n.capture(captureID)
	switch {
	case known != nil:
		return nil, known
	case c.Crawl == concord.ImportCrawl:
		return nil, concord.Errorf(concord.NotFound, "this capture was imported from another archive: %s did not fetch it and does not attest it", r.n.layout.Operator)
	}
	last, err := r.n.captures.Last(ctx, "capture.*")
	if err == nil && r.n.attestor.Position() >= last { // it has seen all there is, this capture included if it was there
		if proof, err = r.n.attestor.Receipt(ctx, captureID); concord.KindOf(err) != concord.NotFound {
			return proof, err
		}
		return nil, concord.Errorf(concord.NotFound, "there is no receipt of this capture: what is needed for it was lost, or the answer could not be put into an attestation; one that somebody has stays valid")
	}
	// The catalog has it, the attestor's log has not reached it yet.
	return nil, concord.Errorf(concord.Unavailable, "the receipt is not there yet; try again in a few seconds")
}

func (r receipts) Policy() string { return r.n.book().Policy() }

// Attested implements web.Receipts. A receipt is cheap to build, so asking for it is the test.
func (r receipts) Attested(ctx context.Context, captureID string) (web.AttestState, error) {
	proof, err := r.Receipt(ctx, captureID)
	if concord.KindOf(err) == concord.Unavailable {
		return web.AttestState{Wait: attest.DefaultWindow}, nil
	}
	if err != nil {
		return web.AttestState{}, err
	}
	rep, err := receipt.Verify(proof, []byte(r.n.book().Policy()), receipt.Options{})
	if err != nil {
		return web.AttestState{}, fmt.Errorf("receipt of %s: %w", captureID, err)
	}
	return web.AttestState{Done: true, Index: rep.Index}, nil
}

type transfer struct{ n *Node }

// Import implements web.Transfer.
func (t transfer) Import(ctx context.Context, name string, r io.Reader) (web.ImportSummary, error) {
	sum := web.ImportSummary{Name: name}
	counted := &countingReader{r: r}
	in := t.n.crawler.Import(ctx)
	res, err := warc.Scan(counted, name, warc.Limits{}, func(item warc.Item) error {
		if c, err := t.n.capture(item.ID); err == nil && c.Record == item.Block {
			sum.Skipped++ // it is this node's own, exported before
			return nil
		}
		out, err := in.Add(&item)
		switch {
		case err != nil:
			return err
		case !out.Captured && out.Reason == crawl.ImportedBefore:
			sum.Skipped++
		case !out.Captured:
			sum.Skipped++
			sum.Problems = appendProblem(sum.Problems, fmt.Sprintf("%s: %s", concord.Clip(item.URL, 200), out.Reason))
		case out.Indexed:
			sum.Indexed++
			fallthrough
		default:
			sum.Captures++
		}
		return nil
	})
	sum.Records, sum.Bytes, sum.Damaged = int64(res.Records), counted.n, int64(res.Skipped)
	for _, p := range res.Problems {
		sum.Problems = appendProblem(sum.Problems, p)
	}
	if err = errors.Join(err, in.Flush()); err != nil {
		return sum, err
	}
	return sum, t.n.awaitSearchable(ctx)
}

// maxProblems bounds the list of problems in an answer; the counts count all.
const maxProblems = 50

func appendProblem(list []string, p string) []string {
	if len(list) < maxProblems {
		list = append(list, p)
	}
	return list
}

// awaitSearchable waits until what is in the captures log now can be found.
func (n *Node) awaitSearchable(ctx context.Context) error {
	seq, err := n.captures.Last(ctx, "capture.*")
	if err != nil {
		return err
	}
	for {
		if ok, err := n.searchable(ctx, seq); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Export implements web.Transfer.
func (t transfer) Export(ctx context.Context, dir, site string) (web.ExportSummary, error) {
	keep := func(url string) bool {
		if ctx.Err() != nil {
			return false
		}
		if site == "" {
			return true
		}
		u, err := weburl.Parse(url)
		return err == nil && (u.Site() == site || u.Host() == site || u.HostPort() == site)
	}
	sum := web.ExportSummary{Dir: dir}
	err := t.n.archive.Export(ctx, dir, keep, func(p warc.Progress) { sum.Records, sum.Bytes, sum.Files = p.Records, p.Bytes, int64(p.Files) })
	return sum, errors.Join(err, ctx.Err())
}

type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
