package receipt

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"concord/note"
)

// vectors are receipts and policies, good and bad, that every verifier must judge as this one does: the Python program in
// docs and the script of the web pages are held against the same file.
type vectors struct {
	Texts map[string]string `json:"texts"` // base64, by name
	Cases []vector          `json:"cases"`
}

type vector struct {
	Name   string `json:"name"`
	Proof  string `json:"proof"` // names of texts
	Policy string `json:"policy"`
	Panel  string `json:"panel,omitempty"` // the receipt of an outcome that is to be of the proof's capture
	Proven bool   `json:"proven"`
	Step   Step   `json:"step,omitempty"` // the first that fails, in the order of this package
}

const vectorsFile = "testdata/vectors.json"

func (v *vectors) add(name string, proof, policy []byte) { v.addPanel(name, proof, policy, nil) }

func (v *vectors) addPanel(name string, proof, policy, panel []byte) {
	put := func(kind string, b []byte) string {
		text := base64.StdEncoding.EncodeToString(b)
		for have, t := range v.Texts {
			if t == text {
				return have
			}
		}
		id := fmt.Sprintf("%s %d", kind, len(v.Texts))
		v.Texts[id] = text
		return id
	}
	c := vector{Name: name, Proof: put("proof", proof), Policy: put("policy", policy)}
	if panel != nil {
		c.Panel = put("proof", panel)
	}
	_, err := verifyBoth(proof, policy, panel)
	var se *StepError
	if c.Proven = err == nil; errors.As(err, &se) {
		c.Step = se.Step
	}
	v.Cases = append(v.Cases, c)
}

// verifyBoth verifies a receipt, and with it that of an outcome, if there is one.
func verifyBoth(proof, policy, panel []byte) (*Report, error) {
	r, err := Verify(proof, policy, Options{})
	if err != nil || panel == nil {
		return r, err
	}
	o, err := Verify(panel, policy, Options{})
	if err == nil {
		err = r.Witness(o)
	}
	return r, err
}

// newVectors builds all of them from the fixed keys of the golden receipts.
func newVectors(t testing.TB) *vectors {
	t.Helper()
	v := &vectors{Texts: map[string]string{}}
	w, f := one(t), four(t)
	proof := w.build(t)
	v.add("one operator", proof, w.policy)
	v.add("four operators", f.build(t), f.policy)
	v.add("the policy of another ledger", proof, f.policy)
	v.add("empty", nil, w.policy)
	v.add("empty policy", proof, nil)
	v.add("a line feed more", append(bytes.Clone(proof), '\n'), w.policy)
	v.add("a line feed less", proof[:len(proof)-1], w.policy)
	v.add("CRLF", bytes.ReplaceAll(proof, []byte("\n"), []byte("\r\n")), w.policy)
	v.add("a bare proof", FormatProof(w.parts.Index, w.parts.Path, w.parts.Checkpoint), w.policy)
	for i := range 16 {
		bad := bytes.Clone(proof)
		bad[(2*i+1)*len(proof)/32] ^= 1 << (i % 8)
		v.add(fmt.Sprintf("bit flip %d", i), bad, w.policy)
	}
	mixedVectors(t, v, w)
	textVectors(t, v, w)
	quorumVectors(t, v, f)
	rotationVectors(t, v, w, f)
	policyVectors(t, v, w)
	outsideVectors(t, v, f)
	promiseVectors(t, v, w, f)
	return v
}

