package receipt

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"concord/note"
)

// What a witness from outside adds: level 4 where the operators made level 2, and its clock where that is the first.
func TestAnchored(t *testing.T) {
	w, f := one(t), four(t)
	oneToo, onePolicy := w.anchored(t)
	fourToo, fourPolicy := f.anchored(t)
	two := string(fourPolicy)
	two = strings.Replace(two, "group outside any ", "witness v "+testSigner(t, "v", "cosign", "v", note.Cosignature).Key().String()+"\ngroup outside 2 v ", 1)
	for _, c := range []struct {
		name             string
		world            *world
		policy           []byte
		level, k, n, out int
		words            string
	}{
		{"one operator", oneToo, onePolicy, 1, 1, 1, 1, "rewritten before witness.example/w1 saw it"},
		{"four", fourToo, fourPolicy, 4, 4, 4, 1, "4 cosigners and witness.example/w1 do not all work together"},
		{"four, nobody from outside", f, fourPolicy, 2, 4, 4, 0, "4 cosigners do not work together"},
		{"the policy asks for two", fourToo, []byte(two), 2, 4, 4, 1, "4 cosigners do not work together"},
	} {
		r, err := Verify(c.world.build(t), c.policy, Options{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if r.Level != c.level || r.Cosigners != c.k || r.Witnesses != c.n || len(r.Anchored) != c.out || !strings.Contains(strings.Join(r.NotProven, "\n"), c.words) {
			t.Errorf("%s: level %d, %d of %d, %v\n%s", c.name, r.Level, r.Cosigners, r.Witnesses, r.Anchored, strings.Join(r.NotProven, "\n"))
		}
		if c.out > 0 && !strings.Contains(strings.Join(r.Proven, "\n"), "by the clock of witness.example/w1") {
			t.Errorf("%s: %s", c.name, strings.Join(r.Proven, "\n"))
		}
		if r.NotAfter != time.Unix(1795330000, 0).UTC() || r.NotAfterBy != "alice.example" {
			t.Errorf("%s: in the log by %s, says %s", c.name, r.NotAfter, r.NotAfterBy)
		}
	}

	if _, err := Verify(fourToo.build(t), f.policy, Options{}); err == nil || !strings.Contains(err.Error(), `of "witness.example/w1", which signed it: a policy from before`) {
		t.Errorf("a policy from before the witness was named: %v", err)
	}

	// The witness's clock is the first.
	n, err := note.Parse(f.parts.Checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	s, err := outsider(t).Cosign(n.Text, 1795329000)
	if err != nil {
		t.Fatal(err)
	}
	early := *f
	early.parts.Checkpoint = (&note.Note{Text: n.Text, Sigs: append(n.Sigs[:5:5], s)}).Bytes()
	r, err := Verify(early.build(t), fourPolicy, Options{})
	if err != nil || r.NotAfter.Unix() != 1795329000 || r.NotAfterBy != "witness.example/w1" || !strings.Contains(strings.Join(r.NotProven, "\n"), "2026-11-22T06:30:00Z, by the clock of witness.example/w1") ||
		!strings.Contains(strings.Join(r.Proven, "\n"), "the first of them at 2026-11-22T06:46:40Z") {
		t.Errorf("%v\n%+v", err, r)
	}
}

// The largest receipt that is spoken of: four operators, two witnesses from outside.
func TestAnchoredSize(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: it makes a log of 200,000 entries")
	}
	f := newWorld(t, []string{"alice.example", "bob.example", "carol.example", "dave.example"}, 200_000, 4096)
	a, _ := f.anchored(t)
	proof := a.build(t)
	line := len(proof) - len(f.build(t))
	t.Logf("%d bytes, of which the line from outside has %d", len(proof), line)
	if len(proof)+line > 4096 {
		t.Errorf("with two lines from outside it has %d bytes", len(proof)+line)
	}
}

// The Python program says the same level and names the same witness.
func TestPythonAnchored(t *testing.T) {
	python, dir := findPython(t), t.TempDir()
	a, policy := four(t).anchored(t)
	for name, b := range map[string][]byte{"r": a.build(t), "p": policy} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command(python, "-B", filepath.Join("..", "docs", "verify", "verify.py"), filepath.Join(dir, "r"), filepath.Join(dir, "p")).CombinedOutput()
	if err != nil || !strings.HasSuffix(string(out), "level 4, cosigned by 4 of 4 operators, and from outside by witness.example/w1 at 1795330060\n") {
		t.Errorf("%v\n%s", err, out)
	}
}
