package chain

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/cometbft/cometbft/privval"
	cmttypes "github.com/cometbft/cometbft/types"

	"concord"
	"concord/ledger"
	"concord/note"
)

// Bundle is what a new operator's node needs to follow a chain: its identity and where others are. Everything in it but the addresses
// follows from the genesis file, whose hash is in the chain's ID: two people who compare the ID compare the bundle.
type Bundle struct {
	Version string `json:"concord"` // "federation/v1"
	Chain   string `json:"chain"`
	Origin  string `json:"origin"`
	Genesis string `json:"genesis"` // the file, byte for byte
	Peers   []Peer `json:"peers"`
}

const bundleVersion = "federation/v1"

// MaxBundle bounds a bundle's bytes.
const MaxBundle = 4 << 20

// Identity is what an operator shows to be admitted: its name, its keys, and where its node is reached.
type Identity struct {
	Operator string `json:"operator"`
	Op       string `json:"op"`     // verifier keys
	Cosign   string `json:"cosign"` //
	Log      string `json:"log"`    //
	Cons     string `json:"cons"`   // base64 of the consensus key
	Node     string `json:"node"`
	Addr     string `json:"addr"`
	URL      string `json:"url,omitempty"` // where it serves the log
}

// ParseBundle reads a bundle and checks that it is what its chain ID says.
func ParseBundle(data []byte) (*Bundle, error) {
	var b Bundle
	if len(data) > MaxBundle {
		return nil, concord.Errorf(concord.Invalid, "bundle: %d bytes are too many", len(data))
	}
	if err := json.Unmarshal(data, &b); err != nil || b.Version != bundleVersion {
		return nil, concord.Errorf(concord.Invalid, "this is not the bundle of a federation, which another operator's node writes: concord federation init")
	}
	origin, name, err := readGenesis([]byte(b.Genesis))
	switch {
	case err != nil:
		return nil, fmt.Errorf("bundle: %w", err)
	case ledger.ChainID(name, []byte(b.Genesis)) != b.Chain:
		return nil, concord.Errorf(concord.Invalid, "bundle: its genesis file is not that of chain %s", concord.Clip(b.Chain, 80))
	case origin != b.Origin:
		return nil, concord.Errorf(concord.Invalid, "bundle: the log of its chain is %q, not %q", concord.Clip(origin, 80), concord.Clip(b.Origin, 80))
	case len(b.Peers) == 0 || len(b.Peers) > maxPeers:
		return nil, concord.Errorf(concord.Invalid, "bundle: it names %d peers; there must be between one and %d", len(b.Peers), maxPeers)
	}
	for i := range b.Peers {
		if err := b.Peers[i].check(); err != nil {
			return nil, fmt.Errorf("bundle: %w", err)
		}
	}
	return &b, nil
}

// Name returns the chain's name.
func (b *Bundle) Name() string {
	name, _, _ := strings.Cut(b.Chain, ":")
	return name
}

// readGenesis returns the log's origin and the chain's name that a genesis file founds.
func readGenesis(file []byte) (origin, name string, err error) {
	doc, err := cmttypes.GenesisDocFromJSON(file)
	if err != nil {
		return "", "", concord.Errorf(concord.Invalid, "genesis file: %w", err)
	}
	var st appState
	if err := json.Unmarshal(doc.AppState, &st); err != nil {
		return "", "", concord.Errorf(concord.Invalid, "genesis file: %w", err)
	}
	var notes [][]byte
	for _, n := range st.Notes {
		notes = append(notes, []byte(n))
	}
	m, err := ledger.Found(ledger.ChainID(doc.ChainID, file), notes)
	if err != nil {
		return "", "", fmt.Errorf("genesis file: %w", err)
	}
	return m.State().Origin, doc.ChainID, nil
}

// Origin returns the origin of the log of the chain in a directory. NotFound: there is none yet.
func Origin(dir string) (string, error) {
	path := filepath.Join(dir, genesisFile)
	file, err := readSmall(path)
	if os.IsNotExist(err) {
		return "", concord.Errorf(concord.NotFound, "there is no ledger in %s", dir)
	}
	if err != nil {
		return "", err
	}
	origin, _, err := readGenesis(file)
	if err != nil {
		return "", concord.Errorf(concord.Corrupt, "%s is damaged: %w; restore it from your backup, or have another operator's: it is the same for all", path, err)
	}
	return origin, nil
}

