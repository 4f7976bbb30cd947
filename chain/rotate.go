package chain

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	cmted25519 "github.com/cometbft/cometbft/crypto/ed25519"
	cmtjson "github.com/cometbft/cometbft/libs/json"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/privval"

	"concord"
	"concord/durable"
	"concord/ledger"
	"concord/note"
)

// A key is changed in three steps, each durable before the next: the new key is made beside the old one; the members decide that it takes
// the old one's place; and this node takes it up. Until the decision is in the ledger the old key signs, afterwards the new one: which of
// the two is looked up in the ledger at every start, so it does not matter between which steps the node was stopped.
//
// op, cosign and log change with the block that has the decision, before anybody can see that block here. The consensus key changes for the
// second block after it, since that is when CometBFT's validators change; the node's key at once. For these two consensus starts anew
// within the process.

// shunnedAfter is how long a node without a peer, whose next node key waits for its decision, goes on under one of the two before it tries the other: far above what
// a connection takes.
const shunnedAfter = 8 * time.Second

// nextFile names the file of a key that is to take the place of the one in path.
func nextFile(path string) string { return strings.TrimSuffix(path, ".json") + ".next.json" }

// stateOf returns where the state of a consensus key is. The first key's state has CometBFT's name until another key takes its place; then
// it is called by its key's address, as that of every later key. So no key is ever used with the state of another.
func (f engineFiles) stateOf(cons []byte) string {
	named := f.namedState(cons)
	if _, err := os.Stat(named); err == nil {
		return named
	}
	return f.consState
}

func (f engineFiles) namedState(cons []byte) string {
	return strings.TrimSuffix(f.consState, ".json") + "." + strings.ToLower(cmted25519.PubKey(cons).Address().String()) + ".json"
}

// oldNodeKey names the file of a node key whose place another has taken.
func (f engineFiles) oldNodeKey(id string) string {
	return strings.TrimSuffix(f.nodeKey, ".json") + "." + id + ".json"
}

