package replica

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"concord"
	"concord/receipt"
)

// Ledger is our own copy of the ledger. Package chain provides it.
type Ledger interface {
	// ID returns the chain that transactions name.
	ID() string
	// Entry returns one entry; NotFound when our copy is not that long.
	Entry(index uint64) (concord.LedgerEntry, error)
	// Entries returns at most n entries from an index on; fewer at the end.
	Entries(from uint64, n int) ([]concord.LedgerEntry, error)
	receipt.Log
	// Admission returns what binds an operator's op key, of when the log had index entries, to its cosigning key of now, in the form that receipts carry. NotFound when
	// only the operator's own node has it.
	Admission(operator string, index uint64) ([]byte, error)
	// Policy returns the policy that receipts are checked with.
	Policy() string
}

// Peers are the APIs of the other operators. Package federation provides them.
type Peers interface {
	// Others returns the operators that can be asked: members in good standing, without this one.
	Others() []string
	// Get reads at most limit bytes of a media type from an operator's API. Errors, in words for people: NotFound when it has none, Invalid when it is of another
	// type or longer, Unavailable.
	Get(ctx context.Context, operator, path string, params url.Values, wanted string, limit int) ([]byte, error)
}

// Config says what to keep, and where.
type Config struct {
	Dir    string // of the replicas; made when it does not exist
	Self   string // this operator
	Ledger Ledger
	Peers  Peers
	// Own returns the text of a batch of this operator by its attest transaction; NotFound, Unavailable.
	Own func(ctx context.Context, attest []byte) ([]byte, error)

	Bytes     int64         // of the disk that replicas may take; 0: none are kept
	Every     time.Duration // in which each replica is the subject of a poll once; 0: never
	FreeSpace int64         // bytes that must stay free on the disk: with less nothing new is kept
	Settle    time.Duration // after which a new batch is asked for; 0: DefaultSettle
	Logger    *slog.Logger
	Now       func() time.Time // nil: time.Now
}

const (
	// DefaultBytes has room for some three million entries.
	DefaultBytes = 1 << 30
	// DefaultEvery finds damage long before all copies of a batch have some.
	DefaultEvery = 24 * time.Hour
	// MinEvery keeps polls from being all that operators do.
	MinEvery = time.Second
	// DefaultSettle leaves the author time to hear itself that its batch is in the ledger.
	DefaultSettle = 2 * time.Second

	tick        = 500 * time.Millisecond // of fetching
	pollTick    = 2 * time.Second        // of polls: each looks through all batches for those that are due
	maxOwn      = 10_000                 // own batches that others are asked about; of more, some drawn from all
	pageEntries = 500                    // of the ledger, read at a time
	tickPages   = 4                      // of them in one tick: after a start all of it is gone through, and half a core would be much for that
	maxWants    = 10_000                 // batches of one author that are asked for; the ledger is gone through again for the rest
	walkAgain   = time.Hour              // after which it is
	blockBytes  = 4096                   // of the disk that the smallest file takes
)

// Validate reports what is missing or out of bounds.
func (c *Config) Validate() error {
	switch {
	case c.Dir == "" || c.Self == "" || c.Ledger == nil || c.Peers == nil || c.Own == nil || c.Logger == nil:
		return concord.Errorf(concord.Invalid, "replica config: Dir, Self, Ledger, Peers, Own and Logger must be set")
	case c.Bytes < 0 || c.FreeSpace < 0 || c.Settle < 0:
		return concord.Errorf(concord.Invalid, "replica config: Bytes, FreeSpace and Settle must not be negative")
	case c.Every != 0 && c.Every < MinEvery:
		return concord.Errorf(concord.Invalid, "replica config: Every must be 0, for never, or at least %v, not %v", MinEvery, c.Every)
	}
	return nil
}

// Keeper keeps replicas. Its methods are safe for concurrent use.
type Keeper struct {
	cfg   Config
	dir   string
	votes chan struct{} // one place a vote or a batch that is read for others
	scans chan struct{} // one place a search for a page

	admitMu sync.Mutex // one at a time changes the file of an operator's admissions

	mu     sync.Mutex
	held   map[uint64]*held // by index in the ledger
	own    map[uint64]*held // some of this operator's batches, likewise: they lie elsewhere, and others are asked about them
	ownBar uint64           // those with a smaller score
	wants  map[uint64]*want
	peers  map[string]*peer // the ledger's members that were met: it does not grow beyond them
	next   uint64           // first entry of the ledger that was not looked at
	again  time.Time        // when to go through all of it again; zero: not needed
	totals totals
}

