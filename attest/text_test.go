package attest

import (
	"strings"
	"testing"
	"time"

	"concord"
	"concord/note"
	"concord/receipt"
)

// The text of each batch is the one that its attestation is about, found by that alone.
func TestText(t *testing.T) {
	dir := t.TempDir()
	c, log := startChain(t, dir), newMemoryLog()
	a := startAttestor(t, dir, log, c, 10*time.Millisecond, 7)
	const n = 50
	appendCaptures(t, log, 0, n)
	for i := range n {
		await(t, a.Attestor, capture(i).ID)
	}
	entries := 0
	for number := uint64(1); entries < n; number++ {
		b, err := a.Batch(number)
		if err != nil {
			t.Fatal(err)
		}
		text, err := a.Text([]byte(b.Note))
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := receipt.ParseBatch([]byte(b.Note), text)
		if err != nil {
			t.Fatal(err)
		}
		entries += len(parsed.Entries)
		about := parsed.About
		for _, change := range []func(){func() { about.Count++ }, func() { about.Seq += 100 }, func() { about.Seq = 1 << 60 }, func() { about.Chain = "net-1:000000000000" }} {
			about = parsed.About
			change()
			other, err := note.Sign(about.String(), a.cfg.Keys.Op)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := a.Text(other); concord.KindOf(err) != concord.NotFound {
				t.Errorf("%s: %v", other, err)
			}
		}
	}
	if entries != n {
		t.Errorf("%d entries, want %d", entries, n)
	}
	b, err := a.Batch(1)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.store.db.Delete(lineKey(b.Number, 0), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Text([]byte(b.Note)); concord.KindOf(err) != concord.Corrupt {
		t.Errorf("a line is gone: %v", err)
	}
	if _, err := a.Text([]byte("no attestation")); err == nil || !strings.Contains(err.Error(), "attestation") {
		t.Errorf("got %v", err)
	}
}
