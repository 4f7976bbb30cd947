package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/cometbft/cometbft/abci/example/kvstore"
	abci "github.com/cometbft/cometbft/abci/types"
	cmtcfg "github.com/cometbft/cometbft/config"
	cmted25519 "github.com/cometbft/cometbft/crypto/ed25519"
	cmtjson "github.com/cometbft/cometbft/libs/json"
	cmtlog "github.com/cometbft/cometbft/libs/log"
	"github.com/cometbft/cometbft/mempool"
	"github.com/cometbft/cometbft/node"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/privval"
	"github.com/cometbft/cometbft/proxy"
	cmttypes "github.com/cometbft/cometbft/types"
)

// The peer of the ledger: CometBFT's own example application, the kvstore, under the same version of the same consensus with the same
// settings. What it does with a transaction is next to nothing: it looks for one "=", and sets a key. Nobody has signed anything, and its
// database is not synced.

// kvNode is one node of the peer.
type kvNode struct {
	dir   string
	db    *kvstore.Application
	app   *kvApp
	node  *node.Node
	count uint64
	// what the next load submits
	prepared func() ([]byte, error)
}

func (n *kvNode) do(ctx context.Context, o order) (a answer, err error) {
	switch o.Do {
	case "kv-keys":
		err = n.keys(o.Dir, &a)
	case "kv-start":
		err = n.start(o)
	case "kv-status":
		a.Height = n.node.BlockStore().Height()
		out, in, _ := n.node.Switch().NumPeers()
		a.Met = out + in
	case "kv-prepare":
		n.prepared, err = ahead(o.Load.Count, func() ([]byte, error) { return n.transaction(o.Load.TxBytes), nil })
	case "kv-load":
		a.Load, err = load(ctx, target{submit: n.submit}, *o.Load, n.prepared)
	default:
		err = fmt.Errorf("no order %q", o.Do)
	}
	return a, err
}

// keys makes the node's keys.
func (n *kvNode) keys(dir string, a *answer) error {
	n.dir = dir
	cfg := n.config("127.0.0.1:0", "")
	if err := errors.Join(os.MkdirAll(filepath.Dir(cfg.PrivValidatorKeyFile()), 0o700), os.MkdirAll(filepath.Dir(cfg.PrivValidatorStateFile()), 0o700)); err != nil {
		return err
	}
	pv := privval.GenFilePV(cfg.PrivValidatorKeyFile(), cfg.PrivValidatorStateFile())
	pv.Save()
	key, err := p2p.LoadOrGenNodeKey(cfg.NodeKeyFile())
	if err != nil {
		return err
	}
	a.Key, a.Node = pv.Key.PubKey.Bytes(), string(key.ID())
	return nil
}

// kvGenesis founds a chain of the peer's with the given validators and the parameters of ours.
func kvGenesis(keys [][]byte) ([]byte, error) {
	params := cmttypes.DefaultConsensusParams()
	params.Block.MaxBytes = 2 << 20
	doc := cmttypes.GenesisDoc{GenesisTime: time.Now().UTC().Truncate(time.Second), ChainID: "kvstore-1", InitialHeight: 1, ConsensusParams: params}
	for _, k := range keys {
		doc.Validators = append(doc.Validators, cmttypes.GenesisValidator{PubKey: cmted25519.PubKey(k), Power: 1})
	}
	if err := doc.ValidateAndComplete(); err != nil {
		return nil, err
	}
	return cmtjson.Marshal(doc)
}

