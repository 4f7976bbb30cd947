// Package attest answers "which batch proves this capture?". It is the attestor partition: it follows the captures log,
// gathers captures into batches, signs the Merkle root of each batch and puts it into the ledger, and builds receipts.
//
// It does not order or keep the ledger (chain), check receipts (receipt) or fetch anything (crawl).
//
// # Invariants
//
//   - A capture is in one batch. Its line, salt and place, the signed attestation and the position in the log are written
//     in one synced batch of the store before the attestation leaves: after a crash the same bytes are submitted again,
//     and the ledger's seq sees to it that they count once.
//   - No two attestations for one seq of a chain leave the process, nor the cluster: where other nodes may take over, a batch is saved
//     under the owner's fence before its attestation leaves, and who was replaced can save nothing.
//   - At most one attestation is on its way; memory holds at most MaxBatch captures beside it.
package attest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"concord"
	"concord/note"
	"concord/receipt"
	"concord/trace"
)

// Ledger is what the attestor needs of the ledger. Package chain provides it.
type Ledger interface {
	// ID returns the chain that transactions name.
	ID() string
	// Next returns the seq and prev of the operator's next attestation.
	Next(operator string) (seq uint64, prev concord.Digest, err error)
	// Submit puts a transaction into the log, once, and returns its index when a signed checkpoint covers it.
	Submit(ctx context.Context, tx []byte) (index uint64, err error)
	receipt.Log
	// Admission returns what binds the operator's op key to a cosigning key, in the form that receipts carry: the op key of when the log had index entries.
	Admission(operator string, index uint64) ([]byte, error)
}

// Config says what to attest, and for whom.
type Config struct {
	Dir      string      // the attestor's own directory; made when it does not exist
	Log      concord.Log // the captures log
	Ledger   Ledger
	Keys     *note.Keys // the op key signs
	Operator string
	Window   time.Duration // how long a batch stays open after its first capture; default DefaultWindow
	// MaxWindow is up to where that grows while captures come slowly and nobody asks for their receipts (see window); less than Window: it does not.
	MaxWindow time.Duration
	MaxBatch  int // captures of a batch at most; default DefaultMaxBatch
	// Keep puts a batch on record outside the store, durably, before it is attested, so that receipts can be made again
	// when the store is lost: the attest transaction and the IDs of its captures, in order. Nil: nobody does.
	Keep   func(attest []byte, captures []string) error
	Trace  *trace.Tracer // of the lives of pages; nil: nothing is recorded
	Logger *slog.Logger

	// Save, when other nodes may take the attestor over, makes what the store holds now what the next owner begins with. It is called before
	// each attestation leaves, so that salts and place of a capture are never on this machine alone once the ledger has its batch. An
	// Unavailable error is tried again; a Conflict says that another owner has taken over, and ends Run before anything is submitted.
	Save func(ctx context.Context) error
}

const (
	// DefaultWindow keeps receipts within a few seconds of being asked for, and transactions below one in two seconds.
	DefaultWindow = 2 * time.Second
	// DefaultMaxWindow is what nodes use: a slow crawl that never ends then writes some 2 to 5 GB of ledger a year, and a log that proves when a
	// page was seen proves it to the minute.
	DefaultMaxWindow = time.Minute
	// DefaultMaxBatch makes paths of at most 12 hashes and bounds the memory of an open batch to a few MB.
	DefaultMaxBatch = 4096
	// maxMaxBatch keeps one store write below 100 MB with the longest URLs.
	maxMaxBatch = receipt.MaxBatchEntries
	// retryAfter is the pause before an attestation is submitted again while the ledger is unavailable.
	retryAfter = time.Second
	// captureSubjects are the captures of all shards.
	captureSubjects = "capture.*"
)

