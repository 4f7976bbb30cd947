package web

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	flog "github.com/transparency-dev/formats/log"
	fnote "github.com/transparency-dev/formats/note"
	fproof "github.com/transparency-dev/formats/proof"
	mproof "github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	xnote "golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// tileClient reads the log over HTTP as a stranger's program does, by the standard alone.
type tileClient struct {
	t     *testing.T
	base  string
	kept  map[string][]byte
	loads int
}

func (c *tileClient) fetch(path string) ([]byte, http.Header) {
	c.t.Helper()
	r, err := http.Get(c.base + "/ledger/" + path) // asks for gzip, and unpacks it
	if err != nil {
		c.t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		c.t.Fatalf("%s: %s, %v: %s", path, r.Status, err, b)
	}
	c.loads++
	return b, r.Header
}

func (c *tileClient) Height() int { return 8 }
func (c *tileClient) SaveTiles(l []tlog.Tile, b [][]byte) {
	for i, t := range l {
		c.kept[t.Path()] = b[i]
	}
}
func (c *tileClient) ReadTiles(l []tlog.Tile) (out [][]byte, _ error) {
	for _, t := range l {
		b, ok := c.kept[t.Path()]
		if !ok {
			b, _ = c.fetch(strings.Replace(t.Path(), "tile/8/", "tile/", 1))
		}
		out = append(out, b)
	}
	return out, nil
}

// checkpoint returns the newest head as transparency-dev/formats reads it, its signatures verified.
func (c *tileClient) checkpoint(l *memoryLedger) (tlog.Tree, []byte) {
	c.t.Helper()
	b, h := c.fetch("checkpoint")
	if got := h.Get("Content-Type"); got != "text/plain; charset=utf-8" {
		c.t.Errorf("the checkpoint has type %q", got)
	}
	if got := h.Get("Cache-Control"); got != "public, max-age=2" {
		c.t.Errorf("the checkpoint may be cached: %q", got)
	}
	return c.open(l, b), b
}

func (c *tileClient) open(l *memoryLedger, b []byte) tlog.Tree {
	c.t.Helper()
	log, err := xnote.NewVerifier(l.log.Key().String())
	if err != nil {
		c.t.Fatal(err)
	}
	witness, err := fnote.NewVerifierForCosignatureV1(l.cosign.Key().String())
	if err != nil {
		c.t.Fatal(err)
	}
	cp, _, n, err := flog.ParseCheckpoint(b, testOrigin, log, witness)
	if err != nil || len(n.Sigs) != 2 {
		c.t.Fatalf("checkpoint: %v", err)
	}
	return tlog.Tree{N: int64(cp.Size), Hash: tlog.Hash(cp.Hash)}
}

// A client that we did not write mirrors the whole log by the standard, and every entry, every head and every proof fits.
func TestTilesConform(t *testing.T) {
	m := newMemory(testNow)
	const first, last = 300, 66_000 // the second has a full tile at level 1
	for len(m.entries) < first {
		m.append("attest", testOperator, fmt.Sprintf("a note of no meaning, number %d\n", len(m.entries)), testNow)
	}
	m.memoryLedger.checkpoint(testNow)
	_, base := serve(t, m)
	c := &tileClient{t: t, base: base, kept: map[string][]byte{}}
	old, _ := c.checkpoint(m.memoryLedger)
	partial, h := c.fetch("tile/0/001.p/44")
	if got := h.Get("Cache-Control"); got != partialCache || len(partial) != 44*32 {
		t.Errorf("partial tile: %d bytes, cache %q", len(partial), got)
	}
	for len(m.entries) < last {
		m.append("attest", testOperator, fmt.Sprintf("a note of no meaning, number %d\n", len(m.entries)), testNow)
	}
	m.memoryLedger.checkpoint(testNow)
	tree, head := c.checkpoint(m.memoryLedger)
	if old.N != first || tree.N != last {
		t.Fatalf("heads of %d and %d entries", old.N, tree.N)
	}
	if again, _ := c.fetch("tile/0/001.p/44"); !bytes.Equal(again, partial) {
		t.Error("a partial tile of the old head is another one now")
	}
	hashes := tlog.TileHashReader(tree, c)
	p, err := tlog.ProveTree(tree.N, old.N, hashes)
	if err != nil {
		t.Fatal(err)
	}
	if err := tlog.CheckTree(p, tree.N, tree.Hash, old.N, old.Hash); err != nil {
		t.Errorf("the heads of %d and %d entries do not fit together: %v", old.N, tree.N, err)
	}
	c.everyEntry(tree, hashes, m.memoryLedger)

	// The proof file that the page offers says the same to other programs.
	r := newClient(t, m)
	var proof fproof.TLogProof
	if err := proof.Unmarshal([]byte(r.get("/api/v1/ledger/entries/299/proof", http.StatusOK))); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(proof.Checkpoint, head) {
		t.Error("the proof is under another head")
	}
	var path [][]byte
	for _, h := range proof.Hashes {
		path = append(path, h[:])
	}
	leaf := rfc6962.DefaultHasher.HashLeaf([]byte(m.entries[299].Text))
	if err := mproof.VerifyInclusion(rfc6962.DefaultHasher, 299, uint64(tree.N), leaf, path, tree.Hash[:]); err != nil {
		t.Error(err)
	}
	t.Logf("%d entries mirrored with %d requests", tree.N, c.loads)
}

