package ledger

import (
	"fmt"
	"runtime"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"concord"
	"concord/note"
)

// Two machines fed the same blocks under different GOMAXPROCS agree on every root and state hash.
func TestDeterminism(t *testing.T) {
	run := func(procs int) (roots []string) {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
		w := newWalk(t, 11)
		w.run(t, 60)
		p := NewReplay(testID)
		for _, e := range w.entries {
			if err := p.Add(e); err != nil {
				t.Fatal(err)
			}
			if out := p.Last(); out != nil {
				roots = append(roots, fmt.Sprint(out.Next.Root(), out.Next.State().Hash()))
			}
		}
		return append(roots, fmt.Sprint(w.node.m.Root(), w.node.m.State().Hash()))
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
	for _, b := range bodies(f) {
		f.Add(note.Join(b.String(), sign(f, ops[0].op, b.String())))
	}
	m, _ := founded(f, ops)
	f.Fuzz(func(t *testing.T, b []byte) {
		tx, err := ParseTx(b)
		if err != nil {
			return
		}
		text := tx.Body().String()
		if text != tx.Note.Text || string(tx.Note.Bytes()) != string(b) {
			t.Errorf("%q re-encodes to %q", b, text)
		}
		_ = m.Check(b)
	})
}

// bodies returns one transaction of every type, and of every action of gov.
func bodies(t testing.TB) []Body {
	ops := operators(t)
	h := Head{testID, "alice.example", 1843}
	d := concord.Sum([]byte("document"))
	s := report(ops[0], 99182, 1, pageText)
	s.Head = h
	list := []Body{
		&AskTx{h, "https://example.com/page/1187", "text-1", 3, 5, 120, 10}, &SealTx{h, 99182, 1, s.Commit()}, s,
		&DocTx{h, []concord.Digest{d}, ""}, &DocTx{h, []concord.Digest{d}, "contract-7"}, &PayTx{h, "bob.example", 250, d},
		&FaultTx{Head: h, Who: "bob.example", Kind: "fork", A: []byte("a"), B: []byte("b")},
		&FaultTx{Head: h, Who: "bob.example", Kind: "tree", A: []byte("a"), B: []byte("b"), Root: d, Proof: []concord.Digest{d, d}},
	}
	for _, g := range []*Gov{
		{Drop: "bob.example", Voters: 3}, {Clear: "bob.example"}, {Set: &Setting{ParamPanel, 5}}, {Line: &Line{"bob.example", 5}},
		{Place: &Place{"bob.example", "AS64500", "RIPE"}}, {Place: &Place{"bob.example", "-", "-"}},
		{Rotate: &Rotation{"bob.example", "cosign", ops[1].cosign.Key(), ""}}, {Rotate: &Rotation{"bob.example", "cons", ops[1].cons.Key(), ""}},
		{Rotate: &Rotation{"bob.example", "url", note.Key{}, "https://bob.example/"}}, {Powers: []Power{{"bob.example", 1}}, Voters: 2},
	} {
		g.Chain, g.Epoch = testID, 9
		list = append(list, g)
	}
	return list
}

func FuzzParseReveal(f *testing.F) {
	v := &Reveal{Head{testID, "alice.example", 7}, 2, "an entry with spaces", []concord.Digest{{1}, {2}}}
	f.Add(v.String())
	v.Path = nil
	f.Add(v.String())
	f.Fuzz(func(t *testing.T, s string) {
		if v, err := ParseReveal(s); err == nil && v.String() != s {
			t.Errorf("%q re-encodes to %q", s, v)
		}
	})
}

// Proofs of misbehaviour hold notes within notes.
func FuzzFault(f *testing.F) {
	ops := operators(f)
	for _, b := range bodies(f) {
		f.Add("seal", note.Join(b.String(), sign(f, ops[0].op, b.String())), []byte("x"))
	}
	f.Add("leaf", []byte("concord/reveal/v1\n\n"), []byte("concord/tx/v1 attest\n"))
	f.Fuzz(func(t *testing.T, kind string, a, b []byte) {
		x := &FaultTx{Who: "alice.example", Kind: kind, A: a, B: b, Proof: []concord.Digest{{1}}}
		_ = x.Check(ops[0].admission())
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
	w := newWalk(f, 3)
	w.run(f, 40)
	f.Add(string(w.node.m.Marshal()))
	tx := w.fed.doc(w.ops[0])
	f.Fuzz(func(t *testing.T, s string) {
		m, err := Unmarshal([]byte(s))
		if err != nil {
			return
		}
		if string(m.Marshal()) != s {
			t.Errorf("%q re-encodes to %q", s, m.Marshal())
		}
		_ = m.Process(Block{Time: 1 << 40, Txs: [][]byte{tx}}) // never a panic
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

// What a block costs beside its signatures: a federation of ten with 16 open asks, one document.
func BenchmarkFinalize(b *testing.B) {
	f := newFed(b, 9)
	for range 16 {
		f.ask(f.ops[0], 3, 5, 1)
	}
	f.step(1, f.doc(f.ops[0]))
	block := f.at(1, f.doc(f.ops[0]))
	for b.Loop() {
		if _, err := f.m.Finalize(block); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(f.m.State().String())), "state-bytes")
}
