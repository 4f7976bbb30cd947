// Package chain answers "how does a transaction get into the ledger, and how do I read it?". It is the fence around
// CometBFT: it runs a validator inside the process, hands decided blocks to the state machine of package ledger, keeps
// the log in a store of its own, and signs its heads. No type of CometBFT or Pebble appears in a signature of this
// package.
//
// It does not decide what a transaction may say (ledger does), make attestations (attest) or check receipts (receipt).
//
// # Invariants
//
//   - Entries, hashes, state and height are written in one synced batch when a block is committed, never before, so the
//     store is never ahead of consensus.
//   - A transaction that Submit acknowledged is in the log, on disk, and under a checkpoint that was signed. A checkpoint that a crash took is
//     signed again, of the same head, at the next start.
//   - The cosigning key signs one root for a size, and never a smaller size after a larger one: what it signed last is on
//     disk before the signature leaves.
//   - An idle chain makes no blocks. One of a single operator opens no port.
//   - Only members and who was invited may connect, by the key of their node.
//   - Who finds its files older than they were signs nothing that could contradict what it signed before.
//   - Damaged files are errors. The process is never ended from here.
package chain

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"

	"concord"
	"concord/ledger"
	"concord/note"
	"concord/receipt"
)

// Config says whose chain to run, and where its files are.
type Config struct {
	Dir       string     // the chain's own directory; made when it does not exist
	Operator  string     // a lower-case host name, also the name of the op and cosign keys
	ChainName string     // for example "net-1"; used when the chain is founded, checked afterwards
	Keys      *note.Keys // the operator's keys; the log key's name is the origin of the log
	Logger    *slog.Logger
	// Addr is where the nodes of other operators reach this one, HOST:PORT; empty: a chain of one operator stays one. It is listened on
	// only when there is another member, or one was invited. Advertise is what the others are told when it is not Addr.
	Addr, Advertise string
	// Outside are the cosigning keys of witnesses that are no operators: what they sign anchors a head. At most MaxOutside.
	Outside []note.Key
	// StallAfter is how long transactions may wait without a new block before Run gives up; default DefaultStall.
	StallAfter time.Duration
}

// DefaultStall is far above the seconds a block takes while a member is down, and below a person's patience.
const DefaultStall = 30 * time.Second

// Validate reports what is missing or malformed.
func (c *Config) Validate() error {
	switch {
	case c.Dir == "":
		return concord.Errorf(concord.Invalid, "chain config: Dir is empty")
	case !ledger.ValidOperator(c.Operator):
		return concord.Errorf(concord.Invalid, "chain config: operator %q is not a lower-case host name", concord.Clip(c.Operator, 80))
	case !ledger.ValidChainName(c.ChainName):
		return concord.Errorf(concord.Invalid, "chain config: chain name %q must be lower-case letters, digits, dots and hyphens, at most %d", concord.Clip(c.ChainName, 80), ledger.MaxChainName)
	case c.Keys == nil || c.Keys.Op == nil || c.Keys.Cosign == nil || c.Keys.Log == nil:
		return concord.Errorf(concord.Invalid, "chain config: keys are missing")
	case c.Keys.Op.Key().Name != c.Operator || c.Keys.Cosign.Key().Name != c.Operator:
		return concord.Errorf(concord.Invalid, "chain config: the keys are those of %q, not of %q", c.Keys.Op.Key().Name, c.Operator)
	case c.Addr != "" && CheckAddr(c.Addr) != nil:
		return CheckAddr(c.Addr)
	case c.Advertise != "" && CheckAddr(c.Advertise) != nil:
		return CheckAddr(c.Advertise)
	case c.Logger == nil:
		return concord.Errorf(concord.Invalid, "chain config: Logger is nil")
	}
	return CheckOutside(c.Outside)
}

