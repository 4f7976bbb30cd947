package warc

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"concord"

	"github.com/andybalholm/brotli"
	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
)

var uuidPattern = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`)

// written returns the records as they stand in a file, with the IDs replaced by their number.
func written(recs []Record) string {
	var buf bytes.Buffer
	for i := range recs {
		recs[i].appendTo(&buf)
	}
	seen := map[string]string{}
	s := uuidPattern.ReplaceAllStringFunc(buf.String(), func(id string) string {
		if seen[id] == "" {
			seen[id] = "ID-" + string(rune('1'+len(seen)))
		}
		return seen[id]
	})
	return strings.ReplaceAll(s, "\r\n", "\n")
}

// The digests in the goldens are those of `printf … | sha256sum`.
func TestBuildResponse(t *testing.T) {
	recs, info, err := Build(Exchange{
		URL: "https://example.org/a?b", Time: time.Date(2026, 11, 22, 11, 15, 0, 999, time.FixedZone("", 3600)),
		IP:        netip.MustParseAddr("::ffff:192.0.2.7"),
		Request:   []byte("GET /a?b HTTP/1.1\r\nHost: example.org\r\n\r\n"),
		Response:  []byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n"),
		Truncated: TruncatedLength, Protocol: []string{"http/1.1", "tls/1.3"}, Cipher: "TLS_AES_128_GCM_SHA256",
		Metadata: []Field{{"via", "https://example.org/"}, {"note", "two\r\nlines"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `WARC/1.1
WARC-Type: response
WARC-Record-ID: <urn:uuid:ID-1>
WARC-Date: 2026-11-22T10:15:00Z
WARC-Target-URI: https://example.org/a?b
Content-Type: application/http; msgtype=response
WARC-IP-Address: 192.0.2.7
WARC-Protocol: http/1.1
WARC-Protocol: tls/1.3
WARC-Cipher-Suite: TLS_AES_128_GCM_SHA256
WARC-Block-Digest: sha256:BLOCK
WARC-Payload-Digest: sha256:36bbe50ed96841d10443bcb670d6554f0a34b761be67ec9c4a8ad2c0c44ca42c
WARC-Truncated: length
Content-Length: 83

HTTP/1.1 200 OK
Transfer-Encoding: chunked

3;x=y
abc
2
de
0
Trailer: x



WARC/1.1
WARC-Type: request
WARC-Record-ID: <urn:uuid:ID-2>
WARC-Date: 2026-11-22T10:15:00Z
WARC-Target-URI: https://example.org/a?b
Content-Type: application/http; msgtype=request
WARC-Concurrent-To: <urn:uuid:ID-1>
WARC-IP-Address: 192.0.2.7
WARC-Protocol: http/1.1
WARC-Protocol: tls/1.3
WARC-Cipher-Suite: TLS_AES_128_GCM_SHA256
WARC-Block-Digest: sha256:REQUEST
Content-Length: 40

GET /a?b HTTP/1.1
Host: example.org



WARC/1.1
WARC-Type: metadata
WARC-Record-ID: <urn:uuid:ID-3>
WARC-Date: 2026-11-22T10:15:00Z
WARC-Target-URI: https://example.org/a?b
Content-Type: application/warc-fields
WARC-Concurrent-To: <urn:uuid:ID-1>
WARC-Block-Digest: sha256:METADATA
Content-Length: 44

via: https://example.org/
note: two lines


