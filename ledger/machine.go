package ledger

import (
	"bytes"
	"cmp"
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
	r := (&State{Chain: chain, TxBytes: DefaultTxBytes}).begin()
	r.founding = true
	m := new(Machine)
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

// Check reports whether a transaction may wait for a block: it is well formed, signed, and its seq is at most SeqWindow
// ahead. It says Conflict for what was executed before.
func (m *Machine) Check(b []byte) error {
	r := m.state.begin()
	t, err := r.parse(b)
	if err != nil {
		return err
	}
	if t.Gov != nil {
		return r.gov(t)
	}
	member, err := r.signedBy(t)
	switch {
	case err != nil:
		return err
	case t.Seq <= member.Seq:
		return concord.Errorf(concord.Conflict, "attest of %s: seq %d was used; the next is %d", member.Operator, t.Seq, member.Seq+1)
	case t.Seq == member.Seq+1:
		return r.attest(t)
	case t.Seq > member.Seq+SeqWindow:
		return concord.Errorf(concord.Unavailable, "attest of %s: seq %d is too far ahead of %d", member.Operator, t.Seq, member.Seq)
	}
	return nil
}

// Stale reports why a transaction that Check once accepted can never be executed any more: another took its place. It
// verifies no signatures. A nil error says nothing.
func (m *Machine) Stale(b []byte) error {
	t, err := ParseTx(b)
	if err != nil {
		return err
	}
	if t.Gov != nil {
		if t.Gov.Epoch <= m.state.Epoch {
			return concord.Errorf(concord.Conflict, "gov: epoch %d was used", t.Gov.Epoch)
		}
		return nil
	}
	member := m.state.Member(t.From)
	switch {
	case member == nil || member.Status == Faulted:
		return concord.Errorf(concord.Unauthorized, "transaction from %q: not a member in good standing", concord.Clip(t.From, 80))
	case t.Seq <= member.Seq:
		return concord.Errorf(concord.Conflict, "attest of %s: seq %d was used; the next is %d", member.Operator, t.Seq, member.Seq+1)
	case t.Seq == member.Seq+1 && t.Attest.Prev != member.LastRoot:
		return concord.Errorf(concord.Conflict, "attest of %s: prev is not the root of its last batch, %s", member.Operator, member.LastRoot)
	}
	return nil
}

// txOverhead is what a transaction takes in a block beside its bytes: a field tag and a length of at most three bytes.
const txOverhead = 4

// Prepare chooses from waiting transactions those of the next block, in order: gov by epoch, then by operator and seq.
// What does not execute is left out. The result takes at most maxBytes in a block, and Process accepts it.
func (m *Machine) Prepare(txs [][]byte, maxBytes int64) [][]byte {
	type item struct {
		tx   *Tx
		data []byte
	}
	items := make([]item, 0, len(txs))
	r := m.state.begin()
	for _, b := range txs {
		if t, err := r.parse(b); err == nil {
			items = append(items, item{t, b})
		}
	}
	slices.SortStableFunc(items, func(a, b item) int { // gov has no From, so it comes first
		return cmp.Or(cmp.Compare(a.tx.From, b.tx.From), cmp.Compare(a.tx.Seq, b.tx.Seq))
	})
	var out [][]byte
	for _, it := range items {
		need := int64(len(it.data) + txOverhead)
		if need > maxBytes || r.execute(it.data) != nil {
			continue
		}
		maxBytes -= need
		out = append(out, it.data)
	}
	return out
}

// Process reports why a proposed block must be refused: every transaction must execute, in order.
func (m *Machine) Process(txs [][]byte) error {
	r := m.state.begin()
	for i, b := range txs {
		if err := r.execute(b); err != nil {
			return fmt.Errorf("transaction %d of the proposal: %w", i, err)
		}
	}
	return nil
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
}

// Finalize executes a decided block. An error means that the block must not have been decided: the chain cannot go on.
func (m *Machine) Finalize(b Block) (*Outcome, error) {
	if b.Height <= m.height {
		return nil, concord.Errorf(concord.Internal, "block %d after block %d", b.Height, m.height)
	}
	r := m.state.begin()
	if r.After == nil {
		r.After = &Mark{b.Height, b.Hash, b.Time}
	}
	next := &Machine{state: r.State, tree: m.tree, height: b.Height}
	if len(b.Txs) == 0 && len(b.Bad) == 0 {
		return &Outcome{Next: next}, nil
	}
	rec := &Record{Height: b.Height, Hash: b.Hash, Time: b.Time, After: *r.After, Txs: uint64(len(b.Txs)), Validators: b.NextValidators}
	for _, bad := range b.Bad {
		e := Evidence{bad.Kind, r.byAddress(bad.Address), bad.Height}
		r.fault(e.Operator)
		rec.Bad = append(rec.Bad, e)
	}
	for i, tx := range b.Txs {
		if err := r.execute(tx); err != nil {
			return nil, concord.Errorf(concord.Internal, "block %d, transaction %d: %w", b.Height, i, err)
		}
	}
	return r.seal(next, rec, b.Txs), nil
}

// seal closes a block that appends to the log.
func (r *run) seal(next *Machine, rec *Record, txs [][]byte) *Outcome {
	rec.State = r.Hash()
	entries := append(slices.Clone(txs), []byte(rec.String()))
	for _, e := range entries {
		next.tree = next.tree.Append(LeafHash(e))
	}
	r.After = nil
	next.state = r.State
	out := &Outcome{Next: next, Entries: entries}
	for i := range r.Members { // the order of names, not of the map
		if _, ok := r.updates[r.Members[i].Operator]; ok {
			out.Updates = append(out.Updates, Update{r.Members[i].Cons, r.Members[i].Power})
		}
	}
	return out
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
	m := &Machine{height: int64(l.number("height", 1<<63-1)), tree: Tree{Size: l.number("size", 1<<62)}}
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