// Chain is one operator's node of the ledger. Its methods are safe for concurrent use. Reading works from Open to Close,
// whether Run runs or not.
type Chain struct {
	cfg     Config
	id      string // "<name>:<12 hex digits>"
	genesis *genesis
	store   *store

	machine atomic.Pointer[ledger.Machine]     // after the last committed block
	head    atomic.Pointer[concord.Checkpoint] // the newest signed one
	last    atomic.Int64                       // unix nanoseconds of the last block's time
	busy    atomic.Bool                        // the last block appended, so that another, empty one follows at once
	running atomic.Pointer[engine]             // nil: Run does not run

	application abci.Application // what CometBFT drives: app

	book      *book
	ballots   ballots
	validator atomic.Pointer[validator]
	keys      atomic.Pointer[engineKeys]
	agreed    atomic.Pointer[concord.Checkpoint] // the newest with a quorum of cosignatures
	inbox     chan letter
	reopen    chan struct{} // capacity 1: there are others now, and no port yet
	opened    time.Time
	met       chan struct{} // closed when a peer has said what it has seen
	metOnce   sync.Once

	// Owned by the loop of Run.
	signer     *cosigner
	shunned    bool                // no peer took this node under its key: it tries the next one
	early      map[uint64][][]byte // notes of heads beyond this log, by size
	earlyCount int
	charges    charges   // what this node knows against members
	stirred    bool      // the newest heads have signatures that the others may not have
	notBefore  time.Time // of the block that came from late
	awaited    time.Time // when the clock was last waited for

	waits   atomic.Pointer[string] // why consensus does not run now; nil: it may
	waiters waiters
	grown   chan struct{} // capacity 1: the log may have grown beyond head
	started chan struct{} // closed when Run has started consensus

	mu       sync.Mutex
	unsigned []head // committed, not signed yet
	halted   error  // why the chain stopped; Run returns it
	failed   chan struct{}
	late     chan time.Time // of a block that the others agreed on and this machine's clock does not allow: consensus must wait
}

// Open opens the chain of a directory; on first use it founds one: keys of the validator, a genesis file with the
// founding notes, an empty store. It starts nothing. A second process on the same directory gets an Unavailable error.
func Open(cfg Config) (*Chain, error) {
	if cfg.StallAfter == 0 {
		cfg.StallAfter = DefaultStall
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open chain: %w", err)
	}
	st, err := openStore(filepath.Join(cfg.Dir, "log"))
	if err != nil {
		return nil, fmt.Errorf("open chain: %w", err)
	}
	c := &Chain{cfg: cfg, store: st, grown: make(chan struct{}, 1),
		started: make(chan struct{}), failed: make(chan struct{}), late: make(chan time.Time, 1), inbox: make(chan letter, inboxSize), reopen: make(chan struct{}, 1),
		opened: time.Now(), met: make(chan struct{}), early: map[uint64][][]byte{}, charges: newCharges()}
	c.application = &app{c: c}
	c.waiters.byLeaf = map[concord.Digest][]*waiter{}
	if err := c.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("open chain: %w", err), st.close())
	}
	return c, nil
}

// load brings genesis, state and signer together and checks that they belong to each other.
func (c *Chain) load() (err error) {
	m, err := c.store.machine()
	if err != nil {
		return err
	}
	if c.genesis, err = loadOrFound(&c.cfg, m == nil); err != nil {
		return err
	}
	if err := c.loadEngineKeys(); err != nil {
		return err
	}
	if c.book, err = openBook(c.cfg.Dir); err != nil {
		return err
	}
	c.id = c.genesis.chainID
	if m == nil {
		if m, err = ledger.Found(c.id, c.genesis.notes); err != nil {
			return fmt.Errorf("genesis: %w", err)
		}
		if err := c.store.append(block{next: m, entries: c.genesis.notes, time: c.genesis.doc.GenesisTime.Unix()}, 0); err != nil {
			return err
		}
	}
	if err := c.adopt(m); err != nil {
		return err
	}
	if err := c.checkMachine(m); err != nil {
		return err
	}
	c.machine.Store(m)
	indexed, err := c.store.indexTerms(m.Size())
	if err != nil {
		return err
	}
	if indexed > 0 {
		c.cfg.Logger.Info("made the index of the log's terms", "entries", indexed)
	}
	head, err := c.store.lastCheckpoint()
	if err != nil {
		return err
	}
	if head != nil {
		c.head.Store(head)
	}
	if err := c.loadAgreed(); err != nil {
		return err
	}
	if err := c.loadBallots(); err != nil {
		return err
	}
	if last, err := c.store.lastTime(); err == nil {
		c.last.Store(last.UnixNano())
	}
	c.signer, err = openCosigner(filepath.Join(c.cfg.Dir, cosignFile), c.cfg.Keys, head)
	return err
}

