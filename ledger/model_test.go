package ledger

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"concord"
)

// model is a short reference of the rules: maps and plain numbers, no text and no signatures.
type model struct {
	epoch uint64
	seq   map[string]uint64
	last  map[string]concord.Digest
	power map[string]uint64 // members only
	log   [][]byte
}

func (m *model) electors() (n int) {
	for _, p := range m.power {
		if p > 0 {
			n++
		}
	}
	return n
}

// move is a random operation: a transaction, whether the model accepts it, and what it then does.
type move struct {
	tx []byte
	ok bool
	do func()
}

func (m *model) attest(t *testing.T, r *rand.Rand, ops []*operator) move {
	o := ops[r.IntN(len(ops))]
	seq, prev := m.seq[o.name]+1, m.last[o.name]
	switch r.IntN(8) {
	case 0:
		seq += uint64(r.IntN(3))
	case 1:
		seq--
	case 2:
		prev = concord.Sum([]byte("other"))
	}
	_, member := m.power[o.name]
	tx, root := o.attest(t, testID, seq, prev)
	return move{tx, member && seq == m.seq[o.name]+1 && prev == m.last[o.name], func() { m.seq[o.name], m.last[o.name] = seq, root }}
}

func (m *model) govern(t *testing.T, r *rand.Rand, ops []*operator) move {
	epoch := m.epoch + 1
	if r.IntN(6) == 0 {
		epoch += uint64(r.IntN(2)) - 1 + uint64(r.IntN(2))
	}
	var voters []*operator
	for _, o := range ops {
		if m.power[o.name] > 0 && r.IntN(8) > 0 {
			voters = append(voters, o)
		}
	}
	enough := len(voters) >= 2*m.electors()/3+1 && epoch == m.epoch+1
	o := ops[r.IntN(len(ops))]
	_, member := m.power[o.name]
	if !member {
		return move{o.admit(t, testID, epoch, voters...), enough, func() { m.epoch++; m.power[o.name] = 0 }}
	}
	if r.IntN(3) == 0 && m.electors() == 1 { // the step to four
		var list []Power
		same := uint64(0)
		for _, x := range ops {
			if p, ok := m.power[x.name]; ok && p > 0 {
				same = p
			}
		}
		for _, x := range ops {
			if p, ok := m.power[x.name]; ok && p == 0 && len(list) < 3 {
				list = append(list, Power{x.name, same})
			}
		}
		if len(list) == 3 && len(voters) > 0 {
			return move{power(t, testID, epoch, voters, list...), enough, func() {
				m.epoch++
				for _, p := range list {
					m.power[p.Operator] = p.Power
				}
			}}
		}
	}
	if len(voters) == 0 {
		return move{tx: []byte("no voters")}
	}
	to := uint64(r.IntN(4))
	total := uint64(0)
	for _, p := range m.power {
		total += p
	}
	was := m.power[o.name]
	diff := max(was, to) - min(was, to)
	ok := enough && diff > 0 && total-was+to > 0 && 3*diff < total
	return move{power(t, testID, epoch, voters, Power{o.name, to}), ok, func() { m.epoch++; m.power[o.name] = to }}
}

// Random blocks of random operations: the machine accepts what the model accepts, and the invariants hold after each.
func TestModel(t *testing.T) {
	ops := operators(t)
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 1))
		n := newNode(t, ops)
		m := &model{epoch: 2, seq: map[string]uint64{}, last: map[string]concord.Digest{}, power: map[string]uint64{"alice.example": 1}, log: n.entries}
		for range 60 {
			var txs [][]byte
			governed := false // more than one change of power in a block adds up; the model keeps to one
			for range r.IntN(4) {
				mv := m.attest(t, r, ops)
				if r.IntN(3) == 0 && !governed {
					mv, governed = m.govern(t, r, ops), true
				}
				if err := n.m.Process(append(txs, mv.tx)); (err == nil) != mv.ok {
					t.Fatalf("seed %d: model says %v, machine %v:\n%s", seed, mv.ok, err, mv.tx)
				}
				if mv.ok {
					txs = append(txs, mv.tx)
					mv.do()
				}
			}
			out := n.block(txs...)
			m.check(t, n, txs, out)
		}
		replayAll(t, n)
	}
}

