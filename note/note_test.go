package note

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	fnote "github.com/transparency-dev/formats/note"
	xnote "golang.org/x/mod/sumdb/note"

	"concord"
)

// testSigner returns the key of a fixed seed, so that signatures can be made again anywhere.
func testSigner(t testing.TB, operator, which string, typ Type) *Signer {
	t.Helper()
	seed := sha256.Sum256([]byte("concord test key " + operator + " " + which))
	s, err := NewSigner(operator, typ, seed[:])
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The example of the attest transaction: key, signature and size as published.
func TestKnownTransaction(t *testing.T) {
	s := testSigner(t, "alice.example", "op", Ed25519)
	if got, want := s.Key().String(), "alice.example+472c245a+AXuifDcOwkvNnEu+gtZ/svc8sy4kH0vn8lAqej7vDwJ4"; got != want {
		t.Errorf("vkey %s, want %s", got, want)
	}
	text := `concord/tx/v1 attest
chain net-1:9f2c41d07ab3
from alice.example
seq 1842
count 4096
root CEk5Vrlxio7pV/vuOh4Q7mhXg/lxw4z8kyQbSZ1ygYo=
span 1795320000 1795323600
prev hP2brDM615FUNIKWIE+n+MU3qW4ImD5fc7P1rKjo7fc=
`
	b, err := Sign(text, s)
	if err != nil {
		t.Fatal(err)
	}
	want := text + "\n\u2014 alice.example RywkWmGDoBTbTHYnr6rSRdBqiMjZP4d3mIfKNwzbaQNNvoNI4oAaDORBagCssd9u4KEUeqzwJqLlX1sUAhNv9nT0QQA=\n"
	if string(b) != want || len(b) != 324 {
		t.Errorf("%d bytes:\n%s\nwant 324:\n%s", len(b), b, want)
	}
	if _, err := Open(b, s.Key()); err != nil {
		t.Error(err)
	}
}

func TestOpenIsStrict(t *testing.T) {
	alice, bob := testSigner(t, "alice.example", "op", Ed25519), testSigner(t, "bob.example", "op", Ed25519)
	good, err := Sign("a\n\nb\n", bob, alice)
	if err != nil {
		t.Fatal(err)
	}
	n, err := Open(good, alice.Key(), bob.Key())
	if err != nil || len(n.Sigs) != 2 || !n.Sorted() || n.Sigs[0].Name != "alice.example" || n.Text != "a\n\nb\n" {
		t.Fatalf("good note: %+v, %v", n, err)
	}
	g := string(good)
	lines := strings.SplitAfter(g[strings.LastIndex(g, "\n\n")+2:], "\n")
	head := g[:strings.LastIndex(g, "\n\n")+2]
	for name, bad := range map[string]string{
		"repeated line":       head + lines[0] + lines[0] + lines[1],
		"no signature":        head,
		"only text":           "a\n",
		"empty":               "",
		"CRLF":                strings.ReplaceAll(g, "\n", "\r\n"),
		"three blank lines":   strings.Replace(g, "b\n\n", "b\n\n\n\n", 1),
		"no final line feed":  g[:len(g)-1],
		"extra line feed":     g + "\n",
		"loose base64":        loosen(g),
		"text changed":        "A" + g[1:],
		"space in base64":     head + strings.Replace(lines[0], "alice.example ", "alice.example  ", 1) + lines[1],
		"unknown signer":      head + lines[0] + lines[1] + strings.Replace(lines[1], "bob.example", "eve.example", 1),
		"invalid UTF-8":       "\xff" + g,
		"control character":   "\x07" + g,
		"65,536 bytes":        strings.Repeat("x", MaxBytes+1-len(g)) + g,
		"many signatures":     head + strings.Repeat(lines[0], MaxSigs+1),
		"signature truncated": head + "\u2014 alice.example RywkWg==\n",
	} {
		if n, err := Open([]byte(bad), alice.Key(), bob.Key()); err == nil {
			t.Errorf("%s: accepted: %+v", name, n)
		} else if concord.KindOf(err) != concord.Invalid {
			t.Errorf("%s: %v is of kind %v", name, err, concord.KindOf(err))
		}
	}
	swapped, err := Parse([]byte(head + lines[1] + lines[0]))
	if err != nil || swapped.Sorted() {
		t.Errorf("unsorted lines: sorted %v, %v", swapped.Sorted(), err)
	}
	if _, err := Open(good, alice.Key()); err == nil {
		t.Error("a note with a line by an unknown key was opened")
	}
}

// loosen sets unused bits of the last base64 character.
func loosen(s string) string {
	i := len(s) - 3 // before "=\n"
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	k := strings.IndexByte(digits, s[i])
	return s[:i] + string(digits[k|1]) + s[i+1:]
}

func TestKeysRoundTrip(t *testing.T) {
	for _, typ := range []Type{Ed25519, Cosignature} {
		k := testSigner(t, "alice.example", "op", typ).Key()
		got, err := ParseKey(k.String())
		if err != nil || got != k {
			t.Errorf("type %d: %+v, %v", typ, got, err)
		}
		for i := range k.String() {
			b := []byte(k.String())
			b[i] ^= 1
			if got, err := ParseKey(string(b)); err == nil {
				t.Errorf("byte %d changed: accepted as %+v", i, got)
			}
		}
	}
	s := testSigner(t, "alice.example", "op", Ed25519).Key().String()
	for _, bad := range []string{"", "alice", s + "\n", " " + s, strings.ToUpper(s), s[:len(s)-1], strings.Replace(s, "+", "++", 1)} {
		if _, err := ParseKey(bad); err == nil {
			t.Errorf("%q accepted", bad)
		}
	}
}

func TestCosignature(t *testing.T) {
	s := testSigner(t, "alice.example", "cosign", Cosignature)
	text := Checkpoint{Origin: "concord.example/net-1", Size: 5, Root: concord.Sum([]byte("x"))}.String()
	const at = 1795320042
	sig, err := s.Cosign(text, at)
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := sig.Time(); !ok || got != at || !s.Key().Verify(text, sig) {
		t.Errorf("time %d, valid %v", got, s.Key().Verify(text, sig))
	}
	sig.Data[7] ^= 1
	if s.Key().Verify(text, sig) {
		t.Error("another time is accepted")
	}
	if _, err := s.Sign(text); err == nil {
		t.Error("a cosigning key signed a text without a time")
	}
	if _, err := testSigner(t, "alice.example", "op", Ed25519).Cosign(text, at); err == nil {
		t.Error("an op key cosigned")
	}
}

// What transparency-dev/formats and golang.org/x/mod make of our lines, and we of theirs.
func TestOthersAgree(t *testing.T) {
	seed := sha256.Sum256([]byte("concord test key alice.example cosign"))
	ours, err := NewSigner("alice.example", Cosignature, seed[:])
	if err != nil {
		t.Fatal(err)
	}
	text := Checkpoint{Origin: "concord.example/net-1", Size: 5, Root: concord.Sum([]byte("x"))}.String()
	v, err := fnote.NewVerifierForCosignatureV1(ours.Key().String())
	if err != nil {
		t.Fatal(err)
	}
	sig, err := ours.Cosign(text, time.Now().Unix())
	if err != nil {
		t.Fatal(err)
	}
	if n, err := xnote.Open(Join(text, sig), xnote.VerifierList(v)); err != nil || len(n.Sigs) != 1 {
		t.Errorf("our cosignature with their verifier: %v", err)
	}
	id := strings.Split(ours.Key().String(), "+")[1]
	theirs, err := fnote.NewSignerForCosignatureV1("PRIVATE+KEY+alice.example+" + id + "+" + base64.StdEncoding.EncodeToString(append([]byte{4}, seed[:]...)))
	if err != nil {
		t.Fatal(err)
	}
	b, err := xnote.Sign(&xnote.Note{Text: text}, theirs)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(b, ours.Key()); err != nil {
		t.Errorf("their cosignature with our verifier: %v", err)
	}
	op := testSigner(t, "alice.example", "op", Ed25519)
	xv, err := xnote.NewVerifier(op.Key().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err = Sign("text\n", op)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := xnote.Open(b, xnote.VerifierList(xv)); err != nil {
		t.Errorf("our signature with x/mod: %v", err)
	}
}

func TestCheckpointText(t *testing.T) {
	c := Checkpoint{Origin: "concord.example/net-1", Size: 1234, Root: concord.Sum([]byte("root"))}
	if got, err := ParseCheckpoint(c.String()); err != nil || got != c {
		t.Errorf("%+v, %v", got, err)
	}
	s := c.String()
	for name, bad := range map[string]string{"extension": s + "x\n", "leading zero": strings.Replace(s, "1234", "01234", 1), "plus": strings.Replace(s, "1234", "+1234", 1),
		"no origin": s[strings.IndexByte(s, '\n'):], "too large": strings.Replace(s, "1234", "9223372036854775807", 1), "no line feed": s[:len(s)-1], "short root": strings.Replace(s, "=", "", 1)} {
		if c, err := ParseCheckpoint(bad); err == nil {
			t.Errorf("%s: accepted as %+v", name, c)
		}
	}
}

func TestKeyFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	const name, origin = "alice.example", "alice.example/net-1"
	k, err := LoadOrCreateKeys(dir, name, origin)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, KeysFile)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	again, err := LoadOrCreateKeys(dir, name, origin)
	if err != nil || again.Op.Key() != k.Op.Key() || again.Cosign.Key() != k.Cosign.Key() || again.Log.Key() != k.Log.Key() {
		t.Errorf("read again: %v", err)
	}
	if k.Op.Key().Public == k.Cosign.Key().Public || k.Op.Key().Public == k.Log.Key().Public {
		t.Error("two purposes share a key")
	}
	if _, err := LoadOrCreateKeys(dir, "bob.example", origin); concord.KindOf(err) != concord.Conflict {
		t.Errorf("another operator: %v", err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range good { // every byte counts
		bad := bytes.Clone(good)
		bad[i] ^= 1
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := LoadOrCreateKeys(dir, name, origin)
		if kind := concord.KindOf(err); err == nil || kind != concord.Corrupt && kind != concord.Conflict {
			t.Fatalf("byte %d changed: %v", i, err)
		}
		if strings.Contains(err.Error(), string(good[60:90])) {
			t.Fatalf("the error shows key material: %v", err)
		}
	}
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadOrCreateKeys(dir, name, origin); concord.KindOf(err) != concord.Unauthorized {
		t.Errorf("readable by others: %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("files left over: %v, %v", entries, err)
	}
}

func FuzzParse(f *testing.F) {
	s := testSigner(f, "alice.example", "op", Ed25519)
	good, err := Sign("text\n", s)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(loosen(string(good))))
	f.Add([]byte("a\n\n\u2014 x AAAAAAA=\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := Parse(b)
		if err == nil && !bytes.Equal(n.Bytes(), b) {
			t.Errorf("%q re-encodes to %q", b, n.Bytes())
		}
	})
}

func FuzzParseKey(f *testing.F) {
	f.Add(testSigner(f, "alice.example", "op", Ed25519).Key().String())
	f.Fuzz(func(t *testing.T, s string) {
		if k, err := ParseKey(s); err == nil && k.String() != s {
			t.Errorf("%q re-encodes to %q", s, k)
		}
	})
}

// A key changes in two steps, each durable: the next one is made, and it takes the place of the current one, in the Signers that others hold.
func TestKeysChange(t *testing.T) {
	dir := t.TempDir()
	const name, origin = "alice.example", "alice.example/net-1"
	load := func() *Keys {
		t.Helper()
		k, err := LoadOrCreateKeys(dir, name, origin)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	k := load()
	held := k.Op
	first, secret := k.Op.Key(), k.Op.Derive("x")
	for _, label := range []string{"op", "cosign", "log"} {
		next, err := k.Next(label)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := load().Next(label); err != nil || again.Key() != next.Key() {
			t.Errorf("%s: after a restart another key is next: %v", label, err)
		}
	}
	if k.Op.Key() != first || k.Was(first) {
		t.Error("the next key is used already")
	}
	if ok, err := k.Adopt("op", first); !ok || err != nil {
		t.Errorf("adopt what is: %v, %v", ok, err)
	}
	if ok, err := k.Adopt("op", k.Cosign.Key()); ok || err != nil {
		t.Errorf("adopt a key that is not here: %v, %v", ok, err)
	}
	next := k.Waiting("op").Key()
	if ok, err := k.Adopt("op", next); !ok || err != nil {
		t.Fatal(ok, err)
	}
	sig, err := held.Sign("x\n")
	if err != nil || !next.Verify("x\n", sig) || first.Verify("x\n", sig) {
		t.Errorf("who holds the signer signs with another key: %v", err)
	}
	for _, k := range []*Keys{k, load()} {
		if k.Op.Key() != next || !k.Was(first) || k.Waiting("op") != nil || k.Waiting("log") == nil {
			t.Errorf("after the change: %s, was %v", k.Op.Key(), k.Was(first))
		}
		if s := k.Secrets("x"); len(s) != 2 || s[1] != secret || s[0] != k.Op.Derive("x") {
			t.Error("the secrets are not those of the two keys")
		}
	}
	if _, err := k.Next("cons"); concord.KindOf(err) != concord.Invalid {
		t.Errorf("no such key: %v", err)
	}
	if _, err := (&Keys{Op: k.Op, Cosign: k.Cosign, Log: k.Log}).Next("op"); concord.KindOf(err) != concord.Invalid {
		t.Errorf("keys in no file: %v", err)
	}
	good, err := os.ReadFile(filepath.Join(dir, KeysFile))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(good), "\n")
	for i := range good { // every byte counts here too
		bad := bytes.Clone(good)
		bad[i] ^= 1
		if _, err := parseKeys(string(bad)); err == nil && !strings.HasPrefix(string(good[i:]), "example") {
			if k, err := parseKeys(string(bad)); err != nil || k.Op.Key().Name == name {
				t.Fatalf("byte %d changed: %v", i, err)
			}
		}
	}
	for _, bad := range []string{string(good) + lines[5], string(good) + "more\n", strings.Join(slices.Concat(lines[:4], lines[5:], lines[4:5]), "")} {
		if _, err := parseKeys(bad); err == nil {
			t.Errorf("taken:\n%d lines", strings.Count(bad, "\n"))
		}
	}
}

func FuzzParseKeys(f *testing.F) {
	k, err := LoadOrCreateKeys(f.TempDir(), "alice.example", "alice.example/net-1")
	if err != nil {
		f.Fatal(err)
	}
	for range 2 {
		f.Add(k.format())
		next, err := k.Next("op")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(k.format())
		if _, err := k.Adopt("op", next.Key()); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		if k, err := parseKeys(text); err == nil && k.format() != text {
			t.Error("it does not re-encode to itself")
		}
	})
}

// A machine of the operator takes up keys that were changed on another, and never loses one.
func TestKeysFollow(t *testing.T) {
	const name, origin = "alice.example", "alice.example/net-1"
	load := func(dir string) *Keys {
		t.Helper()
		k, err := LoadOrCreateKeys(dir, name, origin)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	file := func(dir string) string {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(dir, KeysFile))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	here, there := t.TempDir(), t.TempDir()
	k := load(here)
	first := file(here)
	if err := WritePrivate(filepath.Join(there, KeysFile), []byte(first)); err != nil {
		t.Fatal(err)
	}
	other := load(there)
	held, was := other.Op, other.Op.Key()
	change := func(label string) string {
		t.Helper()
		next, err := k.Next(label)
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := k.Adopt(label, next.Key()); !ok || err != nil {
			t.Fatal(ok, err)
		}
		return file(here)
	}
	if _, err := k.Next("op"); err != nil {
		t.Fatal(err)
	}
	waits := file(here)
	opChanged := change("op")
	logChanged := change("log")
	for i, step := range []struct {
		file string
		op   Key
	}{{first, was}, {waits, was}, {opChanged, k.Op.Key()}, {logChanged, k.Op.Key()}, {logChanged, k.Op.Key()}} {
		if err := other.Follow(step.file); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		if held.Key() != step.op || file(there) != step.file || load(there).Op.Key() != step.op {
			t.Errorf("step %d: it has another key than the file", i)
		}
	}
	if info, err := os.Stat(filepath.Join(there, KeysFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info.Mode(), err)
	}
	if !other.Was(was) || other.Log.Key() != k.Log.Key() {
		t.Error("what was changed is not known")
	}
	foreign := t.TempDir()
	load(foreign)
	for what, f := range map[string]string{"before the log key was changed": opChanged, "the first": first, "another operator's": file(foreign)} {
		if err := other.Follow(f); concord.KindOf(err) != concord.Conflict {
			t.Errorf("keys %s: %v", what, err)
		}
	}
	for what, f := range map[string]string{"nothing": "", "cut off": logChanged[:len(logChanged)-1], "too long": strings.Repeat(logChanged, 200)} {
		if err := other.Follow(f); concord.KindOf(err) != concord.Corrupt {
			t.Errorf("%s: %v", what, err)
		}
	}
	if file(there) != logChanged || other.Op.Key() != k.Op.Key() {
		t.Error("what was refused changed the keys")
	}
}
