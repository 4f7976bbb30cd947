package node

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"concord"
	"concord/crawl"
	"concord/shard"
	"concord/warc"
	"concord/web"
	"concord/weburl"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
)

// An import in a cluster. The node that is asked reads the file and hands each capture, some at a time, to the node that runs the capture's
// partition of the frontier, which takes it into its own archive and log. What a node has not said to be durable is handed on again, to
// whoever runs the partition then: a capture that is there already is passed over, so nothing is taken twice.

const (
	serviceImport = "frontier-import"

	// importBatch bounds what is handed on at once, in bytes of records; one capture may be larger.
	importBatch = 1 << 20
	// importMessage is how much travels in a question, where JSON makes it a third longer; what is longer goes through the blobs.
	importMessage = 2 << 20
	// importMemory bounds the records that wait to be taken. The largest record is taken alone.
	importMemory = 96 << 20

	// importTime is how long a node may take over a batch: a hundred PDFs.
	importTime = 4 * time.Minute
	// importAgain is the wait before a batch is handed on again.
	importAgain = 300 * time.Millisecond
	// importWatch is how often is looked whether the node that was asked still runs the partition.
	importWatch = time.Second
	// importBlobs are captures on their way to another node. Those of an import whose node died are removed by a later one.
	importBlobs    = "import/"
	importBlobLife = 24 * time.Hour
)

// importPatience is how long a batch may find nobody who takes it: much longer than a failover. It is a variable for the tests.
var importPatience = 2 * time.Minute

// importQuestion hands captures of one partition over.
type importQuestion struct {
	Partition int
	Name      string // of the file
	Records   []byte // WARC, not compressed
	Blob      string // has the records instead
}

type importAnswer struct {
	Elsewhere     bool // the partition is not run here: nothing was taken
	Captures      int64
	Indexed       int64 // of these
	Before        int64 // that are here already
	BeforeIndexed int64 // of these
	Unfit         int64
	Problems      []string
}

// importShared is Import in a cluster.
func (t transfer) importShared(ctx context.Context, name string, r io.Reader) (web.ImportSummary, error) {
	g, ctx2 := errgroup.WithContext(ctx)
	i := &importing{n: t.n, ctx: ctx2, work: g, room: semaphore.NewWeighted(importMemory), sum: web.ImportSummary{Name: name},
		parts: make([]*importPart, t.n.layout.Frontiers)}
	counted := &countingReader{r: r}
	res, err := warc.Scan(counted, name, warc.Limits{}, func(item warc.Item) error { return i.add(&item) })
	if err == nil {
		err = i.flush()
	}
	i.close()
	if workErr := g.Wait(); workErr != nil {
		err = workErr // that of add follows from it
	}
	i.sum.Records, i.sum.Bytes, i.sum.Damaged = int64(res.Records), counted.n, int64(res.Skipped)
	for _, p := range res.Problems {
		i.sum.Problems = appendProblem(i.sum.Problems, p)
	}
	if err != nil {
		return i.sum, err
	}
	return i.sum, t.n.importSearchable(ctx)
}

// importSearchable waits until what was taken can be found, across a failover.
func (n *Node) importSearchable(ctx context.Context) error {
	for begin := time.Now(); ; {
		err := n.awaitSearchable(ctx)
		if concord.KindOf(err) != concord.Unavailable || ctx.Err() != nil || time.Since(begin) > importPatience {
			return err
		}
		if err := sleep(ctx, importAgain); err != nil {
			return err
		}
	}
}

// importing is one import under way, on the node that reads the file.
type importing struct {
	n     *Node
	ctx   context.Context
	work  *errgroup.Group
	room  *semaphore.Weighted // bytes
	parts []*importPart       // by partition; nil: nothing of it was met yet

	mu  sync.Mutex
	sum web.ImportSummary
}

// importPart hands on what belongs to one partition, in the order of the file.
type importPart struct {
	filling *batch
	queue   chan *batch
}

type batch struct {
	records bytes.Buffer
	items   int64
	weight  int64 // of room
}

