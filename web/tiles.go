package web

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"concord"
)

// The ledger's log as c2sp.org/tlog-tiles has it, under the prefix /ledger: any client of that standard can mirror and
// audit it, and needs no key.
//
//	/ledger/checkpoint                      the newest checkpoint, a signed note
//	/ledger/tile/<L>/<N>[.p/<W>]            256 hashes, or the first W, of tile N at level L
//	/ledger/tile/entries/<N>[.p/<W>]        as many entries, each after its length as a big-endian uint16
//
// N has groups of three digits, all but the last behind an x: x001/x234/067.
const (
	// tileRate and tileBurst let one client mirror some 12,000 entries a second; a page of proofs needs ten tiles at once.
	tileRate  = 50
	tileBurst = 200

	checkpointCache = "public, max-age=2"                   // seconds: a client waits no longer for what is new
	tileCache       = "public, max-age=31536000, immutable" // a full tile never changes
	partialCache    = "public, max-age=3600"                // neither does a partial one, but the full one soon replaces it
	minGzip         = 512                                   // bytes below which packing costs more than it saves
	tileHeight      = "8"                                   // as golang.org/x/mod writes it into paths
)

func (s *Server) checkpoint(w http.ResponseWriter, r *http.Request) {
	if !s.limit(s.tiles, w, r) {
		return
	}
	c := s.cfg.Ledger.Checkpoint()
	if c.Size == 0 {
		s.fail(w, r, concord.Errorf(concord.NotFound, "the ledger has no checkpoint yet: the first comes with the first entry"))
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", checkpointCache)
	send(w, []byte(c.Note))
}

func (s *Server) tile(w http.ResponseWriter, r *http.Request) {
	if !s.limit(s.tiles, w, r) {
		return
	}
	t, ok := parseTile(r.PathValue("path"))
	if !ok {
		s.fail(w, r, newProblem(http.StatusNotFound, "this is not the path of a tile; one is /ledger/tile/0/000, /ledger/tile/entries/x001/234.p/5 or the like (c2sp.org/tlog-tiles)"))
		return
	}
	var body []byte
	var err error
	if t.L < 0 {
		body, err = s.cfg.Ledger.EntryBundle(uint64(t.N), t.W)
	} else {
		body, err = s.cfg.Ledger.HashTile(t.L, uint64(t.N), t.W)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", binaryType)
	h.Set("Cache-Control", partialCache)
	if t.W == 1<<t.H {
		h.Set("Cache-Control", tileCache)
	}
	if t.L < 0 {
		h.Set("Vary", "Accept-Encoding")
		if len(body) >= minGzip && acceptsGzip(r) {
			h.Set("Content-Encoding", "gzip")
			body = packed(body)
		}
	}
	send(w, body)
}

// send writes a body whole, with its length.
func send(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // the client went away: there is nobody to tell
}

// parseTile reads what follows /ledger/tile/. The level of entries is -1. Each tile has one path.
func parseTile(path string) (t tlog.Tile, ok bool) {
	level, rest, _ := strings.Cut(path, "/")
	if level == "data" || len(path) > maxTilePath {
		return t, false
	}
	if level == "entries" {
		level = "data"
	}
	t, err := tlog.ParseTilePath("tile/" + tileHeight + "/" + level + "/" + rest)
	return t, err == nil && t.L <= maxTileLevel
}

const (
	maxTilePath  = 64 // bytes: the longest number has seven groups of digits
	maxTileLevel = 63 // of the standard
)

// acceptsGzip reports whether the client takes gzip (RFC 9110, section 12.5.3).
func acceptsGzip(r *http.Request) bool {
	for _, part := range strings.Split(strings.Join(r.Header.Values("Accept-Encoding"), ","), ",") {
		coding, weight, _ := strings.Cut(strings.TrimSpace(part), ";")
		if c := strings.ToLower(strings.TrimSpace(coding)); c != "gzip" && c != "*" {
			continue
		}
		q, found := strings.CutPrefix(strings.ReplaceAll(weight, " ", ""), "q=")
		v, err := strconv.ParseFloat(q, 64)
		return !found || err == nil && v > 0
	}
	return false
}

func packed(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = z.Write(b) // a buffer takes everything
	_ = z.Close()
	return out.Bytes()
}
