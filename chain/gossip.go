package chain

import (
	"encoding/json"
	"net"
	"sync"
	"time"

	"github.com/cometbft/cometbft/p2p"
	memproto "github.com/cometbft/cometbft/proto/tendermint/mempool"

	"concord/ledger"
)

// Operators' nodes tell each other three things besides what consensus needs: heads of the log that they signed, gov notes that wait for
// signatures, and where members are reached. The first two are signed notes, checked by who receives them, so it does not matter who
// passes them on; a wrong address leads to nobody, as who answers must have the member's key. They travel over CometBFT's
// connections, which are encrypted and open to members only, on a channel of their own, as a list of byte strings: the first
// names the kind.

const (
	gossipName    = "CONCORD"
	gossipChannel = 0x71 // CometBFT uses 0x00, 0x20-0x23, 0x30, 0x38, 0x40, 0x60, 0x61
	// gossipQueue is what may wait for a slow peer; what does not fit is sent again by the next tick.
	gossipQueue = 64
	// maxGossip bounds a message: sixteen heads of the largest federation, or one gov note.
	maxGossip = 256 << 10
	// maxGossipNotes bounds the notes of one message.
	maxGossipNotes = 32
	// inboxSize bounds what was received and not yet looked at. More is dropped: it comes again.
	inboxSize = 1024
)

const (
	kindHeads = "heads"
	kindGov   = "gov"
	kindHello = "hello" // as heads, and the first from this peer; may be empty
	kindPeers = "peers" // where members' nodes are reached: []Peer as JSON, unsigned
)

// letter is a message from a peer.
type letter struct {
	from  p2p.ID
	kind  string
	notes [][]byte
}

// gossip is the reactor of our channel. It hands everything over to the chain's loop.
type gossip struct {
	*p2p.BaseReactor
	c *Chain

	// The switch goes on admitting a peer while it stops, and our store is closed soon after.
	greeting sync.Mutex
	over     bool
}

var _ p2p.Reactor = (*gossip)(nil)

func newGossip(c *Chain) *gossip {
	g := &gossip{c: c}
	g.BaseReactor = p2p.NewBaseReactor(gossipName, g)
	return g
}

func (g *gossip) GetChannels() []*p2p.ChannelDescriptor {
	return []*p2p.ChannelDescriptor{{ID: gossipChannel, Priority: 4, SendQueueCapacity: gossipQueue, RecvMessageCapacity: maxGossip,
		MessageType: &memproto.Message{}}}
}

// AddPeer greets a peer: the newest heads, the newest that it signed itself, and what waits for signatures.
func (g *gossip) AddPeer(p p2p.Peer) {
	g.greeting.Lock()
	defer g.greeting.Unlock()
	if g.over {
		return
	}
	g.c.meet(p)
	post(p, kindHello, g.c.greeting(g.c.operatorOf(string(p.ID()))))
	post(p, kindPeers, g.c.addresses())
	for _, n := range g.c.ballots.notes() {
		post(p, kindGov, [][]byte{n})
	}
}

// OnStop returns when nobody is greeted any more.
func (g *gossip) OnStop() {
	g.greeting.Lock()
	defer g.greeting.Unlock()
	g.over = true
}

func (g *gossip) Receive(e p2p.Envelope) {
	txs, ok := e.Message.(*memproto.Txs)
	if !ok || len(txs.Txs) == 0 || len(txs.Txs) > 1+maxGossipNotes {
		g.Switch.StopPeerForError(e.Src, "a message that is none of ours")
		return
	}
	select {
	case g.c.inbox <- letter{e.Src.ID(), string(txs.Txs[0]), txs.Txs[1:]}:
	default:
	}
}

func post(p p2p.Peer, kind string, notes [][]byte) bool {
	return p.TrySend(p2p.Envelope{ChannelID: gossipChannel, Message: &memproto.Txs{Txs: append([][]byte{[]byte(kind)}, notes...)}})
}