// checkMachine checks a stored state against the genesis, the keys and the stored hashes.
func (c *Chain) checkMachine(m *ledger.Machine) error {
	if got := m.State().Chain; got != c.id {
		return concord.Errorf(concord.Corrupt, "the store is of chain %s, the genesis file %s of %s: the file was changed; restore it from your backup, or have another operator's: it is the same for all", got, filepath.Join(c.cfg.Dir, genesisFile), c.id)
	}
	root, err := c.store.root(m.Size())
	if err != nil {
		return err
	}
	if root != m.Root() {
		return concord.Errorf(concord.Corrupt, "the stored hashes of %d entries do not add up to the root of the state", m.Size())
	}
	me := m.State().Member(c.cfg.Operator)
	if me == nil || me.Status == ledger.Left {
		if me == nil && len(c.book.all()) == 0 {
			return concord.Errorf(concord.Conflict, "operator %s is not a member of chain %s", c.cfg.Operator, c.id)
		}
		return nil // it joined, and follows
	}
	return c.checkKeys(me)
}

// loadAgreed finds the newest head with a quorum.
func (c *Chain) loadAgreed() error {
	list, err := c.store.checkpoints(0, searched)
	for i := range list {
		if c.hasQuorum(&list[i]) {
			c.agreed.Store(&list[i])
			break
		}
	}
	return err
}

// Close closes the store. Run must have returned.
func (c *Chain) Close() error {
	if err := c.store.close(); err != nil {
		return fmt.Errorf("close chain: %w", err)
	}
	return nil
}

// ID returns what transactions name: "<chain name>:<first 12 hex digits of SHA-256(genesis file)>".
func (c *Chain) ID() string { return c.id }

// Origin returns the name of the log in its checkpoints.
func (c *Chain) Origin() string { return c.machine.Load().State().Origin }

// Genesis returns the genesis file, byte for byte. Its hash is the chain's identity. The caller must not change it.
func (c *Chain) Genesis() []byte { return c.genesis.file }

// Policy returns the tlog-policy text under which receipts of this chain verify: the active members' log keys as alternatives,
// their cosigning keys, and as quorum more than two thirds of them. The candidates' cosigning keys are listed too, because they
// vouch for the candidates' own statements; for the quorum they do not count. Nor do the witnesses from outside, which are a group of their own.
func (c *Chain) Policy() string {
	var logs, witnesses, further []note.Key
	for _, m := range c.machine.Load().State().Members {
		switch m.Status {
		case ledger.Active:
			logs = append(logs, m.Log)
			witnesses = append(witnesses, m.Cosign)
		case ledger.Candidate:
			further = append(further, m.Cosign)
		}
	}
	return receipt.FormatPolicy(logs, witnesses, ledger.Quorum(len(witnesses)), further...) + receipt.FormatOutside(c.outside()...)
}

// Next returns what the operator's next attestation must carry: its seq, and the root of its last batch. Of this node's operator it is told
// only when it is known for sure: Unavailable while the node catches up with the others, and while the operator is no member in
// good standing, which the others may change.
func (c *Chain) Next(operator string) (seq uint64, prev concord.Digest, err error) {
	if operator == c.cfg.Operator {
		if err := c.mayAttest(); err != nil {
			return 0, prev, err
		}
	}
	m := c.machine.Load().State().Member(operator)
	if m == nil {
		return 0, prev, concord.Errorf(concord.NotFound, "operator %q is not a member of chain %s", concord.Clip(operator, 80), c.id)
	}
	return m.Seq + 1, m.LastRoot, nil
}

// mayAttest reports why this operator's transactions must wait.
func (c *Chain) mayAttest() error {
	if e := c.running.Load(); c.networked() && (e == nil || e.networked && e.node.ConsensusReactor().WaitSync()) {
		return concord.Errorf(concord.Unavailable, "this node catches up with the other operators")
	}
	if m := c.machine.Load().State().Member(c.cfg.Operator); m != nil && m.Op != c.cfg.Keys.Op.Key() {
		return concord.Errorf(concord.Unavailable, "the op key of operator %s is newer than this node's copy of the ledger", c.cfg.Operator)
	}
	return c.standing()
}

// standing reports why this operator's transactions are not taken.
func (c *Chain) standing() error {
	m := c.machine.Load().State().Member(c.cfg.Operator)
	if m == nil || m.Status == ledger.Left || m.Status == ledger.Faulted {
		status := "not a member"
		if m != nil {
			status = string(m.Status)
		}
		return concord.Errorf(concord.Unavailable, "operator %s is %s on ledger %s; the other operators decide", c.cfg.Operator, status, c.id)
	}
	return nil
}