// add takes one capture up.
func (i *importing) add(item *warc.Item) error {
	p, err := i.n.crawler.Partition(item.URL)
	if err != nil {
		i.count(importAnswer{Unfit: 1, Problems: []string{"not a web address: " + concord.Clip(item.URL, 100)}}, false)
		return nil
	}
	group := append([]warc.Record{item.Record}, item.Related...)
	weight := int64(4 << 10) // headers
	for k := range group {
		weight += int64(len(group[k].Block))
	}
	if weight = min(weight, importMemory); !i.room.TryAcquire(weight) {
		if err := i.flush(); err != nil { // or what waits to be full would hold the room for ever
			return err
		}
		if err := i.room.Acquire(i.ctx, weight); err != nil {
			return err
		}
	}
	part := i.part(p)
	if part.filling != nil && int64(part.filling.records.Len())+weight > importBatch {
		if err := i.send(part); err != nil {
			return err
		}
	}
	if part.filling == nil {
		part.filling = new(batch)
	}
	b := part.filling
	b.items, b.weight = b.items+1, b.weight+weight
	w := warc.NewWriter(&b.records, false)
	for k := range group {
		if _, _, err := w.Write(&group[k]); err != nil {
			return fmt.Errorf("hand on %s: %w", concord.Clip(item.URL, 200), err)
		}
	}
	return nil
}

