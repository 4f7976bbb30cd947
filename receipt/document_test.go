package receipt

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"concord"
	"concord/note"
)

// papers makes a log of a given size in which alice's note of some documents lies in a block of two transactions, and the
// receipt of one of the documents.
func papers(t testing.TB, operators []string, entries int64, salt concord.Digest) (Document, []byte) {
	t.Helper()
	d := Document{File: concord.Sum([]byte("the document")), Salt: salt}
	digests := []string{d.Notarised().String(), concord.Sum([]byte("another")).String()}
	slices.Sort(digests)
	op := testSigner(t, operators[0], "op", operators[0], note.Ed25519)
	text := fmt.Sprintf("concord/tx/v1 doc\nchain %s\nfrom %s\nseq 9\nsha256 %s\nsha256 %s\nlabel test\n", chain, operators[0], digests[0], digests[1])
	d.Note = mustSign(t, text, op)
	d.Admit = testAdmission(t, operators[0])
	d.Record = fmt.Appendf(nil, "concord/block/v1\nheight 77\nhash %s\ntime 1795320050\nafter 76 %s 1795320040\ntxs 2\nstate %s\nvalidators %s\n",
		concord.Sum([]byte("h")), concord.Sum([]byte("a")), concord.Sum([]byte("s")), concord.Sum([]byte("v")))
	d.Index, d.RecordIndex = uint64(entries*3/5), uint64(entries*3/5)+2
	var log tree
	for i := range entries {
		leaf := tlog.RecordHash(fmt.Appendf(nil, "entry %d", i))
		switch uint64(i) {
		case d.Index:
			leaf = tlog.RecordHash(d.Note)
		case d.RecordIndex:
			leaf = tlog.RecordHash(d.Record)
		}
		log.add(t, i, leaf)
	}
	w := &world{operators: operators, size: entries}
	d.Path, w.root = prove(t, &log, entries, int64(d.Index))
	d.RecordPath, _ = prove(t, &log, entries, int64(d.RecordIndex))
	w.sign(t)
	d.Checkpoint = w.parts.Checkpoint
	return d, w.policy
}

