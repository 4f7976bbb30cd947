package ledger

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"concord"
)

// model is a short reference of the rules: maps and plain numbers, no signatures, no text form, nothing shared with the
// machine but the hash that orders panels.
type model struct {
	epoch   uint64
	members map[string]*modelMember
	asks    []*modelAsk
	now     int64
}

type modelMember struct {
	status         Status
	power          uint64
	seq            uint64
	balance, limit int64
	last           concord.Digest
}

type modelAsk struct {
	index      uint64
	from       string
	need, of   int
	until, pay int64
	locked     int64
	rounds     []*modelRound
	verdict    Verdict
}

type modelRound struct {
	sealBy, showBy int64
	panel          []string          // nil: not drawn
	sealed, shown  map[string]string // what each operator saw
	lost           map[string]bool   // faulted when the round ended
	result         Verdict
}

var modelTexts = []string{pageText, pageText + " goodbye", "an utterly different page with nothing in common with the other pages of this test at all"}

// alike is the model's resemblance: the first two texts are alike, the third is not.
func alike(a, b string) bool { return (a == modelTexts[2]) == (b == modelTexts[2]) }

func (m *model) good(name string) bool {
	x := m.members[name]
	return x != nil && (x.status == Active || x.status == Candidate)
}

func (m *model) voters() (n int, total uint64, equal bool) {
	equal = true
	p := uint64(0)
	for _, x := range m.members {
		if x.power > 0 {
			equal = equal && (p == 0 || p == x.power)
			p = x.power
			n++
			total += x.power
		}
	}
	return n, total, equal
}

// begin is what happens at the start of a block that is not empty.
func (m *model) begin(now int64) {
	m.now = now
	for _, a := range m.asks {
		r := a.rounds[len(a.rounds)-1]
		if a.verdict != "" || r.panel == nil || now <= r.showBy {
			continue
		}
		for name, x := range m.members {
			r.lost[name] = x.status == Faulted
		}
		r.result = a.judge(r)
		for _, p := range r.panel {
			if _, ok := r.seen(p); ok {
				m.members[p].balance += a.pay
				a.locked -= a.pay
			}
		}
		if r.result == Disputed {
			a.rounds = append(a.rounds, &modelRound{})
			continue
		}
		a.verdict = r.result
		m.members[a.from].balance += a.locked
		a.locked = 0
	}
}

func (r *modelRound) seen(name string) (string, bool) {
	text, ok := r.shown[name]
	return text, ok && !r.lost[name]
}

func (a *modelAsk) judge(r *modelRound) Verdict {
	most, exact, best := 0, 0, ""
	for _, p := range r.panel {
		text, ok := r.seen(p)
		if !ok {
			continue
		}
		n, same := 0, 0
		for _, q := range r.panel {
			if other, ok := r.seen(q); ok && alike(text, other) {
				n++
				if other == text {
					same++
				}
			}
		}
		d, b := concord.Sum([]byte(text)), concord.Sum([]byte(best))
		if n > most || n == most && (same > exact || same == exact && bytes.Compare(d[:], b[:]) < 0) {
			most, exact, best = n, same, text
		}
	}
	against := 0
	for _, p := range r.panel {
		if text, ok := r.seen(p); ok && !alike(text, best) {
			against++
		}
	}
	slack := 2
	if len(r.panel) < 6 {
		slack = 1
	}
	if len(r.panel) < 2 {
		slack = 0
	}
	switch {
	case most >= a.need && against <= slack:
		return Agree
	case against == 0:
		return Unconfirmed
	case len(a.rounds) == 1:
		return Disputed
	}
	// Split: both kinds of text were seen by both panels.
	kinds := func(x *modelRound) (one, two bool) {
		for _, p := range x.panel {
			if text, ok := x.seen(p); ok {
				one, two = one || alike(text, modelTexts[0]), two || alike(text, modelTexts[2])
			}
		}
		return one, two
	}
	one, two := kinds(a.rounds[0])
	if o, t := kinds(r); one && two && o && t {
		return Split
	}
	return Unconfirmed
}

// waiting returns the rounds that wait for the first block after the one that began them.
func (m *model) waiting() map[*modelRound]bool {
	list := map[*modelRound]bool{}
	for _, a := range m.asks {
		if r := a.rounds[len(a.rounds)-1]; a.verdict == "" && r.panel == nil {
			list[r] = true
		}
	}
	return list
}

