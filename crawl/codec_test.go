package crawl

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"concord"
	"concord/warc"

	"github.com/google/go-cmp/cmp"
)

var sampleMessages = []any{
	&crawlMsg{Crawl: 0x19ab0c0d0e0, Created: 1_795_000_000_000, Spec: concord.CrawlSpec{Seeds: []string{"http://a.example/"}, Depth: 3, AllowPrivate: true}},
	&linksMsg{Crawl: 0x19ab0c0d0e0, Depth: 1, Via: viaLink, From: "http://a.example/", Links: []linkItem{{"http://a.example/b", 0}, {"http://a.example/bc", 5}, {"https://c.example/", 0}}},
	&linksMsg{Crawl: 1, Via: viaRedirect, Redirects: 2, Refused: "more than 10 redirects", From: "http://a.example/", Links: []linkItem{}},
	&fetchedMsg{Crawl: 7, URL: "http://a.example/b", Entry: []byte("q..."), Start: 1_795_000_000_000, Took: 12, Status: 200, Bytes: 1234, Capture: "c-1", CapSeq: 9,
		ETag: `W/"x"`, Raw: concord.Sum([]byte("r")), Text: concord.Sum([]byte("t")), Profile: "text-1", Simhash: 1 << 63, Numbers: 5, Indexed: true,
		Replaces: []string{"http://a.example/old"}, WaitsFor: "http://a.example/c"},
	&fetchedMsg{Crawl: 7, URL: "http://a.example/robots.txt", Kind: kindRobots, Outcome: failed, Note: "timeout", RobotsKind: "unreachable", RetryAfter: 5000},
	&refusedMsg{Crawl: 7, Items: []refusedItem{{[]byte("q"), "http://a.example/x", "robots.txt line 3: Disallow: /x"}}},
	&closeMsg{Crawl: 7, Why: closeStopped, Time: 1_795_000_000_001},
	&forgetMsg{URL: "http://a.example/", Reason: "deleted by operator"},
	&ownerMsg{Fence: 17, Node: "carol", Time: 1_795_000_000_001},
	&ownerMsg{Fence: 17, Node: "carol", Left: true, Time: 1_795_000_000_002},
}

func encodeAny(t testing.TB, m any) []byte {
	t.Helper()
	switch m := m.(type) {
	case *crawlMsg:
		b, err := m.encode()
		if err != nil {
			t.Fatal(err)
		}
		return b
	case interface{ encode() []byte }:
		return m.encode()
	}
	t.Fatalf("%T", m)
	return nil
}

func TestMessages(t *testing.T) {
	t.Parallel()
	for _, m := range sampleMessages {
		b := encodeAny(t, m)
		got, err := decodeMessage(b)
		if err != nil || !cmp.Equal(m, got, cmp.Exporter(func(reflect.Type) bool { return true })) {
			t.Errorf("%T: %v\n%s", m, err, cmp.Diff(m, got, cmp.Exporter(func(reflect.Type) bool { return true })))
		}
		for i := range b {
			if _, err := decodeMessage(b[:i]); concord.KindOf(err) != concord.Corrupt {
				t.Errorf("%T cut at %d: %v", m, i, err)
			}
		}
		if _, err := decodeMessage(append(b[:len(b):len(b)], 0)); concord.KindOf(err) != concord.Corrupt {
			t.Errorf("%T with a byte more: %v", m, err)
		}
	}
}

// TestMessageBytes holds the format to the worked example in message.go.
func TestMessageBytes(t *testing.T) {
	t.Parallel()
	m := &linksMsg{Crawl: 0x19ab0c0d0e0, Depth: 1, From: "http://a.example/", Links: []linkItem{{URL: "http://a.example/b"}}}
	want := append([]byte{1, 2, 0, 0, 1, 0x9a, 0xb0, 0xc0, 0xd0, 0xe0, 1, 0, 0, 0, 0, 17}, "http://a.example/"...)
	want = append(want, 1, 17, 1, 'b', 0)
	if got := m.encode(); !bytes.Equal(got, want) {
		t.Errorf("% x\nwant % x", got, want)
	}
}

