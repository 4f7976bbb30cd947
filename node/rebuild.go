package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"concord"
	"concord/bus"
	"concord/chain"
	"concord/crawl"
	"concord/durable"
	"concord/note"
	"concord/warc"
)

// Parts of a data directory that a rebuild can make again, by the names people use, and their directories.
const (
	PartLogs     = "logs"
	PartReceipts = "receipts"
	PartIndex    = "index"
	PartFrontier = "frontier"
)

var partDirs = map[string]string{PartLogs: "bus", PartReceipts: "attest", PartIndex: "shard", PartFrontier: "frontier"}

// RebuildParts returns the names of all parts.
func RebuildParts() []string { return []string{PartLogs, PartFrontier, PartIndex, PartReceipts} }

// RebuildOptions say what to make again. By default it is what is missing or damaged.
type RebuildOptions struct {
	Only []string // these parts, whatever their state
	All  bool     // all parts
	// From makes the whole of a cluster again whose nodes have lost logs and states: on the node with the ledger, of its archive and those of the
	// other nodes. They are data directories or archive directories, or FromBlobs: the store of blobs that the operator runs.
	From     []string
	Progress func(RebuildProgress)
}

// RebuildProgress says how far a rebuild is. It is given several times a second.
type RebuildProgress struct {
	Stage    string
	Read, Of int64 // bytes of the archive
	Captures int64
}

// RebuildReport says what a rebuild did.
type RebuildReport struct {
	Made     map[string]string `json:"made"` // parts made again, each with the reason
	Seconds  float64           `json:"seconds"`
	Bytes    int64             `json:"bytes"` // of the archive
	Found    crawl.Rebuilt     `json:"found"`
	Pages    uint64            `json:"searchable"` // pages in the index, when that was made again
	Waiting  int64             `json:"waiting"`    // addresses that crawls wait for, when the frontier was made again
	Receipts int64             `json:"receipts"`   // captures whose receipts were made again
	// NoReceipts are captures that were attested and whose receipts cannot be made again: from before the archive kept
	// what is needed for it. Receipts that somebody has stay valid.
	NoReceipts int64    `json:"noReceipts"`
	Damaged    int64    `json:"damaged"` // places of the archive and notes that could not be used
	Problems   []string `json:"problems,omitempty"`
	Resumed    bool     `json:"resumed,omitempty"` // an earlier rebuild was complete and has been put in place
	Sources    []string `json:"sources,omitempty"` // of a cluster: the archives it was made of, each with what came from it
}

// rebuilder is one rebuild under way.
type rebuilder struct {
	Node      // its layout, keys, chain, archive and, where it stays, its bus
	opt       RebuildOptions
	report    RebuildReport
	started   time.Time
	shownAt   time.Time
	stage     string
	roomAt    time.Time
	members   bool // the archive has files of several machines
	late      lateApplied
	founds    *swapFounder // of a member of a cluster: it becomes the first of it anew
	scratch   *scratch
	crawl     *crawl.Rebuild
	shards    *foldedShards
	positions []uint64 // of the frontier's partitions

	read       atomic.Int64 // bytes of the archive
	unreadable []string     // places of the archive; the reader's until it has ended
}

// Rebuild makes parts of a data directory again from its archive, its keys and its ledger. No node may be running on it.
// New directories are made beside the old ones, verified, and swapped in; a kill at any moment leaves the old ones, or
// a state that the next Rebuild or Open finishes. Errors: Conflict while a node runs, NotFound without a data directory,
// Corrupt when archive, keys or ledger are lost or damaged: these are what everything else comes from.
func Rebuild(ctx context.Context, cfg Config, opt RebuildOptions) (RebuildReport, error) {
	if opt.Progress == nil {
		opt.Progress = func(RebuildProgress) {}
	}
	r := &rebuilder{Node: Node{cfg: cfg}, opt: opt, started: time.Now(), report: RebuildReport{Made: map[string]string{}}}
	err := r.run(ctx)
	if r.crawl != nil {
		err = errors.Join(err, r.crawl.Close())
	}
	err = errors.Join(err, r.shards.close(), r.scratch.close())
	if r.unlock != nil {
		err = errors.Join(err, r.swapAndClose(err == nil))
	}
	r.report.Seconds = time.Since(r.started).Seconds()
	return r.report, err
}

