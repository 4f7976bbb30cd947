package warc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"concord"
	"concord/durable"

	"github.com/google/go-cmp/cmp"
)

var testTime = time.Date(2026, 11, 22, 10, 15, 0, 0, time.UTC)

// page makes the exchange of a page whose body is of about size bytes and hardly repeats.
func page(url string, seed uint64, size int) Exchange {
	rnd := rand.New(rand.NewPCG(seed, 1))
	var body bytes.Buffer
	body.WriteString("<!doctype html><title>" + url + "</title>")
	words := strings.Fields("archive capture record every server answer proof ledger operator search index crawl page link text")
	for body.Len() < size {
		fmt.Fprintf(&body, "<p>%s %x %s</p>\n", words[rnd.IntN(len(words))], rnd.Uint64(), words[rnd.IntN(len(words))])
	}
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: %d\r\n\r\n", body.Len())
	return Exchange{
		URL: url, Time: testTime, IP: netip.MustParseAddr("192.0.2.7"), Protocol: []string{"http/1.1"},
		Request:  []byte("GET / HTTP/1.1\r\nHost: example.org\r\nUser-Agent: Concord/0.1\r\n\r\n"),
		Response: append([]byte(head), body.Bytes()...),
		Metadata: []Field{{"via", "https://example.org/"}, {"fetchTimeMs", "12"}},
	}
}

func mustBuild(t testing.TB, x Exchange) ([]Record, CaptureInfo) {
	t.Helper()
	recs, info, err := Build(x)
	if err != nil {
		t.Fatal(err)
	}
	return recs, info
}

