package witness

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"sync"
	"time"

	"concord"
	"concord/durable"
	"concord/ledger"
	"concord/note"
)

// Ledger is what a witness needs of the ledger. Package chain provides it.
type Ledger interface {
	// ID returns the chain that transactions name.
	ID() string
	// Next returns the seq of the operator's next transaction. Unavailable while that cannot be said.
	Next(operator string) (seq uint64, prev concord.Digest, err error)
	// Submit puts a transaction into the log, once, and returns its index. Conflict: its seq was taken, or it came too late.
	Submit(ctx context.Context, tx []byte) (index uint64, err error)
	// Asks returns the open asks, and some closed ones.
	Asks() []*ledger.Ask
	// Ask returns an ask as it stands, closed ones too, and the state by which its reports compare. NotFound.
	Ask(index uint64) (*ledger.Ask, *ledger.State, error)
	// Able returns how many operators can be on a panel of this one's.
	Able() int
	// Noted returns the first doc transaction that holds a digest, and the operator's own first one; ok is false for one
	// that is not there.
	Noted(digest concord.Digest, operator string) (first, own Noted, err error)
	// Entries returns up to n entries of the log.
	Entries(from uint64, n int) ([]concord.LedgerEntry, error)
	// Covering returns the signed head under which a receipt of an entry proves most; later it may be another.
	Covering(index uint64) (concord.Checkpoint, error)
	// Proof returns the inclusion path of an entry under the first size entries.
	Proof(index, size uint64) ([]concord.Digest, error)
	// Admission returns what binds the operator's op key to a cosigning key, in the form that receipts carry: the op key of when the log had index entries.
	Admission(operator string, index uint64) ([]byte, error)
}

// Noted is a doc transaction; From is empty when there is none.
type Noted struct {
	Index uint64
	From  string
}

// Sight is what one look at a page came to.
type Sight struct {
	Status   int       // HTTP status; 0: no answer
	Final    string    // URL after redirects
	Time     time.Time // of the last request
	Raw      concord.Digest
	Profile  string // normaliser of the text
	Text     string // normalised; empty: none
	Cert     concord.Digest
	Record   concord.Digest
	Captures []*concord.Capture // archived, announced to nobody
}

// Config says what a witness works with.
type Config struct {
	Dir      string // the witness's own directory; made when it does not exist
	Ledger   Ledger
	Keys     *note.Keys // the op key signs
	Operator string
	Profile  string // the normaliser this program has; asks of another are left to others
	// Look looks at a page. Unauthorized: it may not be fetched; this operator then says nothing.
	Look func(ctx context.Context, url string) (Sight, error)
	// Announce puts the captures of a look on record, once the report is open. Repeating it is no error.
	Announce func(ctx context.Context, captures []*concord.Capture) error
	Logger   *slog.Logger
}

const (
	// lookEvery is how often the ledger's asks and what waits is gone through: all of it is in memory.
	lookEvery = 300 * time.Millisecond
	// maxLooks bounds the pages looked at side by side: asks are rare, and a node has other things to do.
	maxLooks = 4
	// lookTime bounds one look, robots.txt and redirects included.
	lookTime = 3 * time.Minute
	// sendTime bounds one try to get a transaction into the log; what is not there then is tried again later.
	sendTime = 30 * time.Second
	// endGrace and endTurn: see the package comment.
	endGrace = 2 * time.Second
	endTurn  = 15 * time.Second
)

// Validate reports what is missing.
func (c *Config) Validate() error {
	switch {
	case c.Dir == "" || c.Profile == "":
		return concord.Errorf(concord.Invalid, "witness config: Dir or Profile is empty")
	case c.Ledger == nil || c.Look == nil || c.Announce == nil || c.Logger == nil:
		return concord.Errorf(concord.Invalid, "witness config: Ledger, Look, Announce and Logger must be set")
	case c.Keys == nil || c.Keys.Op == nil || c.Keys.Op.Key().Name != c.Operator:
		return concord.Errorf(concord.Invalid, "witness config: the op key is missing or not that of %q", c.Operator)
	}
	return nil
}

// Witness is one operator's. Its methods are safe for concurrent use.
type Witness struct {
	cfg  Config
	now  func() time.Time
	kick chan struct{} // capacity 1: something waits

	sending chan struct{} // holds a token while a transaction is on its way
	looks   chan struct{}

	mu    sync.Mutex
	busy  map[string]bool      // what is worked on
	after map[string]time.Time // what is not tried before
	notes map[string]*waiting  // on their way, by file name
	tries map[string]int       // how often in a row something was put off
	told  map[string]bool      // rounds whose captures are announced, by file name
	jobs  sync.WaitGroup

	seen map[string]time.Time // since when rounds are known, by file name; of the loop of Run

	asking sync.Mutex // one ask at a time, so that two for one URL become one
}