func (r *rebuilder) run(ctx context.Context) error {
	if err := r.cfg.Validate(); err != nil {
		return err
	}
	for _, p := range r.opt.Only {
		if partDirs[p] == "" {
			return concord.Errorf(concord.Invalid, "%q is no part that can be made again; the parts are: %s", p, strings.Join(RebuildParts(), ", "))
		}
	}
	if _, err := os.Stat(r.path("layout.json")); errors.Is(err, fs.ErrNotExist) {
		return concord.Errorf(concord.NotFound, "%s is no data directory: layout.json is not there", r.cfg.Data)
	}
	r.report.Resumed = exists(r.path(rebuildDir, swapFile))
	if err := r.openDir(ctx); err != nil {
		return err
	}
	if r.report.Resumed && len(r.opt.From) > 0 {
		return nil
	}
	if err := r.ofCluster(ctx); err != nil {
		return err
	}
	for _, part := range []string{"archive", "keys/" + note.KeysFile, "chain"} {
		if _, err := os.Stat(r.path(part)); err != nil {
			return concord.Errorf(concord.Corrupt, "%s is gone, and a rebuild needs it: put it back from a backup, or %s", r.path(part), startOver)
		}
	}
	if err := r.openSources(ctx); err != nil {
		return err
	}
	if err := r.choose(ctx); err != nil || len(r.report.Made) == 0 {
		return err
	}
	return r.make(ctx)
}

