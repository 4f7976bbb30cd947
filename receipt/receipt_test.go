package receipt

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	flog "github.com/transparency-dev/formats/log"
	fnote "github.com/transparency-dev/formats/note"
	fproof "github.com/transparency-dev/formats/proof"
	fwitness "github.com/transparency-dev/formats/witness"
	mproof "github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	xnote "golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"concord"
	"concord/note"
)

var update = flag.Bool("update", false, "write the golden receipts again")

const (
	origin = "alice.example/net-1"
	chain  = "net-1:9f2c41d07ab3"
)

func testSigner(t testing.TB, operator, which, name string, typ note.Type) *note.Signer {
	t.Helper()
	seed := sha256.Sum256([]byte("concord test key " + operator + " " + which))
	s, err := note.NewSigner(name, typ, seed[:])
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// world is a ledger of a given size with one attestation in it, and everything made from fixed keys, salts and times.
type world struct {
	operators []string
	parts     Parts
	policy    []byte
	body      []byte
	leaf      tlog.Hash
	root      tlog.Hash
	size      int64
}

// tree keeps stored hashes in memory.
type tree []tlog.Hash

func (h *tree) ReadHashes(ix []int64) (list []tlog.Hash, _ error) {
	for _, i := range ix {
		list = append(list, (*h)[i])
	}
	return list, nil
}

func (h *tree) add(t testing.TB, n int64, leaf tlog.Hash) {
	t.Helper()
	more, err := tlog.StoredHashesForRecordHash(n, leaf, h)
	if err != nil {
		t.Fatal(err)
	}
	*h = append(*h, more...)
}

func prove(t testing.TB, h *tree, size, index int64) (path []concord.Digest, root tlog.Hash) {
	t.Helper()
	p, err := tlog.ProveRecord(size, index, h)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range p {
		path = append(path, concord.Digest(x))
	}
	if root, err = tlog.TreeHash(size, h); err != nil {
		t.Fatal(err)
	}
	return path, root
}

func newWorld(t testing.TB, operators []string, entries, batch int64) *world {
	t.Helper()
	w := &world{operators: operators, size: entries, body: []byte("<!doctype html><title>An example</title><p>Hello.\n")}
	var lines tree
	var first, last int64 = 1795320000, 1795320000 + batch - 1
	pick := batch * 2 / 3
	for i := range batch {
		e := concord.Entry{Time: first + i, Status: 200, Raw: concord.Sum(fmt.Appendf(nil, "raw %d", i)), Text: concord.Sum(fmt.Appendf(nil, "text %d", i)),
			Profile: "text-1", Record: concord.Sum(fmt.Appendf(nil, "record %d", i)), URL: fmt.Sprintf("https://example.com/page/%d", i)}
		salt := sha256.Sum256(fmt.Appendf(nil, "salt %d", i))
		copy(e.Salt[:], salt[:])
		if i == pick {
			e.Raw = concord.Sum(w.body)
			w.parts.Entry = e
		}
		lines.add(t, i, tlog.RecordHash([]byte(e.String())))
	}
	path, root := prove(t, &lines, batch, pick)
	w.parts.BatchIndex, w.parts.BatchCount, w.parts.BatchPath = uint64(pick), uint64(batch), path
	op := testSigner(t, operators[0], "op", operators[0], note.Ed25519)
	att := concord.Attestation{Chain: chain, From: operators[0], Seq: 1842, Count: uint64(batch), Root: concord.Digest(root), First: first, Last: last, Prev: concord.Sum([]byte("before"))}
	var err error
	if w.parts.Attest, err = note.Sign(att.String(), op); err != nil {
		t.Fatal(err)
	}
	w.parts.Admit = testAdmission(t, operators[0])
	w.leaf = tlog.RecordHash(w.parts.Attest)
	var log tree
	at := entries * 3 / 5
	for i := range entries {
		leaf := tlog.RecordHash(fmt.Appendf(nil, "entry %d", i))
		if i == at {
			leaf = w.leaf
		}
		log.add(t, i, leaf)
	}
	w.parts.Path, w.root = prove(t, &log, entries, at)
	w.parts.Index = uint64(at)
	w.sign(t)
	return w
}

// testAdmission returns the part of an operator's admission that a receipt carries.
func testAdmission(t testing.TB, operator string) []byte {
	t.Helper()
	cosign := testSigner(t, operator, "cosign", operator, note.Cosignature)
	cons := testSigner(t, operator, "cons", operator, note.Ed25519).Key().Public
	text := fmt.Sprintf("concord/tx/v1 gov\nchain net-1:000000000000\nepoch 1\nadmit %s\nop %s\ncosign %s\nlog %s\ncons %s\nnode %040d\n", operator,
		testSigner(t, operator, "op", operator, note.Ed25519).Key(), cosign.Key(), testSigner(t, operator, "log", origin, note.Ed25519).Key(),
		base64.StdEncoding.EncodeToString(cons[:]), 7)
	sig, err := cosign.Cosign(text, 1795310000)
	if err != nil {
		t.Fatal(err)
	}
	opSig, err := testSigner(t, operator, "op", operator, note.Ed25519).Sign(text)
	if err != nil {
		t.Fatal(err)
	}
	b, err := AdmitNote(note.Join(text, sig, opSig))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sign makes the checkpoint and the policy.
func (w *world) sign(t testing.TB) {
	t.Helper()
	text := note.Checkpoint{Origin: origin, Size: uint64(w.size), Root: concord.Digest(w.root)}.String()
	var logs, witnesses []note.Key
	n := note.Note{Text: text}
	for i, o := range w.operators {
		l := testSigner(t, o, "log", origin, note.Ed25519)
		c := testSigner(t, o, "cosign", o, note.Cosignature)
		logs, witnesses = append(logs, l.Key()), append(witnesses, c.Key())
		if i == 0 {
			s, err := l.Sign(text)
			if err != nil {
				t.Fatal(err)
			}
			n.Sigs = append(n.Sigs, s)
		}
		s, err := c.Cosign(text, 1795330000+int64(i))
		if err != nil {
			t.Fatal(err)
		}
		n.Sigs = append(n.Sigs, s)
	}
	w.parts.Checkpoint = n.Bytes()
	w.policy = []byte(FormatPolicy(logs, witnesses, 2*len(witnesses)/3+1))
}

// anchored returns the world with one cosignature more, by a witness from outside, and the policy that names it.
func (w *world) anchored(t testing.TB) (*world, []byte) {
	t.Helper()
	a := *w
	a.parts.Checkpoint = anchor(t, w.parts.Checkpoint)
	return &a, []byte(string(w.policy) + FormatOutside(outsider(t).Key()))
}

func outsider(t testing.TB) *note.Signer {
	return testSigner(t, "witness.example/w1", "cosign", "witness.example/w1", note.Cosignature)
}

// anchor adds the line of a witness from outside to a checkpoint.
func anchor(t testing.TB, checkpoint []byte) []byte {
	t.Helper()
	n, err := note.Parse(checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	s, err := outsider(t).Cosign(n.Text, 1795330060)
	if err != nil {
		t.Fatal(err)
	}
	n.Sigs = append(n.Sigs, s)
	return n.Bytes()
}

func (w *world) build(t testing.TB) []byte {
	t.Helper()
	b, err := Build(w.parts)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func one(t testing.TB) *world { return newWorld(t, []string{"alice.example"}, 50, 7) }
func four(t testing.TB) *world {
	return newWorld(t, []string{"alice.example", "bob.example", "carol.example", "dave.example"}, 1000, 100)
}

func TestVerify(t *testing.T) {
	w := one(t)
	r, err := Verify(w.build(t), w.policy, Options{URL: w.parts.Entry.URL})
	if err != nil {
		t.Fatal(err)
	}
	if r.URL != "https://example.com/page/4" || r.Operator != "alice.example" || r.Level != 1 || r.Cosigners != 1 || r.Witnesses != 1 || r.Size != 50 ||
		r.Index != 30 || r.Batch != 7 || r.Chain != chain || r.Log != origin || r.NotAfter.Unix() != 1795330000 || r.Captured.Unix() != 1795320004 || r.Seq != 1842 {
		t.Errorf("%+v", r)
	}
	if len(r.Proven) < 4 || len(r.NotProven) < 6 {
		t.Errorf("proven %q, not proven %q", r.Proven, r.NotProven)
	}
	if err := r.CheckContent(w.body); err != nil {
		t.Error(err)
	}
	for i := range w.body {
		bad := append([]byte(nil), w.body...)
		bad[i] ^= 1
		if err := r.CheckContent(bad); err == nil || !strings.Contains(err.Error(), "content: the body") {
			t.Fatalf("byte %d of the body changed: %v", i, err)
		}
	}
	if err := r.CheckWARC([]byte("record 4")); err != nil {
		t.Error(err)
	}
	if err := errors.Join(r.CheckText([]byte("text 4")), r.CheckTextDigest(concord.Sum([]byte("text 4")), "text-1")); err != nil {
		t.Error(err)
	}
	if r.CheckTextDigest(r.Text, "text-2") == nil || r.CheckTextDigest(concord.Sum(nil), "text-1") == nil || r.CheckWARC(nil) == nil || r.CheckText(nil) == nil {
		t.Error("wrong content accepted")
	}
	r, err = Verify(four(t).build(t), four(t).policy, Options{})
	if err != nil || r.Level != 2 || r.Cosigners != 4 || r.Witnesses != 4 {
		t.Errorf("four operators: %+v, %v", r, err)
	}
}

// Any one byte changed, in several ways: verification fails and says at which step.
func TestEveryByteCounts(t *testing.T) {
	w := one(t)
	proof := w.build(t)
	steps := map[Step]int{}
	for i := range proof {
		for _, c := range []byte{proof[i] ^ 1, proof[i] ^ 0x20, proof[i] ^ 0x80, '\n', '=', 'A', '#'} {
			if c == proof[i] {
				continue
			}
			bad := append([]byte(nil), proof...)
			bad[i] = c
			wantFailure(t, bad, w.policy, fmt.Sprintf("receipt byte %d %q to %q", i, proof[i], c), steps)
		}
		wantFailure(t, append(append([]byte(nil), proof[:i]...), proof[i+1:]...), w.policy, fmt.Sprintf("receipt without byte %d", i), steps)
	}
	wantFailure(t, append(append([]byte(nil), proof...), '\n'), w.policy, "a line feed more", steps)
	for i := range w.policy {
		for c := range 256 {
			if byte(c) == w.policy[i] {
				continue
			}
			bad := append([]byte(nil), w.policy...)
			bad[i] = byte(c)
			wantFailure(t, proof, bad, fmt.Sprintf("policy byte %d %q to %q", i, w.policy[i], byte(c)), steps)
		}
		wantFailure(t, proof, append(append([]byte(nil), w.policy[:i]...), w.policy[i+1:]...), fmt.Sprintf("policy without byte %d", i), steps)
	}
	t.Logf("%d bytes of receipt, %d of policy; failures by step: %v", len(proof), len(w.policy), steps)
}

func wantFailure(t *testing.T, proof, policy []byte, what string, steps map[Step]int) {
	t.Helper()
	_, err := Verify(proof, policy, Options{})
	var se *StepError
	if !errors.As(err, &se) || se.Reason == "" || concord.KindOf(err) != concord.Invalid {
		t.Fatalf("%s: %v", what, err)
	}
	steps[se.Step]++
}

// Parts that are valid by themselves but do not belong together.
func TestMixedParts(t *testing.T) {
	w, other := one(t), newWorld(t, []string{"alice.example"}, 51, 8)
	bob := newWorld(t, []string{"bob.example"}, 50, 7)
	for _, c := range []struct {
		name string
		edit func(*Parts)
		want Step
	}{
		{"another entry", func(p *Parts) { p.Entry = other.parts.Entry }, StepBatch},
		{"another batch count", func(p *Parts) { p.BatchCount++ }, StepBatch},
		{"another batch index", func(p *Parts) { p.BatchIndex-- }, StepBatch},
		{"another attestation", func(p *Parts) { p.Attest = other.parts.Attest }, StepBatch},
		{"time outside the span", func(p *Parts) { p.Entry.Time = 1 }, StepBatch},
		{"another operator's admission", func(p *Parts) { p.Admit = bob.parts.Admit }, StepOperator},
		{"another checkpoint", func(p *Parts) { p.Checkpoint = other.parts.Checkpoint }, StepLog},
		{"another log's checkpoint", func(p *Parts) { p.Checkpoint = bob.parts.Checkpoint }, StepCheckpoint},
		{"another index", func(p *Parts) { p.Index++ }, StepLog},
		{"index beyond the log", func(p *Parts) { p.Index = 50 }, StepLog},
		{"a path too short", func(p *Parts) { p.Path = p.Path[1:] }, StepLog},
		{"everything of another operator", func(p *Parts) { *p = bob.parts }, StepOperator},
	} {
		p := w.parts
		c.edit(&p)
		_, err := Verify([]byte(p.format()), w.policy, Options{})
		var se *StepError
		if !errors.As(err, &se) || se.Step != c.want {
			t.Errorf("%s: %v; want step %q", c.name, err, c.want)
		}
	}
	_, err := Verify(w.build(t), w.policy, Options{URL: "https://example.com/"})
	var se *StepError
	if !errors.As(err, &se) || se.Step != StepURL {
		t.Errorf("another URL: %v", err)
	}
}

func TestQuorum(t *testing.T) {
	w := four(t)
	n, err := note.Parse(w.parts.Checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	for keep, want := range map[int]Step{2: StepQuorum, 3: StepQuorum, 4: "", 5: ""} { // of one log line and four cosignatures
		p := w.parts
		p.Checkpoint = (&note.Note{Text: n.Text, Sigs: n.Sigs[:keep]}).Bytes()
		r, err := Verify([]byte(p.format()), w.policy, Options{})
		var se *StepError
		if want == "" && (err != nil || r.Cosigners != keep-1) || want != "" && (!errors.As(err, &se) || se.Step != want) {
			t.Errorf("%d lines: %v", keep, err)
		}
	}
	p := w.parts
	p.Checkpoint = (&note.Note{Text: n.Text, Sigs: n.Sigs[1:]}).Bytes()
	if _, err := Verify([]byte(p.format()), w.policy, Options{}); err == nil || !strings.Contains(err.Error(), "no log of the policy") {
		t.Errorf("no log signature: %v", err)
	}
}

func TestPolicies(t *testing.T) {
	key := func(o string) string { return testSigner(t, o, "cosign", o, note.Cosignature).Key().String() }
	log := "log " + testSigner(t, "alice.example", "log", origin, note.Ed25519).Key().String() + "\n"
	wit := func(names ...string) (s string) {
		for _, n := range names {
			s += "witness " + n + " " + key(n+".example") + "\n"
		}
		return s
	}
	for text, want := range map[string]string{
		log + "quorum none\n":                       "",
		"# a comment\n\n" + log + "\nquorum none\n": "",
		log + wit("a", "b", "c") + "group x 2 a b\ngroup y any c\ngroup z all x y\nquorum z\n": "",
		log + strings.TrimSuffix(wit("a"), "\n") + " https://a.example/w\nquorum a\n":          "",
		"":                                                      "empty",
		log:                                                     "no quorum",
		"quorum none\n":                                         "no log",
		log + "quorum none":                                     "line feed",
		log + "quorum q\n":                                      "not the name",
		log + "quorum none\nquorum none\n":                      "second quorum",
		log + log + "quorum none\n":                             "listed twice",
		log + wit("a", "a") + "quorum a\n":                      "listed twice",
		log + "log x\nquorum none\n":                            "verifier key",
		log + "log  x\nquorum none\n":                           "exactly one space",
		log + " quorum none\n":                                  "exactly one space",
		log + "quorum none\t\n":                                 "exactly one space",
		log + wit("none") + "quorum none\n":                     "is taken",
		log + wit("a") + "group a 1 a\nquorum a\n":              "is taken",
		log + wit("a") + "group g 2 a\nquorum g\n":              "threshold",
		log + wit("a") + "group g 01 a\nquorum g\n":             "threshold",
		log + wit("a") + "group g 0 a\nquorum g\n":              "threshold",
		log + wit("a") + "group g 1 b\nquorum g\n":              "not defined",
		log + wit("a") + "group g 1 a\ngroup h 1 a\nquorum g\n": "member of a group already",
		log + "witness w " + strings.Fields(log)[1] + "\nquorum w\n": "type 0x01",
		log + "hello\nquorum none\n":                                 "want log, witness",
	} {
		_, err := ParsePolicy([]byte(text))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("policy:\n%s%v; want %q", text, err, want)
		}
	}
}

// Libraries we did not write read our receipts and come to the same result.
func TestOthersVerify(t *testing.T) {
	for _, w := range []*world{one(t), four(t)} {
		var p fproof.TLogProof
		proof := w.build(t)
		if err := p.Unmarshal(proof); err != nil {
			t.Fatal(err)
		}
		if string(p.Marshal()) != string(proof) {
			t.Error("their encoder writes another receipt")
		}
		v, err := xnote.NewVerifier(testSigner(t, w.operators[0], "log", origin, note.Ed25519).Key().String())
		if err != nil {
			t.Fatal(err)
		}
		var cosigners []xnote.Verifier
		for _, o := range w.operators {
			c, err := fnote.NewVerifierForCosignatureV1(testSigner(t, o, "cosign", o, note.Cosignature).Key().String())
			if err != nil {
				t.Fatal(err)
			}
			cosigners = append(cosigners, c)
		}
		cp, rest, n, err := flog.ParseCheckpoint(p.Checkpoint, origin, v, cosigners...)
		if err != nil || len(rest) > 0 || len(n.Sigs) != 1+len(w.operators) {
			t.Fatalf("checkpoint: %v, %d signatures", err, len(n.Sigs))
		}
		leaf := rfc6962.DefaultHasher.HashLeaf(w.parts.Attest)
		var path [][]byte
		for _, h := range p.Hashes {
			path = append(path, h[:])
		}
		if err := mproof.VerifyInclusion(rfc6962.DefaultHasher, p.Index, cp.Size, leaf, path, cp.Hash); err != nil {
			t.Error(err)
		}
		// Their policy reader wants a URL for each witness, and skips log lines.
		var policy strings.Builder
		for _, l := range strings.SplitAfter(string(w.policy), "\n") {
			if strings.HasPrefix(l, "witness ") {
				l = strings.TrimSuffix(l, "\n") + " https://w.example/\n"
			}
			policy.WriteString(l)
		}
		g, err := fwitness.ParsePolicy([]byte(policy.String()))
		if err != nil || !g.Satisfied(p.Checkpoint) {
			t.Errorf("policy: %v, satisfied %v", err, err == nil && g.Satisfied(p.Checkpoint))
		}
	}
}

// A bare proof, without our part, is a tlog-proof like any other.
func TestFormatProof(t *testing.T) {
	w := one(t)
	var p fproof.TLogProof
	b := FormatProof(w.parts.Index, w.parts.Path, w.parts.Checkpoint)
	if err := p.Unmarshal(b); err != nil || string(p.Marshal()) != string(b) || p.Index != w.parts.Index || p.ExtraData != nil {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := Verify(b, w.policy, Options{}); err == nil {
		t.Error("a bare proof passes as a receipt")
	}
}

// Receipts written once stay readable for ever, byte for byte.
func TestGolden(t *testing.T) {
	for name, w := range map[string]*world{"one": one(t), "four": four(t)} {
		for ext, b := range map[string][]byte{".tlog-proof": w.build(t), ".policy": w.policy, ".body": w.body} {
			path := filepath.Join("testdata", name+ext)
			if *update {
				if err := os.WriteFile(path, b, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			got, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != string(b) {
				t.Errorf("%s differs from what is built now", path)
			}
		}
		proof, _ := os.ReadFile(filepath.Join("testdata", name+".tlog-proof"))
		policy, _ := os.ReadFile(filepath.Join("testdata", name+".policy"))
		if _, err := Verify(proof, policy, Options{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSize(t *testing.T) {
	w := newWorld(t, []string{"alice.example"}, 200_000, 4096)
	alone := len(w.build(t))
	w.operators = []string{"alice.example", "bob.example", "carol.example", "dave.example"}
	w.sign(t)
	federated := len(w.build(t))
	t.Logf("200,000 entries, batches of 4,096: %d bytes at one operator, %d with four cosignatures", alone, federated)
	if alone >= 4096 || federated >= 4096 {
		t.Errorf("a receipt takes %d bytes at one operator, %d at four; the bound is 4 KiB", alone, federated)
	}
}

func FuzzVerify(f *testing.F) {
	w := one(f)
	f.Add(w.build(f))
	f.Add([]byte(proofHead + "\nextra \nindex 0\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := parse(b); err == nil && p.format() != string(b) {
			t.Errorf("%q re-encodes to %q", b, p.format())
		}
		if _, err := Verify(b, w.policy, Options{}); err == nil && string(b) != string(w.build(t)) {
			t.Errorf("another receipt verifies: %q", b)
		}
	})
}

func FuzzParsePolicy(f *testing.F) {
	f.Add(one(f).policy)
	f.Add(four(f).policy)
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := ParsePolicy(b); err == nil {
			p.satisfied(map[int]bool{0: true})
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	w := newWorld(b, []string{"alice.example"}, 200_000, 4096)
	proof := w.build(b)
	for b.Loop() {
		if _, err := Verify(proof, w.policy, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
