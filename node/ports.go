package node

import (
	"context"
	"errors"
	"fmt"
	"io"

	"concord"
	"concord/crawl"
	"concord/warc"
	"concord/web"
	"concord/weburl"
)

// What the web server needs of a node, in its own words. Each type here is one of its interfaces.

type transfer struct{ n *Node }

// Import implements web.Transfer.
func (t transfer) Import(ctx context.Context, name string, r io.Reader) (web.ImportSummary, error) {
	if t.n.clustered() {
		return t.importShared(ctx, name, r)
	}
	sum := web.ImportSummary{Name: name}
	counted := &countingReader{r: r}
	in := t.n.crawler.Import(ctx)
	res, err := warc.Scan(counted, name, warc.Limits{}, func(item warc.Item) error {
		if c, err := t.n.capture(ctx, item.ID); err == nil && c.Record == item.Block {
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