func there(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// engineKeys are this node's public keys that CometBFT uses.
type engineKeys struct {
	cons [32]byte
	node string
}

// loadEngineKeys reads which keys CometBFT uses here.
func (c *Chain) loadEngineKeys() error {
	f := filesOf(c.cfg.Dir)
	pv, err := loadValidator(f)
	if err != nil {
		return err
	}
	k := &engineKeys{}
	copy(k.cons[:], pv.Key.PubKey.Bytes())
	if n, err := loadNodeKey(f); err == nil { // the engine says what is wrong with it
		k.node = string(n.ID())
	}
	c.keys.Store(k)
	return nil
}

// nextCons returns the consensus key that waits; nil: none.
func nextCons(f engineFiles) (*privval.FilePV, error) {
	next := f
	next.consKey = nextFile(f.consKey)
	if !there(next.consKey) {
		return nil, nil
	}
	return loadValidator(next)
}

func nextNode(f engineFiles) (*p2p.NodeKey, error) {
	next := f
	next.nodeKey = nextFile(f.nodeKey)
	if !there(next.nodeKey) {
		return nil, nil
	}
	return loadNodeKey(next)
}

// makeNextCons returns the consensus key that is to take the place of the current one, with a state of its own that is new.
func makeNextCons(f engineFiles) (*privval.FilePV, error) {
	pv, err := nextCons(f)
	if pv != nil || err != nil {
		return pv, err
	}
	pv = privval.NewFilePV(cmted25519.GenPrivKey(), nextFile(f.consKey), "")
	key, err := cmtjson.MarshalIndent(pv.Key, "", "  ")
	if err != nil {
		return nil, err
	}
	state, err := cmtjson.MarshalIndent(pv.LastSignState, "", "  ")
	if err != nil {
		return nil, err
	}
	// The state first: a crash in between leaves no key that could be used without it.
	if err := errors.Join(note.WritePrivate(f.namedState(pv.Key.PubKey.Bytes()), state), note.WritePrivate(nextFile(f.consKey), key)); err != nil {
		return nil, fmt.Errorf("write the next consensus key: %w", err)
	}
	return pv, nil
}

func makeNextNode(f engineFiles) (*p2p.NodeKey, error) {
	next := f
	next.nodeKey = nextFile(f.nodeKey)
	return loadOrMakeNodeKey(next)
}

// Rotate makes a new key of this operator, "op", "cosign", "log", "cons" or "node", and proposes that it takes the place of the one that is
// used. Done again before that was decided, it proposes the same key. The new key is durable when it returns, and used when the decision is in the ledger.
// Errors: Invalid for another word; Unauthorized for who is no member; Conflict for a member that is faulted; Unavailable while the last
// change is not carried out yet.
func (c *Chain) Rotate(which string) (Ballot, error) {
	m := c.machine.Load().State().Member(c.cfg.Operator)
	switch {
	case m == nil || m.Status == ledger.Left:
		return Ballot{}, concord.Errorf(concord.Unauthorized, "operator %s is not a member of chain %s, which knows none of its keys: join again, with new ones", c.cfg.Operator, c.id)
	case m.Status == ledger.Faulted:
		return Ballot{}, concord.Errorf(concord.Conflict, "operator %s is faulted, and cannot change its keys: first the others must clear it (concord federation propose clear %s)", c.cfg.Operator, c.cfg.Operator)
	}
	value, current, err := c.nextKey(which, m)
	switch {
	case err != nil:
		return Ballot{}, fmt.Errorf("rotate %s: %w", concord.Clip(which, 40), err)
	case current:
		return Ballot{}, concord.Errorf(concord.Unavailable, "rotate %s: the last change is decided, and being carried out; try again in a second", which)
	}
	action := fmt.Sprintf("rotate %s %s %s\n", c.cfg.Operator, which, value)
	return c.support(action)
}

// nextKey returns a new key as gov notes name it, and whether the ledger has it already.
func (c *Chain) nextKey(which string, m *ledger.Member) (value string, current bool, err error) {
	f := filesOf(c.cfg.Dir)
	switch which {
	case "op", "cosign", "log":
		s, err := c.cfg.Keys.Next(which)
		if err != nil {
			return "", false, err
		}
		k := s.Key()
		return k.String(), k == m.Op || k == m.Cosign || k == m.Log, nil
	case "cons":
		pv, err := makeNextCons(f)
		if err != nil {
			return "", false, err
		}
		b := pv.Key.PubKey.Bytes()
		return base64.StdEncoding.EncodeToString(b), string(b) == string(m.Cons[:]), nil
	case "node":
		k, err := makeNextNode(f)
		if err != nil {
			return "", false, err
		}
		return string(k.ID()), string(k.ID()) == m.Node, nil
	}
	return "", false, concord.Errorf(concord.Invalid, "there is no such key; there are op, cosign, log, cons and node")
}

// provesNew returns the signature of this node's own new key on its rotation; none for the rotation of another, or to a key that is not here.
func (c *Chain) provesNew(text string, x *ledger.Rotation) ([]note.Sig, error) {
	if x.Operator != c.cfg.Operator {
		return nil, nil
	}
	s := c.cfg.Keys.Waiting(x.Which)
	if x.Which == "cons" {
		pv, err := nextCons(filesOf(c.cfg.Dir))
		if pv == nil || err != nil {
			return nil, err
		}
		if s, err = consSignerOf(c.cfg.Operator, pv); err != nil {
			return nil, err
		}
	}
	if s == nil || s.Key() != x.Key {
		return nil, nil
	}
	sig, err := signNew(text, s, time.Now().Unix())
	return []note.Sig{sig}, err
}

// adopt takes up the keys that the ledger knows, of those that are signed notes' keys.
func (c *Chain) adopt(m *ledger.Machine) error {
	me := m.State().Member(c.cfg.Operator)
	if me == nil || me.Status == ledger.Left {
		return nil
	}
	k := c.cfg.Keys
	for _, x := range []struct {
		label string
		have  *note.Signer
		the   note.Key
	}{{"op", k.Op, me.Op}, {"cosign", k.Cosign, me.Cosign}, {"log", k.Log, me.Log}} {
		if x.have.Key() == x.the {
			continue
		}
		ok, err := k.Adopt(x.label, x.the)
		if err != nil {
			return err
		}
		if ok {
			c.cfg.Logger.Info("a key of this operator was changed", "key", x.label, "id", fmt.Sprintf("%08x", x.the.ID()))
		}
	}
	return nil
}

// due reports whether consensus must start anew, with keys that the ledger knows and CometBFT does not use yet.
func (c *Chain) due() bool {
	cons, node := c.switches()
	return cons || node
}

// switches reports which of CometBFT's keys are to be changed now.
func (c *Chain) switches() (cons, node bool) {
	m := c.machine.Load()
	me, have := m.State().Member(c.cfg.Operator), c.keys.Load()
	if me == nil || me.Status == ledger.Left || me.Cons == have.cons && me.Node == have.node {
		return false, false
	}
	f := filesOf(c.cfg.Dir)
	if me.Node != have.node {
		k, err := nextNode(f)
		node = err == nil && k != nil && string(k.ID()) == me.Node
	}
	if me.Cons != have.cons {
		pv, err := nextCons(f)
		if err == nil && pv != nil && string(pv.Key.PubKey.Bytes()) == string(me.Cons[:]) {
			at, err := c.decidedAt(ledger.Rotation{Operator: me.Operator, Which: "cons", Key: me.ConsKey()})
			cons = err == nil && at > 0 && m.Height() > at
		}
	}
	return cons, node
}

// decidedAt returns the height of the newest block with a rotation; 0: none has it.
func (c *Chain) decidedAt(x ledger.Rotation) (height int64, err error) {
	err = c.eachGov(c.machine.Load().Size(), func(_ uint64, e rawEntry, g *ledger.Gov) bool {
		if g.Rotate != nil && *g.Rotate == x {
			height = e.height
		}
		return height != 0
	})
	return height, err
}

// eachGov calls f with the decisions below an index, the newest first, until it returns true.
func (c *Chain) eachGov(below uint64, f func(index uint64, e rawEntry, g *ledger.Gov) (done bool)) error {
	for {
		list, err := c.store.naming(concord.LedgerTerm{Kind: concord.TermType, Value: "gov"}, below, MaxFound, true)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, index := range list {
			raw, err := c.store.entries(index, 1)
			if err == nil && len(raw) == 0 {
				err = concord.Errorf(concord.Corrupt, "entry %d is missing", index)
			}
			if err != nil {
				return err
			}
			t, err := ledger.ParseTx(raw[0].data)
			if err != nil {
				return concord.Errorf(concord.Corrupt, "entry %d: %w", index, err)
			}
			if t.Gov != nil && f(index, raw[0], t.Gov) {
				return nil
			}
			below = index
		}
	}
}

// promote puts the keys that the ledger knows in the place of those that CometBFT used. It must not run.
func (c *Chain) promote() error {
	cons, node := c.switches()
	f, have := filesOf(c.cfg.Dir), c.keys.Load()
	if cons {
		// The old key's state gets its name first. Then one rename changes the key, and with it the state.
		if there(f.consState) && !there(f.namedState(have.cons[:])) {
			if err := rename(f.consState, f.namedState(have.cons[:])); err != nil {
				return fmt.Errorf("change the consensus key: %w", err)
			}
		}
		if err := rename(nextFile(f.consKey), f.consKey); err != nil {
			return fmt.Errorf("change the consensus key: %w", err)
		}
		c.cfg.Logger.Info("the consensus key of this operator was changed")
	}
	if node {
		if err := os.Link(f.nodeKey, f.oldNodeKey(have.node)); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("change the node key: %w", err)
		}
		if err := rename(nextFile(f.nodeKey), f.nodeKey); err != nil {
			return fmt.Errorf("change the node key: %w", err)
		}
		c.cfg.Logger.Info("the key of this node was changed")
	}
	if !cons && !node {
		return nil
	}
	return c.loadEngineKeys()
}

func rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(to))
}

// checkKeys checks that this node's keys are those that the ledger knows, or that one of the two is about to follow the other: a log from
// a backup may be older than the keys, and is then fetched from the others.
func (c *Chain) checkKeys(me *ledger.Member) error {
	k := c.cfg.Keys
	for _, x := range []struct{ the, have note.Key }{{me.Op, k.Op.Key()}, {me.Cosign, k.Cosign.Key()}, {me.Log, k.Log.Key()}} {
		if x.the != x.have && !k.Was(x.the) {
			return concord.Errorf(concord.Unauthorized, "the operator's keys are not those that chain %s knows; restore %s from your backup", c.id, note.KeysFile)
		}
	}
	f := filesOf(c.cfg.Dir)
	if me.Cons != c.keys.Load().cons {
		pv, err := nextCons(f)
		if err != nil {
			return err
		}
		if !(pv != nil && string(pv.Key.PubKey.Bytes()) == string(me.Cons[:])) && !there(f.namedState(me.Cons[:])) {
			return concord.Errorf(concord.Unauthorized, "the consensus key is not the one that chain %s knows; restore it from your backup", c.id)
		}
	}
	return nil
}

// moveAddresses keeps the addresses of members whose node has another key now.
func (c *Chain) moveAddresses() {
	for _, p := range c.book.all() {
		m := c.machine.Load().State().Member(p.Operator)
		if m == nil || m.Status == ledger.Left || m.Node == p.Node {
			continue
		}
		if err := c.book.move(p.Node, m.Node); err != nil {
			c.cfg.Logger.Warn("a peer's address is not kept", "peer", p.Operator, "error", err)
		}
	}
}

// expected reports whether a node's key is to be that of a member, by a decision that the member signed and that waits here. Its node
// may have the block with the decision when this one has not.
func (c *Chain) expected(node string) bool {
	for _, n := range c.ballots.all() {
		g, err := ledger.ParseGov(n.Text)
		if err != nil || g.Rotate == nil || g.Rotate.Which != "node" || g.Rotate.Value != node {
			continue
		}
		m := c.machine.Load().State().Member(g.Rotate.Operator)
		for _, s := range n.Sigs {
			if m != nil && m.Status != ledger.Left && m.Op.Made(s) {
				return true
			}
		}
	}
	return false
}
