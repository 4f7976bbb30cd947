package chain

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	dbm "github.com/cometbft/cometbft-db"
	abci "github.com/cometbft/cometbft/abci/types"
	cmtcfg "github.com/cometbft/cometbft/config"
	"github.com/cometbft/cometbft/mempool"
	"github.com/cometbft/cometbft/node"
	"github.com/cometbft/cometbft/p2p"
	memproto "github.com/cometbft/cometbft/proto/tendermint/mempool"
	"github.com/cometbft/cometbft/proxy"
	cmttypes "github.com/cometbft/cometbft/types"

	"concord"
	"concord/ledger"
	"concord/note"
)

// stopAtMost bounds the stop of the engine, which takes milliseconds, and seconds on a machine with too much to do. What goes on after it hangs, and
// only the end of the process ends it. Everything acknowledged is on disk.
const stopAtMost = 30 * time.Second

// engine is CometBFT, running.
type engine struct {
	node      *node.Node
	networked bool          // it listens, and has peers
	quit      chan struct{} // closed when it is to end
	begun     atomic.Bool   // its start has begun: goroutines read its stores
	broken    bool          // its start ended in a panic: it cannot be stopped in order
	fail      func(error)   // says what was found damaged since then
	mu        sync.Mutex
	dbs       []*lateDB
}

// startEngine starts consensus on the chain's files. A chain of one operator opens no port: CometBFT's node always
// listens when it is started as a whole, so its parts are started without the transport (DESIGN.md).
func startEngine(c *Chain) (*engine, error) {
	e, err := newEngine(c)
	if err != nil {
		return nil, err
	}
	if err := e.start(); err != nil {
		return nil, errors.Join(cmp.Or(c.failure(), fmt.Errorf("start consensus: %w", err)), e.stop())
	}
	return e, nil
}

// newEngine opens consensus on the chain's files.
func newEngine(c *Chain) (*engine, error) {
	if err := c.promote(); err != nil {
		return nil, err
	}
	f := filesOf(c.cfg.Dir)
	pv, err := loadValidator(f)
	if err != nil {
		return nil, err
	}
	nodeKey, err := loadNodeKey(f)
	if err != nil {
		return nil, err
	}
	if me := c.machine.Load().State().Member(c.cfg.Operator); me != nil && me.Status != ledger.Left && me.Node != string(nodeKey.ID()) && !there(f.oldNodeKey(me.Node)) {
		return nil, concord.Errorf(concord.Unauthorized, "node key %s is not the one that chain %s knows; restore it from your backup", f.nodeKey, c.id)
	}
	if c.shunned { // the others may have decided on the next one while this node was away, and take no other
		if next, err := nextNode(f); next != nil && err == nil {
			nodeKey = next
		}
	}
	e := &engine{networked: c.networked(), quit: make(chan struct{}), fail: c.fail}
	cfg := engineConfig(f.home)
	cfg.Moniker = c.cfg.Operator
	if e.networked {
		c.shareConfig(cfg)
	}
	if err := cfg.ValidateBasic(); err != nil {
		return nil, fmt.Errorf("engine configuration: %w", err)
	}
	genesisDoc := func() (*cmttypes.GenesisDoc, error) { return c.genesis.doc, nil }
	signed := pv.LastSignState.Height
	v := newValidator(f, pv, func() {
		if e.networked {
			c.awaitMeeting(e.quit)
		}
	})
	c.validator.Store(v)
	e.node, err = newNode(cfg, v, nodeKey, proxy.NewConnSyncLocalClientCreator(c.application), genesisDoc, e.openDB, logger{c: c, to: c.cfg.Logger}, c.gossipOption(e.networked)...)
	if err != nil {
		e.closeDBs()
		return nil, errors.Join(fmt.Errorf("start consensus: %w", err), c.failure())
	}
	if err := e.checkSigned(pv.Key.Address, signed); err != nil {
		return nil, errors.Join(fmt.Errorf("start consensus: %w", err), e.stop())
	}
	return e, nil
}