func mixedVectors(t testing.TB, v *vectors, w *world) {
	other, bob := newWorld(t, []string{"alice.example"}, 51, 8), newWorld(t, []string{"bob.example"}, 50, 7)
	for _, c := range []struct {
		name string
		edit func(*Parts)
	}{
		{"another entry", func(p *Parts) { p.Entry = other.parts.Entry }},
		{"another batch count", func(p *Parts) { p.BatchCount++ }},
		{"another batch index", func(p *Parts) { p.BatchIndex-- }},
		{"another attestation", func(p *Parts) { p.Attest = other.parts.Attest }},
		{"time outside the span", func(p *Parts) { p.Entry.Time = 1 }},
		{"another operator's admission", func(p *Parts) { p.Admit = bob.parts.Admit }},
		{"another checkpoint", func(p *Parts) { p.Checkpoint = other.parts.Checkpoint }},
		{"another log's checkpoint", func(p *Parts) { p.Checkpoint = bob.parts.Checkpoint }},
		{"another index", func(p *Parts) { p.Index++ }},
		{"index beyond the log", func(p *Parts) { p.Index = 50 }},
		{"a path too short", func(p *Parts) { p.Path = p.Path[1:] }},
		{"a path too long", func(p *Parts) { p.Path = append(p.Path[:len(p.Path):len(p.Path)], p.Path[0]) }},
		{"a batch path too long", func(p *Parts) { p.BatchPath = append(p.BatchPath[:len(p.BatchPath):len(p.BatchPath)], p.BatchPath[0]) }},
		{"everything of another operator", func(p *Parts) { *p = bob.parts }},
	} {
		p := w.parts
		c.edit(&p)
		v.add(c.name, []byte(p.format()), w.policy)
	}
}

// rotationVectors have an op key that came later than the admission, or an admission that another cosigning key vouches for.
func rotationVectors(t testing.TB, v *vectors, w, f *world) {
	const alice = "alice.example"
	op, cosign := testSigner(t, alice, "op", alice, note.Ed25519), testSigner(t, alice, "cosign", alice, note.Cosignature)
	head := "concord/tx/v1 gov\nchain net-1:0123456789ab\nepoch 9\n"
	rotated := head + "rotate " + alice + " op " + op.Key().String() + "\n"
	admitted, _, _ := strings.Cut(string(w.parts.Admit), "\n\n")
	earlier := strings.Replace(admitted+"\n", cosign.Key().String(), testSigner(t, alice, "cosign before", alice, note.Cosignature).Key().String(), 1)
	bob := testSigner(t, "bob.example", "cosign", "bob.example", note.Cosignature)
	for _, c := range []struct {
		name, text string
		by         *note.Signer
		in         *world
	}{
		{"an op key that was changed", rotated, cosign, w},
		{"a cosigning key that was changed", earlier, cosign, w},
		{"an op key that was changed, by another operator", rotated, bob, f},
		{"an op key that was changed, by a key that the policy does not have", rotated, testSigner(t, alice, "cosign before", alice, note.Cosignature), w},
		{"another key that was changed", head + "rotate " + alice + " log " + op.Key().String() + "\n", cosign, w},
		{"a change of two keys", rotated + "rotate " + alice + " op " + op.Key().String() + "\n", cosign, w},
		{"an op key that was changed on another chain", strings.Replace(rotated, "net-1", "net-2", 1), cosign, w},
		{"another op key", head + "rotate " + alice + " op " + testSigner(t, alice, "op before", alice, note.Ed25519).Key().String() + "\n", cosign, w},
	} {
		sig, err := c.by.Cosign(c.text, 1795310000)
		if err != nil {
			t.Fatal(err)
		}
		p := c.in.parts
		p.Admit = note.Join(c.text, sig)
		v.add(c.name, []byte(p.format()), c.in.policy)
	}
}

