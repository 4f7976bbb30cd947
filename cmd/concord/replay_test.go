package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"concord"
	"concord/chain"
	"concord/note"
)

// liar is a source that says something else than its log does, in one place.
type liar struct {
	logSource
	bundles func([]byte) []byte
	tiles   func([]byte) []byte
	heads   func(concord.Checkpoint) concord.Checkpoint
	rooted  func(map[uint64]concord.Digest)
}

func (l *liar) bundle(ctx context.Context, n uint64, width int) ([]byte, error) {
	b, err := l.logSource.bundle(ctx, n, width)
	if l.bundles != nil {
		b = l.bundles(b)
	}
	return b, err
}

func (l *liar) tile(ctx context.Context, level int, n uint64, width int) ([]byte, error) {
	b, err := l.logSource.tile(ctx, level, n, width)
	if l.tiles != nil {
		b = l.tiles(b)
	}
	return b, err
}

func (l *liar) head() (concord.Checkpoint, uint64) {
	cp, n := l.logSource.head()
	if l.heads != nil {
		cp = l.heads(cp)
	}
	return cp, n
}

func (l *liar) roots(ctx context.Context) (map[uint64]concord.Digest, error) {
	m, err := l.logSource.roots(ctx)
	if l.rooted != nil {
		l.rooted(m)
	}
	return m, err
}

// storedChain runs a chain for a few transactions, more than a tile has room for, and returns its data directory.
func storedChain(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	keys, err := note.LoadOrCreateKeys(filepath.Join(dir, "keys"), "cli.example", "cli.example/net-1")
	if err != nil {
		t.Fatal(err)
	}
	c, err := chain.Open(chain.Config{Dir: filepath.Join(dir, "chain"), Operator: "cli.example", ChainName: "net-1", Keys: keys, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	for range 130 { // two entries each: the transaction and its block's record
		seq, prev, err := c.Next("cli.example")
		if err != nil {
			t.Fatal(err)
		}
		a := concord.Attestation{Chain: c.ID(), From: "cli.example", Seq: seq, Count: 1, Root: concord.Sum(fmt.Appendf(nil, "%d", seq)), First: 1, Last: 2, Prev: prev}
		tx, err := note.Sign(a.String(), keys.Op)
		if err != nil {
			t.Fatal(err)
		}
		wait, stop := context.WithTimeout(ctx, 20*time.Second)
		if _, err := c.Submit(wait, tx); err != nil {
			t.Fatal(err)
		}
		stop()
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// What a replay is for: any difference between entries, state, tree and heads is found, and said what it is.
func TestReplayFindsDifferences(t *testing.T) {
	t.Parallel()
	src, err := openStored(storedChain(t))
	if err != nil {
		t.Fatal(err)
	}
	defer src.close()
	r, err := replay(t.Context(), src, &replayBar{})
	if err != nil || r.Entries != 262 || r.Blocks != 130 || r.Checkpoints < 100 || r.Tiles != 3 || r.Cosigned != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	change := func(old, new string) func([]byte) []byte {
		return func(b []byte) []byte { return []byte(strings.Replace(string(b), old, new, 1)) }
	}
	flip := func(b []byte) []byte {
		b = slices.Clone(b)
		b[len(b)/2] ^= 1
		return b
	}
	for _, c := range []struct {
		name string
		liar liar
		want string
	}{
		{"a transaction", liar{bundles: change("count 1\n", "count 2\n")}, "replay entry 3"},
		{"a state hash", liar{bundles: func(b []byte) []byte {
			b = slices.Clone(b)
			b[bytes.Index(b, []byte("\nstate "))+10] ^= 1
			return b
		}}, "replay entry 3"},
		{"a founding note", liar{bundles: change("admit cli.example", "admit clj.example")}, "founding note"},
		{"a block's time", liar{bundles: change("\ntime 1", "\ntime 2")}, "replay entry 3|checkpoint of 4 entries"}, // by its state, if the block after it was slow to come
		{"a bundle cut short", liar{bundles: func(b []byte) []byte { return b[:len(b)-1] }}, "bundle"},
		{"a bundle with more", liar{bundles: func(b []byte) []byte { return append(slices.Clone(b), 0, 0) }}, "bundle"},
		{"a hash of the tree", liar{tiles: flip}, "tile 0 at level 0"},
		{"an old root", liar{rooted: func(m map[uint64]concord.Digest) { m[4] = concord.Sum(nil) }}, "checkpoint of 4 entries"},
		{"the newest root", liar{heads: func(c concord.Checkpoint) concord.Checkpoint { c.Root = concord.Sum(nil); return c }}, "checkpoint of 262 entries"},
		{"a signature", liar{heads: func(c concord.Checkpoint) concord.Checkpoint {
			c.Note = strings.Replace(c.Note, "\n— ", "x\n— ", 1)
			return c
		}}, "checkpoint"},
		{"no cosignature", liar{heads: func(c concord.Checkpoint) concord.Checkpoint {
			lines := strings.SplitAfter(c.Note, "\n")
			c.Note = strings.Join(lines[:5], "")
			return c
		}}, "cosigned by 0 of 1"},
	} {
		c.liar.logSource = src
		_, err := replay(t.Context(), &c.liar, &replayBar{})
		if err == nil || concord.KindOf(err) != concord.Corrupt || !regexp.MustCompile(c.want).MatchString(err.Error()) || exitCode(err) != exitFailed {
			t.Errorf("%s: %v; want %q", c.name, err, c.want)
		}
	}
}

func TestTilePath(t *testing.T) {
	for want, got := range map[string]string{"/ledger/tile/0/000": tilePath(0, 0, 256), "/ledger/tile/entries/x001/234.p/5": tilePath(-1, 1234, 5), "/ledger/tile/1/000.p/1": tilePath(1, 0, 1)} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
