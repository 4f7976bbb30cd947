package ledger

import (
	"strings"
	"testing"

	"concord"
	"concord/note"
)

// Every type parses to what was formatted, and has one form only.
func TestBodiesRoundTrip(t *testing.T) {
	alice := operators(t)[0]
	for _, b := range bodies(t) {
		tx, err := Sign(b, alice.op)
		if err != nil {
			t.Errorf("%v:\n%s", err, b)
			continue
		}
		got, err := ParseTx(tx)
		if err != nil || got.Body().String() != b.String() {
			t.Errorf("%v:\n%s", err, b)
		}
		lines := strings.SplitAfter(b.String(), "\n")
		for i := range lines[:len(lines)-1] { // no line may be missing, twice, or spaced otherwise
			for name, text := range map[string]string{
				"missing": strings.Join(lines[:i], "") + strings.Join(lines[i+1:], ""),
				"twice":   strings.Join(lines[:i+1], "") + strings.Join(lines[i:], ""),
				"spaced":  strings.Join(lines[:i], "") + strings.Replace(lines[i], " ", "  ", 1) + strings.Join(lines[i+1:], ""),
				"tail":    strings.Join(lines[:i], "") + strings.TrimSuffix(lines[i], "\n") + " \n" + strings.Join(lines[i+1:], ""),
			} {
				optional := name == "missing" && (strings.HasPrefix(lines[i], "label ") || strings.HasPrefix(lines[i], "voters "))
				if _, err := ParseTx(note.Join(text, sign(t, alice.op, text))); err == nil && !optional {
					t.Errorf("line %d %s: accepted\n%s", i, name, text)
				}
			}
		}
	}
}

// Each line is a change to a text and the words of its refusal.
func TestGrammarRefusals(t *testing.T) {
	alice := operators(t)[0]
	all := bodies(t)
	ask, seal, show, doc, pay, fault, tree := all[0], all[1], all[2], all[3], all[5], all[6], all[7]
	for _, c := range []struct {
		body           Body
		old, new, want string
	}{
		{ask, "https://example.com/page/1187", "ftp://example.com/", "not an http or https URL"},
		{ask, "https://example.com/page/1187", "https://Example.com/", "not an http or https URL"},
		{ask, "https://example.com/page/1187", "https://example.com", "not an http or https URL"},
		{ask, "https://example.com/page/1187", "https://example.com/#top", "not an http or https URL"},
		{ask, "https://example.com/page/1187", "https://user@example.com/", "not an http or https URL"},
		{ask, "https://example.com/page/1187", "https://example.com/\u00e4", "not an http or https URL"},
		{ask, "https://example.com/page/1187", "https://example.com/a b", "not an http or https URL"},
		{ask, "https://example.com/page/1187", "https://example.com/" + strings.Repeat("x", 2000), "not an http or https URL"},
		{ask, "profile text-1", "profile text 1", "profile is not a word"},
		{ask, "need 3 of 5", "need 2 of 5", "more than half"},
		{ask, "need 3 of 5", "need 6 of 5", "at most all of it"},
		{ask, "need 3 of 5", "need 0 of 0", "more than half"},
		{ask, "need 3 of 5", "need 17 of 33", "up to 32"},
		{ask, "need 3 of 5", "need 3/5", "is not \"<k> of <n>\""},
		{ask, "until 120", "until 9", "at least 10"},
		{ask, "until 120", "until 999999999", "up to 604800"},
		{ask, "pay 10", "pay -1", "pay is not a decimal"},
		{ask, "pay 10", "pay 1000000001", "up to 1000000000"},
		{ask, "from alice.example", "from Alice", "lower-case host name"},
		{ask, "seq 1843", "seq 9223372036854775808", "seq is not a decimal"},
		{seal, "round 1", "round 0", "round must be 1 or 2"},
		{seal, "round 1", "round 3", "round is not a decimal number up to 2"},
		{seal, "commit ", "commit x", "not the base64"},
		{seal, "ask 99182", "ask 099182", "ask is not a decimal"},
		{show, "status 200", "status 1000", "status is not a decimal number up to 999"},
		{show, "sketch ", "sketch AA", "sketch is not the base64"},
		{show, "net AS64500 RIPE", "net AS64500 Europe", "a place is AS<number>"},
		{show, "net AS64500 RIPE", "net AS064500 RIPE", "not a decimal"},
		{show, "final https", "final gopher", "final is not an http"},
		{doc, "sha256 ", "sha1 ", "want a line \"sha256"},
		{pay, "amount 250", "amount 0", "above 0"},
		{pay, "amount 250", "amount 1000000000001", "up to 1000000000000"},
		{pay, "to bob.example", "to -bob", "lower-case host name"},
		{fault, "kind fork", "kind gossip", "kind is not one of attest, fork"},
		{fault, "a YQ==", "a YR==", "a is not the base64"},
		{fault, "a YQ==", "a " + strings.Repeat("AAAA", 16<<10/3+1), "a is not the base64 of 1 to 16384 bytes"},
		{tree, "proof ", "proof AAAA", "not a number of whole digests"},
	} {
		text := strings.Replace(c.body.String(), c.old, c.new, 1)
		_, err := ParseTx(note.Join(text, sign(t, alice.op, text)))
		if err == nil || !strings.Contains(err.Error(), c.want) || concord.KindOf(err) != concord.Invalid {
			t.Errorf("%q for %q: %v; want %q", c.new, c.old, err, c.want)
		}
	}
}

