package ledger

import (
	"slices"
	"strings"

	"concord"
	"concord/note"
)

// SeqWindow is how far ahead of a member's last transaction the mempool takes others, so that a burst fits although
// gossip reorders it.
const SeqWindow = 64

// run is a block in execution: a private copy of the state and what changed.
type run struct {
	*State
	founding bool   // chain ID of the founding notes, and no limit on the change of power
	moved    uint64 // power changed so far in this block
	before   uint64 // total power when the block began
	updates  map[string]struct{}
}

func (s *State) begin() *run {
	return &run{State: s.clone(), before: s.totalPower(), updates: map[string]struct{}{}}
}

// execute applies a transaction or leaves the state as it is.
func (r *run) execute(b []byte) error {
	t, err := r.parse(b)
	if err != nil {
		return err
	}
	if t.Attest != nil {
		return r.attest(t)
	}
	return r.gov(t)
}

// parse reads a transaction and checks its size and chain.
func (r *run) parse(b []byte) (*Tx, error) {
	if uint64(len(b)) > r.TxBytes {
		return nil, concord.Errorf(concord.Invalid, "transaction of %d bytes: the limit is %d", len(b), r.TxBytes)
	}
	t, err := ParseTx(b)
	if err != nil {
		return nil, err
	}
	chain := r.Chain
	if r.founding {
		name, _, _ := strings.Cut(chain, ":")
		chain = FoundingID(name)
	}
	if t.Chain != chain {
		return nil, concord.Errorf(concord.Invalid, "transaction for chain %q, this is chain %q", concord.Clip(t.Chain, 80), chain)
	}
	return t, nil
}

func (r *run) attest(t *Tx) error {
	m, err := r.signedBy(t)
	if err != nil {
		return err
	}
	if t.Seq != m.Seq+1 {
		return concord.Errorf(concord.Conflict, "attest of %s: seq %d, the next is %d", m.Operator, t.Seq, m.Seq+1)
	}
	if t.Attest.Prev != m.LastRoot {
		return concord.Errorf(concord.Conflict, "attest of %s: prev is not the root of its last batch, %s", m.Operator, m.LastRoot)
	}
	m.Seq, m.LastRoot = t.Seq, t.Attest.Root
	return nil
}

// signedBy returns the member that a transaction is from, once its op key's signature, and no other, is there.
func (r *run) signedBy(t *Tx) (*Member, error) {
	m := r.Member(t.From)
	switch {
	case m == nil:
		return nil, concord.Errorf(concord.Unauthorized, "transaction from %q: not a member", concord.Clip(t.From, 80))
	case m.Status == Faulted:
		return nil, concord.Errorf(concord.Unauthorized, "transaction from %s: the member is faulted", m.Operator)
	case len(t.Note.Sigs) != 1 || !m.Op.Verify(t.Note.Text, t.Note.Sigs[0]):
		return nil, concord.Errorf(concord.Unauthorized, "transaction from %s: want exactly one signature, by its op key %08x", m.Operator, m.Op.ID())
	}
	return m, nil
}

func (r *run) gov(t *Tx) error {
	g := t.Gov
	if g.Epoch != r.Epoch+1 {
		return concord.Errorf(concord.Conflict, "gov: epoch %d, the next is %d", g.Epoch, r.Epoch+1)
	}
	if err := r.checkGovSigs(t); err != nil {
		return err
	}
	var err error
	if g.Admit != nil {
		err = r.admit(g.Admit)
	} else {
		err = r.power(g.Powers)
	}
	if err == nil {
		r.Epoch = g.Epoch
	}
	return err
}

// checkGovSigs wants each new key's signature, those of more than two thirds of the electorate, and no other.
func (r *run) checkGovSigs(t *Tx) error {
	var must, may []note.Key
	if t.Gov.Admit != nil {
		must = t.Gov.Admit.Keys()
	}
	voters := r.electorate()
	for _, m := range voters {
		may = append(may, m.Op)
	}
	fresh, votes := 0, 0
	for _, s := range t.Note.Sigs {
		made := func(k note.Key) bool { return k.Made(s) }
		i, j := slices.IndexFunc(must, made), slices.IndexFunc(may, made)
		switch {
		case i >= 0 && must[i].Verify(t.Note.Text, s):
			fresh++
		case j >= 0 && may[j].Verify(t.Note.Text, s):
			votes++
		case i >= 0 || j >= 0:
			return concord.Errorf(concord.Unauthorized, "gov: the signature of %s (key %08x) does not match the text", s.Name, s.ID)
		default:
			return concord.Errorf(concord.Unauthorized, "gov: signature by %q (key %08x), which is neither a new key nor an elector's", concord.Clip(s.Name, 80), s.ID)
		}
	}
	if fresh != len(must) {
		return concord.Errorf(concord.Unauthorized, "gov: %d of the %d new keys signed; each must, to prove that its owner has it", fresh, len(must))
	}
	if need := Quorum(len(voters)); len(voters) > 0 && votes < need {
		return concord.Errorf(concord.Unauthorized, "gov: %d of %d electors signed, %d must", votes, len(voters), need)
	}
	return nil
}

