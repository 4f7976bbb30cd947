package ledger

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"testing"
)

// A ledger written before there were asks, credits and the like (testdata/v1.ledger: admissions, the step from one voter
// to four, evidence, empty blocks) replays to the same root, and the machine stored with it is read and written
// unchanged.
func TestGoldenV1(t *testing.T) {
	entries, root := readGolden(t, "testdata/v1.ledger")
	p := NewReplay(testID)
	for _, e := range entries {
		if err := p.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	m, err := p.End()
	if err != nil || m.Root().String() != root {
		t.Fatalf("root %v, want %s: %v", m.Root(), root, err)
	}
	stored, err := os.ReadFile("testdata/v1.machine")
	if err != nil {
		t.Fatal(err)
	}
	back, err := Unmarshal(stored)
	if err != nil || !bytes.Equal(back.Marshal(), stored) || back.Root() != m.Root() {
		t.Errorf("stored machine: %v", err)
	}
	back.state.After = nil // from a block without transactions, which is not in the log
	if back.state.Hash() != m.state.Hash() {
		t.Errorf("state after replay:\n%s\nstored:\n%s", m.state, back.state)
	}
}

func readGolden(t testing.TB, path string) (entries [][]byte, root string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for {
		line, rest, _ := strings.Cut(string(b), "\n")
		if r, ok := strings.CutPrefix(line, "root "); ok {
			return entries, r
		}
		n, err := strconv.Atoi(strings.TrimPrefix(line, "entry "))
		if err != nil || n > len(rest) {
			t.Fatalf("%s: %q: %v", path, line, err)
		}
		entries, b = append(entries, []byte(rest[:n])), []byte(rest[n:])
	}
}