// Oversize and malformed messages are refused, by the same words whoever asks, and change nothing.
func TestHostileInput(t *testing.T) {
	f := newFed(t, 3)
	big := f.sign(f.ops[0], &DocTx{Head{testID, "alice.example", 1}, []concord.Digest{{1}}, ""})
	fork := &FaultTx{Head: Head{testID, "alice.example", 1}, Who: "bob.example", Kind: "fork", A: make([]byte, 8000), B: []byte("b")}
	for name, tx := range map[string][]byte{
		"65,536 bytes": append([]byte(strings.Repeat("a\n", 40000)), big...),
		"over txbytes": f.sign(f.ops[0], fork),
		"zero bytes":   {},
		"no text":      []byte("\n\n\u2014 a AAAAAAAA\n"),
		"no signature": []byte("concord/tx/v1 doc\n"),
		"binary":       {0, 1, 2, 255},
	} {
		f.refuse(name, "", 1, tx)
		if f.m.Check(tx) == nil || f.m.Process(Block{Txs: [][]byte{tx}}) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	n, err := note.Parse(big)
	if err != nil {
		t.Fatal(err)
	}
	extra := note.Join(n.Text, n.Sigs[0], sign(t, f.ops[1].op, n.Text))
	f.refuse("an extra signature", "exactly one signature", 1, extra)
	f.seq["alice.example"] = 0
}

// A block may hold evidence against a member and that member's transaction: who proposes it leaves the transaction out.
func TestEvidenceBesideTransaction(t *testing.T) {
	f := newFed(t, 4)
	f.step(1, f.gov(&Gov{Powers: []Power{{"bob.example", 1}, {"carol.example", 1}, {"dave.example", 1}}}))
	bob := f.ops[1]
	sum := concord.Sum(slice(bob.cons.Key().Public))
	b := f.at(1, f.doc(bob), f.doc(f.ops[0]))
	b.Bad = []Misbehaviour{{Kind: "DUPLICATE_VOTE", Height: 3}}
	copy(b.Bad[0].Address[:], sum[:])
	if err := f.m.Process(b); err == nil || !strings.Contains(err.Error(), "faulted") {
		t.Errorf("accepted: %v", err)
	}
	b.Txs = f.m.Prepare(b, 1<<20)
	if len(b.Txs) != 1 {
		t.Errorf("%d transactions prepared", len(b.Txs))
	}
	f.finalize(b)
	replayAll(t, f.node)
}
