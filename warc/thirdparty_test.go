package warc

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"concord"

	"github.com/google/go-cmp/cmp"
)

// readByWarcio prints type, URI, status and the digest of the decoded content of each record as warcio, an independent
// reader, sees them, and checks the stated digests. warcio's own check hashes a payload with its chunks (its issue 74),
// so the payload is hashed here, behind warcio's removal of the chunks.
const readByWarcio = `
import sys, hashlib
from warcio.archiveiterator import ArchiveIterator
from warcio.bufferedreaders import ChunkedDataReader
sha = lambda b: 'sha256:' + hashlib.sha256(b).hexdigest()
for r in ArchiveIterator(open(sys.argv[1], 'rb'), no_record_parse=True):
    stated = r.rec_headers.get_header('WARC-Block-Digest')
    assert stated == sha(r.raw_stream.read()), 'block digest of ' + r.rec_type
for r in ArchiveIterator(open(sys.argv[1], 'rb')):
    body = r.raw_stream
    if r.http_headers and r.http_headers.get_header('Transfer-Encoding') == 'chunked':
        body = ChunkedDataReader(body, decomp_type=None)
    if r.rec_type == 'response':
        assert r.rec_headers.get_header('WARC-Payload-Digest') == sha(body.read()), 'payload digest'
for r in ArchiveIterator(open(sys.argv[1], 'rb')):
    content = hashlib.sha256(r.content_stream().read()).hexdigest() if r.rec_type == 'response' else ''
    status = r.http_headers.get_statuscode() if r.http_headers and r.rec_type != 'request' else '-'
    print(r.rec_type, r.rec_headers.get_header('WARC-Target-URI'), status, content)
`

// python returns the command of a Python that has the module, or skips the test.
func python(t *testing.T, module string) string {
	t.Helper()
	path, err := exec.LookPath("python3")
	if err != nil || exec.Command(path, "-c", "import "+module).Run() != nil {
		t.Skipf("SKIPPED: no python3 with %s here: the archive was not read back by another tool; pip install %s and run this test again", module, module)
	}
	return path
}

// thirdPartyArchive makes an archive with each kind of record that is written, and returns its file.
func thirdPartyArchive(t *testing.T) (file string, want []string) {
	t.Helper()
	dir := t.TempDir()
	a := mustOpen(t, Config{Dir: dir, Operator: "alice.example"})
	plain := page("https://example.org/plain", 1, 2000)
	text := []byte(strings.Repeat("compressed page ", 200))
	chunked := plain
	chunked.URL = "https://example.org/chunked"
	z := encode(t, "gzip", text)
	chunked.Response = []byte("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n")
	for len(z) > 0 {
		n := min(len(z), 20)
		chunked.Response = append(chunked.Response, []byte("14\r\n"[:4])...)
		if n < 20 {
			chunked.Response = append(chunked.Response[:len(chunked.Response)-4], []byte{"0123456789abcdef"[n/16], "0123456789abcdef"[n%16], '\r', '\n'}...)
		}
		chunked.Response = append(append(chunked.Response, z[:n]...), '\r', '\n')
		z = z[n:]
	}
	chunked.Response = append(chunked.Response, "0\r\n\r\n"...)
	recs, info := mustBuild(t, plain)
	again := plain
	again.RevisitOf = &Earlier{ID: info.ID, URL: plain.URL, Time: plain.Time, Raw: info.Raw}
	notModified := again
	notModified.RevisitOf = &Earlier{ID: info.ID, URL: plain.URL, Time: plain.Time, Raw: info.Raw, Kind: NotModified}
	notModified.Response = []byte("HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n")
	cut := plain
	cut.URL, cut.Truncated, cut.Response = "https://example.org/cut", TruncatedLength, plain.Response[:1000]
	want = []string{"warcinfo None - "}
	groups := [][]Record{recs}
	for _, x := range []Exchange{chunked, again, notModified, cut} {
		r, _ := mustBuild(t, x)
		groups = append(groups, r)
	}
	contents := []string{string(plain.Response[info.Head.Size:]), string(text), "", "", string(cut.Response[info.Head.Size:])}
	status := []string{"200", "200", "200", "304", "200"}
	for i, g := range groups {
		digest := ""
		if contents[i] != "" {
			digest = strings.TrimPrefix(concord.Sum([]byte(contents[i])).Labelled(), "sha256:")
		}
		want = append(want, g[0].Type()+" "+g[0].TargetURI()+" "+status[i]+" "+digest,
			"request "+g[0].TargetURI()+" - ", "metadata "+g[0].TargetURI()+" - ")
	}
	locs := mustAppend(t, a, groups...)
	return filepath.Join(dir, locs[0][0].File), want
}

