package ledger

import (
	"math/rand/v2"
	"testing"

	"concord"
	"concord/note"
)

// move is a random operation: a transaction, whether the model accepts it, and what it then does.
type move struct {
	tx []byte
	ok bool
	do func()
}

// walk is a random walk of a federation and its model.
type walk struct {
	*fed
	*model
	r     *rand.Rand
	index uint64 // of the next transaction in the log
}

func newWalk(t testing.TB, seed uint64) *walk {
	f := newFed(t, 6)
	w := &walk{f, &model{epoch: f.m.State().Epoch, members: map[string]*modelMember{}}, rand.New(rand.NewPCG(seed, 1)), 0}
	for i, o := range f.ops {
		w.members[o.name] = &modelMember{status: Candidate, limit: 1000}
		if i == 0 {
			w.members[o.name].status, w.members[o.name].power = Active, 1
		}
	}
	return w
}

func (w *walk) any() *operator { return w.ops[w.r.IntN(len(w.ops))] }

// body finishes a transaction of a member: mostly with the next seq, sometimes with another.
func (w *walk) body(o *operator, ok bool, make func(Head) Body, do func()) move {
	x := w.members[o.name]
	seq := x.seq + 1
	switch w.r.IntN(12) {
	case 0:
		seq += uint64(w.r.IntN(3))
	case 1:
		seq--
	}
	return move{w.fed.sign(o, make(Head{testID, o.name, seq})), ok && w.good(o.name) && seq == x.seq+1, func() { x.seq = seq; do() }}
}

func (w *walk) attest() move {
	o := w.any()
	x := w.members[o.name]
	prev := x.last
	if w.r.IntN(8) == 0 {
		prev = concord.Sum([]byte("other"))
	}
	root := concord.Sum([]byte{byte(w.r.Uint32()), byte(w.r.Uint32())})
	return w.body(o, prev == x.last, func(h Head) Body {
		return concord.Attestation{Chain: h.Chain, From: h.From, Seq: h.Seq, Count: 1, Root: root, First: 1, Last: 2, Prev: prev}
	}, func() { x.last = root })
}

func (w *walk) pay() move {
	o, to := w.any(), w.any()
	x, y := w.members[o.name], w.members[to.name]
	n := 1 + w.r.Int64N(600)
	return w.body(o, o != to && y.status != Left && x.balance-n >= -x.limit, func(h Head) Body {
		return &PayTx{h, to.name, n, concord.Digest{}}
	}, func() { x.balance -= n; y.balance += n })
}

func (w *walk) newAsk() move {
	o := w.any()
	x := w.members[o.name]
	of := 1 + w.r.IntN(6)
	need := of/2 + 1 + w.r.IntN(of-of/2)
	pay, until, able := w.r.Int64N(40), 10+w.r.Int64N(60), 0
	for name := range w.members {
		if w.good(name) && name != o.name {
			able++
		}
	}
	cost := 2 * int64(of) * pay
	index := w.index
	return w.body(o, of <= able && x.balance-cost >= -x.limit, func(h Head) Body {
		return &AskTx{h, "http://example.org/", "text-1", need, of, until, pay}
	}, func() {
		x.balance -= cost
		w.asks = append(w.asks, &modelAsk{index: index, from: o.name, need: need, of: of, until: until, pay: pay, locked: cost, rounds: []*modelRound{{}}})
	})
}

// part picks an ask, a round of it and an operator, mostly one of the panel that is not done yet.
func (w *walk) part(done func(r *modelRound, name string) bool) (a *modelAsk, r *modelRound, round int, o *operator) {
	for range 5 { // most often one that is open
		if a = w.asks[max(0, len(w.asks)-1-w.r.IntN(6))]; a.verdict == "" {
			break
		}
	}
	r, round, o = a.rounds[len(a.rounds)-1], len(a.rounds), w.any()
	if w.r.IntN(4) > 0 && len(r.panel) > 0 {
		for range 8 {
			if o = w.op(r.panel[w.r.IntN(len(r.panel))]); !done(r, o.name) {
				break
			}
		}
	}
	if w.r.IntN(20) == 0 {
		round = 3 - round
	}
	return a, r, round, o
}

func (w *walk) open(a *modelAsk, r *modelRound, round int, name string) bool {
	on := name == a.from
	for _, p := range r.panel {
		on = on || p == name
	}
	return a.verdict == "" && round == len(a.rounds) && r.panel != nil && on
}

