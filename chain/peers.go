package chain

import (
	"cmp"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"concord"
	"concord/ledger"
	"concord/note"
)

const (
	peersFile = "peers.json"
	// maxPeers bounds the addresses kept: those of all members, and as many who were invited.
	maxPeers = 2 * ledger.MaxMembers
)

// Peer is where an operator's node is reached. Whoever answers there must prove to have the node's key.
type Peer struct {
	Operator string `json:"operator"`
	Node     string `json:"node"` // 40 hex digits: the ID that follows from its key
	Addr     string `json:"addr"` // host:port
}

// check reports what is malformed.
func (p *Peer) check() error {
	if !ledger.ValidOperator(p.Operator) || !validNode(p.Node) {
		return concord.Errorf(concord.Invalid, "peer %q: want an operator's name and a node ID of 40 hex digits", concord.Clip(p.Operator+" "+p.Node, 120))
	}
	return CheckAddr(p.Addr)
}

func validNode(id string) bool { return len(id) == 40 && strings.Trim(id, "0123456789abcdef") == "" }

// CheckAddr reports what is wrong with the address of a node.
func CheckAddr(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	n, err2 := strconv.ParseUint(port, 10, 16)
	if err != nil || err2 != nil || n == 0 || host == "" || len(addr) > 300 || strings.ContainsAny(addr, "@/, ") {
		return concord.Errorf(concord.Invalid, "address %q: write HOST:PORT as other operators reach it, for example ledger.alice.example:7670", concord.Clip(addr, 100))
	}
	return nil
}

// book is what is known of the other nodes' addresses. Who is in it may connect, member or not: it was invited, or it was in the
// bundle that this node joined with. It is kept in a file, and safe for concurrent use.
type book struct {
	path string
	mu   sync.Mutex
	list []Peer // sorted by node
}

func openBook(dir string) (*book, error) {
	b := &book{path: filepath.Join(dir, peersFile)}
	data, err := readSmall(b.path)
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &b.list)
	}
	if err != nil {
		return nil, concord.Errorf(concord.Corrupt, "peers' addresses %s: %w; remove the file, and invite or join again", b.path, err)
	}
	for i := range b.list {
		if err := b.list[i].check(); err != nil {
			return nil, concord.Errorf(concord.Corrupt, "peers' addresses %s: %w", b.path, err)
		}
	}
	return b, nil
}

func (b *book) find(node string) (int, bool) {
	return slices.BinarySearchFunc(b.list, node, func(p Peer, id string) int { return cmp.Compare(p.Node, id) })
}

func (b *book) has(node string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, ok := b.find(node)
	return ok
}

func (b *book) all() []Peer {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.list)
}

// put keeps an address durably.
func (b *book) put(p Peer) error {
	if err := p.check(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	next := slices.Clone(b.list)
	i, ok := b.find(p.Node)
	switch {
	case ok && b.list[i] == p:
		return nil
	case ok:
		next[i] = p
	case len(next) >= maxPeers:
		return concord.Errorf(concord.Invalid, "the addresses of %d nodes are known, which is the limit", maxPeers)
	default:
		next = slices.Insert(next, i, p)
	}
	data, err := json.MarshalIndent(next, "", "  ")
	if err == nil {
		err = note.WritePrivate(b.path, data)
	}
	if err == nil {
		b.list = next
	}
	return err
}

// move gives the address of a node to another: that of the same operator, with its new key.
func (b *book) move(from, to string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	i, ok := b.find(from)
	if !ok {
		return nil
	}
	p := b.list[i]
	next := slices.Delete(slices.Clone(b.list), i, i+1)
	if j, has := slices.BinarySearchFunc(next, to, func(p Peer, id string) int { return cmp.Compare(p.Node, id) }); !has {
		p.Node = to
		next = slices.Insert(next, j, p)
	}
	data, err := json.MarshalIndent(next, "", "  ")
	if err == nil {
		err = note.WritePrivate(b.path, data)
	}
	if err == nil {
		b.list = next
	}
	return err
}

// admits reports whether a node may connect: those of members, and those who were invited and have not left since.
func (c *Chain) admits(node string) bool {
	for _, m := range c.machine.Load().State().Members {
		if m.Node == node {
			return m.Status != ledger.Left
		}
	}
	return c.book.has(node) || c.expected(node)
}

// networked reports whether the chain has anybody to talk to, and an address to do it.
func (c *Chain) networked() bool {
	return c.cfg.Addr != "" && (len(c.book.all()) > 0 || c.others() > 0)
}

// others counts the members besides this operator.
func (c *Chain) others() (n int) {
	for _, m := range c.machine.Load().State().Members {
		if m.Operator != c.cfg.Operator && m.Status != ledger.Left {
			n++
		}
	}
	return n
}

// operatorOf names whose node it is; "": nobody's that is known.
func (c *Chain) operatorOf(node string) string {
	for _, m := range c.machine.Load().State().Members {
		if m.Node == node {
			return m.Operator
		}
	}
	for _, p := range c.book.all() {
		if p.Node == node {
			return p.Operator
		}
	}
	return ""
}