// everyEntry fetches all bundles and holds each entry's hash against the tree.
func (c *tileClient) everyEntry(tree tlog.Tree, hashes tlog.HashReader, l *memoryLedger) {
	c.t.Helper()
	for n := int64(0); n*256 < tree.N; n++ {
		tile := tlog.Tile{H: 8, L: -1, N: n, W: int(min(256, tree.N-n*256))}
		b, h := c.fetch(strings.Replace(tile.Path(), "tile/8/data/", "tile/entries/", 1))
		if want := map[bool]string{true: tileCache, false: partialCache}[tile.W == 256]; h.Get("Cache-Control") != want {
			c.t.Errorf("%s: cache %q", tile.Path(), h.Get("Cache-Control"))
		}
		var indexes []int64
		var leaves []tlog.Hash
		for len(b) > 0 {
			end := 2 + int(binary.BigEndian.Uint16(b))
			indexes = append(indexes, tlog.StoredHashIndex(0, n*256+int64(len(leaves))))
			leaves = append(leaves, tlog.RecordHash(b[2:end]))
			b = b[end:]
		}
		want, err := hashes.ReadHashes(indexes) // verified against the root by x/mod
		if err != nil || len(leaves) != tile.W {
			c.t.Fatalf("bundle %d: %d entries, %v", n, len(leaves), err)
		}
		for i := range leaves {
			if leaves[i] != want[i] {
				c.t.Fatalf("entry %d is not what the tree holds", n*256+int64(i))
			}
		}
	}
}

func TestTilePaths(t *testing.T) {
	m := newLibrary()
	_, base := serve(t, m)
	size := m.Checkpoint().Size
	get := func(path, accept string) (*http.Response, []byte) {
		t.Helper()
		req, err := http.NewRequest(http.MethodGet, base+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept-Encoding", accept)
		r, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r, b
	}
	for _, bad := range []string{"", "0", "0/", "0/0", "0/00", "0/0000", "00/000", "0/x000/000", "-1/000", "data/000", "entries/", "entries/0", "64/000.p/1", "0/000.p/0",
		"0/000.p/256", "0/000.p/01", "0/000.p/", "0/000/p/1", "0/999", "1/000", "8/0/000", "entries/999.p/1", "entries/x999/x999/x999/x999/x999/x999/x999/999", "0/x009/x223/x372/x036/x854/x775/807",
		"0/" + strings.Repeat("x999/", 40) + "999", "0/000.p/255", "0/000%00"} {
		r, b := get("/ledger/tile/"+bad, "")
		if r.StatusCode != http.StatusNotFound || !strings.Contains(string(b), "tile") && !strings.Contains(string(b), "nothing at") {
			t.Errorf("/ledger/tile/%s: %s: %s", bad, r.Status, b)
		}
		if r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("/ledger/tile/%s: what is not there may be cached: %q", bad, r.Header.Get("Cache-Control"))
		}
	}
	entries := fmt.Sprintf("/ledger/tile/entries/000.p/%d", size)
	r, whole := get(entries, "")
	if r.StatusCode != http.StatusOK || r.Header.Get("Content-Encoding") != "" || r.Header.Get("Vary") != "Accept-Encoding" {
		t.Errorf("plain entries: %s, %v", r.Status, r.Header)
	}
	for accept, want := range map[string]bool{"gzip": true, "br, gzip;q=0.5": true, "*": true, "gzip;q=0": false, "br": false, "GZIP": true} {
		r, b := get(entries, accept)
		if got := r.Header.Get("Content-Encoding") == "gzip"; got != want {
			t.Errorf("Accept-Encoding %q: packed %v", accept, got)
		} else if got {
			z, err := gzip.NewReader(bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			if b, err = io.ReadAll(z); err != nil || !bytes.Equal(b, whole) {
				t.Errorf("packed entries differ: %v", err)
			}
		}
	}
	if r, b := get("/ledger", ""); r.StatusCode != http.StatusOK || !strings.Contains(string(b), "<h1>Ledger</h1>") {
		t.Errorf("the page is gone: %s", r.Status)
	}
	if r, _ := get("/ledger/0", ""); r.StatusCode != http.StatusOK {
		t.Errorf("an entry's page is gone: %s", r.Status)
	}
}

// A stranger who takes too much is told to wait; this machine is not.
func TestTileLimit(t *testing.T) {
	c := newClient(t, newLibrary())
	for _, addr := range []string{"198.51.100.7:1", "127.0.0.1:1"} {
		refused := 0
		for range tileBurst + 20 {
			r := httptest.NewRequest(http.MethodGet, "http://"+c.host+"/ledger/checkpoint", nil)
			r.RemoteAddr = addr
			w := httptest.NewRecorder()
			c.h.ServeHTTP(w, r)
			if w.Code == http.StatusTooManyRequests {
				refused++
			}
		}
		if local := strings.HasPrefix(addr, "127."); local != (refused == 0) {
			t.Errorf("%s: %d of %d requests refused", addr, refused, tileBurst+20)
		}
	}
}

func FuzzParseTile(f *testing.F) {
	f.Add("0/x001/234.p/7")
	f.Add("entries/000")
	f.Fuzz(func(t *testing.T, path string) {
		tile, ok := parseTile(path)
		if back := strings.Replace(strings.TrimPrefix(tile.Path(), "tile/8/"), "data/", "entries/", 1); ok && back != path {
			t.Errorf("%q is read as %q", path, back)
		}
	})
}
