package ledger

import (
	"slices"
	"testing"

	"concord"
	"concord/note"
)

func TestPay(t *testing.T) {
	f := newFed(t, 2)
	alice, bob := f.ops[0], f.ops[1]
	pay := func(from *operator, to string, n int64) []byte {
		return f.sign(from, &PayTx{f.head(from), to, n, concord.Sum([]byte("invoice"))})
	}
	f.step(1, pay(alice, bob.name, 1000))
	f.refuse("beyond the limit", "it costs 1, the balance is -1000 and the credit limit 1000", 1, pay(alice, bob.name, 1))
	f.refuse("itself", "to itself", 1, pay(bob, bob.name, 1))
	f.refuse("stranger", "is not a member", 1, pay(bob, "zoe.example", 1))
	f.step(1, pay(bob, alice.name, 2000)) // what it has, and its limit
	if f.balance(alice.name) != 1000 || f.balance(bob.name) != -1000 {
		t.Errorf("alice %d, bob %d", f.balance(alice.name), f.balance(bob.name))
	}
	f.step(1, f.gov(&Gov{Line: &Line{bob.name, 0}}))
	f.refuse("a lowered limit", "credit limit 0", 1, pay(bob, alice.name, 1))
	// Reordered, the second of two payments does not execute before the first.
	one, other := pay(alice, bob.name, 1), pay(alice, bob.name, 2)
	if err := f.m.Process(f.at(1, other, one)); err == nil {
		t.Error("a reordered block is accepted")
	}
	if got := f.m.Prepare(f.at(1, other, one, one), 1<<20); len(got) != 2 || string(got[0]) != string(one) {
		t.Errorf("%d prepared", len(got))
	}
	f.step(1, one, other)
	if err := f.m.Process(f.at(1, one)); concord.KindOf(err) != concord.Conflict && err == nil {
		t.Errorf("replayed: %v", err)
	}
	replayAll(t, f.node)
}

func TestDocs(t *testing.T) {
	f := newFed(t, 1)
	alice := f.ops[0]
	list := []concord.Digest{concord.Sum([]byte("a")), concord.Sum([]byte("b")), concord.Sum([]byte("c"))}
	slices.SortFunc(list, func(a, b concord.Digest) int { return slices.Compare([]byte(a.String()), []byte(b.String())) })
	f.step(1, f.sign(alice, &DocTx{f.head(alice), list, "contract-7"}))
	f.step(1, f.sign(alice, &DocTx{f.head(alice), list[:1], ""})) // a repeat is allowed
	for name, d := range map[string]*DocTx{
		"unsorted": {Digests: []concord.Digest{list[1], list[0]}},
		"twice":    {Digests: []concord.Digest{list[0], list[0]}},
		"none":     {},
		"label":    {Digests: list, Label: "two words"},
		"too many": {Digests: make([]concord.Digest, MaxDocs+1)},
	} {
		d.Head = Head{testID, alice.name, f.seq[alice.name] + 1}
		if tx, err := Sign(d, alice.op); err == nil {
			t.Errorf("%s: signed:\n%s", name, tx)
		}
		text := d.String()
		if err := f.m.Process(Block{Txs: [][]byte{note.Join(text, sign(t, alice.op, text))}}); concord.KindOf(err) != concord.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Who sends more bytes than its budget waits; the others do not.
func TestBudget(t *testing.T) {
	f := newFed(t, 2)
	alice, bob := f.ops[0], f.ops[1]
	f.step(1, f.gov(&Gov{Set: &Setting{ParamRate, 6000}}))
	f.step(1, f.gov(&Gov{Set: &Setting{ParamBurst, note.MaxBytes}}))
	sent := 0
	for {
		tx := f.doc(alice)
		if f.m.Process(f.at(0, tx)) != nil {
			f.seq[alice.name]--
			break
		}
		f.step(0, tx)
		sent += len(tx)
	}
	if sent > note.MaxBytes || sent < note.MaxBytes-300 {
		t.Errorf("%d bytes sent at once, the burst is %d", sent, note.MaxBytes)
	}
	f.refuse("spam", "more than its budget", 0, f.doc(alice))
	if err := f.m.Check(f.doc(alice)); err != nil {
		t.Errorf("the mempool, which does not know the time, refuses it: %v", err)
	}
	f.seq[alice.name]--
	f.step(0, f.doc(bob))
	f.step(10, f.doc(alice)) // 1000 bytes later
	replayAll(t, f.node)
}