// textVectors say the same in other bytes, which is refused: a receipt has one form.
func textVectors(t testing.TB, v *vectors, w *world) {
	lines := strings.SplitAfter(string(w.parts.Checkpoint), "\n")
	forms := []struct {
		name string
		edit func(*Parts)
	}{
		{"a signature line twice", func(p *Parts) { p.Checkpoint = []byte(strings.Join(lines, "") + lines[len(lines)-2]) }},
		{"a line by a key that nobody knows", func(p *Parts) {
			p.Checkpoint = append(bytes.Clone(p.Checkpoint), "— mallory.example AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"...)
		}},
		{"an extension line", func(p *Parts) {
			p.Checkpoint = []byte(strings.Replace(string(p.Checkpoint), "\n\n", "\nmore\n\n", 1))
		}},
		{"two signatures under the admission", func(p *Parts) {
			s := strings.SplitAfter(string(p.Admit), "\n")
			p.Admit = append(bytes.Clone(p.Admit), s[len(s)-2]...)
		}},
		{"a control character in the attestation", func(p *Parts) {
			p.Attest = bytes.Replace(p.Attest, []byte("from "), []byte("from \t"), 1)
		}},
		{"bytes that are no UTF-8", func(p *Parts) {
			p.Checkpoint = bytes.Replace(p.Checkpoint, []byte("alice"), []byte("al\xffce"), 1)
		}},
		{"no signature", func(p *Parts) { p.Checkpoint = []byte(strings.Join(lines[:3], "") + "\n") }},
	}
	for _, f := range forms {
		p := w.parts
		f.edit(&p)
		v.add(f.name, []byte(p.format()), w.policy)
	}
	proof := string(w.build(t))
	for _, r := range [][3]string{{"index with a zero", "index 30", "index 030"}, {"index with a sign", "index 30", "index +30"}, {"index that is none", "index 30", "index -1"},
		{"index beyond numbers", "index 30", "index 99999999999999999999"}, {"another version", "@v1", "@v2"}, {"a space more", "index 30", "index  30"}, {"base64 not padded", "=\n", "\n"}} {
		v.add(r[0], []byte(strings.Replace(proof, r[1], r[2], 1)), w.policy)
	}
}