// checkSigned refuses a validator's state that is older than the last block that could not be without its vote: one of a chain whose only
// voter it was.
func (e *engine) checkSigned(me cmttypes.Address, signed int64) error {
	stored := e.node.BlockStore().Height()
	last := e.node.BlockStore().LoadSeenCommit(stored)
	if stored <= signed || last == nil || len(last.Signatures) != 1 || !bytes.Equal(last.Signatures[0].ValidatorAddress, me) {
		return nil
	}
	return concord.Errorf(concord.Conflict, "the validator's state has signed up to height %d, but block %d is stored: the state is older than it was. It must never be restored from a backup", signed, stored)
}

// start starts consensus: with a port, or only what needs none. Its panics, which damaged stores cause, are errors.
func (e *engine) start() (err error) {
	defer func() {
		if p := recover(); p != nil {
			e.broken = true
			err = concord.Errorf(concord.Corrupt, "the files of consensus in %s are damaged: %v", e.node.Config().RootDir, p)
		}
	}()
	e.begun.Store(true)
	start := e.node.Switch().Start
	if e.networked {
		start = e.node.Start
	}
	return start()
}

// shareConfig is the configuration of a chain of several.
func (c *Chain) shareConfig(cfg *cmtcfg.Config) {
	cfg.P2P.ListenAddress = "tcp://" + c.cfg.Addr
	cfg.P2P.ExternalAddress = c.advertised()
	cfg.P2P.AllowDuplicateIP = true // operators are told apart by their keys
	cfg.P2P.AddrBookStrict = false
	cfg.P2P.MaxNumInboundPeers, cfg.P2P.MaxNumOutboundPeers = maxPeers, maxPeers
	cfg.Consensus.TimeoutPropose = proposeWithin
	cfg.Consensus.TimeoutPrevote, cfg.Consensus.TimeoutPrecommit = voteWithin, voteWithin
	cfg.Consensus.PeerGossipSleepDuration = gossipPause
}

const (
	// proposeWithin is above a round trip around the world and the time to make a block of 2 MiB and send it.
	proposeWithin = 2 * time.Second
	// voteWithin is how long more votes are waited for once two thirds are there, and do not agree.
	voteWithin = 500 * time.Millisecond
	// gossipPause is how long a sender rests that has nothing to send. CometBFT's 100 ms make a block take 200 ms; each tenth of it costs
	// some processor time while idle (DESIGN.md).
	gossipPause = 25 * time.Millisecond
)

func (c *Chain) advertised() string {
	if c.cfg.Advertise != "" {
		return c.cfg.Advertise
	}
	return c.cfg.Addr
}

func trimScheme(addr string) string { return strings.TrimPrefix(addr, "tcp://") }

// gossipOption adds our channel to CometBFT's.
func (c *Chain) gossipOption(networked bool) []node.Option {
	if !networked {
		return nil
	}
	return []node.Option{node.CustomReactors(map[string]p2p.Reactor{gossipName: newGossip(c)})}
}

// dial connects to a peer. That it does not answer is seen by its absence.
func (e *engine) dial(p Peer) {
	addr, err := p2p.NewNetAddressString(p2p.IDAddressString(p2p.ID(p.Node), p.Addr))
	if err == nil && e.node.IsRunning() {
		_ = e.node.Switch().DialPeerWithAddress(addr)
	}
}