func mustOpen(t testing.TB, cfg Config) *Archive {
	t.Helper()
	a, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

func mustAppend(t testing.TB, a *Archive, groups ...[]Record) [][]concord.Location {
	t.Helper()
	locs, err := a.Append(groups)
	if err != nil {
		t.Fatal(err)
	}
	return locs
}

// checkRead reads loc and compares it with what was appended.
func checkRead(t testing.TB, a *Archive, loc concord.Location, want Record) {
	t.Helper()
	got, err := a.Read(loc)
	if err != nil {
		t.Fatalf("read %v: %v", loc, err)
	}
	if got.ID() != want.ID() || !bytes.Equal(got.Block, want.Block) {
		t.Fatalf("read %v: record %s with %d bytes, want %s with %d", loc, got.ID(), len(got.Block), want.ID(), len(want.Block))
	}
	if diff := cmp.Diff(want.Header, got.Header[:len(got.Header)-1]); diff != "" {
		t.Fatalf("header (-want +got):\n%s", diff)
	}
}

func TestArchiveKeepsWhatItAcknowledged(t *testing.T) {
	dir := t.TempDir()
	a := mustOpen(t, Config{Dir: dir, Operator: "alice.example", MaxFile: 60 << 10})
	type kept struct {
		loc concord.Location
		rec Record
	}
	var all []kept
	for i := range 20 {
		recs, info := mustBuild(t, page(fmt.Sprintf("https://example.org/%d", i), uint64(i), 8<<10))
		locs := mustAppend(t, a, recs)
		if recs[0].ID() != info.ID {
			t.Fatalf("the first record is %s, not %s", recs[0].ID(), info.ID)
		}
		for j := range recs {
			all = append(all, kept{locs[0][j], recs[j]})
			if j > 0 && locs[0][j].Offset != locs[0][j-1].Offset+locs[0][j-1].Length {
				t.Fatal("records of a group do not lie one behind the other")
			}
		}
	}
	check := func() {
		t.Helper()
		for _, k := range all {
			checkRead(t, a, k.loc, k.rec)
		}
	}
	check()
	files := a.Files()
	if len(files) < 2 || !files[0].Sealed || files[len(files)-1].Sealed {
		t.Fatalf("want several files, all but the last sealed: %+v", files)
	}
	if _, err := Open(Config{Dir: dir}); concord.KindOf(err) != concord.Conflict {
		t.Fatalf("second Open: %v, want a conflict", err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Append([][]Record{{all[0].rec}}); concord.KindOf(err) != concord.Unavailable {
		t.Fatalf("append after Close: %v", err)
	}
	a = mustOpen(t, Config{Dir: dir, MaxFile: 60 << 10})
	check()
	// A lost index is made again.
	if err := os.Remove(filepath.Join(dir, indexName(files[0].Name))); err != nil {
		t.Fatal(err)
	}
	var before, after bytes.Buffer
	a.Close()
	a = mustOpen(t, Config{Dir: dir, MaxFile: 60 << 10})
	if err := a.WriteCDXJ(&before); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(before.String(), "\n"); n != 20 {
		t.Fatalf("index has %d lines, want 20:\n%s", n, before.String())
	}
	a.Close()
	a = mustOpen(t, Config{Dir: dir, MaxFile: 60 << 10})
	if err := a.WriteCDXJ(&after); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before.String(), after.String()); diff != "" {
		t.Fatal(diff)
	}
	check()
}

// A crash may leave any beginning of the last member. The records in front of it stay.
func TestArchiveCutsUnfinishedMember(t *testing.T) {
	disk := durable.NewCrashFS()
	cfg := Config{Dir: "archive", FS: disk}
	a := mustOpen(t, cfg)
	recs, _ := mustBuild(t, page("https://example.org/a", 1, 600))
	locs := mustAppend(t, a, recs)[0]
	last, _ := mustBuild(t, page("https://example.org/b", 2, 300))
	end := mustAppend(t, a, last[:1])[0][0]
	a.Close()
	path := filepath.Join("archive", end.File)
	whole, err := disk.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(whole)) != end.Offset+end.Length {
		t.Fatalf("file has %d bytes", len(whole))
	}
	for n := end.Offset; n <= int64(len(whole)); n++ {
		for _, junk := range []string{"", strings.Repeat("\xff", 40)} {
			overwrite(t, disk, path, append(whole[:n:n], junk...))
			a, err := Open(cfg)
			if err != nil {
				t.Fatalf("cut at %d: %v", n, err)
			}
			for i := range recs {
				checkRead(t, a, locs[i], recs[i])
			}
			want := end.Offset
			if n == int64(len(whole)) {
				want = n
				checkRead(t, a, end, last[0])
			}
			if f := a.Files(); len(f) != 1 || f[0].Bytes != want || len(f[0].Damages) != 0 {
				t.Fatalf("cut at %d: files %+v, want %d bytes", n, f, want)
			}
			again := mustAppend(t, a, last[:1])[0][0]
			checkRead(t, a, again, last[0])
			a.Close()
		}
	}
}

// overwrite replaces the content of a file.
func overwrite(t *testing.T, disk durable.FS, path string, content []byte) {
	t.Helper()
	err := disk.Remove(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := disk.Create(path, 0o600)
	if err == nil {
		_, err = f.Write(content)
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Damage in front of whole records is kept on record, and the records behind it are served.
func TestArchiveReportsEarlierDamage(t *testing.T) {
	dir := t.TempDir()
	a := mustOpen(t, Config{Dir: dir})
	var locs []concord.Location
	var recs []Record
	for i := range 3 {
		r, _ := mustBuild(t, page(fmt.Sprintf("https://example.org/%d", i), uint64(i), 2000))
		recs = append(recs, r[0])
		locs = append(locs, mustAppend(t, a, r[:1])[0][0])
	}
	a.Close()
	flip(t, filepath.Join(dir, locs[1].File), locs[1].Offset+locs[1].Length/2)
	for range 2 { // the second time the file is sealed, and the damage is read from its list
		a = mustOpen(t, Config{Dir: dir})
		f := a.Files()
		if len(f) != 1 || len(f[0].Damages) != 1 || !strings.Contains(f[0].Damages[0], fmt.Sprintf("offset %d", locs[1].Offset)) ||
			!f[0].Sealed || a.Stats().Damages != 1 {
			t.Fatalf("files %+v", f)
		}
		checkRead(t, a, locs[0], recs[0])
		checkRead(t, a, locs[2], recs[2])
		if _, err := a.Read(locs[1]); concord.KindOf(err) != concord.Corrupt {
			t.Fatalf("read of the damaged record: %v", err)
		}
		a.Close()
	}
}

func flip(t *testing.T, path string, at int64) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[at] ^= 0x10
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestReadDetectsEveryFlippedBit(t *testing.T) {
	disk := durable.NewCrashFS()
	a := mustOpen(t, Config{Dir: "archive", FS: disk})
	recs, _ := mustBuild(t, page("https://example.org/", 3, 300))
	loc := mustAppend(t, a, recs[:1])[0][0]
	path := filepath.Join("archive", loc.File)
	whole, err := disk.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	harmless := 0
	for i := loc.Offset; i < loc.Offset+loc.Length; i++ {
		for bit := range 8 {
			b := bytes.Clone(whole)
			b[i] ^= 1 << bit
			overwrite(t, disk, path, b)
			got, err := a.Read(loc)
			if err == nil {
				// Some bits of a gzip member mean nothing: time and system in its header, the padding of its last block.
				if !bytes.Equal(got.Block, recs[0].Block) || !cmp.Equal(got.Header[:len(got.Header)-1], recs[0].Header) {
					t.Fatalf("bit %d of byte %d flipped, and nobody noticed", bit, i-loc.Offset)
				}
				harmless++
				continue
			}
			if concord.KindOf(err) != concord.Corrupt || !strings.Contains(err.Error(), fmt.Sprintf("%s at offset %d", loc.File, loc.Offset)) {
				t.Fatalf("flipped bit: %v", err)
			}
		}
	}
	if harmless > 80 {
		t.Errorf("%d flipped bits were harmless", harmless)
	}
}

func TestReadRefusesWrongPlaces(t *testing.T) {
	a := mustOpen(t, Config{Dir: t.TempDir()})
	recs, _ := mustBuild(t, page("https://example.org/", 3, 500))
	loc := mustAppend(t, a, recs)[0][0]
	tests := []struct {
		name string
		loc  concord.Location
		want concord.Kind
	}{
		{"no such file", concord.Location{File: "concord-x.warc.gz", Offset: 0, Length: 10}, concord.NotFound},
		{"outside the directory", concord.Location{File: "../../etc/passwd", Offset: 0, Length: 10}, concord.NotFound},
		{"behind the end", concord.Location{File: loc.File, Offset: loc.Offset, Length: 1 << 30}, concord.NotFound},
		{"overflow", concord.Location{File: loc.File, Offset: 1<<63 - 1, Length: 1<<63 - 1}, concord.NotFound},
		{"negative", concord.Location{File: loc.File, Offset: -1, Length: 5}, concord.NotFound},
		{"two members", concord.Location{File: loc.File, Offset: 0, Length: loc.Offset + loc.Length}, concord.Corrupt},
		{"one byte late", concord.Location{File: loc.File, Offset: loc.Offset + 1, Length: loc.Length - 1}, concord.Corrupt},
		{"one byte short", concord.Location{File: loc.File, Offset: loc.Offset, Length: loc.Length - 1}, concord.Corrupt},
	}
	for _, tt := range tests {
		if _, err := a.Read(tt.loc); err == nil || concord.KindOf(err) != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
	}
}

func TestAppendFromManyGoroutinesSharesSyncs(t *testing.T) {
	a := mustOpen(t, Config{Dir: t.TempDir(), MaxFile: 200 << 10})
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := range 10 {
				recs, _, err := Build(page(fmt.Sprintf("https://example.org/%d/%d", g, i), uint64(g*100+i), 3000))
				if err != nil {
					t.Error(err)
					return
				}
				locs, err := a.Append([][]Record{recs, recs[:1]})
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := a.Read(locs[1][0]); err != nil || got.ID() != recs[0].ID() {
					t.Errorf("read back: %v", err)
				}
			}
		})
	}
	wg.Wait()
	s := a.Stats()
	if s.Appends != 640 || s.Commits > 160 {
		t.Errorf("%d records in %d commits", s.Appends, s.Commits)
	}
	t.Logf("%d records in %d commits, %d files", s.Appends, s.Commits, s.Files)
}

func TestAppendRefusesWhatCannotBeReadBack(t *testing.T) {
	a := mustOpen(t, Config{Dir: t.TempDir(), MaxBlock: 1000})
	recs, _ := mustBuild(t, page("https://example.org/", 1, 2000))
	if _, err := a.Append([][]Record{recs}); concord.KindOf(err) != concord.Invalid {
		t.Errorf("long block: %v", err)
	}
	bad := Record{Header: Fields{{"WARC-Type", "metadata"}, {"WARC-Record-ID", "<urn:x>"}, {"WARC-Date", "2026-11-22T00:00:00Z"},
		{"WARC-Target-URI", "http://a/\r\nWARC-Type: response"}}}
	if _, err := a.Append([][]Record{{bad}}); concord.KindOf(err) != concord.Invalid {
		t.Errorf("line break in a field: %v", err)
	}
	if s := a.Stats(); s.Appends != 0 || s.Files != 0 {
		t.Errorf("something was written: %+v", s)
	}
}

func TestFullDisk(t *testing.T) {
	disk := durable.NewCrashFS()
	a := mustOpen(t, Config{Dir: "archive", FS: disk})
	recs, _ := mustBuild(t, page("https://example.org/a", 1, 3000))
	loc := mustAppend(t, a, recs)[0][0]
	disk.LimitSpace(500)
	if _, err := a.Append([][]Record{recs}); concord.KindOf(err) != concord.Unavailable || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("append to a full disk: %v", err)
	}
	checkRead(t, a, loc, recs[0])
	disk.LimitSpace(-1)
	checkRead(t, a, mustAppend(t, a, recs)[0][0], recs[0])
	disk.LimitSpace(0) // no room for a first file either
	b := mustOpen(t, Config{Dir: "other", FS: disk})
	if _, err := b.Append([][]Record{recs}); concord.KindOf(err) != concord.Unavailable {
		t.Fatalf("begin on a full disk: %v", err)
	}
	disk.LimitSpace(-1)
	mustAppend(t, b, recs)
	a = mustOpen(t, Config{Dir: "archive", FS: disk})
	if f := a.Files(); len(f) != 1 || len(f[0].Damages) != 0 {
		t.Fatalf("files %+v", f)
	}
}