func TestRecords(t *testing.T) {
	t.Parallel()
	u := &urlRecord{State: stateFetched, Crawl: 5, Crawls: []crawlID{4, 5}, Depth: 2, From: "f", Known: 1, Fetched: 2, Status: 200, Indexed: true, ETag: "e",
		Raw: concord.Sum(nil), Text: concord.Sum([]byte("x")), Simhash: 3, Numbers: 4, Interval: 5, Missing: 1, WaitsFor: "w", Recrawl: []byte("q")}
	if got, err := decodeURL(u.encode()); err != nil || !reflect.DeepEqual(u, got) {
		t.Errorf("%+v, %v", got, err)
	}
	h := &hostRecord{Next: 1, Reason: "delay", Delay: 2, Backoff: 3, Good: 4, NetFails: 5, Fetched: 6, Failed: 7, LastError: "x", Last: 8, Queued: 9, Parked: true,
		Wake: 10, Born: 11, Robots: 12, RobotsNote: "n", RobotsDown: 13, RobotsFail: 14, CrawlDelay: 15}
	if got, err := decodeHost(h.encode()); err != nil || *got != *h {
		t.Errorf("%+v, %v", got, err)
	}
	n := &counters{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, true, false}
	if got, err := decodeCounters(n.encode()); err != nil || *got != *n {
		t.Errorf("%+v, %v", got, err)
	}
	s := &share{1, 2, 3, 4}
	if got, err := decodeShare(s.encode()); err != nil || *got != *s {
		t.Errorf("%+v, %v", got, err)
	}
	o := ownerRecord{Fence: 1, Node: "carol", Left: true, Until: 2}
	if got, err := decodeOwner(o.encode()); err != nil || got != o {
		t.Errorf("%+v, %v", got, err)
	}
	e := &entry{Crawl: 1, Kind: kindSitemap, Flags: entryCounted, Depth: 2, Redirects: 3, Tries: 4, URL: "u"}
	if got, err := decodeEntry(e.encode()); err != nil || *got != *e {
		t.Errorf("%+v, %v", got, err)
	}
	k := queueKey("http://a.example", 99, 3, 7, 8)
	if host, ok := queueHost(k); !ok || host != "http://a.example" || queueDue(k) != 99 {
		t.Errorf("queue key: %q %v %d", host, ok, queueDue(k))
	}
}

func FuzzMessage(f *testing.F) {
	for _, m := range sampleMessages {
		f.Add(encodeAny(f, m))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeMessage(b)
		if err != nil {
			return
		}
		if _, err := decodeMessage(encodeAny(t, m)); err != nil {
			t.Fatalf("what was read does not encode to something readable: %v", err)
		}
	})
}

func FuzzRecords(f *testing.F) {
	f.Add((&urlRecord{State: stateFetched, Crawls: []crawlID{4}}).encode())
	f.Add((&hostRecord{Reason: "delay"}).encode())
	f.Add((&entry{URL: "u"}).encode())
	f.Add((&robotsRecord{Kind: "rules", Body: []byte("x")}).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := decodeURL(b); err == nil {
			if again, err := decodeURL(r.encode()); err != nil || !reflect.DeepEqual(r, again) {
				t.Fatalf("%+v became %+v, %v", r, again, err)
			}
		}
		_, _ = decodeHost(b)
		_, _ = decodeCounters(b)
		_, _ = decodeShare(b)
		_, _ = decodeEntry(b)
		_, _ = decodeRobots(b)
		_, _ = decodeOwner(b)
		_, _ = queueHost(b)
	})
}

// readBytes runs the response reader over bytes.
func readBytes(src io.Reader, maxBody int) (*reader, error) {
	b := Config{}.withDefaults().Bounds
	r := &reader{src: src, start: time.Now(), bounds: &b, maxBody: maxBody, held: new(atomic.Int64), deadline: func(time.Time) {}}
	return r, r.read()
}

func FuzzReader(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"HTTP/1.0 200 OK\n\nhello", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nx", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		whole, err := readBytes(bytes.NewReader(b), 1000)
		slow, err2 := readBytes(iotest.OneByteReader(bytes.NewReader(b)), 1000)
		if (err == nil) != (err2 == nil) {
			t.Fatalf("at once: %v, byte by byte: %v", err, err2)
		}
		if err != nil {
			return
		}
		if !bytes.HasPrefix(b, whole.buf) {
			t.Fatal("the bytes are not those that came")
		}
		if whole.truncated == "" && !bytes.Equal(whole.buf, slow.buf) {
			t.Fatalf("at once %q, byte by byte %q", whole.buf, slow.buf)
		}
		if _, _, err := warc.Payload(whole.buf); err != nil {
			t.Fatalf("what the reader takes for a response, the archive does not: %v", err)
		}
	})
}

func TestReader(t *testing.T) {
	t.Parallel()
	cases := []struct{ in, keep, truncated string }{
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "yes", ""},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", "no", ""},
		{"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", "no", ""},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, and more", "no", ""},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", "no", ""},
		{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", "no", warc.TruncatedDisconnect},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n2\r\nab\r\n0\r\n\r\n", "yes", ""},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", "no", warc.TruncatedDisconnect},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\nzz\r\n", "no", warc.TruncatedDisconnect},
		{"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n" + strings.Repeat("x", 200), "no", warc.TruncatedLength},
		{"HTTP/1.1 204 No Content\r\n\r\n", "yes", ""},
		{"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "yes", ""},
	}
	for _, c := range cases {
		r, err := readBytes(strings.NewReader(c.in), 100)
		if err != nil || r.reusable() != (c.keep == "yes") || r.truncated != c.truncated {
			t.Errorf("%q: keep %v, truncated %q, %v", c.in, r.reusable(), r.truncated, err)
		}
	}
	for _, in := range []string{"", "x", "HTTP/2 200\r\n\r\n", "HTTP/1.1 20\r\n\r\n", "HTTP/1.1 101 Switching\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"} {
		if _, err := readBytes(strings.NewReader(in), 100); err == nil {
			t.Errorf("%q is taken for a response", in)
		}
	}
	if _, err := readBytes(iotest.ErrReader(errors.New("reset")), 100); err == nil {
		t.Error("no answer is an error")
	}
}
