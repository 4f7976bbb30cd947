package ledger

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"concord/note"
)

// blank returns the machine as it is after a restart: it remembers no transaction.
func blank(t testing.TB, m *Machine) *Machine {
	t.Helper()
	m, err := Unmarshal(m.Marshal())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// What a machine remembers of transactions decides nothing: of two that are fed the same blocks, one has checked, prepared and judged every transaction,
// and the other begins anew before each block.
func TestSeenDecidesNothing(t *testing.T) {
	w := newWalk(t, 5)
	w.run(t, 80)
	full := replayed(t, w.entries)
	none := replayed(t, w.entries)
	var txs [][]byte
	blocks, hits := 0, 0
	for _, e := range w.entries[foundingNotes(t, w.entries):] {
		if !IsRecord(e) {
			txs = append(txs, e)
			continue
		}
		rec, err := ParseRecord(string(e))
		if err != nil {
			t.Fatal(err)
		}
		b := Block{Height: rec.Height, Hash: rec.Hash, Time: rec.Time, Txs: txs, NextValidators: rec.Validators}
		if rec.After.Height < rec.Height {
			empty := Block{Height: rec.After.Height, Hash: rec.After.Hash, Time: rec.After.Time}
			for _, m := range []**Machine{&full, &none} {
				out, err := (*m).Finalize(empty)
				if err != nil {
					t.Fatal(err)
				}
				*m = out.Next
			}
		}
		none = blank(t, none)
		for _, tx := range txs {
			said, plain := full.Check(tx), none.Check(tx)
			if fmt.Sprint(said) != fmt.Sprint(plain) {
				t.Fatalf("checked: %v, anew: %v", said, plain)
			}
			if x, _ := full.seen.parse(tx); x.by != (note.Key{}) {
				hits++
			}
		}
		if got, want := full.Prepare(b, 1<<20), blank(t, none).Prepare(b, 1<<20); !equalAll(got, want) {
			t.Fatalf("prepared %d transactions, anew %d", len(got), len(want))
		}
		if err := full.Process(b); err != nil {
			t.Fatal(err)
		}
		none = blank(t, none)
		x, err := full.Finalize(b)
		y, err2 := none.Finalize(b)
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		if !equalAll(x.Entries, y.Entries) || !bytes.Equal(x.Next.Marshal(), y.Next.Marshal()) || !bytes.Equal(x.Entries[len(x.Entries)-1], e) {
			t.Fatalf("block %d: the two differ", b.Height)
		}
		full, none, txs = x.Next, y.Next, nil
		blocks++
	}
	if blocks < 40 || hits < 200 {
		t.Errorf("%d blocks, %d transactions that were known", blocks, hits)
	}
}

func equalAll(a, b [][]byte) bool {
	return bytes.Equal(bytes.Join(a, []byte{0}), bytes.Join(b, []byte{0})) && len(a) == len(b)
}

// foundingNotes returns how many entries are those of the founding.
func foundingNotes(t testing.TB, entries [][]byte) (n int) {
	for _, e := range entries {
		if x, err := ParseTx(e); err != nil || x.Chain == testID {
			return n
		}
		n++
	}
	t.Fatal("nothing but founding notes")
	return 0
}

func replayed(t testing.TB, entries [][]byte) *Machine {
	m, err := Found(testID, entries[:foundingNotes(t, entries)])
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// A signature that was verified is worth nothing under another key, in another state, or with other bytes.
func TestSeenIsOfOneKey(t *testing.T) {
	f := newFed(t, 4)
	bob := f.ops[1]
	refused := func(what string, tx []byte) {
		t.Helper()
		for name, m := range map[string]*Machine{"as it is": f.m, "anew": blank(t, f.m)} {
			b := f.at(1, tx)
			_, err := m.Finalize(b)
			if m.Check(tx) == nil || m.Ready(tx) == nil || m.Process(b) == nil || err == nil || len(m.Prepare(b, 1<<20)) > 0 {
				t.Errorf("%s, %s: taken", what, name)
			}
		}
	}
	tx := f.doc(bob)
	if err := f.m.Check(tx); err != nil {
		t.Fatal(err)
	}
	if x, _ := f.m.seen.parse(tx); x.by != bob.op.Key() {
		t.Fatal("a transaction that was checked is not remembered")
	}
	forged := bytes.Clone(tx)
	i := len(forged) - 20
	if forged[i] = 'A'; tx[i] == 'A' {
		forged[i] = 'B'
	}
	refused("another signature of the same text", forged)
	other := note.Join(mustParse(t, tx).Note.Text, sign(t, f.ops[2].op, mustParse(t, tx).Note.Text))
	refused("signed by another member", other)
	if mustKnow(t, f.m, forged) || mustKnow(t, f.m, other) {
		t.Error("what was refused is remembered")
	}

	k := f.key(bob.name, "op", note.Ed25519)
	rotate := f.gov(&Gov{Rotate: &Rotation{Operator: bob.name, Which: "op", Key: k.Key()}}, k)
	fresh := *bob
	fresh.op = k
	f.seq[bob.name]--
	early := f.doc(&fresh) // the same text under the key to come
	refused("a key that is not yet bob's", early)
	// in one block: what comes first in it decides of what comes after
	if err := f.m.Process(f.at(1, rotate, tx)); err == nil {
		t.Error("a block rotates a key and takes what the old one signed")
	}
	if err := f.m.Process(f.at(1, rotate, early)); err != nil {
		t.Errorf("a block rotates a key, and what the new one signed is refused: %v", err)
	}
	f.step(1, rotate)
	refused("signed with the key of before", tx)
	f.step(1, early)
	refused("a seq that was used", early)

	// a member that left
	tx = f.doc(&fresh)
	if err := f.m.Check(tx); err != nil {
		t.Fatal(err)
	}
	f.step(1, f.gov(&Gov{Drop: bob.name}))
	refused("of somebody who left", tx)
}

func mustParse(t testing.TB, tx []byte) *Tx {
	t.Helper()
	x, err := ParseTx(tx)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func mustKnow(t testing.TB, m *Machine, tx []byte) bool {
	x, err := m.seen.parse(tx)
	if err != nil {
		t.Fatal(err)
	}
	return x.by != (note.Key{})
}

// It is bounded, forgets the oldest, and many may use it at once.
func TestSeenIsBounded(t *testing.T) {
	s, key := newSeen(), operators(t)[0].op.Key()
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 400 {
				b := fmt.Appendf(nil, "%d %d %s", g, i, bytes.Repeat([]byte("x"), 10_000))
				s.add(signedTx{Tx: &Tx{}, data: b}, key)
				if x, err := s.parse(b); err == nil && x.by != key {
					t.Error("it says that another key signed")
				}
			}
		})
	}
	wg.Wait()
	last := []byte("last")
	s.add(signedTx{Tx: &Tx{}, data: last}, key)
	if x, err := s.parse(last); err != nil || x.by != key {
		t.Errorf("what was just added is not known: %v", err)
	}
	size := 0
	for _, m := range []map[string]signedTx{s.new, s.old} {
		for b := range m {
			size += len(b)
		}
	}
	if size > 2*seenBytes || size < seenBytes {
		t.Errorf("it holds %d bytes, want %d to %d", size, seenBytes, 2*seenBytes)
	}
	if _, err := s.parse(fmt.Appendf(nil, "0 0 %s", bytes.Repeat([]byte("x"), 10_000))); err == nil {
		t.Error("the first is still known")
	}
}