// Validate reports what is missing or out of bounds.
func (c *Config) Validate() error {
	switch {
	case c.Dir == "":
		return concord.Errorf(concord.Invalid, "attest config: Dir is empty")
	case c.Log == nil || c.Ledger == nil || c.Logger == nil:
		return concord.Errorf(concord.Invalid, "attest config: Log, Ledger and Logger must be set")
	case c.Keys == nil || c.Keys.Op == nil || c.Keys.Op.Key().Name != c.Operator:
		return concord.Errorf(concord.Invalid, "attest config: the op key is missing or not that of %q", c.Operator)
	case c.Window < 0 || c.MaxWindow < 0 || c.MaxBatch < 1 || c.MaxBatch > maxMaxBatch:
		return concord.Errorf(concord.Invalid, "attest config: Window and MaxWindow must not be negative, MaxBatch from 1 to %d", maxMaxBatch)
	}
	return nil
}

// Attestor is one operator's attestor. Its methods are safe for concurrent use.
type Attestor struct {
	cfg   Config
	store *store

	mu      sync.Mutex
	room    *sync.Cond          // the open batch has room again, or Run ends
	open    []item              // captures of the open batch
	waiting map[string]struct{} // IDs in open and in the batch being written
	pos     uint64              // newest message whose captures are all in open or stored
	moved   time.Time           // when pos last left the stored position
	window  window              // how long the open batch stays open
	ended   bool                // Run ends: apply must not wait
	arrived chan struct{}       // capacity 1: the open batch may be due at another time
	stats   Stats
}

// item is a capture that waits for its batch.
type item struct {
	id    string
	entry concord.Entry // without salt
	page  *trace.Page   // nil: its life is not recorded
	at    time.Time     // when it came, with page
}

// Stats are the attestor's counts.
type Stats struct {
	Attested  uint64    `json:"attested"` // captures in batches that are in the ledger
	Batches   uint64    `json:"batches"`  // of these, batches
	Pending   int       `json:"pending"`  // captures whose batch is not in the ledger yet
	Skipped   uint64    `json:"skipped"`  // captures that have no canonical line, since the start
	Position  uint64    `json:"position"` // durable position in the captures log
	LastBatch time.Time `json:"lastBatch,omitzero"`
	LastIndex uint64    `json:"lastIndex"` // ledger index of the newest batch
}

// Open opens the attestor's store. It starts nothing.
func Open(cfg Config) (*Attestor, error) {
	if cfg.Window == 0 {
		cfg.Window = DefaultWindow
	}
	if cfg.MaxBatch == 0 {
		cfg.MaxBatch = DefaultMaxBatch
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	st, err := openStore(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("open attestor: %w", err)
	}
	a := &Attestor{cfg: cfg, store: st, waiting: map[string]struct{}{}, window: newWindow(&cfg), arrived: make(chan struct{}, 1)}
	a.room = sync.NewCond(&a.mu)
	if err := a.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("open attestor: %w", err), st.close())
	}
	return a, nil
}

func (a *Attestor) load() (err error) {
	if a.pos, err = a.store.position(); err != nil {
		return err
	}
	a.stats.Position = a.pos
	last, err := a.store.lastBatch()
	if err != nil || last == nil {
		return err
	}
	a.stats.Attested, a.stats.Batches = last.Total, last.Number
	if last.Index == nil {
		a.stats.Attested -= last.Count
		a.stats.Batches--
		a.stats.Pending = int(last.Count)
	} else {
		a.stats.LastBatch, a.stats.LastIndex = last.Time, *last.Index
	}
	return nil
}

// Close closes the store. Run must have returned.
func (a *Attestor) Close() error {
	if err := a.store.close(); err != nil {
		return fmt.Errorf("close attestor: %w", err)
	}
	return nil
}

// Stats returns the counts now.
func (a *Attestor) Stats() Stats {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.stats
	s.Pending += len(a.open)
	return s
}

// Position returns the message up to which the log has been applied durably; older messages are not needed any more.
func (a *Attestor) Position() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.stats.Position
}

// Batch returns a batch by its number, which counts from 1.
func (a *Attestor) Batch(number uint64) (Batch, error) {
	b, err := a.store.batch(number)
	if err != nil {
		return Batch{}, err
	}
	if b == nil {
		return Batch{}, concord.Errorf(concord.NotFound, "batch %d: there is none", number)
	}
	return *b, nil
}