// config has the settings of chain/engine.go, of one operator and of several; a test holds them together. Two differ: peers are given, and
// not asked for by an application that knows its members.
func (n *kvNode) config(addr, peers string) *cmtcfg.Config {
	cfg := cmtcfg.DefaultConfig()
	cfg.SetRoot(n.dir)
	cfg.FilterPeers = false
	cfg.P2P.PersistentPeers = peers
	cfg.RPC.ListenAddress = ""
	cfg.P2P.ListenAddress = "tcp://" + addr
	cfg.P2P.ExternalAddress = addr
	cfg.P2P.PexReactor = false
	cfg.P2P.LibP2PConfig.Enabled = false
	cfg.P2P.AllowDuplicateIP = true
	cfg.P2P.AddrBookStrict = false
	cfg.P2P.MaxNumInboundPeers, cfg.P2P.MaxNumOutboundPeers = 200, 200
	cfg.Mempool.MaxTxBytes = 65_535
	cfg.Consensus.CreateEmptyBlocks = false
	cfg.Consensus.TimeoutCommit = 0
	cfg.Consensus.DoubleSignCheckHeight = 0
	cfg.Consensus.TimeoutPropose = time.Second
	cfg.Consensus.TimeoutPrevote = 100 * time.Millisecond
	cfg.Consensus.TimeoutPrecommit = 100 * time.Millisecond
	cfg.TxIndex.Indexer = "null"
	cfg.Storage.DiscardABCIResponses = true
	cfg.Instrumentation.Prometheus = false
	if peers != "" {
		cfg.Consensus.TimeoutPropose = 2 * time.Second
		cfg.Consensus.TimeoutPrevote, cfg.Consensus.TimeoutPrecommit = 500*time.Millisecond, 500*time.Millisecond
		cfg.Consensus.PeerGossipSleepDuration = 25 * time.Millisecond
	}
	return cfg
}

// start starts the node: with peers, or alone.
func (n *kvNode) start(o order) error {
	cfg := n.config(o.Addr, o.Peers)
	doc, err := cmttypes.GenesisDocFromJSON(o.Genesis)
	if err != nil {
		return err
	}
	key, err := p2p.LoadNodeKey(cfg.NodeKeyFile())
	if err != nil {
		return err
	}
	n.db = kvstore.NewPersistentApplication(n.dir)
	n.app = &kvApp{Application: n.db, waiting: map[[sha256.Size]byte]chan uint64{}}
	n.node, err = node.NewNode(cfg, privval.LoadFilePV(cfg.PrivValidatorKeyFile(), cfg.PrivValidatorStateFile()), key, proxy.NewConnSyncLocalClientCreator(n.app),
		func() (*cmttypes.GenesisDoc, error) { return doc, nil }, cmtcfg.DefaultDBProvider, node.DefaultMetricsProvider(cfg.Instrumentation), cmtlog.NewNopLogger())
	if err != nil {
		return err
	}
	return n.node.Start()
}

func (n *kvNode) close() error {
	if n.node == nil {
		return nil
	}
	err := n.node.Stop()
	n.node.Wait()
	return errors.Join(err, n.db.Close())
}

// transaction sets a key that nobody has set.
func (n *kvNode) transaction(size int) []byte {
	n.count++
	key := fmt.Sprintf("%s %d ", n.node.NodeInfo().ID(), n.count)
	tx := bytes.Repeat([]byte("x"), max(size, len(key)+2))
	copy(tx, key)
	tx[len(key)] = '='
	return tx
}

// submit gives a transaction to the mempool and waits until the application has committed its block.
func (n *kvNode) submit(ctx context.Context, tx []byte) (uint64, error) {
	done := n.app.wait(tx)
	bad := make(chan uint32, 1)
	err := n.node.Mempool().CheckTx(tx, func(r *abci.ResponseCheckTx) {
		if r.Code != abci.CodeTypeOK {
			bad <- r.Code
		}
	}, mempool.TxInfo{})
	if err != nil {
		return 0, err
	}
	select {
	case i := <-done:
		return i, nil
	case code := <-bad:
		return 0, fmt.Errorf("the kvstore refused a transaction: code %d", code)
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// kvApp is the kvstore, and tells whose transaction it has committed.
type kvApp struct {
	*kvstore.Application
	block [][]byte // executed, not committed

	mu      sync.Mutex
	waiting map[[sha256.Size]byte]chan uint64
	count   uint64
}

func (a *kvApp) wait(tx []byte) <-chan uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := make(chan uint64, 1)
	a.waiting[sha256.Sum256(tx)] = c
	return c
}

func (a *kvApp) FinalizeBlock(ctx context.Context, req *abci.RequestFinalizeBlock) (*abci.ResponseFinalizeBlock, error) {
	a.block = req.Txs
	return a.Application.FinalizeBlock(ctx, req)
}

func (a *kvApp) Commit(ctx context.Context, req *abci.RequestCommit) (*abci.ResponseCommit, error) {
	res, err := a.Application.Commit(ctx, req)
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, tx := range a.block {
		key := sha256.Sum256(tx)
		if c := a.waiting[key]; c != nil {
			c <- a.count
			delete(a.waiting, key)
		}
		a.count++
	}
	return res, err
}