// held is a batch that is kept.
type held struct {
	author  string
	bytes   int64 // of the disk
	due     time.Time
	damaged bool   // it is asked for again
	alone   bool   // nobody else had it at the last poll that anybody answered
	pages   filter // nil: not read since it was written, or since the start
	written int    // times
}

// want is a batch that is asked for.
type want struct {
	index  uint64
	author string
	tries  int
	at     time.Time // when to try
}

type totals struct {
	polls, damaged, repaired uint64
	paused                   string
}

// Open looks through the directory. It starts nothing.
func Open(cfg Config) (*Keeper, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Settle == 0 {
		cfg.Settle = DefaultSettle
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	k := &Keeper{cfg: cfg, dir: filepath.Join(cfg.Dir, strings.ReplaceAll(cfg.Ledger.ID(), ":", ".")), votes: make(chan struct{}, maxVotes), scans: make(chan struct{}, maxScans),
		held: map[uint64]*held{}, own: map[uint64]*held{}, ownBar: math.MaxUint64, wants: map[uint64]*want{}, peers: map[string]*peer{}}
	if err := k.load(); err != nil {
		return nil, fmt.Errorf("open replicas: %w", err)
	}
	return k, nil
}

// Run keeps, polls and mends until ctx ends (it then returns nil).
func (k *Keeper) Run(ctx context.Context) error {
	var both sync.WaitGroup // who is slow to vote does not keep batches from being fetched
	both.Go(func() { every(ctx, tick, k.keep) })
	if k.cfg.Every > 0 {
		both.Go(func() { every(ctx, pollTick, k.pollDue) })
	}
	both.Wait()
	return nil
}

// every does something at each tick until ctx ends.
func every(ctx context.Context, d time.Duration, do func(context.Context)) {
	beat := time.NewTicker(d)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
			do(ctx)
		}
	}
}

// keep looks for new batches and fetches those that are due.
func (k *Keeper) keep(ctx context.Context) {
	others := k.cfg.Peers.Others()
	k.mu.Lock()
	for _, name := range others {
		k.of(name)
	}
	alone := len(k.peers) == 0
	k.mu.Unlock()
	if alone { // nobody's batches are there to be kept
		return
	}
	if err := k.follow(); err != nil {
		k.cfg.Logger.Warn("the ledger cannot be read for batches to keep; trying again", "error", err)
	}
	k.evictAll()
	k.fetchDue(ctx)
}

// follow looks at new entries of the ledger for batches of others.
func (k *Keeper) follow() error {
	now := k.cfg.Now()
	k.mu.Lock()
	if !k.again.IsZero() && now.After(k.again) {
		k.next, k.again = 0, time.Time{}
	}
	next := k.next
	k.mu.Unlock()
	for range tickPages {
		list, err := k.cfg.Ledger.Entries(next, pageEntries)
		if err != nil {
			return err
		}
		k.mu.Lock()
		for i := range list {
			k.consider(&list[i], now)
		}
		next += uint64(len(list))
		k.next = next
		k.mu.Unlock()
		if len(list) < pageEntries {
			return nil
		}
	}
	return nil
}

// consider makes a batch that another operator attested one that is asked for. The mutex is held.
func (k *Keeper) consider(e *concord.LedgerEntry, now time.Time) {
	if e.Type == attestType && e.From == k.cfg.Self && k.own[e.Index] == nil && k.score(e.Index) < k.ownBar {
		k.own[e.Index] = &held{author: k.cfg.Self, due: k.firstDue(now)}
		for len(k.own) > maxOwn {
			k.ownBar /= 2
			maps.DeleteFunc(k.own, func(index uint64, _ *held) bool { return k.score(index) >= k.ownBar })
		}
	}
	if e.Type != attestType || e.From == k.cfg.Self || k.held[e.Index] != nil || k.wants[e.Index] != nil || !k.fits(e.From, e.Index) {
		return
	}
	p := k.of(e.From)
	if p.wants >= maxWants {
		if k.again.IsZero() {
			k.again = now.Add(walkAgain)
		}
		return
	}
	p.wants++
	k.wants[e.Index] = &want{index: e.Index, author: e.From, at: now.Add(k.cfg.Settle)}
}

// attestType is the type of the ledger's entries that are about batches.
const attestType = "attest"

// score orders the batches of one author: those with small ones are kept. It differs from operator to operator.
func (k *Keeper) score(index uint64) uint64 {
	h := concord.Sum(fmt.Appendf(nil, "concord/replica %s %s %d", k.cfg.Self, k.cfg.Ledger.ID(), index))
	return binary.BigEndian.Uint64(h[:])
}
