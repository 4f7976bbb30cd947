package ledger

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"concord"
)

// Machine is the ledger after some block: state, tree and height. It is immutable and safe for concurrent use; Finalize
// returns its successor.
type Machine struct {
	state  *State
	tree   Tree
	height int64
	seen   *seen // shared with those before and after it
}

// State returns the state, which the caller must not change.
func (m *Machine) State() *State { return m.state }

// Size, Root and Height return the number of entries, their RFC 6962 root, and the height of the last block.
func (m *Machine) Size() uint64         { return m.tree.Size }
func (m *Machine) Root() concord.Digest { return m.tree.Root() }
func (m *Machine) Height() int64        { return m.height }

// Found returns the machine of a new chain: the founding notes, executed in order. They are the first entries of the
// log. They name the chain FoundingID, everything later the chain given here. After them at least one member is active.
func Found(chain string, notes [][]byte) (*Machine, error) {
	if !validChainID(chain) {
		return nil, concord.Errorf(concord.Invalid, "chain ID %q is not <name>:<12 hex digits>", concord.Clip(chain, 80))
	}
	m := &Machine{state: &State{Chain: chain}, seen: newSeen()}
	r := m.begin()
	r.founding = true
	for i, n := range notes {
		if err := r.execute(n); err != nil {
			return nil, fmt.Errorf("founding note %d: %w", i, err)
		}
		m.tree = m.tree.Append(LeafHash(n))
	}
	if r.totalPower() == 0 {
		return nil, concord.Errorf(concord.Invalid, "the founding notes give nobody power")
	}
	m.state = r.State
	return m, nil
}

// Block is a decided block.
type Block struct {
	Height         int64
	Hash           concord.Digest
	Time           int64 // unix seconds
	Txs            [][]byte
	Bad            []Misbehaviour
	NextValidators concord.Digest
}

// Misbehaviour is evidence as consensus gives it: the validator by its address.
type Misbehaviour struct {
	Kind    string
	Address [20]byte
	Height  int64
}

// Update is a change of a validator's power.
type Update struct {
	Cons  [32]byte
	Power uint64
}

// Outcome is what a block does.
type Outcome struct {
	Next    *Machine
	Entries [][]byte // appended to the log: the transactions and the block record, or nothing
	Updates []Update // in order of the operators' names
	Closed  []*Ask   // asks whose time was over when the block began, in order, with their results
}

// Finalize executes a decided block. An error means that the block must not have been decided: the chain cannot go on.
//
// What happens in which order is the protocol: panels whose beacon earlier blocks brought are drawn; evidence; rounds
// whose time is over end; the transactions; and if this block is itself the first after the last record, the panels that
// waited for its hash are drawn. A block without transactions and evidence does none of it.
func (m *Machine) Finalize(b Block) (*Outcome, error) {
	if b.Height <= m.height {
		return nil, concord.Errorf(concord.Internal, "block %d after block %d", b.Height, m.height)
	}
	r := m.begin()
	own := r.After == nil
	if len(b.Txs) == 0 && len(b.Bad) == 0 {
		if own {
			r.After = &Mark{b.Height, b.Hash, b.Time}
		}
		return &Outcome{Next: &Machine{state: r.State, tree: m.tree, height: b.Height, seen: m.seen}}, nil
	}
	waiting := r.undrawn()
	rec := &Record{Height: b.Height, Hash: b.Hash, Time: b.Time, Txs: uint64(len(b.Txs)), Validators: b.NextValidators}
	var closed []*Ask
	rec.Bad, closed = r.enter(b)
	for i, tx := range b.Txs {
		if err := r.execute(tx); err != nil {
			return nil, concord.Errorf(concord.Internal, "block %d, transaction %d: %w", b.Height, i, err)
		}
	}
	if own {
		r.After = &Mark{b.Height, b.Hash, b.Time}
		r.drawAll(waiting)
	}
	rec.After = *r.After
	out := r.closeBlock(m, rec, b.Txs)
	out.Closed = closed
	return out, nil
}

