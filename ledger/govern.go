package ledger

import (
	"slices"
	"strings"

	"concord"
	"concord/note"
)

func (r *run) gov(t *Tx) error {
	g := t.Gov
	if g.Epoch != r.Epoch+1 {
		return concord.Errorf(concord.Conflict, "gov: epoch %d, the next is %d", g.Epoch, r.Epoch+1)
	}
	if err := r.checkGovSigs(t); err != nil {
		return err
	}
	err := r.act(g)
	if err == nil {
		r.Epoch = g.Epoch
	}
	return err
}

func (r *run) act(g *Gov) error {
	switch {
	case g.Admit != nil:
		return r.admit(g.Admit)
	case g.Powers != nil:
		return r.power(g.Powers, g.Voters)
	case g.Drop != "":
		return r.drop(g.Drop, g.Voters)
	case g.Rotate != nil:
		return r.rotate(g.Rotate)
	case g.Set != nil:
		r.setParam(g.Set.Param, g.Set.Value)
		return nil
	}
	return r.note(g)
}

// checkGovSigs wants each new key's signature, those of more than two thirds of the electorate, and no other.
func (r *run) checkGovSigs(t *Tx) error {
	var must, may []note.Key
	if t.Gov.Admit != nil {
		must = t.Gov.Admit.Keys()
	}
	if x := t.Gov.Rotate; x != nil && x.Value == "" {
		must = []note.Key{x.Key}
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
	m := r.Member(a.Operator)
	if m != nil && m.Status != Left {
		return concord.Errorf(concord.Conflict, "gov: %s is a member already", a.Operator)
	}
	if r.Origin != "" && a.Log.Name != r.Origin {
		return concord.Errorf(concord.Invalid, "gov: the log key is named %q, this log is %q", concord.Clip(a.Log.Name, 80), r.Origin)
	}
	here := 0
	for i := range r.Members {
		if r.Members[i].Status != Left {
			here++
		}
	}
	if here >= MaxMembers || m == nil && len(r.Members) >= MaxNames {
		return concord.Errorf(concord.Invalid, "gov: there are %d members, and %d names on record; the limits are %d and %d", here, len(r.Members), MaxMembers, MaxNames)
	}
	if err := r.unused(a.Operator, a.Node, a.Keys()...); err != nil {
		return err
	}
	r.Origin = a.Log.Name
	if m != nil { // it comes back: seq, balance and last root go on
		retired, err := m.retire(a.Keys())
		if err != nil {
			return err
		}
		m.Admission, m.Status, m.Retired = *a, Candidate, retired
		return nil
	}
	i, _ := slices.BinarySearchFunc(r.Members, a.Operator, func(m Member, name string) int { return strings.Compare(m.Operator, name) })
	r.Members = slices.Insert(r.Members, i, Member{Admission: *a, Status: Candidate})
	return nil
}

// unused reports a key or node that somebody has or had. An operator's own current keys are no matter when it comes back.
func (r *run) unused(operator, node string, keys ...note.Key) error {
	seen := map[[32]byte]bool{}
	for i := range r.Members {
		m := &r.Members[i]
		for _, k := range m.Retired {
			seen[k] = true
		}
		if m.Operator == operator {
			continue
		}
		for _, k := range m.Keys() {
			seen[k.Public] = true
		}
		if m.Node == node {
			return concord.Errorf(concord.Conflict, "gov: node %s is that of %s", node, m.Operator)
		}
	}
	for _, k := range keys {
		if seen[k.Public] {
			return concord.Errorf(concord.Conflict, "gov: key %08x of %s is in use already, or was; every key is for one purpose", k.ID(), k.Name)
		}
		seen[k.Public] = true
	}
	return nil
}

// retire returns the retired keys of a member whose keys become these.
func (m *Member) retire(now []note.Key) ([][32]byte, error) {
	list := slices.Clone(m.Retired)
	for _, k := range m.Keys() {
		if !slices.ContainsFunc(now, func(n note.Key) bool { return n.Public == k.Public }) {
			list = append(list, k.Public)
		}
	}
	if len(list) > MaxRetired {
		return nil, concord.Errorf(concord.Invalid, "gov: %s has changed %d keys, the limit; it must leave and come back under another name", m.Operator, MaxRetired)
	}
	return list, nil
}

// rotate replaces a key or an address.
func (r *run) rotate(x *Rotation) error {
	m := r.Member(x.Operator)
	if m == nil || m.Status == Left {
		return concord.Errorf(concord.NotFound, "gov: %s is not a member", x.Operator)
	}
	next := m.Admission
	switch x.Which {
	case "op":
		next.Op = x.Key
	case "cosign":
		next.Cosign = x.Key
	case "log":
		if next.Log = x.Key; x.Key.Name != r.Origin {
			return concord.Errorf(concord.Invalid, "gov: the log key is named %q, this log is %q", concord.Clip(x.Key.Name, 80), r.Origin)
		}
	case "cons":
		next.Cons = x.Key.Public
	case "node":
		next.Node = x.Value
	case "url":
		next.URL = x.Value
	}
	if next == m.Admission {
		return concord.Errorf(concord.Invalid, "gov: that is the %s of %s already", x.Which, m.Operator)
	}
	if err := r.unused(m.Operator, next.Node, next.Keys()...); err != nil {
		return err
	}
	retired, err := m.retire(next.Keys())
	if err != nil {
		return err
	}
	if next.Cons != m.Cons && m.Power > 0 && m.Power != r.before { // another validator takes over this power
		if 3*(r.moved+m.Power) >= r.before {
			return concord.Errorf(concord.Invalid, "gov: a new consensus key moves power of %d, which with what moved in this block before is not below a third of %d", m.Power, r.before)
		}
		r.moved += m.Power
	}
	m.Admission, m.Retired = next, retired
	return nil
}

// note records what the others say about a member.
func (r *run) note(g *Gov) error {
	name := g.Clear
	switch {
	case g.Line != nil:
		name = g.Line.Operator
	case g.Place != nil:
		name = g.Place.Operator
	}
	m := r.Member(name)
	if m == nil || m.Status == Left {
		return concord.Errorf(concord.NotFound, "gov: %s is not a member", name)
	}
	switch {
	case g.Line != nil:
		m.Line = &g.Line.Limit
	case g.Place != nil:
		m.ASN, m.Region = g.Place.ASN, g.Place.Region
	case m.Status != Faulted:
		return concord.Errorf(concord.Invalid, "gov: %s is not faulted", name)
	default:
		m.Status = Candidate
	}
	return nil
}