// draw gives panels to these rounds.
func (m *model) draw(rounds map[*modelRound]bool, beacon concord.Digest, at int64) {
	for _, a := range m.asks {
		r := a.rounds[len(a.rounds)-1]
		if !rounds[r] {
			continue
		}
		var fresh, again []string
		for name := range m.members {
			if !m.good(name) || name == a.from {
				continue
			}
			if len(a.rounds) == 2 && slices.Contains(a.rounds[0].panel, name) {
				again = append(again, name)
			} else {
				fresh = append(fresh, name)
			}
		}
		for _, list := range [][]string{fresh, again} {
			slices.SortFunc(list, func(x, y string) int {
				h := func(s string) []byte {
					d := concord.Sum(fmt.Appendf(nil, "concord/panel/v1\n%d\n%d\n%s\n%s\n", a.index, len(a.rounds), beacon, s))
					return d[:]
				}
				return bytes.Compare(h(x), h(y))
			})
		}
		list := append(append([]string{}, fresh...), again...)
		r.panel = append([]string{}, list[:min(len(list), a.of)]...)
		r.sealBy, r.showBy = at+a.until, at+2*a.until
		r.sealed, r.shown, r.lost = map[string]string{}, map[string]string{}, map[string]bool{}
	}
}

// Random blocks of random operations: the machine accepts what the model accepts and comes to the same state.
func TestModel(t *testing.T) {
	verdicts := map[Verdict]int{}
	accepted := 0
	for seed := range uint64(4) {
		w := newWalk(t, seed)
		accepted += w.run(t, 120)
		for _, a := range w.asks {
			verdicts[a.verdict]++
		}
		replayAll(t, w.node)
	}
	if t.Log(accepted, verdicts); accepted < 600 || verdicts[Agree] == 0 || verdicts[Split]+verdicts[Unconfirmed] == 0 {
		t.Errorf("the walk sees too little: %d accepted, %v", accepted, verdicts)
	}
}

// run executes n random blocks.
func (w *walk) run(t testing.TB, n int) (accepted int) {
	for range n {
		dt := int64(w.r.IntN(12))
		if w.r.IntN(4) == 0 {
			w.step(dt)
			after := w.node.m.State().After
			w.draw(w.waiting(), after.Hash, after.Time)
			continue
		}
		accepted += w.randomBlock(t, dt)
	}
	return accepted
}

func (w *walk) randomBlock(t testing.TB, dt int64) (accepted int) {
	alice := w.ops[0]
	own := w.m.State().After == nil
	w.seq[alice.name] = w.members[alice.name].seq
	txs := [][]byte{w.fed.doc(alice)} // so that the block is not empty
	w.members[alice.name].seq++
	waiting := w.waiting()
	w.begin(w.time + dt)
	run := w.node.m.begin() // the block so far; Finalize executes it again as a whole
	run.enter(w.at(dt))
	if err := run.execute(txs[0]); err != nil {
		t.Fatal(err)
	}
	governed := false // changes of power in one block add up; the model keeps to one
	for range w.r.IntN(24) {
		w.index = w.node.m.Size() + uint64(len(txs))
		moves := []func() move{w.attest, w.pay, w.newAsk}
		if len(w.asks) > 0 {
			moves = append(moves, w.sealing, w.sealing, w.sealing, w.sealing, w.opening, w.opening, w.opening, w.opening)
		}
		if w.r.IntN(60) == 0 {
			moves = []func() move{w.tell}
		} else if w.r.IntN(12) == 0 && !governed {
			moves, governed = []func() move{w.govern}, true
		}
		mv := moves[w.r.IntN(len(moves))]()
		if err := run.execute(mv.tx); (err == nil) != mv.ok {
			t.Fatalf("model says %v, machine %v:\n%s\n%s", mv.ok, err, mv.tx, w.node.m.State())
		}
		if sum := run.Sum(); sum != 0 {
			t.Fatalf("credit sums to %d after\n%s", sum, mv.tx)
		}
		if mv.ok {
			txs = append(txs, mv.tx)
			mv.do()
			accepted++
		}
	}
	b := w.at(dt, txs...)
	w.finalize(b)
	if own { // this block is the beacon of the asks before it, not of those in it
		w.draw(waiting, b.Hash, b.Time)
	}
	w.compare(t)
	return accepted
}

func (w *walk) compare(t testing.TB) {
	t.Helper()
	st := w.node.m.State()
	if st.Epoch != w.epoch {
		t.Fatalf("epoch %d, model %d", st.Epoch, w.epoch)
	}
	for name, x := range w.members {
		m := st.Member(name)
		if m.Seq != x.seq || m.LastRoot != x.last || m.Power != x.power || m.Status != x.status || m.Balance != x.balance || (x.power > 0) != (x.status == Active) {
			t.Fatalf("%s: machine %+v, model %+v", name, m, x)
		}
	}
	for _, a := range w.asks {
		got := st.Ask(a.index)
		if got == nil {
			if a.verdict == "" {
				t.Fatalf("ask %d is gone", a.index)
			}
			continue
		}
		if got.Verdict() != a.verdict || got.Locked != a.locked || len(got.Rounds) != len(a.rounds) {
			t.Fatalf("ask %d: machine %+v, model %+v", a.index, got, a)
		}
		for i := range a.rounds {
			if r := &got.Rounds[i]; !slices.Equal(names(r), a.rounds[i].panel) || r.Result != a.rounds[i].result {
				t.Fatalf("ask %d round %d: machine %v %s, model %v %s", a.index, i+1, names(r), r.Result, a.rounds[i].panel, a.rounds[i].result)
			}
		}
	}
}
