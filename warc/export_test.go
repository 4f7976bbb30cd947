package warc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"concord"

	"github.com/google/go-cmp/cmp"
)

// fill appends pages of two sites with their robots.txt, and returns the archive.
func fill(t testing.TB, cfg Config) *Archive {
	t.Helper()
	a := mustOpen(t, cfg)
	for i := range 6 {
		for _, site := range []string{"https://a.example", "https://b.example"} {
			path := fmt.Sprintf("/p/%d", i)
			if i == 0 {
				path = "/robots.txt"
			}
			recs, _ := mustBuild(t, page(site+path, uint64(i), 3000))
			mustAppend(t, a, recs)
		}
	}
	return a
}

// readDir reads all WARC files of an export: type and URI of each record, in order.
func readDir(t testing.TB, dir string) (records []string, lines []string) {
	t.Helper()
	paths, _ := filepath.Glob(filepath.Join(dir, "*.warc.gz"))
	sort.Strings(paths)
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		r := NewReader(f, Limits{})
		for {
			rec, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			if c := rec.Verify(); !c.OK() || !rec.Whole || c.Block != Verified {
				t.Errorf("%s at %d: %+v", path, rec.Offset, c)
			}
			records = append(records, strings.TrimSpace(rec.Type()+" "+rec.TargetURI()))
			if l, ok := indexLine(rec); ok {
				l.Location = concord.Location{File: filepath.Base(path), Offset: rec.Offset, Length: rec.Length}
				lines = append(lines, l.String())
			}
		}
		f.Close()
	}
	sort.Strings(lines)
	return records, lines
}

func TestExport(t *testing.T) {
	for _, maxFile := range []int64{DefaultMaxFile, 5000} {
		a := fill(t, Config{Dir: t.TempDir(), MaxFile: maxFile})
		dir := filepath.Join(t.TempDir(), "out")
		keep := func(url string) bool {
			return strings.HasPrefix(url, "https://a.example/p/") && !strings.HasSuffix(url, "/3")
		}
		var last Progress
		if err := a.Export(t.Context(), dir, keep, func(p Progress) { last = p }); err != nil {
			t.Fatal(err)
		}
		records, lines := readDir(t, dir)
		var want, got []string
		for _, url := range []string{"/robots.txt", "/p/1", "/p/2", "/p/4", "/p/5"} {
			for _, kind := range []string{"response", "request", "metadata"} {
				want = append(want, kind+" https://a.example"+url)
			}
		}
		for i, r := range records {
			if r != "warcinfo" {
				got = append(got, r)
			} else if i == len(records)-1 {
				t.Error("a file without records")
			}
		}
		if records[0] != "warcinfo" {
			t.Errorf("first record is %s", records[0])
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("exported (-want +got):\n%s", diff)
		}
		index, err := os.ReadFile(filepath.Join(dir, IndexName))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(strings.Join(lines, "\n")+"\n", string(index)); diff != "" || len(lines) != 5 {
			t.Errorf("index (-want +got):\n%s", diff)
		}
		if last.Records != 15 || last.Files != last.Of || last.Files == 0 {
			t.Errorf("progress %+v", last)
		}
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			if !strings.HasSuffix(e.Name(), ".warc.gz") && e.Name() != IndexName {
				t.Errorf("left behind: %s", e.Name())
			}
		}
		if err := a.Export(t.Context(), dir, keep, nil); concord.KindOf(err) != concord.Conflict {
			t.Errorf("second export to the same directory: %v", err)
		}
	}
}

func TestExportOfDamagedArchiveSaysSo(t *testing.T) {
	dir := t.TempDir()
	a := fill(t, Config{Dir: dir})
	f := a.Files()[0]
	flip(t, filepath.Join(dir, f.Name), f.Bytes/2)
	out := filepath.Join(t.TempDir(), "out")
	err := a.Export(t.Context(), out, func(string) bool { return true }, nil)
	if concord.KindOf(err) != concord.Corrupt || !strings.Contains(err.Error(), "1 damaged") {
		t.Errorf("export: %v", err)
	}
	if records, _ := readDir(t, out); len(records) != 36 { // a warcinfo and all records but one
		t.Errorf("%d records", len(records))
	}
}