func TestWarcioReadsOurArchive(t *testing.T) {
	py := python(t, "warcio")
	file, want := thirdPartyArchive(t)
	start := time.Now()
	out, err := exec.Command(py, "-c", readByWarcio, file).CombinedOutput()
	if err != nil {
		t.Fatalf("warcio: %v\n%s", err, out)
	}
	got := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("warcio sees (-want +got):\n%s", diff)
	}
	out, err = exec.Command(py, "-c", "from warcio.cli import main; main()", "check", "-v", file).CombinedOutput()
	if bytes.Contains(out, []byte("block digest failed")) || bytes.Count(out, []byte("payload digest failed")) != 1 ||
		bytes.Count(out, []byte("digest pass")) != 13 {
		// One failure: the chunked response, see readByWarcio.
		t.Errorf("warcio check: %v\n%s", err, out)
	}
	t.Logf("%d records read and checked by warcio in %v", len(got), time.Since(start).Round(time.Millisecond))
}

// readByFastwarc checks the digests with a reader written in another language.
const readByFastwarc = `
import sys
from fastwarc.warc import ArchiveIterator
for r in ArchiveIterator(open(sys.argv[1], 'rb'), parse_http=False):
    print(r.headers.get('WARC-Type'), r.headers.get('WARC-Target-URI', 'None'), r.verify_block_digest())
for r in ArchiveIterator(open(sys.argv[1], 'rb')):
    if r.headers.get('WARC-Type') == 'response':
        print('payload', r.headers.get('WARC-Target-URI'), r.verify_payload_digest())
`

func TestFastwarcReadsOurArchive(t *testing.T) {
	py := python(t, "fastwarc")
	file, want := thirdPartyArchive(t)
	out, err := exec.Command(py, "-c", readByFastwarc, file).CombinedOutput()
	if err != nil {
		t.Fatalf("fastwarc: %v\n%s", err, out)
	}
	got := strings.Split(strings.TrimSpace(string(out)), "\n")
	for i := range want {
		f := strings.Fields(want[i])
		want[i] = f[0] + " " + f[1] + " True"
	}
	// It hashes the chunked payload with its chunks, like warcio.
	want = append(want, "payload https://example.org/plain True", "payload https://example.org/chunked False", "payload https://example.org/cut True")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fastwarc sees (-want +got):\n%s", diff)
	}
}

// An independent indexer must make the same index of our files, but for the place of its spaces.
func TestCDXJIndexerAgrees(t *testing.T) {
	indexer, err := exec.LookPath("cdxj-indexer")
	if err != nil {
		t.Skip("SKIPPED: no cdxj-indexer here: the index was not compared with another tool's; pip install cdxj-indexer and run this test again")
	}
	file, _ := thirdPartyArchive(t)
	out, err := exec.Command(indexer, "--sort", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	r := NewReader(bytes.NewReader(mustReadFile(t, file)), Limits{})
	var want []string
	for rec, err := r.Next(); err == nil; rec, err = r.Next() {
		if l, ok := indexLine(rec); ok {
			l.Location = concord.Location{File: filepath.Base(file), Offset: rec.Offset, Length: rec.Length}
			want = append(want, l.String())
		}
	}
	sort.Strings(want)
	var got []string
	for line := range strings.SplitSeq(strings.TrimSpace(string(out)), "\n") {
		l, err := ParseCDXLine(line)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, l.String())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("cdxj-indexer makes (-ours +theirs):\n%s", diff)
	}
}

func mustReadFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