func (r *run) admit(a *Admission) error {
	if r.Member(a.Operator) != nil {
		return concord.Errorf(concord.Conflict, "gov: %s is a member already", a.Operator)
	}
	if r.Origin != "" && a.Log.Name != r.Origin {
		return concord.Errorf(concord.Invalid, "gov: the log key is named %q, this log is %q", concord.Clip(a.Log.Name, 80), r.Origin)
	}
	if len(r.Members) >= MaxMembers {
		return concord.Errorf(concord.Invalid, "gov: there are %d members already, the limit", len(r.Members))
	}
	seen := map[[32]byte]bool{}
	for i := range r.Members {
		for _, k := range r.Members[i].Keys() {
			seen[k.Public] = true
		}
		if r.Members[i].Node == a.Node {
			return concord.Errorf(concord.Conflict, "gov: node %s is that of %s", a.Node, r.Members[i].Operator)
		}
	}
	for _, k := range a.Keys() {
		if seen[k.Public] {
			return concord.Errorf(concord.Conflict, "gov: key %08x of %s is in use already; every key is for one purpose", k.ID(), k.Name)
		}
		seen[k.Public] = true
	}
	r.Origin = a.Log.Name
	i, _ := slices.BinarySearchFunc(r.Members, a.Operator, func(m Member, name string) int { return strings.Compare(m.Operator, name) })
	r.Members = slices.Insert(r.Members, i, Member{Admission: *a, Status: Candidate})
	return nil
}

// power changes the voting power of members, all of the lines or none.
func (r *run) power(list []Power) error {
	next := r.State.clone()
	moved := r.moved
	for _, p := range list {
		m := next.Member(p.Operator)
		switch {
		case m == nil:
			return concord.Errorf(concord.NotFound, "gov: %s is not a member", p.Operator)
		case m.Status == Faulted:
			return concord.Errorf(concord.Unauthorized, "gov: %s is faulted", p.Operator)
		case m.Power == p.Power:
			return concord.Errorf(concord.Invalid, "gov: the power of %s is %d already", p.Operator, p.Power)
		}
		moved += max(m.Power, p.Power) - min(m.Power, p.Power)
		m.Power, m.Status = p.Power, Active
		if p.Power == 0 {
			m.Status = Candidate
		}
	}
	if next.totalPower() == 0 {
		return concord.Errorf(concord.Invalid, "gov: nobody would have power left")
	}
	if !r.founding && 3*moved >= r.before && !r.oneToFour(next) {
		return concord.Errorf(concord.Invalid, "gov: power changes by %d in one block, which is not below a third of %d", moved, r.before)
	}
	r.State, r.moved = next, moved
	for _, p := range list {
		r.updates[p.Operator] = struct{}{}
	}
	return nil
}

// oneToFour reports the one large step that is allowed: from a single voter to four of equal power. Two or three voters
// are worse than one: any of them that stops halts the chain.
func (r *run) oneToFour(next *State) bool {
	was, is := 0, 0
	power := uint64(0)
	for i := range next.Members {
		if p := next.Members[i].Power; p > 0 {
			if is > 0 && p != power {
				return false
			}
			power = p
			is++
		}
	}
	for i := range r.Members {
		if r.Members[i].Power > 0 {
			was++
		}
	}
	return was == 1 && is == 4 && r.moved == 0
}

// fault takes the vote of a member that consensus caught. The only voter keeps its vote: without it there is no chain,
// and nobody else relied on it.
func (r *run) fault(operator string) {
	m := r.Member(operator)
	if m == nil || m.Status == Faulted || m.Power == r.totalPower() {
		return
	}
	m.Status, m.Power = Faulted, 0
	r.updates[operator] = struct{}{}
}
