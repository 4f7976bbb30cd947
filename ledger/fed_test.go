package ledger

import (
	"fmt"
	"strings"
	"testing"

	"concord"
	"concord/note"
)

// fed is a federation under test: operators, their seqs, and a ledger whose block times the test chooses. Every block is
// checked: what Process accepts Finalize executes, the sum of credit is 0, the state's text reads back.
type fed struct {
	*node
	ops  []*operator
	seq  map[string]uint64
	last map[string]concord.Digest
	time int64
}

// newFed returns a federation of n candidates beside alice, the only voter, with a credit limit of 1000 for each.
func newFed(t testing.TB, n int) *fed {
	t.Helper()
	f := &fed{ops: manyOperators(t, n+1), seq: map[string]uint64{}, last: map[string]concord.Digest{}, time: testEpoch}
	f.node = newNode(t, f.ops)
	for _, o := range f.ops[1:] {
		f.step(1, o.admit(t, testID, f.m.State().Epoch+1, f.ops[0]))
	}
	f.step(1, f.gov(&Gov{Set: &Setting{ParamCredit, 1000}}))
	f.step(1)
	return f
}

func manyOperators(t testing.TB, n int) (list []*operator) {
	names := []string{"alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy"}
	for i := range n {
		list = append(list, newOperator(t, names[i]+".example", i))
	}
	return list
}

// gov signs an action with the keys of all voters.
func (f *fed) gov(g *Gov, extra ...*note.Signer) []byte {
	f.t.Helper()
	g.Chain, g.Epoch = testID, f.m.State().Epoch+1
	var sigs []note.Sig
	for _, m := range f.m.State().electorate() {
		sigs = append(sigs, sign(f.t, f.op(m.Operator).op, g.String()))
	}
	for _, k := range extra {
		if k.Key().Type == note.Cosignature {
			sig, err := k.Cosign(g.String(), f.time)
			if err != nil {
				f.t.Fatal(err)
			}
			sigs = append(sigs, sig)
			continue
		}
		sigs = append(sigs, sign(f.t, k, g.String()))
	}
	return note.Join(g.String(), sigs...)
}

func (f *fed) op(name string) *operator {
	for _, o := range f.ops {
		if o.name == name {
			return o
		}
	}
	f.t.Fatalf("no operator %s", name)
	return nil
}

// head takes the operator's next seq.
func (f *fed) head(o *operator) Head {
	f.seq[o.name]++
	return Head{testID, o.name, f.seq[o.name]}
}

func (f *fed) sign(o *operator, b Body) []byte {
	f.t.Helper()
	tx, err := Sign(b, o.op)
	if err != nil {
		f.t.Fatal(err)
	}
	return tx
}

func (f *fed) at(dt int64, txs ...[]byte) Block {
	h := f.m.Height() + 1
	return Block{Height: h, Hash: concord.Sum(fmt.Append(nil, "block ", h)), Time: f.time + dt, Txs: txs, NextValidators: concord.Sum(nil)}
}

// step executes a block dt seconds later.
func (f *fed) step(dt int64, txs ...[]byte) *Outcome {
	f.t.Helper()
	b := f.at(dt, txs...)
	if len(txs) > 0 {
		if err := f.m.Process(b); err != nil {
			f.t.Fatal(err)
		}
	}
	return f.finalize(b)
}

func (f *fed) finalize(b Block) *Outcome {
	f.t.Helper()
	out, err := f.m.Finalize(b)
	if err != nil {
		f.t.Fatal(err)
	}
	f.m, f.time = out.Next, b.Time
	f.entries = append(f.entries, out.Entries...)
	st := f.m.State()
	if st.Sum() != 0 {
		f.t.Fatalf("credit sums to %d:\n%s", st.Sum(), st)
	}
	if back, err := ParseState(st.String()); err != nil || back.String() != st.String() {
		f.t.Fatalf("the state's text does not read back: %v\n%s", err, st)
	}
	return out
}

// refuse wants a transaction refused in the next block with these words, and the seq of its sender given back.
func (f *fed) refuse(name, want string, dt int64, tx []byte) {
	f.t.Helper()
	before := f.m.State().String()
	err := f.m.Process(f.at(dt, tx))
	if err == nil || !strings.Contains(err.Error(), want) {
		f.t.Errorf("%s: %v; want %q", name, err, want)
	} else if concord.KindOf(err) == concord.Internal {
		f.t.Errorf("%s: an error of no kind: %v", name, err)
	}
	if got := f.m.Prepare(f.at(dt, tx), 1<<20); len(got) != 0 {
		f.t.Errorf("%s: a proposal would hold it", name)
	}
	if f.m.State().String() != before {
		f.t.Errorf("%s: the state changed", name)
	}
	if t, err := ParseTx(tx); err == nil && t.Gov == nil && f.seq[t.From] == t.Seq {
		f.seq[t.From]--
	}
}

// ask puts an ask into the ledger and lets its panel be drawn; it returns the ask's index.
func (f *fed) ask(o *operator, need, of int, pay int64) uint64 {
	f.t.Helper()
	index := f.m.Size()
	f.step(1, f.sign(o, f.askTx(o, need, of, pay)))
	f.step(1)
	return index
}

func (f *fed) askTx(o *operator, need, of int, pay int64) *AskTx {
	return &AskTx{Head: f.head(o), URL: "https://example.com/page", Profile: "text-1", Need: need, Of: of, Until: 120, Pay: pay}
}

// report returns what an operator saw, not yet numbered.
func report(o *operator, ask uint64, round int, text string) *ShowTx {
	d := concord.Sum([]byte(text))
	return &ShowTx{Head: Head{Chain: testID, From: o.name}, Ask: ask, Round: round, Salt: concord.Sum([]byte(o.name + text)), Status: 200,
		Final: "https://example.com/page", Time: testEpoch, Raw: d, Text: d, Sketch: SketchOf(text), Cert: d, WARC: d, ASN: "AS64500", Region: "RIPE"}
}

func (f *fed) sealOf(o *operator, s *ShowTx) []byte {
	return f.sign(o, &SealTx{f.head(o), s.Ask, s.Round, s.Commit()})
}

func (f *fed) showOf(o *operator, s *ShowTx) []byte {
	c := *s
	c.Head = f.head(o)
	return f.sign(o, &c)
}

// round seals and opens what each of the operators saw ("" seals, and never opens), and ends the round.
func (f *fed) round(ask uint64, round int, saw map[string]string) *Outcome {
	f.t.Helper()
	var seals, shows [][]byte
	for _, o := range f.ops {
		if text, ok := saw[o.name]; ok {
			seals = append(seals, f.sealOf(o, report(o, ask, round, text)))
		}
	}
	f.step(5, seals...)
	for _, o := range f.ops {
		if text := saw[o.name]; text != "" {
			shows = append(shows, f.showOf(o, report(o, ask, round, text)))
		}
	}
	f.step(121, shows...)
	return f.step(200, f.doc(f.ops[0])) // any transaction after the deadline
}

func (f *fed) doc(o *operator) []byte {
	return f.sign(o, &DocTx{Head: f.head(o), Digests: []concord.Digest{concord.Sum([]byte("document"))}})
}

func (f *fed) balance(name string) int64 { return f.m.State().Member(name).Balance }

// names returns the operators of a round's panel.
func names(r *Round) (list []string) {
	for _, s := range r.panel() {
		list = append(list, s.Operator)
	}
	return list
}