// openSources opens what everything is made from.
func (r *rebuilder) openSources(ctx context.Context) error {
	r.show("opening", 0)
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{{"ledger in " + r.path("chain"), r.openKeysAndChain}, {"archive in " + r.path("archive"), r.openArchive}} {
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	for _, f := range r.archive.Files() {
		r.report.Bytes += f.Bytes
	}
	return nil
}

func (r *rebuilder) openKeysAndChain(context.Context) error {
	origin, err := originOf(r.cfg.Data, r.layout, false)
	if err != nil {
		return err
	}
	if r.keys, err = note.LoadOrCreateKeys(r.path("keys"), r.layout.Operator, origin); err != nil {
		return err
	}
	r.chain, err = chain.Open(chain.Config{Dir: r.path("chain"), Operator: r.layout.Operator, ChainName: r.layout.Chain, Keys: r.keys, Logger: r.log("chain")})
	return err
}

// choose decides which parts to make again.
func (r *rebuilder) choose(ctx context.Context) error {
	var err error
	if r.trimmed, err = loadTrimmed(r.path("trimmed.json")); err != nil {
		r.report.Made[PartLogs] = err.Error()
	}
	switch {
	case r.opt.All, r.founds != nil:
		for _, p := range RebuildParts() {
			r.report.Made[p] = "asked for"
		}
	case len(r.opt.Only) > 0:
		for _, p := range r.opt.Only {
			r.report.Made[p] = "asked for"
		}
	default:
		r.show("looking for what is missing or damaged", 0)
		if err := r.examine(ctx); err != nil {
			return err
		}
	}
	if r.makes(PartLogs) {
		for _, p := range []string{PartFrontier, PartIndex} {
			if !r.makes(p) {
				r.report.Made[p] = "it follows the logs, which begin anew"
			}
		}
		return nil
	}
	if len(r.report.Made) > 0 {
		return r.openBusAsItIs(ctx)
	}
	return nil
}

func (r *rebuilder) makes(part string) bool { _, ok := r.report.Made[part]; return ok }

// fresh returns where a new part is made.
func (r *rebuilder) fresh(elem ...string) string {
	return r.path(append([]string{rebuildDir, "new"}, elem...)...)
}

// make makes the chosen parts in directories of their own and notes that they are ready to be swapped in.
func (r *rebuilder) make(ctx context.Context) error {
	if err := r.room(); err != nil {
		return err
	}
	if err := os.MkdirAll(r.fresh(), 0o700); err != nil {
		return err
	}
	if err := r.readArchive(ctx); err != nil {
		return err
	}
	if err := r.makeReceipts(); err != nil {
		return fmt.Errorf("make the receipts again: %w", err)
	}
	heads, err := r.makeLogs(ctx)
	if err != nil {
		return fmt.Errorf("make the logs again: %w", err)
	}
	if err := r.finishFrontier(ctx); err != nil {
		return fmt.Errorf("make the frontier again: %w", err)
	}
	if err := r.room(); err != nil {
		return err
	}
	r.show("merging the index", r.report.Bytes)
	if r.report.Pages, err = r.shards.finish(ctx, heads); err != nil {
		return fmt.Errorf("make the index again: %w", err)
	}
	r.show("verifying", r.report.Bytes)
	if err := r.verify(ctx); err != nil {
		return fmt.Errorf("verify what was made: %w", err)
	}
	for _, dir := range []string{r.fresh(), r.path(rebuildDir)} {
		if err := durable.SyncDir(dir); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// swapAndClose closes what is open and, when all went well, puts the new parts in place.
func (r *rebuilder) swapAndClose(ok bool) error {
	unlock := r.unlock
	r.unlock = nil
	err := r.Close()
	if ok && err == nil && len(r.report.Made) > 0 {
		s := &swap{NewLog: r.makes(PartLogs), RestartAttestor: r.makes(PartLogs) && !r.makes(PartReceipts), Founder: r.founds}
		for _, p := range slices.Sorted(maps.Keys(r.report.Made)) {
			s.Parts = append(s.Parts, partDirs[p])
		}
		if err = s.save(r.cfg.Data); err == nil {
			_, err = finishRebuild(r.cfg.Data)
		}
	}
	if !exists(r.path(rebuildDir, swapFile)) {
		err = errors.Join(err, os.RemoveAll(r.path(rebuildDir)))
	}
	return errors.Join(err, unlock())
}

// finishFrontier makes the new frontier durable, if it is wanted.
func (r *rebuilder) finishFrontier(ctx context.Context) error {
	c := r.crawl
	r.crawl = nil
	if !r.makes(PartFrontier) {
		return c.Close()
	}
	r.show("putting the frontier in order", r.report.Bytes)
	return c.Finish(r.positions)
}

// showEvery bounds how often progress is told.
const showEvery = 100 * time.Millisecond

func (r *rebuilder) show(stage string, read int64) {
	if stage == r.stage && time.Since(r.shownAt) < showEvery {
		return
	}
	r.stage, r.shownAt = stage, time.Now()
	p := RebuildProgress{Stage: stage, Read: read, Of: r.report.Bytes, Captures: r.report.Found.Captures}
	if r.crawl != nil {
		p.Captures = r.crawl.Stats().Captures
	}
	r.opt.Progress(p)
}

const (
	// rebuildFloor is below how much free space a rebuild gives up, if the node's own floor is not lower still: its stores
	// break down when the disk is full, and what they write between two looks fits in here.
	rebuildFloor = 64 << 20
	// roomEvery bounds how often free space is looked at.
	roomEvery = 50 * time.Millisecond
)

// room refuses to go on when the disk is nearly full.
func (r *rebuilder) room() error {
	floor := min(r.cfg.Crawl.FreeSpace, rebuildFloor)
	if floor <= 0 || time.Since(r.roomAt) < roomEvery {
		return nil
	}
	r.roomAt = time.Now()
	free, _, err := durable.FreeSpace(r.cfg.Data)
	if err != nil || free >= uint64(floor) {
		return err
	}
	return concord.Errorf(concord.Unavailable, "the disk has %d MB left, and a rebuild stops below %d MB: make room and run it again; what there was stays as it is", free>>20, floor>>20)
}

func (r *rebuilder) problem(p string) {
	r.report.Damaged++
	r.report.Problems = appendProblem(r.report.Problems, p)
}

// quiet is the log of parts that are only looked at.
func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func (r *rebuilder) openBusAsItIs(ctx context.Context) error {
	if r.bus != nil {
		return nil
	}
	var err error
	if r.bus, err = bus.Open(ctx, bus.Config{Dir: r.path("bus"), NodeName: r.layout.Node, Logger: quiet()}); err != nil {
		return err
	}
	r.captures, err = r.bus.Log(ctx, "CAPTURES", "capture.*")
	return err
}

// earlier returns the payload of a capture that came before in the archive.
func (r *rebuilder) earlier(id string) ([]byte, error) {
	loc, err := r.scratch.location(id)
	if err != nil {
		return nil, err
	}
	rec, err := r.archive.Read(loc)
	if err != nil {
		return nil, err
	}
	_, payload, err := warc.Payload(rec.Block)
	return payload, err
}

func exists(path string) bool { _, err := os.Stat(filepath.Clean(path)); return err == nil }