func (w *walk) sealing() move {
	a, r, round, o := w.part(func(r *modelRound, name string) bool { return r.sealed[name] != "" })
	text := modelTexts[w.r.IntN(3)]
	_, again := r.sealed[o.name]
	return w.body(o, w.open(a, r, round, o.name) && !again && w.now <= r.sealBy, func(h Head) Body {
		return &SealTx{h, a.index, round, report(o, a.index, round, text).Commit()}
	}, func() { r.sealed[o.name] = text })
}

func (w *walk) opening() move {
	a, r, round, o := w.part(func(r *modelRound, name string) bool { return r.sealed[name] == "" || r.shown[name] != "" })
	text, sealed := r.sealed[o.name]
	if w.r.IntN(10) == 0 || !sealed {
		text = modelTexts[w.r.IntN(3)]
	}
	_, again := r.shown[o.name]
	ok := w.open(a, r, round, o.name) && sealed && text == r.sealed[o.name] && !again && w.now > r.sealBy && w.now <= r.showBy
	return w.body(o, ok, func(h Head) Body {
		s := report(o, a.index, round, text)
		s.Head = h
		return s
	}, func() { r.shown[o.name] = text })
}

// tell proves that an operator attested twice. Alice is left in peace, so that somebody can always act.
func (w *walk) tell() move {
	o, who := w.any(), w.ops[1+w.r.IntN(len(w.ops)-1)]
	y := w.members[who.name]
	forge := func(b byte) []byte {
		return w.fed.sign(who, concord.Attestation{Chain: testID, From: who.name, Seq: 7, Count: 1, Root: concord.Digest{b}, First: 1, Last: 2})
	}
	a, b := forge(1), forge(1+byte(w.r.IntN(3)))
	_, total, _ := w.voters()
	return w.body(o, string(a) != string(b) && (y.status == Active || y.status == Candidate), func(h Head) Body {
		return two(&FaultTx{Head: h, Who: who.name, Kind: "attest"}, a, b)
	}, func() {
		if y.power < total { // the only voter keeps its vote
			y.status, y.power = Faulted, 0
		}
	})
}

// govern is a random action, signed by all voters but perhaps one. Its epoch may be wrong.
func (w *walk) govern() move {
	g := &Gov{Chain: testID, Epoch: w.epoch + 1}
	if w.r.IntN(10) == 0 {
		g.Epoch += uint64(w.r.IntN(3)) - 1
	}
	o := w.ops[1+w.r.IntN(len(w.ops)-1)]
	x := w.members[o.name]
	n, total, equal := w.voters()
	var signers []*operator
	for _, v := range w.ops {
		if w.members[v.name].power > 0 && w.r.IntN(12) > 0 {
			signers = append(signers, v)
		}
	}
	enough := len(signers) >= 2*n/3+1 && g.Epoch == w.epoch+1
	ok, do := false, func() {}
	to := uint64(w.r.IntN(2))
	switch w.r.IntN(6) {
	case 0, 1:
		g.Powers = []Power{{o.name, to}}
		ok = w.good(o.name) && x.power != to
		do = func() {
			x.power, x.status = to, Active
			if to == 0 {
				x.status = Candidate
			}
		}
	case 2:
		g.Drop, to = o.name, 0
		ok, do = x.status != Left, func() { x.power, x.status = 0, Left }
	case 3:
		g.Clear, to = o.name, x.power
		ok, do = x.status == Faulted, func() { x.status = Candidate }
	case 4:
		g.Line, to = &Line{o.name, w.r.Int64N(2000)}, x.power
		ok, do = x.status != Left, func() { x.limit = g.Line.Limit }
	case 5:
		tx := o.admit(w.t, testID, g.Epoch, signers...)
		return move{tx, enough && x.status == Left, func() { w.epoch++; x.status = Candidate }}
	}
	if is := n + int(to) - int(x.power); x.power != to {
		if (is == 2 || is == 3) && w.r.IntN(5) > 0 {
			g.Voters = is
		}
		small := equal && n+is <= 7
		ok = ok && is > 0 && (g.Voters == is || is > 3 || is == 1) && (small || 3 < total)
	}
	var sigs [][]byte
	for _, s := range signers {
		sigs = append(sigs, w.fed.sign(s, g))
	}
	return move{merge(w.t, g.String(), sigs), ok && enough, func() { w.epoch++; do() }}
}

// merge puts the signatures of several notes of one text together.
func merge(t testing.TB, text string, notes [][]byte) []byte {
	t.Helper()
	var sigs []note.Sig
	for _, b := range notes {
		n, err := note.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		sigs = append(sigs, n.Sigs...)
	}
	if len(sigs) == 0 {
		return []byte(text)
	}
	return note.Join(text, sigs...)
}