// Run attests captures until ctx ends (it then returns nil) or fails. It may be called again after it returned.
func (a *Attestor) Run(ctx context.Context) error {
	fence, err := a.store.fence()
	if err != nil {
		return fmt.Errorf("attest: %w", err)
	}
	return a.RunOwned(ctx, fence)
}

// RunOwned is Run for the holder of a lease. fence grows with every change of owner: it is stored with the state, and a smaller one is a
// Conflict.
func (a *Attestor) RunOwned(ctx context.Context, fence uint64) error {
	if err := a.store.takeOver(fence); err != nil {
		return fmt.Errorf("attest: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	a.reset(false)
	if err := a.recover(ctx); err != nil {
		return a.ending(ctx, err)
	}
	followed := make(chan error, 1)
	go func() {
		err := a.cfg.Log.Follow(ctx, captureSubjects, a.Position(), a.apply)
		cancel()
		followed <- err
	}()
	err := a.flushLoop(ctx)
	cancel()
	a.reset(true)
	if followErr := <-followed; err == nil || ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = followErr
	}
	return a.ending(ctx, err)
}

// ending makes nil of an error that only says that ctx ended.
func (a *Attestor) ending(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return nil
	}
	return fmt.Errorf("attest: %w", err)
}

// reset drops what is not stored: it is read from the log again. With ended set it also frees a waiting apply.
func (a *Attestor) reset(ended bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open, a.waiting, a.ended, a.pos, a.stats.Pending = nil, map[string]struct{}{}, ended, a.stats.Position, 0
	a.window = newWindow(&a.cfg)
	a.room.Broadcast()
}

// apply takes messages of the captures log into the open batch. It waits while the batch is full.
func (a *Attestor) apply(msgs []concord.Message) error {
	for _, m := range msgs {
		c, err := concord.DecodeCapture(m.Data)
		if err != nil {
			return fmt.Errorf("message %d: %w", m.Seq, err)
		}
		if err := a.add(c, m.Seq); err != nil {
			return err
		}
	}
	return nil
}

func (a *Attestor) add(c *concord.Capture, seq uint64) error {
	stored := false
	if c != nil {
		var err error
		if _, stored, err = a.store.place(c.ID); err != nil {
			return err
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.open) >= a.cfg.MaxBatch && !a.ended {
		a.room.Wait()
	}
	if a.ended {
		return context.Canceled
	}
	if c != nil && !stored {
		if _, twice := a.waiting[c.ID]; !twice {
			a.take(c)
		}
	}
	if a.pos <= a.stats.Position {
		a.moved = time.Now()
	}
	a.pos = seq
	if n := len(a.open); n <= 1 || n == a.window.ample || n >= a.cfg.MaxBatch {
		a.signal()
	}
	return nil
}

// take adds a capture to the open batch, unless it has no canonical line or was imported: an operator states only what it
// fetched itself.
func (a *Attestor) take(c *concord.Capture) {
	if c.Crawl == concord.ImportCrawl {
		return
	}
	e := concord.EntryOf(c, [concord.SaltSize]byte{})
	if _, err := concord.ParseEntry(e.String()); err != nil || c.ID == "" || len(c.ID) > maxID {
		a.stats.Skipped++
		a.cfg.Logger.Warn("a capture cannot be attested", "capture", concord.Clip(c.ID, maxID), "url", concord.Clip(c.URL, 200), "reason", err)
		return
	}
	a.window.take(time.Now(), len(a.open) == 0)
	it := item{id: c.ID, entry: e, page: a.cfg.Trace.Page(c.ID)}
	if it.page != nil {
		it.at = time.Now()
	}
	a.open = append(a.open, it)
	a.waiting[c.ID] = struct{}{}
}

func (a *Attestor) signal() {
	select {
	case a.arrived <- struct{}{}:
	default:
	}
}
