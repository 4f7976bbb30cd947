package chain

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"golang.org/x/mod/sumdb/tlog"

	"concord"
	"concord/ledger"
	"concord/note"
)

func term(kind, value string) concord.LedgerTerm { return concord.LedgerTerm{Kind: kind, Value: value} }

// places returns the indexes of what Find finds.
func places(t *testing.T, c *Chain, q concord.LedgerTerm, below uint64, n int) (list []uint64) {
	t.Helper()
	entries, err := c.Find(q, below, n)
	if err != nil {
		t.Fatalf("%v: %v", q, err)
	}
	for _, e := range entries {
		list = append(list, e.Index)
	}
	return list
}

const newest = ^uint64(0)

// Entries are found by what they name, as they are written, by pages, after a restart, and after the index was lost or fell behind.
func TestFind(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, t.TempDir())
	c := start(t, cfg)
	var batches []uint64
	for range 3 {
		_, i := submitNext(t, c.Chain, cfg.Keys)
		batches = append(batches, i)
	}
	doc := &ledger.DocTx{Head: ledger.Head{Chain: c.ID(), From: testOperator, Seq: 4}, Digests: []concord.Digest{concord.Sum([]byte("a paper"))}, Label: "a-label"}
	tx, err := ledger.Sign(doc, cfg.Keys.Op)
	if err != nil {
		t.Fatal(err)
	}
	at, err := c.Submit(t.Context(), tx)
	if err != nil {
		t.Fatal(err)
	}
	second := concord.Sum([]byte("batch 2")).String()
	check := func(what string, c *Chain) {
		t.Helper()
		for _, q := range []struct {
			term  concord.LedgerTerm
			below uint64
			n     int
			want  []uint64
		}{
			{term(concord.TermOperator, testOperator), newest, 9, []uint64{at, batches[2], batches[1], batches[0], 1, 0}},
			{term(concord.TermOperator, testOperator), newest, 2, []uint64{at, batches[2]}},
			{term(concord.TermOperator, testOperator), batches[2], 2, []uint64{batches[1], batches[0]}},
			{term(concord.TermOperator, testOperator), 0, 9, nil},
			{term(concord.TermOperator, "alice.exampl"), newest, 9, nil},
			{term(concord.TermDigest, second), newest, 9, []uint64{batches[1]}},
			{term(concord.TermDigest, doc.Digests[0].String()), newest, 9, []uint64{at}},
			{term(concord.TermType, "doc"), newest, 9, []uint64{at}},
			{term(concord.TermType, "gov"), newest, 9, []uint64{1, 0}},
			{term(concord.TermType, "attest"), newest, 9, nil},
			{term(concord.TermDigest, concord.Digest(tlog.RecordHash(tx)).String()), newest, 9, []uint64{at}},
			{term(concord.TermDigest, concord.Digest(tlog.RecordHash(tx)).String()), at, 9, nil},
			{term(concord.TermURL, "https://nowhere.example/"), newest, 9, nil},
		} {
			if got := places(t, c, q.term, q.below, q.n); fmt.Sprint(got) != fmt.Sprint(q.want) {
				t.Errorf("%s: %v below %d: %v, want %v", what, q.term, q.below, got, q.want)
			}
		}
	}
	check("as written", c.Chain)
	if err := c.stop(); err != nil {
		t.Fatal(err)
	}
	for what, spoil := range map[string]func(s *store) error{
		"reopened": func(*store) error { return nil },
		"lost":     func(s *store) error { return s.db.DeleteRange([]byte{keyTerm}, []byte{keyTerm + 1}, pebble.Sync) },
		"behind": func(s *store) error { // as after a version that does not know the index
			w := s.db.NewBatch()
			defer w.Close()
			if err := setTermsEnd(w, batches[1]); err != nil {
				return err
			}
			_ = w.DeleteRange(termKey(term(concord.TermType, "doc")), append(termKey(term(concord.TermType, "doc")), 255), nil)
			return w.Commit(pebble.Sync)
		},
		"another version": func(s *store) error {
			_ = s.db.Set(append(termKey(term(concord.TermOperator, testOperator)), 0, 0, 0, 0, 0, 0, 0, 77), nil, pebble.NoSync)
			return s.db.Set([]byte{keyTerm}, []byte{termsVersion + 1, 0, 0, 0, 0, 0, 0, 0, 9}, pebble.Sync)
		},
	} {
		s, err := openStore(filepath.Join(cfg.Dir, "log"))
		if err != nil {
			t.Fatal(err)
		}
		if err := spoil(s); err != nil {
			t.Fatal(err)
		}
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
		again, err := Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		check(what, again)
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Blocks are found by their height, with the bracket of their time.
func TestBlock(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, t.TempDir())
	c := start(t, cfg)
	b, err := c.Block(0)
	if err != nil || b.First != 0 || b.Count != 2 || b.NotBefore.IsZero() {
		t.Errorf("the founding block: %+v, %v", b, err)
	}
	for range 3 {
		_, index := submitNext(t, c.Chain, cfg.Keys)
		e, err := c.Entry(index)
		if err != nil {
			t.Fatal(err)
		}
		deadline := time.Now().Add(10 * time.Second)
		for b, err = c.Block(e.Height); err == nil && b.NotAfter.IsZero() && time.Now().Before(deadline); b, err = c.Block(e.Height) {
			time.Sleep(5 * time.Millisecond) // until the block after it
		}
		if err != nil || b.Height != e.Height || b.First != index || b.Count != 2 || b.NotBefore != e.Time || b.NotAfter.Before(b.NotBefore) {
			t.Errorf("block %d of entry %d: %+v, %v", e.Height, index, b, err)
		}
		again, err := c.Block(e.Height)
		if err != nil || again != b {
			t.Errorf("block %d again: %+v, %v", e.Height, again, err)
		}
	}
	for _, h := range []int64{b.Height + 1, b.Height + 100, -1} {
		if _, err := c.Block(h); concord.KindOf(err) != concord.NotFound {
			t.Errorf("block %d: %v", h, err)
		}
	}
}