func (i *importing) part(p int) *importPart {
	if i.parts[p] == nil {
		part := &importPart{queue: make(chan *batch)}
		i.parts[p] = part
		i.work.Go(func() error {
			for b := range part.queue {
				err := i.deliver(p, b)
				i.room.Release(b.weight)
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	return i.parts[p]
}

// send hands the batch that is being filled to its worker, and waits until that has taken it.
func (i *importing) send(part *importPart) error {
	b := part.filling
	part.filling = nil
	select {
	case part.queue <- b:
		return nil
	case <-i.ctx.Done():
		return i.ctx.Err()
	}
}

func (i *importing) flush() error {
	for _, part := range i.parts {
		if part != nil && part.filling != nil {
			if err := i.send(part); err != nil {
				return err
			}
		}
	}
	return nil
}

func (i *importing) close() {
	for _, part := range i.parts {
		if part != nil {
			close(part.queue)
		}
	}
}

// deliver has a batch taken by whoever runs its partition.
func (i *importing) deliver(p int, b *batch) error {
	q := importQuestion{Partition: p, Name: i.sum.Name, Records: b.records.Bytes()}
	if b.records.Len() > importMessage {
		var err error
		if q.Blob, err = i.n.spool(i.ctx, b.records.Bytes()); err != nil {
			return fmt.Errorf("hand a capture of %d bytes to another node: %w", b.records.Len(), err)
		}
		q.Records = nil
		b.records = bytes.Buffer{}
		defer i.n.unspool(i.ctx, q.Blob)
	}
	unclear := false // an earlier try may have taken some
	for begin := time.Now(); ; {
		a, tried, err := i.n.handOver(i.ctx, q)
		if err == nil {
			i.count(a, unclear)
			return nil
		}
		unclear = unclear || tried
		if i.ctx.Err() != nil {
			return i.ctx.Err()
		}
		if concord.KindOf(err) != concord.Unavailable {
			return err
		}
		if time.Since(begin) > importPatience {
			return concord.Errorf(concord.Unavailable, "no node takes what belongs to %s: %w; what was taken before stays, so import the file again once the cluster works",
				concord.FrontierSubject(p), err)
		}
		i.n.cfg.Logger.Debug("import: handed on again", "partition", concord.FrontierSubject(p), "error", err)
		if err := sleep(i.ctx, importAgain); err != nil {
			return err
		}
	}
}

// count adds what became of a batch. What was there already after a try whose answer got lost counts as taken by that.
func (i *importing) count(a importAnswer, unclear bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if unclear {
		a.Captures, a.Indexed, a.Before = a.Captures+a.Before, a.Indexed+a.BeforeIndexed, 0
	}
	i.sum.Captures += a.Captures
	i.sum.Indexed += a.Indexed
	i.sum.Skipped += a.Before + a.Unfit
	for _, p := range a.Problems {
		i.sum.Problems = appendProblem(i.sum.Problems, p)
	}
}

// handOver asks the node that runs the partition to take captures. tried: it may have taken some although there is an error. Errors:
// Unavailable when another node may take them, or this one later.
func (n *Node) handOver(ctx context.Context, q importQuestion) (a importAnswer, tried bool, err error) {
	owner, err := n.ownerOf(concord.FrontierSubject(q.Partition))
	if err != nil {
		return a, false, err
	}
	if owner == n.layout.Node {
		a, err = n.importHere(ctx, q)
	} else {
		a, err = n.importThere(ctx, owner, q)
	}
	if err == nil && a.Elsewhere {
		return a, false, concord.Errorf(concord.Unavailable, "%s is on its way from one node to another", concord.FrontierSubject(q.Partition))
	}
	return a, true, err
}

// importThere gives the asking up when the node does not run the partition any more: one that died does not answer.
func (n *Node) importThere(ctx context.Context, node string, q importQuestion) (importAnswer, error) {
	asking, cancel := context.WithTimeout(ctx, importTime)
	defer cancel()
	go func() {
		for sleep(asking, importWatch) == nil {
			if now, err := n.ownerOf(concord.FrontierSubject(q.Partition)); err == nil && now != node || err != nil {
				cancel()
			}
		}
	}()
	a, err := call[importQuestion, importAnswer](asking, n.bus, node, serviceImport, q)
	if err != nil && asking.Err() != nil && ctx.Err() == nil {
		err = concord.Errorf(concord.Unavailable, "node %s does not answer: %w", node, err)
	}
	return a, err
}

// importHere takes captures of a partition that runs here. When it returns they are durable and on record.
func (n *Node) importHere(ctx context.Context, q importQuestion) (a importAnswer, err error) {
	if q.Partition < 0 || q.Partition >= n.layout.Frontiers {
		return a, concord.Errorf(concord.Invalid, "there is no partition %d of the frontier", q.Partition)
	}
	if _, ok := n.keeper.Owned(concord.FrontierSubject(q.Partition)); !ok {
		return importAnswer{Elsewhere: true}, nil
	}
	var r io.Reader = bytes.NewReader(q.Records)
	if q.Blob != "" {
		blob, err := n.blobs.Get(ctx, q.Blob)
		if err != nil {
			return a, err
		}
		defer blob.Close()
		r = blob
	}
	in := n.crawler.Import(ctx)
	res, err := warc.Scan(r, q.Name, warc.Limits{}, func(item warc.Item) error {
		own, err := n.keptAs(ctx, &item)
		if err != nil {
			return err
		}
		if own != nil { // exported before, or imported
			a.before(own.Skip == "")
			return nil
		}
		out, err := in.Add(&item)
		if err == nil {
			a.add(item.URL, out)
		}
		return err
	})
	if err == nil {
		err = in.Flush()
	}
	for _, p := range res.Problems {
		a.Problems = appendProblem(a.Problems, p)
	}
	return a, err
}

func (a *importAnswer) before(indexed bool) {
	a.Before++
	if indexed {
		a.BeforeIndexed++
	}
}

// add counts what became of an item.
func (a *importAnswer) add(url string, out crawl.Imported) {
	switch {
	case out.Captured:
		a.Captures++
		if out.Indexed {
			a.Indexed++
		}
	case out.Reason == crawl.ImportedBefore:
		a.before(out.Indexed)
	default:
		a.Unfit++
		a.Problems = appendProblem(a.Problems, fmt.Sprintf("%s: %s", concord.Clip(url, 200), out.Reason))
	}
}

// keptAs returns the capture that an item is; nil: the index knows none.
func (n *Node) keptAs(ctx context.Context, item *warc.Item) (*concord.Capture, error) {
	u, err := weburl.Parse(item.URL)
	if err != nil {
		return nil, nil //nolint:nilerr // it is passed over, and why is said later
	}
	i := concord.PartitionOf(u.String(), n.layout.Shards)
	c, err := fromShard(ctx, n, i, serviceCapture, captureQuestion{i, item.ID}, func(s *shard.Shard) (*concord.Capture, error) { return s.Capture(item.ID) })
	if concord.KindOf(err) == concord.NotFound || err == nil && c.Record != item.Block {
		return nil, nil
	}
	return c, err
}

// spool puts records where every node can read them.
func (n *Node) spool(ctx context.Context, records []byte) (name string, err error) {
	var left []string
	err = n.blobs.List(ctx, importBlobs, func(b concord.BlobInfo) bool {
		if time.Since(b.Stored) > importBlobLife {
			left = append(left, b.Name)
		}
		return true
	})
	for _, old := range left {
		n.unspool(ctx, old)
	}
	name = importBlobs + uuid.NewString()
	if err == nil {
		err = n.blobs.Put(ctx, name, bytes.NewReader(records), int64(len(records)))
	}
	return name, err
}

func (n *Node) unspool(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTime)
	defer cancel()
	if err := n.blobs.Delete(ctx, name); err != nil {
		n.cfg.Logger.Warn("import: a blob is left, a later import removes it", "blob", name, "error", err)
	}
}

// importServices are what a node that runs partitions of the frontier answers others that import.
func (n *Node) importServices() map[string]handler {
	return map[string]handler{serviceImport: answers(func(ctx context.Context, q importQuestion) (importAnswer, error) {
		a, err := n.importHere(ctx, q)
		if err != nil && ctx.Err() != nil {
			err = concord.Errorf(concord.Unavailable, "node %s stops, or has no time left: %w", n.layout.Node, err)
		}
		return a, err
	})}
}
