package warc

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"concord"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "write testdata anew; only for a new format, the old samples stay")

// goldenFile is a sample of the first released format. It must stay readable, with the same index.
const goldenFile = "testdata/v1/concord-20261122101500-00001-sample.warc.gz"

func goldenExchanges() []Exchange {
	plain := page("https://example.org/plain?q=1", 7, 1500)
	recs, info, _ := Build(plain)
	_ = recs
	again := plain
	again.RevisitOf = &Earlier{ID: info.ID, URL: plain.URL, Time: plain.Time, Raw: info.Raw}
	moved := plain
	moved.URL, moved.Response = "https://www.example.org/old", []byte("HTTP/1.1 301 Moved Permanently\r\nLocation: /new\r\nContent-Length: 0\r\n\r\n")
	chunked := plain
	chunked.URL, chunked.Truncated = "http://example.org:8080/Chunked", TruncatedDisconnect
	chunked.Response = []byte("HTTP/1.1 200 OK\r\nContent-Type: Text/Plain\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwhat\r\n10\r\n exactly d")
	return []Exchange{plain, again, moved, chunked}
}

func TestGoldenStaysReadable(t *testing.T) {
	if *rewrite {
		writeGolden(t)
	}
	dir := t.TempDir()
	sample := mustReadFile(t, goldenFile)
	if err := os.WriteFile(filepath.Join(dir, filepath.Base(goldenFile)), sample, 0o600); err != nil {
		t.Fatal(err)
	}
	a := mustOpen(t, Config{Dir: dir})
	var index bytes.Buffer
	if err := a.WriteCDXJ(&index); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(mustReadFile(t, indexOf(goldenFile))), index.String()); diff != "" {
		t.Errorf("index (-want +got):\n%s", diff)
	}
	for line := range strings.SplitSeq(strings.TrimSpace(index.String()), "\n") {
		l, err := ParseCDXLine(line)
		if err != nil {
			t.Fatal(err)
		}
		rec, err := a.Read(l.Location)
		if err != nil || rec.TargetURI() != l.URL || rec.Verify().Block != Verified {
			t.Errorf("%s: %v", line, err)
		}
	}
	if f := a.Files(); len(f) != 1 || f[0].Bytes != int64(len(sample)) || len(f[0].Damages) != 0 {
		t.Errorf("files %+v", f)
	}
}

func indexOf(path string) string { return strings.TrimSuffix(path, fileSuffix) + indexSuffix }

func writeGolden(t *testing.T) {
	dir := t.TempDir()
	a := mustOpen(t, Config{Dir: dir, Operator: "alice.example"})
	for _, x := range goldenExchanges() {
		recs, _ := mustBuild(t, x)
		mustAppend(t, a, recs)
	}
	var index bytes.Buffer
	if err := a.WriteCDXJ(&index); err != nil {
		t.Fatal(err)
	}
	name := a.Files()[0].Name
	named := strings.ReplaceAll(index.String(), name, filepath.Base(goldenFile))
	for path, b := range map[string][]byte{goldenFile: mustReadFile(t, filepath.Join(dir, name)), indexOf(goldenFile): []byte(named)} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

const childDir = "WARC_TEST_CHILD_DIR"

// TestChildAppends is the process that TestKill kills: it appends for ever and prints each acknowledged place.
func TestChildAppends(t *testing.T) {
	dir := os.Getenv(childDir)
	if dir == "" {
		return
	}
	a, err := Open(Config{Dir: dir, MaxFile: 50 << 10})
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ {
		recs, _ := mustBuild(t, page(fmt.Sprintf("https://example.org/%d", i), uint64(i), 5000))
		locs := mustAppend(t, a, recs)
		line, _ := json.Marshal(locs[0][0])
		fmt.Printf("ACK %s %s\n", recs[0].ID(), line)
	}
}

// A process is killed in the middle of appending; all that it acknowledged is there.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	for round := range 3 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestChildAppends$")
		cmd.Env = append(os.Environ(), childDir+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		acknowledged := map[string]concord.Location{}
		for lines := bufio.NewScanner(out); lines.Scan(); {
			f := strings.SplitN(lines.Text(), " ", 3)
			var loc concord.Location
			if len(f) != 3 || f[0] != "ACK" || json.Unmarshal([]byte(f[2]), &loc) != nil {
				continue
			}
			acknowledged[f[1]] = loc
			if len(acknowledged) == 15+round {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		cmd.Wait()
		a, err := Open(Config{Dir: dir, MaxFile: 50 << 10})
		if err != nil {
			t.Fatal(err)
		}
		for id, loc := range acknowledged {
			if got, err := a.Read(loc); err != nil || got.ID() != id {
				t.Errorf("acknowledged record %s: %v", id, err)
			}
		}
		if len(acknowledged) < 15 || a.Stats().Damages != 0 {
			t.Errorf("%d acknowledged, %+v", len(acknowledged), a.Stats())
		}
		a.Close()
	}
}