func mustSign(t testing.TB, text string, s *note.Signer) []byte {
	t.Helper()
	b, err := note.Sign(text, s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustBuild(t testing.TB, d Document) []byte {
	t.Helper()
	b, err := BuildDocument(d)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var quartet = []string{"alice.example", "bob.example", "carol.example", "dave.example"}

func TestDocument(t *testing.T) {
	for _, salt := range []concord.Digest{{}, concord.Sum([]byte("salt"))} {
		for _, size := range []int64{10, 1000, 4097} {
			d, policy := papers(t, quartet, size, salt)
			proof := mustBuild(t, d)
			r, err := Verify(proof, policy, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if r.Level != 2 || r.Document == nil || r.Document.SHA256 != d.File || r.Document.Height != 77 || r.Document.Label != "test" || r.Document.Documents != 2 ||
				r.Index != d.Index || r.Document.Salted == salt.IsZero() || r.NotBefore.Unix() != 1795320050 || r.NotAfter.IsZero() || r.Operator != "alice.example" {
				t.Errorf("%+v %+v", r, r.Document)
			}
			if len(proof) > 4096 {
				t.Errorf("%d bytes", len(proof))
			}
			if r.CheckContent([]byte("the document")) != nil || r.CheckContent([]byte("the document.")) == nil {
				t.Error("content")
			}
			if _, err := Verify(proof, policy, Options{URL: "https://example.com/"}); err == nil {
				t.Error("it is of no URL")
			}
		}
	}
}

func TestEveryByteOfADocumentCounts(t *testing.T) {
	d, policy := papers(t, []string{"alice.example"}, 50, concord.Sum([]byte("salt")))
	promised := d
	promised.Note, promised.Checkpoint = promise(t, d), nil
	for name, proof := range map[string][]byte{"receipt": mustBuild(t, d), "promise": mustBuild(t, promised)} {
		if _, err := Verify(proof, policy, Options{}); err != nil {
			t.Fatal(name, err)
		}
		for i := range proof {
			for _, bit := range []byte{1, 0x20} {
				b := slices.Clone(proof)
				b[i] ^= bit
				if _, err := Verify(b, policy, Options{}); err == nil {
					t.Fatalf("%s: byte %d (%q) changed to %q, and it verifies", name, i, proof[i], b[i])
				}
			}
		}
	}
}

func promise(t testing.TB, d Document) []byte {
	t.Helper()
	text, _, _ := strings.Cut(string(d.Note), "\n\n")
	return mustSign(t, strings.Replace(text+"\n", "seq 9", "seq 0", 1), testSigner(t, "alice.example", "op", "alice.example", note.Ed25519))
}

func TestPromise(t *testing.T) {
	d, policy := papers(t, []string{"alice.example"}, 50, concord.Digest{})
	d.Checkpoint = nil
	if _, err := Verify(mustBuild(t, d), policy, Options{}); err == nil {
		t.Error("a transaction that can be executed was taken for a promise")
	}
	d.Note = promise(t, d)
	r, err := Verify(mustBuild(t, d), policy, Options{})
	if err != nil || r.Level != 0 || !r.NotBefore.IsZero() || !r.NotAfter.IsZero() || r.CheckContent([]byte("the document")) != nil {
		t.Errorf("%v %+v", err, r)
	}
}

// Parts of different receipts do not go together.
func TestMixedDocument(t *testing.T) {
	good, policy := papers(t, []string{"alice.example"}, 50, concord.Digest{})
	for what, change := range map[string]func(*Document){
		"another file":        func(d *Document) { d.File = concord.Sum([]byte("other")) },
		"a salt too much":     func(d *Document) { d.Salt = concord.Sum([]byte("salt")) },
		"another record":      func(d *Document) { d.Record = []byte(strings.Replace(string(d.Record), "time 17", "time 16", 1)) },
		"a record before it":  func(d *Document) { d.RecordIndex = d.Index - 1 },
		"a record far behind": func(d *Document) { d.RecordIndex = d.Index + 3 },
		"another place":       func(d *Document) { d.Index-- },
		"another's keys":      func(d *Document) { d.Admit = testAdmission(t, "bob.example") },
		"an empty record":     func(d *Document) { d.Record = []byte("\n") },
	} {
		d := good
		change(&d)
		b, err := BuildDocument(d)
		if err != nil {
			continue
		}
		if _, err := Verify(b, policy, Options{}); err == nil {
			t.Errorf("%s verifies", what)
		}
	}
}

func FuzzDocument(f *testing.F) {
	d, policy := papers(f, []string{"alice.example"}, 50, concord.Sum([]byte("salt")))
	f.Add(mustBuild(f, d))
	d.Checkpoint, d.Note = nil, promise(f, d)
	f.Add(mustBuild(f, d))
	f.Fuzz(func(t *testing.T, b []byte) {
		if d, err := ParseDocument(b); err == nil && d.format() != string(b) {
			t.Errorf("%q is read, and written as %q", b, d.format())
		}
		_, _ = Verify(b, policy, Options{})
	})
}

const pythonDocuments = `
import base64, json, sys
sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True
import verify
for proof, policy in json.load(sys.stdin):
    try: verify.document(base64.b64decode(proof), base64.b64decode(policy)); print("proven")
    except Exception as why: print("not proven:", ascii(str(why)))
`

// The program in another language comes to the same verdict on receipts of documents, good and bad.
func TestPythonAgreesOnDocuments(t *testing.T) {
	t.Parallel()
	var cases [][2][]byte
	add := func(d Document, policy []byte) {
		if b, err := BuildDocument(d); err == nil {
			cases = append(cases, [2][]byte{b, policy})
		}
	}
	for _, salt := range []concord.Digest{{}, concord.Sum([]byte("salt"))} {
		d, policy := papers(t, quartet, 300, salt)
		add(d, policy)
		good := cases[len(cases)-1][0]
		for i := range 40 {
			bad := slices.Clone(good)
			bad[(2*i+1)*len(good)/80] ^= 1 << (i % 8)
			cases = append(cases, [2][]byte{bad, policy})
		}
		_, few := papers(t, quartet[:1], 300, salt)
		add(d, few)
		for _, change := range []func(*Document){
			func(d *Document) { d.File = concord.Sum([]byte("other")) }, func(d *Document) { d.Salt = concord.Sum([]byte("another salt")) },
			func(d *Document) { d.RecordIndex++ }, func(d *Document) { d.Index-- }, func(d *Document) { d.Admit = testAdmission(t, "bob.example") },
			func(d *Document) { d.Checkpoint = nil }, func(d *Document) { d.Checkpoint, d.Note = nil, promise(t, *d) }, func(d *Document) { d.Note = promise(t, *d) },
		} {
			bad := d
			change(&bad)
			add(bad, policy)
		}
	}
	v := documentVectors(t)
	for _, c := range v.Cases {
		proof, err := base64.StdEncoding.DecodeString(v.Texts[c.Proof])
		policy, err2 := base64.StdEncoding.DecodeString(v.Texts[c.Policy])
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		cases = append(cases, [2][]byte{proof, policy})
	}
	in, err := json.Marshal(cases)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(findPython(t), "-B", "-c", pythonDocuments, "../docs/verify")
	cmd.Stdin = bytes.NewReader(in)
	out, err := cmd.CombinedOutput()
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if err != nil || len(lines) != len(cases) {
		t.Fatalf("%v: %s", err, out)
	}
	good := 0
	for i, c := range cases {
		_, err := Verify(c[0], c[1], Options{})
		if (lines[i] == "proven") != (err == nil) {
			t.Errorf("case %d: Python says %q, Go %v", i, lines[i], err)
		}
		if err == nil {
			good++
		}
	}
	if good != 12 {
		t.Errorf("%d of %d are good", good, len(cases))
	}
}