func quorumVectors(t testing.TB, v *vectors, f *world) {
	n, err := note.Parse(f.parts.Checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	cut := func(from, to int) []byte {
		p := f.parts
		p.Checkpoint = (&note.Note{Text: n.Text, Sigs: n.Sigs[from:to]}).Bytes()
		return []byte(p.format())
	}
	for k := range 4 {
		v.add(fmt.Sprintf("%d of 4 cosigned", k), cut(0, k+1), f.policy)
	}
	v.add("the log did not sign", cut(1, 5), f.policy)
	// One signature with s + L in place of s: the same equation, another form (RFC 8032, section 5.1.7).
	sig := n.Sigs[0]
	sig.Data = bytes.Clone(sig.Data)
	order := []byte{0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10}
	carry := 0
	for i, b := range order {
		carry += int(sig.Data[32+i]) + int(b)
		sig.Data[32+i] = byte(carry)
		carry >>= 8
	}
	p := f.parts
	p.Checkpoint = (&note.Note{Text: n.Text, Sigs: append([]note.Sig{sig}, n.Sigs[1:]...)}).Bytes()
	v.add("a signature in its second form", []byte(p.format()), f.policy)

	log, _, _ := strings.Cut(string(f.policy), "group ")
	for _, rule := range []string{"quorum none\n", "quorum alice.example\n", "group a all alice.example bob.example\ngroup b any carol.example dave.example\ngroup c 2 a b\nquorum c\n",
		"group a all alice.example bob.example\ngroup b all carol.example dave.example\ngroup c any a b\nquorum c\n", "group a all carol.example dave.example\nquorum a\n"} {
		for _, k := range []int{2, 4} {
			v.add(fmt.Sprintf("%d of 4 under %q", k, rule), cut(0, k+1), []byte(log+rule))
		}
	}
}

// outsideVectors have a cosignature by a witness that is no operator.
func outsideVectors(t testing.TB, v *vectors, f *world) {
	anchored, policy := f.anchored(t)
	v.add("a witness from outside", anchored.build(t), policy)
	v.add("a witness from outside that the policy does not have", anchored.build(t), f.policy)
	v.add("a policy with a witness from outside that did not sign", f.build(t), policy)
	bad := anchored.parts
	bad.Checkpoint = bytes.Clone(bad.Checkpoint)
	bad.Checkpoint[len(bad.Checkpoint)-10] ^= 1
	v.add("a witness from outside, wrong by a bit", []byte(bad.format()), policy)
	n, err := note.Parse(anchored.parts.Checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	few := anchored.parts
	few.Checkpoint = (&note.Note{Text: n.Text, Sigs: append(n.Sigs[:3:3], n.Sigs[5])}).Bytes() // two operators of four
	v.add("a witness from outside does not count as an operator", []byte(few.format()), policy)
	free, _, _ := strings.Cut(string(policy), "quorum ")
	_, outside, _ := strings.Cut(string(policy), "quorum operators\n")
	both := free + outside + "group both all operators outside\nquorum both\n"
	v.add("both are asked for", anchored.build(t), []byte(both))
	v.add("both are asked for, and one is missing", f.build(t), []byte(both))
	for _, rule := range []string{"group two any bob.example carol.example\ngroup outside any two\nquorum none\n", "group two any alice.example carol.example\ngroup outside any two\nquorum none\n",
		"group outside any\nquorum none\n", "group outside 2 witness.example/w1\nquorum none\n"} {
		text, _, _ := strings.Cut(string(policy), "group ")
		w, _, _ := strings.Cut(outside, "group ")
		v.add(fmt.Sprintf("a policy with %q", rule), anchored.build(t), []byte(text+w+rule))
	}
}

func policyVectors(t testing.TB, v *vectors, w *world) {
	proof, good := w.build(t), string(w.policy)
	bob := testSigner(t, "bob.example", "cosign", "bob.example", note.Cosignature).Key().String()
	log, rest, _ := strings.Cut(good, "\n")
	wit, quorum, _ := strings.Cut(rest, "\n")
	for _, text := range []string{"# a comment\n\n" + good, good + "# at the end\n", good + "\n", strings.Replace(good, "witness ", "witness  ", 1), strings.TrimSuffix(good, "\n"), good + good,
		log + "\n" + wit + "\n", log + "\n" + quorum, wit + "\n" + quorum, log + " https://a.example/log\n" + rest, log + "\n" + wit + " https://a.example/w\n" + quorum, log + "\n" + wit + " a b\n" + quorum,
		log + "\n" + wit + "\nwitness b " + bob + "\ngroup g any alice.example b\nquorum g\n", log + "\n" + wit + "\nwitness b " + bob + "\ngroup g 2 alice.example b\nquorum g\n",
		log + "\n" + wit + "\nwitness b " + bob + "\ngroup g 3 alice.example b\nquorum g\n", log + "\n" + wit + "\nwitness b " + bob + "\ngroup g 01 alice.example b\nquorum g\n",
		log + "\n" + wit + "\ngroup g 0 alice.example\nquorum g\n", log + "\n" + wit + "\ngroup g 1 b\nquorum g\n", log + "\n" + wit + "\ngroup g 1 alice.example\ngroup h 1 alice.example\nquorum g\n",
		log + "\n" + wit + "\ngroup none 1 alice.example\nquorum none\n", log + "\n" + wit + "\nquorum none\n", log + "\n" + wit + "\nquorum nobody\n", log + "\n" + wit + "\nhello\n" + quorum,
		log + "\nwitness b " + bob + "\nquorum b\n", log + "\nquorum none\n", strings.ReplaceAll(good, "\n", "\r\n"), strings.Replace(good, "log ", "log \xff", 1), strings.Replace(good, "+", "-", 1)} {
		name := strings.ToValidUTF8(strings.NewReplacer(log, "LOG", wit, "WITNESS", bob, "BOB").Replace(text), "?")
		v.add(fmt.Sprintf("policy %.120q", name), proof, []byte(text))
	}
}

// read returns what a file of vectors has, and the names of the good ones. The file must be what is built now: -update writes it anew.
func (v *vectors) read(t *testing.T, file string) (got vectors, good []string) {
	t.Helper()
	want, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, append(want, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(b) != string(want)+"\n" {
		t.Errorf("%s differs from what is built now; if that is meant, run this test with -update", file)
	}
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	for _, c := range got.Cases {
		if c.Proven {
			good = append(good, c.Name)
		}
	}
	return got, good
}

// The file is what is built now, and judges as it says.
func TestVectors(t *testing.T) {
	got, good := newVectors(t).read(t, vectorsFile)
	for _, c := range got.Cases {
		proof, err := base64.StdEncoding.DecodeString(got.Texts[c.Proof])
		policy, err2 := base64.StdEncoding.DecodeString(got.Texts[c.Policy])
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		_, err = Verify(proof, policy, Options{})
		var se *StepError
		if errors.As(err, &se); (err == nil) != c.Proven || se != nil && se.Step != c.Step {
			t.Errorf("%s: %v; the file says %v %q", c.Name, err, c.Proven, c.Step)
		}
	}
	if len(good) < 10 || len(got.Cases)-len(good) < 60 {
		t.Errorf("%d vectors, %d of them good", len(got.Cases), len(good))
	}
}

// pythonJudge has docs/verify judge every case of the vectors on its standard input.
const pythonJudge = `
import base64, json, sys
sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True
import verify
v = json.load(sys.stdin)
text = {k: base64.b64decode(t) for k, t in v["texts"].items()}
for c in v["cases"]:
    try: verify.verify(text[c["proof"]], text[c["policy"]]); print("proven")
    except Exception as why: print("not proven:", ascii(str(why)))
`

func findPython(t *testing.T) string {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("SKIPPED: no python3, so the independent verifier did not run; install python3 and run this test again")
	}
	return python
}

// A program in another language, written from FORMAT.md, comes to the same verdict on every vector.
func TestPythonAgrees(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(findPython(t), "-B", "-c", pythonJudge, "../docs/verify")
	v := newVectors(t)
	in, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), &stderr
	out, err := cmd.Output()
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if err != nil || len(lines) != len(v.Cases) {
		t.Fatalf("%v, %d verdicts: %s", err, len(lines), stderr.String())
	}
	for i, c := range v.Cases {
		if (lines[i] == "proven") != c.Proven {
			t.Errorf("%s: Python says %q, Go %v %q", c.Name, lines[i], c.Proven, c.Step)
		}
	}
}

// The command line of the Python program: what it prints and how it ends.
func TestPythonCommand(t *testing.T) {
	python := findPython(t)
	run := func(files ...string) (string, error) {
		out, err := exec.Command(python, append([]string{"-B", filepath.Join("..", "docs", "verify", "verify.py")}, files...)...).CombinedOutput()
		return string(out), err
	}
	for _, name := range []string{"one", "four"} {
		base := filepath.Join("testdata", name)
		if out, err := run(base+".tlog-proof", base+".policy", base+".body"); err != nil || !strings.HasPrefix(out, "proven: https://example.com/page/") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	for _, files := range [][]string{{goldenOutcome, "testdata/four.policy"}, {"testdata/four.tlog-proof", "testdata/four.policy", goldenOutcome}} {
		if out, err := run(files...); err != nil || !strings.Contains(out, "proven: a panel came to agree on https://example.com/page/66 at 1795320050") || !strings.HasSuffix(out, "level 3\n  bob.example: agree\n  carol.example: differ\n  dave.example: silent\n  alice.example: agree\n") {
			t.Errorf("%v: %v\n%s", files, err, out)
		}
	}
	if out, err := run("testdata/one.tlog-proof", "testdata/one.policy", "testdata/one.policy"); err == nil || !strings.HasPrefix(out, "not proven: the body") {
		t.Errorf("another body: %v\n%s", err, out)
	}
}