// Open reads what waits. It starts nothing.
func Open(cfg Config) (*Witness, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open witness: %w", err)
	}
	w := &Witness{cfg: cfg, now: time.Now, kick: make(chan struct{}, 1), sending: make(chan struct{}, 1), looks: make(chan struct{}, maxLooks),
		busy: map[string]bool{}, after: map[string]time.Time{}, notes: map[string]*waiting{}, told: map[string]bool{}, tries: map[string]int{}, seen: map[string]time.Time{}}
	if err := errors.Join(durable.RemoveTemps(durable.OS, cfg.Dir), w.loadNotes()); err != nil {
		return nil, fmt.Errorf("open witness: %w", err)
	}
	return w, nil
}

// Run does what the ledger asks of this operator, and sends what waits, until ctx ends; it then returns nil.
func (w *Witness) Run(ctx context.Context) error {
	defer w.jobs.Wait()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		w.sendNotes(ctx)
		w.attend(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-w.kick:
		}
	}
}

func (w *Witness) wake() {
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// retryAfter is the pause before what failed is tried again.
const retryAfter = 2 * time.Second

// job does something beside the others, unless it is being done, or failed a moment ago.
func (w *Witness) job(ctx context.Context, name string, do func(context.Context) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.busy[name] || w.now().Before(w.after[name]) {
		return
	}
	w.busy[name] = true
	w.jobs.Add(1)
	go func() {
		defer w.jobs.Done()
		err := do(ctx)
		w.mu.Lock()
		delete(w.busy, name)
		delete(w.after, name)
		w.pause(name, err)
		w.mu.Unlock()
		if err != nil && ctx.Err() == nil && err != error(errSilent{}) && !errors.Is(err, errAgain) {
			w.cfg.Logger.Debug("tried again soon", "what", name, "reason", err)
		}
		w.wake()
	}()
}

const (
	// silence is the pause after which something is looked at again that this operator has nothing to do about.
	silence = time.Hour
	// maxPauses bounds what is remembered of pauses; those that are over are forgotten then.
	maxPauses = 10_000
)

// pause remembers until when something is not tried again after an error. The caller holds mu.
func (w *Witness) pause(name string, err error) {
	if len(w.after) > maxPauses {
		maps.DeleteFunc(w.after, func(_ string, until time.Time) bool { return w.now().After(until) })
		maps.DeleteFunc(w.tries, func(name string, _ int) bool { return w.after[name].IsZero() })
	}
	switch {
	case errors.Is(err, errAgain):
		w.tries[name]++
		w.after[name] = w.now().Add(min(time.Second<<min(w.tries[name]-1, 10), silence))
		return
	case err == error(errSilent{}):
		w.after[name] = w.now().Add(silence)
	case err != nil:
		w.after[name] = w.now().Add(retryAfter)
	}
	delete(w.tries, name)
}

// errAgain ends a job that is done again after a pause that grows each time, if it is still wanted.
var errAgain = errors.New("again, if need be")

// maxResigned bounds how often one text is signed anew because other transactions of the operator came first.
const maxResigned = 50

// send puts a transaction of this operator into the ledger, under whatever seq is next, and returns its index. It waits at
// most sendTime. Unavailable: it may still come into the log.
func (w *Witness) send(ctx context.Context, body func(ledger.Head) ledger.Body) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	select {
	case w.sending <- struct{}{}:
		defer func() { <-w.sending }()
	case <-ctx.Done():
		return 0, concord.Errorf(concord.Unavailable, "other transactions wait for the ledger: %w", ctx.Err())
	}
	var last error
	for range maxResigned {
		seq, _, err := w.cfg.Ledger.Next(w.cfg.Operator)
		if err != nil {
			return 0, err
		}
		tx, err := ledger.Sign(body(w.head(seq)), w.cfg.Keys.Op)
		if err != nil {
			return 0, err
		}
		index, err := w.cfg.Ledger.Submit(ctx, tx)
		if err == nil || concord.KindOf(err) != concord.Conflict {
			return index, err
		}
		if next, _, err2 := w.cfg.Ledger.Next(w.cfg.Operator); err2 != nil || next == seq {
			return 0, err // the conflict is about something else
		}
		last = err
	}
	return 0, last
}

func (w *Witness) head(seq uint64) ledger.Head {
	return ledger.Head{Chain: w.cfg.Ledger.ID(), From: w.cfg.Operator, Seq: seq}
}