func TestMergeOfManyRuns(t *testing.T) {
	dir := t.TempDir()
	var paths, want []string
	for i := range 2*maxMergeRuns + 3 {
		path := filepath.Join(dir, fmt.Sprintf("r%03d", i))
		lines := []string{fmt.Sprintf("a%03d", 999-i), fmt.Sprintf("b%03d", i)}
		want = append(want, lines...)
		if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	sort.Strings(want)
	var got bytes.Buffer
	if err := mergeFiles(&got, paths, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Join(want, "\n")+"\n", got.String()); diff != "" {
		t.Error(diff)
	}
}

func TestCDXLine(t *testing.T) {
	line := `org,example,www)/a?b=c 20261122101500 {"url":"https://www.example.org/A?b=C&d","mime":"text/html","status":"200","digest":"sha256:00","length":"1228","offset":"784","filename":"x.warc.gz"}`
	l, err := ParseCDXLine(line)
	if err != nil || l.String() != line {
		t.Errorf("%v\n%s", err, l)
	}
	want := CDXLine{Key: "org,example,www)/a?b=c", Stamp: "20261122101500", URL: "https://www.example.org/A?b=C&d", Mime: "text/html", Status: 200,
		Digest: "sha256:00", Location: concord.Location{File: "x.warc.gz", Offset: 784, Length: 1228}}
	if diff := cmp.Diff(want, l); diff != "" {
		t.Error(diff)
	}
	// Other tools: numbers without quotation marks, 17 digits, more fields.
	l, err = ParseCDXLine(`a)/ 20261122101500123 {"offset": 5, "length": 6, "status": 404, "filename": "f", "more": [1]}`)
	if err != nil || l.Status != 404 || l.Location != (concord.Location{File: "f", Offset: 5, Length: 6}) {
		t.Errorf("%+v, %v", l, err)
	}
	for _, bad := range []string{"", "a", "a b", "a 2026 {}", "a 20261122101500 {", `a 20261122101500 {"offset":"x"}`,
		`a 20261122101500 {"offset":-1}`, " 20261122101500 {}", strings.Repeat("x", MaxCDXLine+1)} {
		if _, err := ParseCDXLine(bad); concord.KindOf(err) != concord.Invalid {
			t.Errorf("%.40q: %v", bad, err)
		}
	}
}

func FuzzParseCDXLine(f *testing.F) {
	f.Add(`org,example)/ 20261122101500 {"url":"https://example.org/","status":"200","length":"1","offset":"2","filename":"x"}`)
	f.Add(`a 20261122101500123 {"offset": 5, "status": "-"}`)
	f.Fuzz(func(t *testing.T, line string) {
		l, err := ParseCDXLine(line)
		if err != nil {
			return
		}
		again, err := ParseCDXLine(l.String())
		if err != nil || again.Location.Offset != l.Location.Offset || again.Status != l.Status || again.Key != l.Key {
			t.Fatalf("%q\nbecomes %q: %v", line, l.String(), err)
		}
	})
}

// What Scan finds in a file of another tool can be kept: appended as it is, it reads back and indexes the same.
func TestScanIntoArchive(t *testing.T) {
	a := mustOpen(t, Config{Dir: t.TempDir()})
	kept := 0
	for _, s := range samples {
		_, err := Scan(openSample(t, s.name), s.name, Limits{}, func(it Item) error {
			group := append([]Record{it.Record}, it.Related...)
			locs, err := a.Append([][]Record{group})
			if err != nil {
				return err
			}
			for i, loc := range locs[0] {
				got, err := a.Read(loc)
				if err != nil {
					return err
				}
				if got.ID() != group[i].ID() || !bytes.Equal(got.Block, group[i].Block) || got.Version != group[i].Version {
					t.Errorf("%s: %s changed", s.name, got.ID())
				}
				kept++
			}
			return nil
		})
		if err != nil {
			t.Errorf("%s: %v", s.name, err)
		}
	}
	var index bytes.Buffer
	if err := a.WriteCDXJ(&index); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(index.String(), "\n"); kept != 18 || n != 10 {
		t.Errorf("%d records kept, %d indexed:\n%s", kept, n, index.String())
	}
}

func TestScanStopsAndRefuses(t *testing.T) {
	stop := errors.New("enough")
	file := gz("WARC/1.0\r\nWARC-Type: resource\r\nWARC-Record-ID: <urn:uuid:a>\r\nWARC-Date: 2026-11-22T00:00:00Z\r\n" +
		"WARC-Target-URI: dns:example.org\r\nContent-Type: text/dns\r\nContent-Length: 1\r\n\r\nx\r\n\r\n")
	if _, err := Scan(bytes.NewReader(file), "x", Limits{}, func(it Item) error {
		if it.Mime != "text/dns" || it.Raw != concord.Sum([]byte("x")) {
			t.Errorf("%+v", it)
		}
		return stop
	}); err != stop {
		t.Errorf("error of fn: %v", err)
	}
	for _, junk := range []string{"", "PK\x03\x04 not a WARC", "<html>"} {
		if _, err := Scan(strings.NewReader(junk), "x", Limits{}, nil); concord.KindOf(err) != concord.Invalid {
			t.Errorf("%q: %v", junk, err)
		}
	}
}
