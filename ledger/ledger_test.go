package ledger

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"concord"
	"concord/note"
)

const (
	testName  = "net-1"
	testID    = "net-1:9f2c41d07ab3"
	testLog   = "concord.example/net-1"
	testNode  = "6c1d0c5b0e8f4a0f9a3f2f7f5d8d7c9a1b2c3d4"
	testEpoch = 1795320000
)

// operator is an operator of the tests: keys from fixed seeds.
type operator struct {
	name                  string
	op, cosign, log, cons *note.Signer
	node                  string
}

func newOperator(t testing.TB, name string, i int) *operator {
	t.Helper()
	key := func(which, keyName string, typ note.Type) *note.Signer {
		seed := sha256.Sum256([]byte("concord test key " + name + " " + which))
		s, err := note.NewSigner(keyName, typ, seed[:])
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	return &operator{name, key("op", name, note.Ed25519), key("cosign", name, note.Cosignature), key("log", testLog, note.Ed25519),
		key("cons", name, note.Ed25519), fmt.Sprintf("%s%x", testNode, i)}
}

func operators(t testing.TB) (list []*operator) {
	for i, n := range []string{"alice.example", "bob.example", "carol.example", "dave.example", "erin.example"} {
		list = append(list, newOperator(t, n, i))
	}
	return list
}

func (o *operator) admission() *Admission {
	return &Admission{Operator: o.name, Op: o.op.Key(), Cosign: o.cosign.Key(), Log: o.log.Key(), Cons: o.cons.Key().Public, Node: o.node}
}

// admit returns the admission of o, signed by its keys and by voters.
func (o *operator) admit(t testing.TB, chain string, epoch uint64, voters ...*operator) []byte {
	t.Helper()
	text := (&Gov{Chain: chain, Epoch: epoch, Admit: o.admission()}).String()
	cosig, err := o.cosign.Cosign(text, testEpoch)
	if err != nil {
		t.Fatal(err)
	}
	sigs := []note.Sig{cosig}
	for _, s := range []*note.Signer{o.op, o.log, o.cons} {
		sigs = append(sigs, sign(t, s, text))
	}
	for _, v := range voters {
		sigs = append(sigs, sign(t, v.op, text))
	}
	return note.Join(text, sigs...)
}

func sign(t testing.TB, s *note.Signer, text string) note.Sig {
	t.Helper()
	sig, err := s.Sign(text)
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

func power(t testing.TB, chain string, epoch uint64, voters []*operator, powers ...Power) []byte {
	t.Helper()
	text := (&Gov{Chain: chain, Epoch: epoch, Powers: powers}).String()
	var sigs []note.Sig
	for _, v := range voters {
		sigs = append(sigs, sign(t, v.op, text))
	}
	return note.Join(text, sigs...)
}

func (o *operator) attest(t testing.TB, chain string, seq uint64, prev concord.Digest) ([]byte, concord.Digest) {
	t.Helper()
	root := concord.Sum(fmt.Appendf(nil, "%s %d", o.name, seq))
	b, err := note.Sign(concord.Attestation{Chain: chain, From: o.name, Seq: seq, Count: 1, Root: root, First: 1, Last: 2, Prev: prev}.String(), o.op)
	if err != nil {
		t.Fatal(err)
	}
	return b, root
}

// founded returns a chain with alice as its only voter.
func founded(t testing.TB, ops []*operator) (*Machine, [][]byte) {
	t.Helper()
	notes := [][]byte{ops[0].admit(t, FoundingID(testName), 1), power(t, FoundingID(testName), 2, ops[:1], Power{ops[0].name, 1})}
	m, err := Found(testID, notes)
	if err != nil {
		t.Fatal(err)
	}
	return m, notes
}

// node runs blocks and keeps the log.
type node struct {
	t       testing.TB
	m       *Machine
	entries [][]byte
}

func newNode(t testing.TB, ops []*operator) *node {
	m, notes := founded(t, ops)
	return &node{t, m, notes}
}

func (n *node) block(txs ...[]byte) *Outcome {
	n.t.Helper()
	h := n.m.Height() + 1
	out, err := n.m.Finalize(Block{Height: h, Hash: concord.Sum(fmt.Append(nil, h)), Time: testEpoch + h, Txs: txs, NextValidators: concord.Sum([]byte("validators"))})
	if err != nil {
		n.t.Fatal(err)
	}
	n.m = out.Next
	n.entries = append(n.entries, out.Entries...)
	return out
}

func TestFounding(t *testing.T) {
	ops := operators(t)
	m, notes := founded(t, ops)
	a := m.State().Member("alice.example")
	if a == nil || a.Status != Active || a.Power != 1 || m.State().Epoch != 2 || m.State().Origin != testLog || m.Size() != 2 {
		t.Fatalf("state:\n%s", m.State())
	}
	for name, bad := range map[string][][]byte{
		"no notes":        nil,
		"nobody active":   notes[:1],
		"wrong order":     {notes[1], notes[0]},
		"twice":           {notes[0], notes[0]},
		"the chain's ID":  {ops[0].admit(t, testID, 1), power(t, testID, 2, ops[:1], Power{ops[0].name, 1})},
		"foreign founder": {notes[0], power(t, FoundingID(testName), 2, ops[1:2], Power{ops[0].name, 1})},
	} {
		if _, err := Found(testID, bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestFounderMustProveEveryKey(t *testing.T) {
	ops := operators(t)
	n, err := note.Parse(ops[0].admit(t, FoundingID(testName), 1))
	if err != nil {
		t.Fatal(err)
	}
	for i := range n.Sigs {
		sigs := append(append([]note.Sig{}, n.Sigs[:i]...), n.Sigs[i+1:]...)
		b := note.Join(n.Text, sigs...)
		if _, err := Found(testID, [][]byte{b, power(t, FoundingID(testName), 2, ops[:1], Power{ops[0].name, 1})}); err == nil || !strings.Contains(err.Error(), "3 of the 4 new keys") {
			t.Errorf("without signature %d: %v", i, err)
		}
	}
}

// Each line is a transaction and the words its refusal must hold; empty: it is accepted.
func TestTransactions(t *testing.T) {
	ops := operators(t)
	alice, bob := ops[0], ops[1]
	n := newNode(t, ops)
	tx, root := alice.attest(t, testID, 1, concord.Digest{})
	n.block(tx)
	next, _ := alice.attest(t, testID, 2, root)
	mutate := func(old, new string) []byte { return []byte(strings.Replace(string(next), old, new, 1)) }
	resign := func(old, new string) []byte {
		x, err := note.Parse(next)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Replace(x.Text, old, new, 1)
		return note.Join(text, sign(t, alice.op, text))
	}
	replayed, _ := alice.attest(t, testID, 1, concord.Digest{})
	gap, _ := alice.attest(t, testID, 3, root)
	otherPrev, _ := alice.attest(t, testID, 2, concord.Digest{})
	otherChain, _ := alice.attest(t, "net-1:000000000000", 2, root)
	stranger, _ := bob.attest(t, testID, 1, concord.Digest{})
	x, _ := note.Parse(next)
	byBob := note.Join(x.Text, sign(t, bob.op, x.Text))
	byBoth := note.Join(x.Text, x.Sigs[0], sign(t, bob.op, x.Text))
	for _, c := range []struct {
		name string
		tx   []byte
		want string
	}{
		{"next", next, ""},
		{"replayed", replayed, "seq 1, the next is 2"},
		{"gap", gap, "seq 3, the next is 2"},
		{"prev", otherPrev, "prev is not the root"},
		{"chain", otherChain, "this is chain"},
		{"not a member", stranger, "not a member"},
		{"signed by another", byBob, "exactly one signature"},
		{"signed by two", byBoth, "exactly one signature"},
		{"text changed", mutate("count 1", "count 2"), "exactly one signature"},
		{"leading zero", resign("count 1", "count 01"), "canonical"},
		{"plus sign", resign("count 1", "count +1"), "count"},
		{"count 0", resign("count 1", "count 0"), "count"},
		{"CRLF", []byte(strings.ReplaceAll(string(next), "\n", "\r\n")), "malformed"},
		{"unknown type", resign("tx/v1 attest", "tx/v1 vote"), `type "vote" is not known`},
		{"no type", resign("concord/tx/v1 attest", "hello"), "first line"},
		{"extra line", resign("prev ", "more x\nprev "), "eight lines"},
		{"too long", append([]byte(strings.Repeat("x", DefaultTxBytes)), next...), "the limit is 8192"},
		{"empty", nil, "malformed"},
		{"gov by nobody", power(t, testID, 3, ops[1:2], Power{"alice.example", 2}), "neither a new key nor an elector"},
		{"gov unknown action", govText(t, alice, "mint bob.example"), `action "mint" is not known`},
		{"gov without action", govText(t, alice, ""), "no action"},
		{"gov old epoch", power(t, testID, 2, ops[:1], Power{"alice.example", 2}), "epoch 2, the next is 3"},
		{"gov nobody left", power(t, testID, 3, ops[:1], Power{"alice.example", 0}), "nobody would have power"},
		{"gov no change", power(t, testID, 3, ops[:1], Power{"alice.example", 1}), "is 1 already"},
		{"gov not a member", power(t, testID, 3, ops[:1], Power{"bob.example", 1}), "not a member"},
		{"admit", bob.admit(t, testID, 3, alice), ""},
		{"admit without vote", bob.admit(t, testID, 3), "0 of 1 electors"},
	} {
		err := n.m.Process(Block{Txs: [][]byte{c.tx}})
		checkErr := n.m.Check(c.tx)
		if c.want == "" && (err != nil || checkErr != nil) {
			t.Errorf("%s: %v, %v", c.name, err, checkErr)
		}
		if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v; want %q", c.name, err, c.want)
		}
		if stale := n.m.Stale(c.tx); stale != nil && checkErr == nil {
			t.Errorf("%s: stale (%v), although it may wait", c.name, stale)
		}
		if err != nil && concord.KindOf(err) == concord.Internal {
			t.Errorf("%s: an error of no kind: %v", c.name, err)
		}
		if c.name == "gap" && checkErr != nil {
			t.Errorf("the mempool refuses a transaction that is one ahead: %v", checkErr)
		}
	}
}

func govText(t testing.TB, o *operator, action string) []byte {
	text := "concord/tx/v1 gov\nchain " + testID + "\nepoch 3\n"
	if action != "" {
		text += action + "\n"
	}
	return note.Join(text, sign(t, o.op, text))
}

func TestStale(t *testing.T) {
	ops := operators(t)
	n := newNode(t, ops)
	tx, root := ops[0].attest(t, testID, 1, concord.Digest{})
	admit := ops[1].admit(t, testID, 3, ops[0])
	next, _ := ops[0].attest(t, testID, 2, root)
	wrong, _ := ops[0].attest(t, testID, 2, concord.Digest{})
	n.block(admit, tx)
	for name, c := range map[string]struct {
		tx   []byte
		want bool
	}{"executed": {tx, true}, "executed gov": {admit, true}, "next": {next, false}, "next with another prev": {wrong, true}, "junk": {[]byte("x"), true}} {
		if err := n.m.Stale(c.tx); (err != nil) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// From one voter to four in one step, with everything around it refused.
func TestMembership(t *testing.T) {
	ops := operators(t)
	n := newNode(t, ops)
	for i, o := range ops[1:4] {
		n.block(o.admit(t, testID, uint64(3+i), ops[0]))
	}
	if err := n.m.Process(Block{Txs: [][]byte{ops[1].admit(t, testID, 6, ops[0])}}); err == nil || !strings.Contains(err.Error(), "is a member already") {
		t.Errorf("admitted twice: %v", err)
	}
	two := power(t, testID, 6, ops[:1], Power{"bob.example", 1})
	if err := n.m.Process(Block{Txs: [][]byte{two}}); err == nil || !strings.Contains(err.Error(), "voters 2") {
		t.Errorf("two voters: %v", err)
	}
	unequal := power(t, testID, 6, ops[:1], Power{"bob.example", 1}, Power{"carol.example", 2}, Power{"dave.example", 1})
	if err := n.m.Process(Block{Txs: [][]byte{unequal}}); err == nil {
		t.Error("four unequal voters accepted")
	}
	four := power(t, testID, 6, ops[:1], Power{"bob.example", 1}, Power{"carol.example", 1}, Power{"dave.example", 1})
	out := n.block(four)
	if len(out.Updates) != 3 || out.Updates[0].Cons != ops[1].cons.Key().Public {
		t.Errorf("updates: %+v", out.Updates)
	}
	// Now three of four must sign.
	erin := ops[4]
	if err := n.m.Process(Block{Txs: [][]byte{erin.admit(t, testID, 7, ops[0], ops[1])}}); err == nil || !strings.Contains(err.Error(), "2 of 4 electors signed, 3 must") {
		t.Errorf("two of four: %v", err)
	}
	n.block(erin.admit(t, testID, 7, ops[0], ops[1], ops[3]))
	if m := n.m.State().Member("erin.example"); m == nil || m.Status != Candidate {
		t.Error("erin is no candidate")
	}
	// A candidate attests.
	tx, _ := erin.attest(t, testID, 1, concord.Digest{})
	n.block(tx)
	// Evidence takes a member's vote, and its voice.
	bob := concord.Sum(slice(ops[1].cons.Key().Public))
	bad := Misbehaviour{Kind: "DUPLICATE_VOTE", Height: 3}
	copy(bad.Address[:], bob[:])
	h := n.m.Height() + 1
	ev, err := n.m.Finalize(Block{Height: h, Hash: concord.Sum(nil), Time: testEpoch + h, Bad: []Misbehaviour{bad}})
	if err != nil {
		t.Fatal(err)
	}
	n.m, n.entries = ev.Next, append(n.entries, ev.Entries...)
	if m := n.m.State().Member("bob.example"); m.Status != Faulted || m.Power != 0 || len(ev.Updates) != 1 || ev.Updates[0].Power != 0 {
		t.Errorf("bob after evidence: %+v, updates %+v", m, ev.Updates)
	}
	tx, _ = ops[1].attest(t, testID, 1, concord.Digest{})
	if err := n.m.Process(Block{Txs: [][]byte{tx}}); err == nil || !strings.Contains(err.Error(), "faulted") {
		t.Errorf("a faulted member attests: %v", err)
	}
	replayAll(t, n)
}

func slice(b [32]byte) []byte { return b[:] }

func TestAloneEvidenceKeepsTheVote(t *testing.T) {
	ops := operators(t)
	n := newNode(t, ops)
	alice := concord.Sum(slice(ops[0].cons.Key().Public))
	bad := Misbehaviour{Kind: "DUPLICATE_VOTE", Height: 1}
	copy(bad.Address[:], alice[:])
	out, err := n.m.Finalize(Block{Height: 1, Time: testEpoch, Bad: []Misbehaviour{bad}})
	if err != nil || len(out.Updates) != 0 || len(out.Entries) != 1 || !strings.Contains(string(out.Entries[0]), "bad DUPLICATE_VOTE alice.example 1\n") {
		t.Errorf("%v %+v", err, out)
	}
}

// However much evidence a block brings, its record is an entry like others, and replays.
func TestRecordFitsAnEntry(t *testing.T) {
	f := newFed(t, 5)
	var bad, vain []Misbehaviour
	for h := range int64(2000) {
		for _, o := range f.ops[:3] { // bob and carol lose their voice by the first; alice, the only voter, never
			cons := concord.Sum(slice(o.cons.Key().Public))
			bad = append(bad, Misbehaviour{"DUPLICATE_VOTE", [20]byte(cons[:20]), h + 1})
		}
		vain = append(vain, bad[3*h], Misbehaviour{Kind: "DUPLICATE_VOTE", Height: h + 1}) // the other of a stranger
	}
	finalize := func(bad []Misbehaviour) *Outcome {
		b := f.at(1)
		b.Bad = bad
		out, err := f.m.Finalize(b)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	most := 1 // that fit
	for size := len(finalize(bad[:1]).Entries[0]); ; most++ {
		if size += len(fmt.Sprintf("bad DUPLICATE_VOTE %s %d\n", f.ops[most%3].name, bad[most].Height)); size > note.MaxBytes {
			break
		}
	}
	for _, c := range []struct {
		bad           []Misbehaviour
		lines, faults int
	}{{bad[:1], 1, 0}, {bad[:2], 2, 1}, {bad[:1000], 1000, 2}, {bad[:most], most, 2}, {bad[:most+1], 3, 2}, {bad, 3, 2}, {vain, 2, 0}} {
		out := finalize(c.bad)
		rec := string(out.Entries[0])
		if got := strings.Count(rec, "\nbad "); len(rec) > note.MaxBytes || got != c.lines {
			t.Errorf("%d pieces of evidence: a record of %d bytes and %d lines, want %d", len(c.bad), len(rec), got, c.lines)
		}
		faults := 0
		for _, m := range out.Next.State().Members {
			if m.Status == Faulted {
				faults++
			}
		}
		if faults != c.faults {
			t.Errorf("%d pieces of evidence: %d members faulted, want %d", len(c.bad), faults, c.faults)
		}
		replayAll(t, &node{t: t, m: out.Next, entries: slices.Concat(f.entries, out.Entries)})
	}
}

func TestKeysAreForOnePurpose(t *testing.T) {
	ops := operators(t)
	n := newNode(t, ops)
	eve := newOperator(t, "eve.example", 9)
	eve.log = eve.op
	eve.log, _ = note.NewSigner(testLog, note.Ed25519, sha256Seed("eve.example", "op"))
	if err := n.m.Process(Block{Txs: [][]byte{eve.admit(t, testID, 3, ops[0])}}); err == nil || !strings.Contains(err.Error(), "in use already") {
		t.Errorf("one key twice: %v", err)
	}
	eve = newOperator(t, "eve.example", 9)
	eve.cons, _ = note.NewSigner("eve.example", note.Ed25519, sha256Seed("alice.example", "cons"))
	if err := n.m.Process(Block{Txs: [][]byte{eve.admit(t, testID, 3, ops[0])}}); err == nil || !strings.Contains(err.Error(), "in use already") {
		t.Errorf("another's key: %v", err)
	}
}

func sha256Seed(name, which string) []byte {
	s := sha256.Sum256([]byte("concord test key " + name + " " + which))
	return s[:]
}

// An empty block changes neither root nor log; its successor's record names it as the upper end of the bracket.
func TestEmptyBlocksAndTimeBracket(t *testing.T) {
	ops := operators(t)
	n := newNode(t, ops)
	root := n.m.Root()
	if out := n.block(); len(out.Entries) != 0 || n.m.Root() != root {
		t.Error("an empty block changed the log")
	}
	tx, r := ops[0].attest(t, testID, 1, concord.Digest{})
	n.block(tx) // height 2
	n.block()   // height 3: the first after the record of 2
	n.block()
	tx, _ = ops[0].attest(t, testID, 2, r)
	out := n.block(tx) // height 5
	rec, err := ParseRecord(string(out.Entries[1]))
	if err != nil || rec.After.Height != 3 || rec.Height != 5 || rec.After.Time != testEpoch+3 || rec.Txs != 1 || rec.State != n.m.State().clone().withAfter(rec.After).Hash() {
		t.Errorf("%v, record:\n%s", err, out.Entries[1])
	}
	replayAll(t, n)
}

func (s *State) withAfter(m Mark) *State {
	s.After = &m
	return s
}

func replayAll(t *testing.T, n *node) {
	t.Helper()
	p := NewReplay(testID)
	var hashes []tlog.Hash
	read := tlog.HashReaderFunc(func(ix []int64) (list []tlog.Hash, _ error) {
		for _, i := range ix {
			list = append(list, hashes[i])
		}
		return list, nil
	})
	for i, e := range n.entries {
		if err := p.Add(e); err != nil {
			t.Fatal(err)
		}
		more, err := tlog.StoredHashes(int64(i), e, read)
		if err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, more...)
	}
	got, err := p.End()
	if err != nil {
		t.Fatal(err)
	}
	want, err := tlog.TreeHash(int64(len(n.entries)), read)
	if err != nil {
		t.Fatal(err)
	}
	if got.Root() != n.m.Root() || concord.Digest(want) != n.m.Root() {
		t.Errorf("root %s after replay, %s by tlog, %s running", got.Root(), concord.Digest(want), n.m.Root())
	}
	a, b := got.State().clone(), n.m.State().clone()
	a.After, b.After = nil, nil // blocks without transactions are not in the log
	if a.String() != b.String() {
		t.Errorf("state after replay:\n%s\nrunning:\n%s", a, b)
	}
	back, err := Unmarshal(n.m.Marshal())
	if err != nil || string(back.Marshal()) != string(n.m.Marshal()) || back.Root() != n.m.Root() {
		t.Errorf("marshal: %v", err)
	}
}

func TestReplayFindsChanges(t *testing.T) {
	ops := operators(t)
	n := newNode(t, ops)
	var prev concord.Digest
	for seq := uint64(1); seq <= 3; seq++ {
		var tx []byte
		tx, prev = ops[0].attest(t, testID, seq, prev)
		n.block(tx)
	}
	for i := range n.entries {
		for _, off := range []int{0, len(n.entries[i]) / 2, len(n.entries[i]) - 2} {
			p := NewReplay(testID)
			err := error(nil)
			for j, e := range n.entries {
				if j == i {
					e = append([]byte(nil), e...)
					e[off] ^= 1
				}
				if err = p.Add(e); err != nil {
					break
				}
			}
			if err == nil {
				_, err = p.End()
			}
			if err == nil {
				t.Errorf("entry %d byte %d changed, and replay did not see it", i, off)
			}
		}
	}
}

func TestPrepare(t *testing.T) {
	ops := operators(t)
	n := newNode(t, ops)
	var txs [][]byte
	var prev concord.Digest
	for seq := uint64(1); seq <= 10; seq++ {
		var tx []byte
		tx, prev = ops[0].attest(t, testID, seq, prev)
		txs = append([][]byte{tx}, txs...) // newest first
	}
	txs = append(txs, []byte("junk"), txs[3], ops[1].admit(t, testID, 3, ops[0]))
	got := n.m.Prepare(Block{Txs: txs}, 1<<20)
	if err := n.m.Process(Block{Txs: got}); err != nil || len(got) != 11 {
		t.Errorf("%d transactions prepared: %v", len(got), err)
	}
	size := 0
	for _, tx := range n.m.Prepare(Block{Txs: txs}, 2000) {
		size += len(tx) + txOverhead
	}
	if size > 2000 || size == 0 {
		t.Errorf("%d bytes prepared for a limit of 2000", size)
	}
}
