package ledger

import (
	"fmt"
	"runtime"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"concord"
)

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
		text := tx.Body().String()
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