// enter begins a block that has transactions or evidence.
func (r *run) enter(b Block) (bad []Evidence, closed []*Ask) {
	r.now = b.Time
	if r.After != nil {
		r.drawAll(r.undrawn())
	}
	for _, x := range b.Bad {
		e := Evidence{x.Kind, r.byAddress(x.Address), x.Height}
		r.fault(e.Operator)
		bad = append(bad, e)
	}
	return bad, r.end()
}

// undrawn returns the log indexes of the asks that wait for a panel.
func (r *run) undrawn() (list []uint64) {
	for _, a := range r.Asks {
		if a.Open() && !a.last().drawn() {
			list = append(list, a.Index)
		}
	}
	return list
}

func (r *run) drawAll(asks []uint64) {
	for _, index := range asks {
		i, _ := r.askAt(index)
		r.Asks[i] = r.Asks[i].clone()
		r.draw(r.Asks[i], *r.After)
	}
}

// closeBlock closes a block that appends to the log.
func (r *run) closeBlock(m *Machine, rec *Record, txs [][]byte) *Outcome {
	rec.State = r.Hash()
	rec.fit()
	next := &Machine{tree: m.tree, height: rec.Height, seen: m.seen}
	entries := append(slices.Clone(txs), []byte(rec.String()))
	for _, e := range entries {
		next.tree = next.tree.Append(LeafHash(e))
	}
	r.After = nil
	next.state = r.State
	return &Outcome{Next: next, Entries: entries, Updates: r.updates(m.state)}
}

// updates returns what changed for consensus since a state: in order of names, an old key before its successor.
func (s *State) updates(was *State) (list []Update) {
	for i := range s.Members {
		is := &s.Members[i]
		old := was.Member(is.Operator)
		if old == nil {
			old = &Member{Admission: is.Admission}
		}
		if old.Cons != is.Cons && old.Power > 0 {
			list = append(list, Update{old.Cons, 0})
		}
		if changed := old.Cons != is.Cons; !changed && is.Power != old.Power || changed && is.Power > 0 {
			list = append(list, Update{is.Cons, is.Power})
		}
	}
	return list
}

// byAddress returns the member whose consensus key has this address (the first 20 bytes of its SHA-256), "-" for none.
func (s *State) byAddress(addr [20]byte) string {
	for i := range s.Members {
		if sum := sha256.Sum256(s.Members[i].Cons[:]); bytes.Equal(sum[:20], addr[:]) {
			return s.Members[i].Operator
		}
	}
	return "-"
}

const machineHead = "concord/machine/v1"

// Marshal returns the machine as text, for the store of the node that runs it.
func (m *Machine) Marshal() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nheight %d\nsize %d\n", machineHead, m.height, m.tree.Size)
	for _, h := range m.tree.Edge {
		fmt.Fprintf(&b, "edge %s\n", h)
	}
	b.WriteString(m.state.String())
	return []byte(b.String())
}

// Unmarshal reads what Marshal wrote.
func Unmarshal(b []byte) (*Machine, error) {
	head, state, ok := strings.Cut(string(b), stateHead)
	if !ok {
		return nil, concord.Errorf(concord.Corrupt, "ledger machine: no state")
	}
	l := splitLines("ledger machine", head)
	l.literal(machineHead)
	m := &Machine{height: int64(l.number("height", 1<<63-1)), tree: Tree{Size: l.number("size", 1<<62)}, seen: newSeen()}
	for l.has("edge") {
		m.tree.Edge = append(m.tree.Edge, l.digest(l.value("edge"), "edge"))
	}
	if len(m.tree.Edge) != bits.OnesCount64(m.tree.Size) {
		l.fail("the number of edge hashes does not fit the size")
	}
	err := l.end()
	if err == nil {
		m.state, err = ParseState(stateHead + state)
	}
	if err != nil {
		return nil, concord.Errorf(concord.Corrupt, "ledger machine: %w", err)
	}
	if !bytes.Equal(m.Marshal(), b) {
		return nil, concord.Errorf(concord.Corrupt, "ledger machine: not in canonical form")
	}
	return m, nil
}
