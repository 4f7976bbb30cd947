package node

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"time"

	"concord"
	"concord/durable"
	"concord/shard"
	"concord/web"
)

// lowDisk is the free space under which the status page warns: some time before the crawler stops.
const lowDisk = 4 << 30

// Status describes the node as it is now.
func (n *Node) Status(ctx context.Context) (web.Status, error) {
	st := web.Status{Version: concord.Version, Operator: n.layout.Operator, Node: n.layout.Node, Started: n.started,
		Uptime: time.Since(n.started), DataDir: n.cfg.Data, Traces: n.tracesGo(), Warnings: []string{}}
	n.readyMu.Lock()
	st.Addr = n.addr
	n.readyMu.Unlock()
	for i, copies := range n.shardsEverywhere(ctx) {
		x := best(copies)
		sh := web.ShardStatus{Shard: i, Documents: x.Documents, Segments: x.Segments, Bytes: x.Bytes}
		if last, err := n.captures.Last(ctx, concord.CaptureSubject(i)); err != nil {
			sh.Error = err.Error()
		} else if last > x.Position {
			sh.Lag = last - x.Position
		}
		st.Shards = append(st.Shards, sh)
		st.Documents += x.Documents
		st.Captures += x.Captures
	}
	a := n.archive.Stats()
	st.Archive = web.ArchiveStatus{Files: int64(a.Files), Bytes: a.Bytes}
	if err := n.crawlTotals(ctx, &st); err != nil {
		return st, err
	}
	n.ledgerStatus(ctx, &st.Ledger)
	n.machine(&st.Machine)
	st.Warnings = append(st.Warnings, n.warnings(&st)...)
	return st, nil
}

// best returns the copy of a shard that has applied most of its log.
func best(copies []shardState) shard.Status {
	var x shard.Status
	for _, c := range copies {
		if c.Position >= x.Position {
			x = c.Status
		}
	}
	return x
}

func (n *Node) crawlTotals(ctx context.Context, st *web.Status) error {
	t, err := crawls{n.crawler, n}.Totals(ctx)
	if err != nil {
		return err
	}
	st.Crawl = web.CrawlTotals{Running: t.Running, Queued: t.Queued, InFlight: t.InFlight, Fetched: t.Fetched, Indexed: t.Indexed,
		Failed: t.Failed, Refused: t.Refused, Bytes: t.Bytes, Rate: t.Rate}
	if t.Stalled != "" {
		st.Warnings = append(st.Warnings, "nothing is fetched: "+t.Stalled)
	}
	return nil
}

func (n *Node) ledgerStatus(ctx context.Context, l *web.LedgerStatus) {
	c, cp := n.book().Status(), n.book().Checkpoint()
	a, _ := n.attestStats(ctx) // while nobody attests, nothing is known to wait
	*l = web.LedgerStatus{Height: c.Height, Size: c.Size, Checkpoint: cp.Size, Time: cp.Time, Pending: uint64(a.Pending), Error: c.Halted}
	if l.Error == "" && !c.Running && n.Ready(ctx) == nil { // a ledger of this node's own that runs no more says why
		l.Error = "the node that keeps it does not answer"
	}
}

func (n *Node) machine(m *web.MachineStatus) {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	m.Memory, m.Goroutines = mem.Sys-mem.HeapReleased, runtime.NumGoroutine()
	m.DiskFree, m.DiskTotal, _ = durable.FreeSpace(n.cfg.Data)
}

// warnings are what a person should do something about.
func (n *Node) warnings(st *web.Status) []string {
	var w []string
	if n.cfg.Contact == "" && n.cfg.Origin == "" {
		w = append(w, "no contact is configured: set operator and contact in the configuration file before you crawl other people's sites, so that they can reach you")
	}
	if st.Machine.DiskFree < lowDisk {
		w = append(w, fmt.Sprintf("only %d MB are free on the disk; fetching stops at %d MB", st.Machine.DiskFree>>20, n.cfg.Crawl.FreeSpace>>20))
	}
	if st.Ledger.Error != "" {
		w = append(w, "the ledger has stopped, receipts wait: "+st.Ledger.Error)
	}
	if err := n.keyring.problem(); err != nil {
		w = append(w, err.Error())
	}
	if err := n.bus.WriteError(); err != nil {
		w = append(w, err.Error()+"; the node ends when there is space on the disk, to be started again")
	}
	for _, f := range n.archive.Files() {
		if len(f.Damages) > 0 {
			w = append(w, fmt.Sprintf("archive file %s has damaged places: %s", f.Name, strings.Join(f.Damages, "; ")))
		}
	}
	return w
}