func TestFailedSyncStopsTheArchive(t *testing.T) {
	disk := durable.NewCrashFS()
	a := mustOpen(t, Config{Dir: "archive", FS: disk})
	recs, _ := mustBuild(t, page("https://example.org/a", 1, 3000))
	loc := mustAppend(t, a, recs)[0][0]
	disk.FailSync(syscall.EIO)
	if _, err := a.Append([][]Record{recs}); concord.KindOf(err) != concord.Internal {
		t.Fatalf("failed sync: %v", err)
	}
	disk.FailSync(nil)
	if _, err := a.Append([][]Record{recs}); concord.KindOf(err) != concord.Internal {
		t.Fatalf("append after a failed sync: %v", err)
	}
	checkRead(t, a, loc, recs[0])
	a = mustOpen(t, Config{Dir: "archive", FS: disk})
	checkRead(t, a, loc, recs[0])
	mustAppend(t, a, recs)
}

// The machine stops at each operation in turn; whatever was acknowledged must be there afterwards, and appending goes on.
func TestCrashAnywhere(t *testing.T) {
	for seed := range uint64(3) {
		for ops := range 60 {
			crashOnce(t, seed, ops)
		}
	}
}

func crashOnce(t *testing.T, seed uint64, ops int) {
	t.Helper()
	disk := durable.NewCrashFS()
	cfg := Config{Dir: "archive", FS: disk, MaxFile: 5 << 10, Log: slog.New(slog.DiscardHandler)}
	type kept struct {
		loc concord.Location
		rec Record
	}
	var acknowledged []kept
	var rnd *rand.Rand
	if seed > 0 {
		rnd = rand.New(rand.NewPCG(seed, uint64(ops)))
	}
	for round := range 2 {
		disk.CrashAfter(ops)
		a, err := Open(cfg)
		for i := 0; err == nil && i < 12; i++ {
			var locs [][]concord.Location
			recs, _ := mustBuild(t, page(fmt.Sprintf("https://example.org/%d/%d", round, i), uint64(i), 700))
			if locs, err = a.Append([][]Record{recs}); err == nil {
				acknowledged = append(acknowledged, kept{locs[0][0], recs[0]})
			}
		}
		disk.Crash(rnd)
		a, err = Open(cfg)
		if err != nil {
			t.Fatalf("seed %d, operation %d: open after the crash: %v", seed, ops, err)
		}
		for _, k := range acknowledged {
			checkRead(t, a, k.loc, k.rec)
		}
		if n := a.Stats().Damages; n != 0 {
			t.Fatalf("seed %d, operation %d: %d damages: %+v", seed, ops, n, a.Files())
		}
		recs, _ := mustBuild(t, page("https://example.org/after", 99, 700))
		checkRead(t, a, mustAppend(t, a, recs)[0][0], recs[0])
	}
}

func TestWriterOffsetsLeadBack(t *testing.T) {
	for _, compress := range []bool{false, true} {
		var file bytes.Buffer
		w := NewWriter(&file, compress)
		recs, _ := mustBuild(t, page("https://example.org/", 1, 3000))
		type place struct{ off, n int64 }
		var places []place
		for i := range recs {
			off, n, err := w.Write(&recs[i])
			if err != nil {
				t.Fatal(err)
			}
			places = append(places, place{off, n})
		}
		r := NewReader(&file, Limits{})
		for i := range recs {
			got, err := r.Next()
			if err != nil {
				t.Fatal(err)
			}
			if got.ID() != recs[i].ID() || got.Offset != places[i].off || got.Length != places[i].n || !got.Whole || !bytes.Equal(got.Block, recs[i].Block) {
				t.Errorf("compress %v, record %d: %s at %d+%d, want %+v", compress, i, got.ID(), got.Offset, got.Length, places[i])
			}
		}
		if _, err := r.Next(); err != io.EOF {
			t.Errorf("end: %v", err)
		}
	}
}