`
	got := written(recs)
	for name, r := range map[string]Record{"BLOCK": recs[0], "REQUEST": recs[1], "METADATA": recs[2]} {
		got = strings.Replace(got, strings.TrimPrefix(concord.Sum(r.Block).Labelled(), "sha256:"), name, 1)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	if info.Raw != concord.Sum([]byte("abcde")) || info.Record != concord.Sum(recs[0].Block) || info.Size != 5 ||
		info.Head.Status != 200 || string(info.Payload) != "abcde" || len(info.ID) != 36 {
		t.Errorf("info %+v", info)
	}
}

func TestBuildRevisit(t *testing.T) {
	earlier := Earlier{ID: "6d058047-ede2-4a13-be79-90c17c631dd4", URL: "https://example.org/old", Time: testTime.Add(-time.Hour),
		Raw: concord.Sum([]byte("abc"))}
	x := Exchange{URL: "https://example.org/", Time: testTime, RevisitOf: &earlier,
		Response: []byte("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")}
	recs, info, err := Build(x)
	if err != nil || len(recs) != 1 {
		t.Fatal(len(recs), err)
	}
	want := Fields{
		{"WARC-Type", "revisit"}, {"WARC-Record-ID", "<urn:uuid:" + info.ID + ">"}, {"WARC-Date", "2026-11-22T10:15:00Z"},
		{"WARC-Target-URI", "https://example.org/"}, {"Content-Type", "application/http; msgtype=response"},
		{"WARC-Profile", ProfileIdentical}, {"WARC-Refers-To", "<urn:uuid:6d058047-ede2-4a13-be79-90c17c631dd4>"},
		{"WARC-Refers-To-Target-URI", "https://example.org/old"}, {"WARC-Refers-To-Date", "2026-11-22T09:15:00Z"},
		{"WARC-Block-Digest", concord.Sum(recs[0].Block).Labelled()}, {"WARC-Payload-Digest", earlier.Raw.Labelled()},
	}
	if diff := cmp.Diff(want, recs[0].Header); diff != "" {
		t.Errorf("identical payload (-want +got):\n%s", diff)
	}
	if string(recs[0].Block) != "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n" || info.Size != 3 || info.Raw != earlier.Raw {
		t.Errorf("block %q, info %+v", recs[0].Block, info)
	}

	earlier.Kind = NotModified
	x.Response = []byte("HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n")
	recs, info, err = Build(x)
	if err != nil || recs[0].Header.Get("WARC-Profile") != ProfileNotModified || info.Raw != earlier.Raw || info.Size != 0 {
		t.Errorf("not modified: %+v, %v", info, err)
	}
}

func TestBuildRefuses(t *testing.T) {
	ok := "HTTP/1.1 200 OK\r\n\r\nabc"
	earlier := &Earlier{URL: "u", Time: testTime, Raw: concord.Sum([]byte("abd"))}
	tests := map[string]Exchange{
		"no HTTP":               {URL: "http://a/", Response: []byte("<html>")},
		"empty":                 {URL: "http://a/"},
		"other payload":         {URL: "http://a/", Response: []byte(ok), RevisitOf: earlier},
		"truncated revisit":     {URL: "http://a/", Response: []byte(ok), Truncated: "time", RevisitOf: &Earlier{URL: "u", Time: testTime, Raw: concord.Sum([]byte("abc"))}},
		"200 as not modified":   {URL: "http://a/", Response: []byte(ok), RevisitOf: &Earlier{URL: "u", Time: testTime, Raw: earlier.Raw, Kind: NotModified}},
		"revisit of nothing":    {URL: "http://a/", Response: []byte(ok), RevisitOf: &Earlier{}},
		"line break in the URL": {URL: "http://a/\r\nWARC-Type: x", Response: []byte(ok)},
		"only interim answers":  {URL: "http://a/", Response: []byte(strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 99))},
	}
	for name, x := range tests {
		if recs, _, err := Build(x); concord.KindOf(err) != concord.Invalid || recs != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBuildLeavesInterimAnswersOut(t *testing.T) {
	recs, info := mustBuild(t, Exchange{URL: "http://a/", Time: testTime,
		Response: []byte("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 404 Not Found\r\n\r\nno")})
	if info.Head.Status != 404 || string(recs[0].Block) != "HTTP/1.1 404 Not Found\r\n\r\nno" || string(recs[1].Block) != "interim-response: 103\r\n" {
		t.Errorf("status %d, blocks %q %q", info.Head.Status, recs[0].Block, recs[1].Block)
	}
}

func TestPayload(t *testing.T) {
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n"
	tests := []struct{ name, block, want, note string }{
		{"plain", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nabc", "abc", ""},
		{"no body", "HTTP/1.1 204 No Content\r\n\r\n", "", ""},
		{"line feeds", "HTTP/1.0 200\nA: b\n\nabc", "abc", ""},
		{"no empty line", "HTTP/1.0 200 OK\r\nA: b", "", "head is not ended by an empty line"},
		{"interim", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nx", "x", ""},
		{"chunks", chunked + "3\r\nabc\r\n00A;ext=\"1\"\r\n0123456789\r\n0\r\n\r\n", "abc0123456789", ""},
		{"chunks with line feeds", chunked + "3\nabc\n0\n\n", "abc", ""},
		{"chunked nothing", chunked, "", ""},
		{"not chunked after all", chunked + "<!doctype html>", "<!doctype html>", "body is not chunked although its head says so"},
		{"ends inside a chunk", chunked + "5\r\nabc", "abc", "chunked body ends inside a chunk"},
		{"no last chunk", chunked + "3\r\nabc\r\n", "abc", "chunked body ends before its last chunk"},
		{"broken later", chunked + "3\r\nabc\r\nzz\r\nx", "abc", "chunked body is broken; what follows the break is left out"},
		{"huge chunk", chunked + "fffffffffffffff\r\nabc", "abc", "chunked body ends inside a chunk"},
		{"overflowing chunk", chunked + "3\r\nabc\r\nffffffffffffffff\r\nabc", "abc", "chunked body is broken; what follows the break is left out"},
	}
	for _, tt := range tests {
		head, got, err := Payload([]byte(tt.block))
		if err != nil || string(got) != tt.want || head.Note != tt.note {
			t.Errorf("%s: %q, note %q, %v", tt.name, got, head.Note, err)
		}
	}
	head, _, _ := Payload([]byte("HTTP/1.1 301 Moved  there\r\nset-cookie: a\r\nSet-Cookie: b\r\nX-Folded: one\r\n  two\r\nnonsense\r\n\r\n"))
	want := http.Header{"Set-Cookie": {"a", "b"}, "X-Folded": {"one two"}}
	if diff := cmp.Diff(want, head.Header); diff != "" || head.Status != 301 || head.Reason != "Moved  there" || head.Proto != "HTTP/1.1" {
		t.Errorf("%+v\n%s", head, diff)
	}
	for _, bad := range []string{"", "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 OK\r\n\r\n", "HTTP/1.1 99 x\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", maxHead)} {
		if _, _, err := Payload([]byte(bad)); concord.KindOf(err) != concord.Invalid {
			t.Errorf("%.30q: %v", bad, err)
		}
	}
}

func encode(t testing.TB, coding string, b []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	var w io.WriteCloser
	switch coding {
	case "gzip":
		return gz(string(b))
	case "zlib":
		w = zlib.NewWriter(&buf)
	case "deflate":
		w, _ = flate.NewWriter(&buf, 6)
	case "br":
		w = brotli.NewWriter(&buf)
	case "zstd":
		w, _ = zstd.NewWriter(&buf)
	}
	w.Write(b)
	w.Close()
	return buf.Bytes()
}

func TestDecodeContent(t *testing.T) {
	text := []byte(strings.Repeat("what exactly did the server send? ", 100))
	z := encode(t, "gzip", text)
	tests := []struct {
		name, coding string
		payload      []byte
		want         []byte
		err          error
	}{
		{"none", "", text, text, nil},
		{"identity", "identity", text, text, nil},
		{"gzip", "gzip", z, text, nil},
		{"gzip in two members", "x-gzip", append(bytes.Clone(z), z...), append(bytes.Clone(text), text...), nil},
		{"zlib", "deflate", encode(t, "zlib", text), text, nil},
		{"raw deflate", "deflate", encode(t, "deflate", text), text, nil},
		{"brotli", "BR", encode(t, "br", text), text, nil},
		{"zstd", "zstd", encode(t, "zstd", text), text, nil},
		{"two", "gzip, br", encode(t, "br", z), text, nil},
		{"already decoded", "gzip", text, text, nil},
		{"cut gzip", "gzip", z[:len(z)-10], text, io.ErrUnexpectedEOF},
		{"too long", "gzip", gz(strings.Repeat("x", 50_000)), bytes.Repeat([]byte("x"), 10_000), ErrTooLong},
		{"too long uncoded", "", bytes.Repeat([]byte("x"), 50_000), bytes.Repeat([]byte("x"), 10_000), ErrTooLong},
	}
	for _, tt := range tests {
		h := http.Header{}
		if tt.coding != "" {
			h.Set("Content-Encoding", tt.coding)
		}
		got, err := DecodeContent(h, tt.payload, 10_000)
		if !errors.Is(err, tt.err) || (tt.err == nil) != (err == nil) {
			t.Errorf("%s: error %v, want %v", tt.name, err, tt.err)
		}
		if !bytes.Equal(got, tt.want) && !(tt.err == io.ErrUnexpectedEOF && bytes.HasPrefix(tt.want, got) && len(got) > 0) {
			t.Errorf("%s: %d bytes, want %d", tt.name, len(got), len(tt.want))
		}
	}
	for _, bad := range []string{"compress", "gzip, gzip, gzip, gzip"} {
		if _, err := DecodeContent(http.Header{"Content-Encoding": {bad}}, z, 10_000); concord.KindOf(err) != concord.Invalid || err == nil {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestVerify(t *testing.T) {
	block := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
	tests := []struct {
		name, blockDigest, payloadDigest string
		want                             Check
	}{
		{"none", "", "", Check{}},
		{"sha1 base32", "", "sha1:VGMT4NSHA2AWVOR6EVYXQUGCNSONBWE5", Check{Payload: Verified}},
		{"sha1 hex", "", "sha1:a9993e364706816aba3e25717850c26c9cd0d89d", Check{Payload: Verified}},
		{"sha1 base32 in lower case", "", "SHA1:vgmt4nsha2awvor6evyxqugcnsonbwe5", Check{Payload: Verified}},
		{"sha256 hex", "", "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", Check{Payload: Verified}},
		{"sha-256 base64", "", "sha-256:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=", Check{Payload: Verified}},
		{"blake3", "", "blake3:6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85", Check{Payload: Verified}},
		{"wrong", concord.Sum([]byte("x")).Labelled(), "sha1:" + strings.Repeat("A", 32), Check{Mismatch, Mismatch}},
		{"block", concord.Sum([]byte(block)).Labelled(), "", Check{Block: Verified}},
		{"payload with chunks", "", concord.Sum([]byte("3\r\nabc\r\n0\r\n\r\n")).Labelled(), Check{Payload: Variant}},
		{"unknown algorithm", "crc32:00000000", "sha256", Check{NotChecked, NotChecked}},
		{"wrong length", "sha256:abcd", "", Check{Block: NotChecked}},
	}
	for _, tt := range tests {
		r := Record{Block: []byte(block), Header: Fields{{"WARC-Type", "response"}, {"Content-Type", "application/http;msgtype=response"}}}
		r.Header.Add("WARC-Block-Digest", tt.blockDigest)
		r.Header.Add("WARC-Payload-Digest", tt.payloadDigest)
		if got := r.Verify(); got != tt.want {
			t.Errorf("%s: block %s, payload %s", tt.name, got.Block, got.Payload)
		}
	}
}

func FuzzPayload(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 103 Early\r\n\r\nHTTP/2 200\n\nx"))
	f.Add(append([]byte("HTTP/1.1 200 OK\r\nContent-Encoding: br, zstd\r\n\r\n"), 0x28, 0xb5, 0x2f, 0xfd, 0, 0))
	f.Fuzz(func(t *testing.T, block []byte) {
		head, payload, err := Payload(block)
		if err != nil {
			return
		}
		if head.Size > len(block) || len(payload) > len(block)-head.Size {
			t.Fatalf("head %d, payload %d of %d", head.Size, len(payload), len(block))
		}
		if text, _ := DecodeContent(head.Header, payload, 1<<16); len(text) > 1<<16 {
			t.Fatalf("decoded %d bytes", len(text))
		}
		recs, info, err := Build(Exchange{URL: "http://a/", Time: testTime, Response: block})
		if err == nil && (recs[0].Verify() != Check{Verified, Verified} || info.Raw != concord.Sum(info.Payload)) {
			t.Fatalf("built record does not verify: %+v", recs[0].Verify())
		}
	})
}