// BenchmarkTerms makes the index of a log, half attestations and half block records, again (ns/op is for an entry; bytes of the
// store with it and without), and then finds a batch by its root among them.
func BenchmarkTerms(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "log")
	s, err := openStore(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer s.close()
	seed := concord.Sum([]byte("key"))
	op, err := note.NewSigner("alice.example", note.Ed25519, seed[:])
	if err != nil {
		b.Fatal(err)
	}
	root := func(i int) concord.Digest { return concord.Sum(fmt.Appendf(nil, "batch %d", i)) }
	w := s.db.NewBatch()
	for i := range b.N {
		a := concord.Attestation{Chain: "net-1:0123456789ab", From: "alice.example", Seq: uint64(i + 1), Count: 1, Root: root(i), First: 1, Last: 2}
		e := []byte((&ledger.Record{Height: int64(i), Hash: root(i), After: ledger.Mark{Height: int64(i), Hash: root(i)}}).String())
		if i%2 == 0 {
			sig := note.Sig{Name: op.Key().Name, ID: op.Key().ID(), Data: make([]byte, 64)} // what is stored has been verified
			e = note.Join(a.String(), sig)
		}
		leaf := tlog.RecordHash(e)
		if err := w.Set(append([]byte{keyLeaf}, leaf[:]...), make([]byte, 8), nil); err != nil {
			b.Fatal(err)
		}
		if err := w.Set(key(keyEntry, uint64(i)), rawEntry{int64(i), time.Unix(0, 0), e}.stamped(), nil); err != nil {
			b.Fatal(err)
		}
		if i%termsBatch == 0 || i == b.N-1 {
			if err := w.Commit(pebble.NoSync); err != nil {
				b.Fatal(err)
			}
			w.Reset()
		}
	}
	usage := func() float64 {
		if err := s.db.Flush(); err != nil {
			b.Fatal(err)
		}
		if err := s.db.Compact(b.Context(), []byte{0}, []byte{255}, true); err != nil {
			b.Fatal(err)
		}
		return float64(s.db.Metrics().DiskSpaceUsage())
	}
	before := usage()
	b.ResetTimer()
	if _, err := s.indexTerms(uint64(b.N)); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	b.ReportMetric((usage()-before)/float64(b.N), "B/entry")
	const finds = 1000
	begin := time.Now()
	for i := range finds {
		at := i * 7919 % b.N &^ 1
		list, err := s.naming(concord.LedgerTerm{Kind: concord.TermDigest, Value: root(at).String()}, newest, 9, true)
		if err != nil || len(list) != 1 || list[0] != uint64(at) {
			b.Fatalf("batch %d: %v, %v", at, list, err)
		}
	}
	b.ReportMetric(float64(time.Since(begin).Microseconds())/finds, "µs/find")
}