// Join makes the directory of a chain that others founded, and the keys of this node in it. Open opens it. Joining again with another
// bundle of the same chain renews the peers' addresses. cfg.Keys.Log must be named for the bundle's origin.
func Join(cfg Config, b *Bundle) (Identity, error) {
	cfg.ChainName = b.Name()
	if err := cfg.Validate(); err != nil {
		return Identity{}, err
	}
	if cfg.Keys.Log.Key().Name != b.Origin {
		return Identity{}, concord.Errorf(concord.Conflict, "the log key is of log %q, the bundle's is %q", cfg.Keys.Log.Key().Name, b.Origin)
	}
	path := filepath.Join(cfg.Dir, genesisFile)
	switch have, err := readSmall(path); {
	case err == nil && string(have) != b.Genesis:
		return Identity{}, concord.Errorf(concord.Conflict, "%s has a ledger of another chain; join with a data directory of its own", cfg.Dir)
	case err != nil && !os.IsNotExist(err):
		return Identity{}, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return Identity{}, fmt.Errorf("join: %w", err)
	}
	pv, nodeKey, err := makeEngineKeys(filesOf(cfg.Dir))
	if err != nil {
		return Identity{}, fmt.Errorf("join: %w", err)
	}
	peers, err := openBook(cfg.Dir)
	for i := 0; err == nil && i < len(b.Peers); i++ {
		err = peers.put(b.Peers[i])
	}
	if err == nil {
		err = note.WritePrivate(path, []byte(b.Genesis)) // the last step: with it the directory is one of this chain
	}
	if err != nil {
		return Identity{}, fmt.Errorf("join: %w", err)
	}
	var cons [32]byte
	copy(cons[:], pv.Key.PubKey.Bytes())
	return identity(&cfg, cons, string(nodeKey.ID())), nil
}

func identity(cfg *Config, cons [32]byte, node string) Identity {
	addr := cfg.Advertise
	if addr == "" {
		addr = cfg.Addr
	}
	k := cfg.Keys
	return Identity{Operator: cfg.Operator, Op: k.Op.Key().String(), Cosign: k.Cosign.Key().String(), Log: k.Log.Key().String(),
		Cons: concord.Digest(cons).String(), Node: node, Addr: addr}
}

// Identity returns what this operator shows to others.
func (c *Chain) Identity() (Identity, error) {
	key, err := loadNodeKey(filesOf(c.cfg.Dir))
	if err != nil {
		return Identity{}, err
	}
	id := identity(&c.cfg, c.keys.Load().cons, string(key.ID()))
	if m := c.machine.Load().State().Member(c.cfg.Operator); m != nil {
		id.URL = m.URL
	}
	return id, nil
}

// admission is this node's own, as its keys make it.
func (c *Chain) admission() (*ledger.Admission, error) {
	id, err := c.Identity()
	if err != nil {
		return nil, err
	}
	k := c.cfg.Keys
	return &ledger.Admission{Operator: c.cfg.Operator, Op: k.Op.Key(), Cosign: k.Cosign.Key(), Log: k.Log.Key(), Cons: c.keys.Load().cons, Node: id.Node}, nil
}

func (c *Chain) consSigner() (*note.Signer, error) {
	pv, err := loadValidator(filesOf(c.cfg.Dir))
	if err != nil {
		return nil, err
	}
	return consSignerOf(c.cfg.Operator, pv)
}

func consSignerOf(operator string, pv *privval.FilePV) (*note.Signer, error) {
	return note.NewSigner(operator, note.Ed25519, pv.Key.PrivKey.Bytes()[:32])
}

// reachable reports why others cannot reach this node.
func (c *Chain) reachable() error {
	if c.cfg.Addr == "" {
		return concord.Errorf(concord.Invalid, "this node has no address for other operators; set federation.addr (concord up --federation-addr HOST:PORT)")
	}
	return nil
}

// Bundle returns what a new operator's node needs.
func (c *Chain) Bundle() (Bundle, error) {
	if err := c.reachable(); err != nil {
		return Bundle{}, err
	}
	me, err := c.Identity()
	if err != nil {
		return Bundle{}, err
	}
	b := Bundle{Version: bundleVersion, Chain: c.id, Origin: c.Origin(), Genesis: string(c.genesis.file), Peers: []Peer{{me.Operator, me.Node, me.Addr}}}
	for _, p := range c.book.all() {
		if m := c.machine.Load().State().Member(p.Operator); m != nil && m.Node == p.Node && m.Status != ledger.Left && p.Node != me.Node {
			b.Peers = append(b.Peers, p)
		}
	}
	return b, nil
}

// Action returns the text of the admission: the action of a gov note.
func (id *Identity) Action() string {
	var b strings.Builder
	fmt.Fprintf(&b, "admit %s\nop %s\ncosign %s\nlog %s\ncons %s\nnode %s\n", id.Operator, id.Op, id.Cosign, id.Log, id.Cons, id.Node)
	if id.URL != "" {
		fmt.Fprintf(&b, "url %s\n", id.URL)
	}
	return b.String()
}

// Invite lets an operator's node connect, and proposes to admit it. The new operator's node signs with its own keys once it is
// connected; then the admission needs the other electors.
func (c *Chain) Invite(id Identity) (Ballot, error) {
	if err := c.reachable(); err != nil {
		return Ballot{}, err
	}
	if id.Addr == "" {
		return Ballot{}, concord.Errorf(concord.Invalid, "the identity of %s names no address", concord.Clip(id.Operator, 80))
	}
	b, err := c.support(id.Action())
	if err != nil {
		return b, err
	}
	if err := c.book.put(Peer{id.Operator, id.Node, id.Addr}); err != nil {
		return b, err
	}
	select {
	case c.reopen <- struct{}{}:
	default:
	}
	return b, nil
}

// support signs the gov note of an action that waits, or proposes one.
func (c *Chain) support(action string) (Ballot, error) {
	for _, b := range c.Ballots() {
		if b.Action == action {
			b, err := c.Sign(b.ID)
			if err == nil {
				err = c.wants(b)
			}
			return b, err
		}
	}
	return c.Propose(action)
}