// tell sends notes to all peers.
func (c *Chain) tell(kind string, notes ...[]byte) {
	e := c.running.Load()
	if e == nil || !e.networked || len(notes) == 0 {
		return
	}
	for _, p := range e.node.Switch().Peers().Copy() {
		post(p, kind, notes)
	}
}

// meet keeps the address of a peer that came to us.
func (c *Chain) meet(p p2p.Peer) {
	op := c.operatorOf(string(p.ID()))
	info, ok := p.NodeInfo().(p2p.DefaultNodeInfo)
	if !ok || op == "" {
		return
	}
	at := Peer{op, string(p.ID()), trimScheme(info.ListenAddr)}
	if host, _, err := net.SplitHostPort(at.Addr); err == nil && !p.RemoteIP().IsLoopback() {
		if ip := net.ParseIP(host); ip != nil && (ip.IsLoopback() || ip.IsUnspecified()) {
			return // true on its own machine only
		}
	}
	if err := c.book.put(at); err != nil {
		c.cfg.Logger.Debug("a peer's address is not kept", "peer", op, "address", at.Addr, "error", err)
	}
}

// addresses returns where members are reached as far as this node knows.
func (c *Chain) addresses() [][]byte {
	var list []Peer
	for _, p := range c.book.all() {
		if c.isMember(p) {
			list = append(list, p)
		}
	}
	data, err := json.Marshal(list)
	if err != nil || len(list) == 0 {
		return nil
	}
	return [][]byte{data}
}

// isMember reports whether a node is that of a member, as the ledger has it.
func (c *Chain) isMember(p Peer) bool {
	m := c.machine.Load().State().Member(p.Operator)
	return m != nil && m.Node == p.Node && m.Status != ledger.Left
}

// takeAddresses keeps addresses of members that this node is not connected to: those it knows better by itself.
func (c *Chain) takeAddresses(data []byte) {
	var list []Peer
	e := c.running.Load()
	if err := json.Unmarshal(data, &list); err != nil || e == nil || len(list) > maxPeers {
		return
	}
	for _, p := range list {
		if p.Operator == c.cfg.Operator || !c.isMember(p) || e.node.Switch().Peers().Has(p2p.ID(p.Node)) {
			continue
		}
		if err := c.book.put(p); err != nil {
			c.cfg.Logger.Debug("a peer's address is not kept", "peer", p.Operator, "error", err)
		}
	}
}

const (
	// redialAfter is the pause after a failed dial; it doubles up to redialAtMost.
	redialAfter  = time.Second
	redialAtMost = 30 * time.Second
	// yieldDial is how long the node with the larger ID leaves the dialling to the other: two that dial each other at once
	// may both hang up.
	yieldDial = 3 * time.Second
)

// dialer keeps connections to all peers whose addresses are known. It is owned by the chain's loop.
type dialer struct {
	c     *Chain
	e     *engine
	tries map[string]*dialTry
}

type dialTry struct {
	next  time.Time
	pause time.Duration
}

// tick dials who is not connected, and hangs up on those who may not be any more.
func (d *dialer) tick(now time.Time) {
	sw, me := d.e.node.Switch(), string(d.e.node.NodeInfo().ID())
	for _, p := range sw.Peers().Copy() {
		if !d.c.admits(string(p.ID())) {
			sw.StopPeerGracefully(p)
		}
	}
	for _, p := range d.c.book.all() {
		if p.Node == me || !d.c.admits(p.Node) {
			continue
		}
		t := d.tries[p.Node]
		switch {
		case sw.Peers().Has(p2p.ID(p.Node)):
			delete(d.tries, p.Node)
			continue
		case t == nil:
			t = &dialTry{next: now, pause: redialAfter}
			if me > p.Node {
				t.next = now.Add(yieldDial)
			}
			d.tries[p.Node] = t
		}
		if now.Before(t.next) {
			continue
		}
		t.next, t.pause = now.Add(t.pause), min(2*t.pause, redialAtMost)
		go d.e.dial(p) // ends within CometBFT's time for dialling and the handshake
	}
}