// engineConfig returns CometBFT's configuration: our departures from its defaults.
func engineConfig(home string) *cmtcfg.Config {
	cfg := cmtcfg.DefaultConfig()
	cfg.SetRoot(home)
	cfg.FilterPeers = true
	cfg.RPC.ListenAddress = ""              // reads come from our own store, writes by function call
	cfg.P2P.ListenAddress = "127.0.0.1:0"   // must parse; it is not listened on
	cfg.P2P.PexReactor = false              // operators are known
	cfg.P2P.LibP2PConfig.Enabled = false    // experimental
	cfg.Mempool.MaxTxBytes = note.MaxBytes  // an entry of a tile log has a 16-bit length
	cfg.Consensus.CreateEmptyBlocks = false // a quiet chain stands still
	cfg.Consensus.TimeoutCommit = 0         // nobody else's votes to wait for
	cfg.Consensus.DoubleSignCheckHeight = 0 // anything else fails every restart of a quiet chain
	cfg.Consensus.TimeoutPropose = time.Second
	cfg.Consensus.TimeoutPrevote = 100 * time.Millisecond   // how long to wait for more votes once two
	cfg.Consensus.TimeoutPrecommit = 100 * time.Millisecond // thirds are there: alone, there are none
	cfg.TxIndex.Indexer = "null"                            // our log is the index
	cfg.Storage.DiscardABCIResponses = true                 // the last one is kept for replay
	cfg.Instrumentation.Prometheus = false
	return cfg
}

// newNode calls NewNode and makes an error of its panics, which damaged stores cause.
func newNode(cfg *cmtcfg.Config, pv cmttypes.PrivValidator, nodeKey *nodeKey, creator proxy.ClientCreator, genesis node.GenesisDocProvider, dbs cmtcfg.DBProvider, l logger, options ...node.Option) (n *node.Node, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = concord.Errorf(concord.Corrupt, "consensus could not start from its files in %s: %v", cfg.RootDir, p)
		}
	}()
	n, err = node.NewNode(cfg, pv, nodeKey, creator, genesis, dbs, node.DefaultMetricsProvider(cfg.Instrumentation), l, options...)
	if kind := concord.KindOf(err); err != nil && (kind == concord.Internal || kind == concord.Corrupt) {
		err = concord.Errorf(concord.Corrupt, "the files of consensus in %s are damaged or do not fit the log: %w", cfg.RootDir, err)
	}
	return n, err
}

// openDB opens a database of CometBFT and remembers it: a node that does not come up leaves it open.
func (e *engine) openDB(ctx *cmtcfg.DBContext) (db dbm.DB, err error) {
	defer func() { // goleveldb's wrapper panics on some damaged files
		if p := recover(); p != nil {
			err = concord.Errorf(concord.Corrupt, "database %s: %v", ctx.ID, p)
		}
	}()
	if err := dropUnborn(filepath.Join(ctx.Config.DBDir(), ctx.ID+".db")); err != nil {
		return nil, fmt.Errorf("database %s: %w", ctx.ID, err)
	}
	if db, err = cmtcfg.DefaultDBProvider(ctx); err != nil {
		return nil, concord.Errorf(concord.Corrupt, "database %s: %w", ctx.ID, err)
	}
	late := &lateDB{DB: db, e: e, dir: filepath.Join(ctx.Config.DBDir(), ctx.ID+".db")}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.dbs = append(e.dbs, late)
	return late, nil
}

// lateDB is a database that may be read after it was closed, or when it is damaged: it is empty then. CometBFT closes its stores while the goroutines that
// serve a peer still sleep; what they read when they wake they would panic over, and the process end with them. Over what is damaged they would panic, too:
// the chain fails instead, with the database's name.
type lateDB struct {
	dbm.DB
	e      *engine
	dir    string
	closed atomic.Bool
}

// late reports whether what could not be read is to look as if it were not there. While consensus is opened it is not: one goroutine reads then, and its
// panic is an error. From the start on there are others, whose panics nobody could catch.
func (d *lateDB) late(err error) bool {
	if d.closed.Load() {
		return true
	}
	if !d.e.begun.Load() {
		return false
	}
	d.e.fail(concord.Errorf(concord.Corrupt, "the files of consensus in %s are damaged: %w", d.dir, err))
	return true
}

func (d *lateDB) Close() error {
	d.closed.Store(true)
	return d.DB.Close()
}

