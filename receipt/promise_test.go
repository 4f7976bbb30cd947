package receipt

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"concord"
	"concord/note"
)

// promiseOf is the promise of the capture in a world's receipt.
func promiseOf(t testing.TB, w *world) Promise {
	t.Helper()
	operator := w.operators[0]
	text := PromiseText(w.parts.Entry, chain, operator)
	return Promise{Entry: w.parts.Entry, Note: mustSign(t, text, testSigner(t, operator, "op", operator, note.Ed25519)), Admit: w.parts.Admit}
}

func TestCapturePromise(t *testing.T) {
	w := four(t)
	b, err := BuildPromise(promiseOf(t, w))
	if err != nil {
		t.Fatal(err)
	}
	r, err := Verify(b, w.policy, Options{URL: w.parts.Entry.URL})
	if err != nil {
		t.Fatal(err)
	}
	if r.Level != 0 || r.Operator != w.operators[0] || r.Raw != w.parts.Entry.Raw || r.Cosigners != 0 || r.Witnesses != 4 || !r.NotAfter.IsZero() || r.NotProven[0] != promiseWords {
		t.Errorf("%+v", r)
	}
	if err := r.CheckContent(w.body); err != nil {
		t.Error(err)
	}
	if _, err := Verify(b, w.policy, Options{URL: "https://example.com/"}); err == nil {
		t.Error("it is of another page")
	}
	if !IsPromise(b) || IsPromise(w.build(t)) {
		t.Error("a promise does not look like one, or a receipt does")
	}
	if _, err := Verify(b, one(t).policy, Options{}); err != nil {
		t.Errorf("alice's own policy: %v", err)
	}
	// A capture that is not in the log does not become witnessed.
	o, policy := panels(t, 50, "agree")
	out, err := Verify(buildOutcome(t, o), policy, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Witness(out); err != nil || r.Level != 0 {
		t.Errorf("level %d, %v", r.Level, err)
	}
}

// promiseVectors are promises, good and bad.
func promiseVectors(t testing.TB, v *vectors, w, f *world) {
	p := promiseOf(t, w)
	v.add("a promise", []byte(p.format()), w.policy)
	v.add("a promise, by one of four operators", []byte(p.format()), f.policy)
	alice := testSigner(t, "alice.example", "op", "alice.example", note.Ed25519)
	resigned := func(old, new string, by *note.Signer) func(*Promise) {
		return func(p *Promise) {
			text, _, _ := strings.Cut(string(p.Note), "\n\n")
			p.Note = mustSign(t, strings.Replace(text+"\n", old, new, 1), by)
		}
	}
	rich := newWorld(t, []string{"alice.example"}, 50, 8)
	for _, c := range []struct {
		name string
		edit func(*Promise)
	}{
		{"a promise of another capture", func(p *Promise) { p.Entry = rich.parts.Entry }},
		{"a promise that a ledger would execute", resigned("seq 0", "seq 7", alice)},
		{"a promise of a document", resigned("label capture", "label papers", alice)},
		{"a promise without its label", resigned("label capture\n", "", alice)},
		{"a promise of more", resigned("label", "sha256 "+concord.Sum([]byte("more")).String()+"\nlabel", alice)},
		{"a promise on another chain", resigned("chain net-1", "chain net-2", alice)},
		{"a promise by another key of the operator", resigned("", "", testSigner(t, "alice.example", "cosign", "alice.example", note.Ed25519))},
		{"a promise in another's name", resigned("from alice", "from bob", testSigner(t, "bob.example", "op", "bob.example", note.Ed25519))},
		{"a promise with the keys of another", func(p *Promise) { p.Admit = testAdmission(t, "bob.example") }},
		{"a promise that is an attestation", func(p *Promise) { p.Note = w.parts.Attest }},
		{"a promise with two signatures", func(p *Promise) {
			lines := bytes.SplitAfter(p.Note, []byte("\n"))
			p.Note = slices.Concat(p.Note, lines[len(lines)-2])
		}},
	} {
		q := p
		c.edit(&q)
		v.add(c.name, []byte(q.format()), w.policy)
	}
	b := []byte(p.format())
	for i := range 12 {
		bad := bytes.Clone(b)
		bad[(2*i+1)*len(b)/24] ^= 1 << (i % 8)
		v.add("a promise, bit flip "+string(rune('a'+i)), bad, w.policy)
	}
	v.add("a promise, and a line feed more", append(bytes.Clone(b), '\n'), w.policy)
	v.add("a promise with a batch", bytes.Replace(b, []byte("\n\n"), []byte("\nbatch 0 1\n\n"), 1), w.policy)
	v.add("a promise with a checkpoint", slices.Concat(b, []byte("\n"), w.parts.Checkpoint), w.policy)
	v.add("a promise of another version", bytes.Replace(b, []byte("/v1"), []byte("/v2"), 1), w.policy)
}

func FuzzPromise(f *testing.F) {
	w := one(f)
	p := promiseOf(f, w)
	f.Add([]byte(p.format()))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := parsePromise(b); err == nil && p.format() != string(b) {
			t.Errorf("%q is read, and written as %q", b, p.format())
		}
		_, _ = Verify(b, w.policy, Options{})
	})
}
