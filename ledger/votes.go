package ledger

import "concord"

// power changes the voting power of members, all of the lines or none.
func (r *run) power(list []Power, voters int) error {
	next := r.State.clone()
	moved := uint64(0)
	for _, p := range list {
		m := next.Member(p.Operator)
		switch {
		case m == nil || m.Status == Left:
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
	return r.vote(next, moved, voters)
}

// drop ends a membership. The name, the seq and the balance stay on record.
func (r *run) drop(operator string, voters int) error {
	next := r.State.clone()
	m := next.Member(operator)
	if m == nil || m.Status == Left {
		return concord.Errorf(concord.NotFound, "gov: %s is not a member", operator)
	}
	moved := m.Power
	m.Power, m.Status = 0, Left
	if moved == 0 {
		if voters != 0 {
			return concord.Errorf(concord.Invalid, "gov: voters is only for a change of power")
		}
		r.State = next
		return nil
	}
	return r.vote(next, moved, voters)
}

// vote takes a state with other powers, if the step is one that may be made.
func (r *run) vote(next *State, moved uint64, voters int) error {
	n := next.voters()
	few := n == 2 || n == 3
	moved += r.moved
	switch {
	case n == 0:
		return concord.Errorf(concord.Invalid, "gov: nobody would have power left")
	case few && voters != n:
		return concord.Errorf(concord.Invalid, "gov: there would be %d voters, and any one of them that stops halts the ledger; if that is wanted, say so with the line \"voters %d\"", n, n)
	case !few && voters != 0:
		return concord.Errorf(concord.Invalid, "gov: there would be %d voters, not %d", n, voters)
	case !r.founding && 3*moved >= r.before && !r.oneToFour(next) && !r.oneMoreOrLess(next):
		return concord.Errorf(concord.Invalid, "gov: power changes by %d in one block, which is not below a third of %d", moved, r.before)
	}
	r.State, r.moved = next, moved
	return nil
}

// voters returns how many members have power.
func (s *State) voters() (n int) {
	for i := range s.Members {
		if s.Members[i].Power > 0 {
			n++
		}
	}
	return n
}

// equal reports whether all voters have the same power.
func (s *State) equal() bool {
	p := uint64(0)
	for i := range s.Members {
		q := s.Members[i].Power
		if q > 0 && p > 0 && p != q {
			return false
		}
		p = max(p, q)
	}
	return true
}

// oneToFour reports the one large step that is allowed: from a single voter to four of equal power. Two or three voters
// are worse than one: any of them that stops halts the chain.
func (r *run) oneToFour(next *State) bool {
	return r.voters() == 1 && next.voters() == 4 && next.equal() && r.moved == 0
}

// oneMoreOrLess reports a step of one voter among few of equal power. It is never below a third of them, and has no
// other way; the note says that so few are wanted.
func (r *run) oneMoreOrLess(next *State) bool {
	was, is := r.voters(), next.voters()
	same := r.totalPower()/uint64(was) == next.totalPower()/uint64(is)
	return was+is <= 7 && max(was, is)-min(was, is) == 1 && r.equal() && next.equal() && same && r.moved == 0
}