func (d *lateDB) Get(key []byte) ([]byte, error) {
	v, err := d.DB.Get(key)
	if err != nil && d.late(err) {
		return nil, nil
	}
	return v, err
}

func (d *lateDB) Has(key []byte) (bool, error) {
	ok, err := d.DB.Has(key)
	if err != nil && d.late(err) {
		return false, nil
	}
	return ok, err
}

// dropUnborn removes a database whose making was cut short: it names no manifest, and nothing was ever written to it.
// goleveldb would call it corrupt for ever. One that holds data and lost its manifest's name is left for a person.
func dropUnborn(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return err
		}
		switch ext := filepath.Ext(e.Name()); {
		case e.Name() == "CURRENT" && info.Size() > 0, ext == ".ldb", ext == ".sst", ext == ".log" && info.Size() > 0:
			return nil
		}
	}
	return os.RemoveAll(dir)
}

func (e *engine) closeDBs() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, db := range e.dbs {
		_ = db.Close() // closed already by a node that stopped in order
	}
	e.dbs = nil
}

// stop ends consensus and closes its files. It waits for both: CometBFT goes on with its files while it stops, and panics when they are
// gone meanwhile.
func (e *engine) stop() error {
	close(e.quit)
	if e.broken {
		e.closeDBs()
		return nil
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if e.node.IsRunning() {
			_ = e.node.Stop()
		} else {
			e.stopReactors()
			e.node.OnStop() // not Stop: the node as a whole was never started
		}
		_ = e.node.ProxyApp().Stop() // it refuses when it was not running
	}()
	select {
	case <-done:
		e.closeDBs()
		return nil
	case <-time.After(stopAtMost):
		return concord.Errorf(concord.Internal, "consensus did not stop within %s", stopAtMost)
	}
}

// stopReactors stops what a failed start has left: the switch counts as not started as soon as one of its reactors does not start, and
// then stops none, so that consensus would go on with its write-ahead log.
func (e *engine) stopReactors() {
	sw, ok := e.node.Switch().(*p2p.Switch)
	if !ok || sw.IsRunning() {
		return // it stops them itself
	}
	for _, r := range sw.Reactors() {
		if r.IsRunning() {
			_ = r.Stop()
		}
	}
}

func (e *engine) peers() int {
	out, in, _ := e.node.Switch().NumPeers()
	return out + in
}

// offer gives a transaction to the mempool. A transaction that it has or had is not an error: the caller looks into the
// log for it.
func (e *engine) offer(ctx context.Context, tx []byte) error {
	res := make(chan *abci.ResponseCheckTx, 1)
	err := e.node.Mempool().CheckTx(tx, func(r *abci.ResponseCheckTx) { res <- r }, mempool.TxInfo{})
	switch {
	case errors.Is(err, mempool.ErrTxInCache):
		return nil
	case errors.As(err, new(mempool.ErrTxTooLarge)):
		return concord.Errorf(concord.Invalid, "%w", err)
	case err != nil:
		return concord.Errorf(concord.Unavailable, "mempool: %w", err)
	}
	select {
	case r := <-res:
		if r.Code == codeOK {
			return nil
		}
		return concord.Errorf(concord.Kind(r.Code-1), "%s", r.Log)
	case <-ctx.Done():
		return concord.Errorf(concord.Unavailable, "%w", ctx.Err())
	}
}

// spread sends a transaction to every peer once more, unless the queue to it is full. CometBFT's mempool sends each only once, and a peer may have
// refused it while it was behind, or dropped it. What no proposer has but this node waits for its turn, which does not come while the others
// have nothing.
func (e *engine) spread(tx []byte) {
	for _, p := range e.node.Switch().Peers().Copy() {
		p.TrySend(p2p.Envelope{ChannelID: mempool.MempoolChannel, Message: &memproto.Txs{Txs: [][]byte{tx}}})
	}
}