func (m *model) check(t *testing.T, n *node, txs [][]byte, out *Outcome) {
	t.Helper()
	st := n.m.State()
	if st.Epoch != m.epoch || len(st.Members) != len(m.power) {
		t.Fatalf("epoch %d, members %d; model %d, %d", st.Epoch, len(st.Members), m.epoch, len(m.power))
	}
	for i := range st.Members {
		x := &st.Members[i]
		if x.Seq != m.seq[x.Operator] || x.LastRoot != m.last[x.Operator] || x.Power != m.power[x.Operator] || (x.Power > 0) != (x.Status == Active) {
			t.Fatalf("member %+v differs from the model", x)
		}
	}
	want := 0
	if len(txs) > 0 {
		want = len(txs) + 1
	}
	if len(out.Entries) != want || int(n.m.Size()) != len(n.entries) {
		t.Fatalf("%d entries for %d transactions", len(out.Entries), len(txs))
	}
}

// Two machines fed the same blocks under different GOMAXPROCS agree on every root and state hash.
func TestDeterminism(t *testing.T) {
	ops := operators(t)
	run := func(procs int) (roots []string) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
		n := newNode(t, ops)
		for i, o := range ops[1:] {
			n.block(o.admit(t, testID, uint64(3+i), ops[0]))
		}
		prev := map[string]concord.Digest{}
		for seq := uint64(1); seq < 20; seq++ {
			var txs [][]byte
			for _, o := range ops {
				tx, root := o.attest(t, testID, seq, prev[o.name])
				prev[o.name] = root
				txs = append(txs, tx)
			}
			n.block(n.m.Prepare(txs, 1<<20)...)
			roots = append(roots, fmt.Sprint(n.m.Root(), n.m.State().Hash()))
		}
		return roots
	}
	if a, b := fmt.Sprint(run(1)), fmt.Sprint(run(4)); a != b {
		t.Error("two runs of the same blocks differ")
	}
}

func TestTreeAgainstTlog(t *testing.T) {
	var tree Tree
	var hashes []tlog.Hash
	read := tlog.HashReaderFunc(func(ix []int64) (list []tlog.Hash, _ error) {
		for _, i := range ix {
			list = append(list, hashes[i])
		}
		return list, nil
	})
	for i := range int64(300) {
		want, err := tlog.TreeHash(i, read)
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 && tree.Root() != concord.Digest(want) || i == 0 && tree.Root() != concord.Sum(nil) {
			t.Fatalf("root of %d leaves differs", i)
		}
		data := fmt.Appendf(nil, "leaf %d", i)
		tree = tree.Append(LeafHash(data))
		more, err := tlog.StoredHashes(i, data, read)
		if err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, more...)
	}
}

func FuzzParseTx(f *testing.F) {
	ops := operators(f)
	a, _ := ops[0].attest(f, testID, 1, concord.Digest{})
	f.Add(a)
	f.Add(ops[1].admit(f, testID, 3, ops[0]))
	f.Add(power(f, testID, 3, ops[:2], Power{"alice.example", 1}, Power{"bob.example", 0}))
	f.Add([]byte("concord/tx/v1 gov\n\n\u2014 x AAAAAAAAAAA=\n"))
	m, _ := founded(f, ops)
	f.Fuzz(func(t *testing.T, b []byte) {
		tx, err := ParseTx(b)
		if err != nil {
			return
		}
		text := ""
		if tx.Gov != nil {
			text = tx.Gov.String()
		} else {
			text = tx.Attest.String()
		}
		if text != tx.Note.Text || string(tx.Note.Bytes()) != string(b) {
			t.Errorf("%q re-encodes to %q", b, text)
		}
		_ = m.Check(b)
	})
}

func FuzzParseRecord(f *testing.F) {
	r := Record{Height: 5119, Hash: concord.Sum([]byte("h")), Time: testEpoch, After: Mark{5118, concord.Sum([]byte("a")), testEpoch - 1}, Txs: 3,
		Bad: []Evidence{{"DUPLICATE_VOTE", "carol.example", 5116}, {"LIGHT_CLIENT_ATTACK", "-", 1}}, State: concord.Sum([]byte("s")), Validators: concord.Sum([]byte("v"))}
	f.Add(r.String())
	r.Bad = nil
	f.Add(r.String())
	f.Add("concord/block/v1\nheight 01\n")
	f.Fuzz(func(t *testing.T, s string) {
		if r, err := ParseRecord(s); err == nil && r.String() != s {
			t.Errorf("%q re-encodes to %q", s, r)
		}
	})
}

func FuzzParseState(f *testing.F) {
	m, _ := founded(f, operators(f))
	f.Add(string(m.Marshal()))
	f.Fuzz(func(t *testing.T, s string) {
		if m, err := Unmarshal([]byte(s)); err == nil && string(m.Marshal()) != s {
			t.Errorf("%q re-encodes to %q", s, m.Marshal())
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	ops := operators(b)
	m, _ := founded(b, ops)
	tx, _ := ops[0].attest(b, testID, 1, concord.Digest{})
	for b.Loop() {
		if err := m.Check(tx); err != nil {
			b.Fatal(err)
		}
	}
}
