package warc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"concord"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
)

// rec writes a small record by hand, with the line end given.
func rec(kind, id, block, eol string) string {
	return strings.Join([]string{"WARC/1.0", "WARC-Type: " + kind, "WARC-Record-ID: <urn:uuid:" + id + ">",
		"WARC-Date: 2026-11-22T10:15:00Z", fmt.Sprintf("Content-Length: %d", len(block)), "", block, "", ""}, eol)
}

func gz(parts ...string) []byte {
	var out bytes.Buffer
	for _, p := range parts {
		w := gzip.NewWriter(&out)
		w.Write([]byte(p))
		w.Close()
	}
	return out.Bytes()
}

// ids reads everything and returns the IDs of whole records and the damages, in order.
func ids(t testing.TB, r *Reader) []string {
	t.Helper()
	var out []string
	for range 10_000 {
		rec, err := r.Next()
		if err == io.EOF {
			return out
		}
		if d, ok := errors.AsType[*Damage](err); ok {
			if concord.KindOf(err) != concord.Corrupt {
				t.Errorf("kind of %v is %s", err, concord.KindOf(err))
			}
			out = append(out, fmt.Sprintf("! %d %s", d.Offset, d.Reason))
			continue
		}
		if err != nil {
			return append(out, "error "+err.Error())
		}
		out = append(out, rec.ID())
	}
	t.Fatal("no end")
	return nil
}

func TestReaderTolerates(t *testing.T) {
	const crlf = "\r\n"
	a, b := rec("metadata", "a", "x: y", crlf), rec("metadata", "b", "", crlf)
	folded := "WARC/0.18\nWARC-Type: response\nWARC-Target-URI: <http://a/>\nX-Long: one\n two\nWARC-Record-ID: <urn:uuid:f>\nno colon here\nContent-Length: 1\n\nx"
	tests := []struct {
		name string
		file []byte
		want []string
	}{
		{"empty file", nil, nil},
		{"blank lines only", []byte("\r\n\r\n\n"), nil},
		{"plain", []byte(a + b), []string{"a", "b"}},
		{"line feeds only", []byte(rec("metadata", "a", "x", "\n") + b), []string{"a", "b"}},
		{"no blank lines at the end", []byte(strings.TrimRight(a, "\r\n")), []string{"a"}},
		{"one line break instead of two", []byte(strings.TrimSuffix(a, crlf) + b), []string{"a", "b"}},
		{"additional blank lines", []byte("\r\n" + a + "\n\n\n" + b), []string{"a", "b"}},
		{"old version, folded field, brackets, no end", []byte(folded), []string{"f"}},
		{"member a record", gz(a, b), []string{"a", "b"}},
		{"one member for all", gz(a + b), []string{"a", "b"}},
		{"member inside a block", gz(a[:len(a)-6], a[len(a)-6:]+b), []string{"a", "b"}},
		{"empty member", gz(a, "", b), []string{"a", "b"}},
		{"block longer than stated", []byte(a + "more\nof it\n" + b), []string{"a", "! 0 11 stray bytes after the record were passed over", "b"}},
		{"short block in a member", gz(strings.Replace(a, "Length: 4", "Length: 40", 1), b),
			[]string{"! 0 block ends before its length: the next gzip member begins a new record", "b"}},
		{"file ends in a block", []byte(a + b[:20]), []string{"a", fmt.Sprintf("! %d file ends inside the header", len(a))}},
		{"no record", []byte("<html>\n" + a), []string{"! 0 no WARC record begins here", "a"}},
		{"length is no number", []byte(strings.Replace(a, "Length: 4", "Length: -4", 1) + b),
			[]string{`! 0 Content-Length "-4" is not a length`, "b"}},
		{"huge length", []byte(a + strings.Replace(a, "Length: 4", "Length: 9000000000000000000", 1)),
			[]string{"a", fmt.Sprintf("! %d file ends inside the block of a record that is too long anyway", len(a))}},
		{"header too long", []byte("WARC/1.0\r\nX: " + strings.Repeat("x", MaxHeader) + crlf + b),
			[]string{"! 0 header is longer than 65536 bytes", "b"}},
		{"block over the limit", gz(rec("metadata", "a", strings.Repeat("x", 2000), crlf), b),
			[]string{"! 0 block of 2000 bytes exceeds the limit of 1000 and was passed over", "b"}},
		{"zeros behind the last member", append(gz(a), make([]byte, 100)...),
			[]string{"a", fmt.Sprintf("! %d no gzip member begins here", len(gz(a)))}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			limits := Limits{MaxBlock: 1000}
			if diff := cmp.Diff(tt.want, ids(t, NewReader(bytes.NewReader(tt.file), limits))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.want, ids(t, NewReader(iotest.OneByteReader(bytes.NewReader(tt.file)), limits))); diff != "" {
				t.Errorf("from a source that cannot seek (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReaderUnfoldsAndTrims(t *testing.T) {
	r := NewReader(strings.NewReader("WARC/0.18\nwarc-type: Response\nWARC-Target-URI: <http://a/>\nX-Long: one\n\t two \nContent-Length: 0\n\n"), Limits{})
	got, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	if got.Version != "0.18" || got.Type() != "response" || got.TargetURI() != "http://a/" || got.Header.Get("x-long") != "one two" {
		t.Errorf("%+v", got)
	}
}

// Whatever single byte of a member breaks, all other records are found.
func TestReaderGoesOnBehindDamage(t *testing.T) {
	one := gz(rec("metadata", "a", strings.Repeat("some text ", 20), "\r\n"))
	two := gz(rec("metadata", "b", strings.Repeat("other text ", 20), "\r\n"))
	three := gz(rec("metadata", "c", "end", "\r\n"))
	for i := range two {
		file := bytes.Join([][]byte{one, two, three}, nil)
		file[len(one)+i] ^= 0xff
		got := ids(t, NewReader(bytes.NewReader(file), Limits{}))
		damages := 0
		var whole []string
		for _, s := range got {
			if strings.HasPrefix(s, "!") {
				damages++
			} else {
				whole = append(whole, s)
			}
		}
		if len(whole) < 2 || whole[0] != "a" || whole[len(whole)-1] != "c" || len(whole) == 2 && damages == 0 {
			t.Errorf("byte %d: %q", i, got)
		}
	}
}

func TestReaderReturnsFailureOfTheSource(t *testing.T) {
	broken := errors.New("cable cut")
	file := gz(rec("metadata", "a", "x", "\r\n"), rec("metadata", "b", "x", "\r\n"))
	r := NewReader(io.MultiReader(bytes.NewReader(file[:len(file)-20]), iotest.ErrReader(broken)), Limits{})
	if got, err := r.Next(); err != nil || got.ID() != "a" {
		t.Fatalf("first record: %v", err)
	}
	if _, err := r.Next(); !errors.Is(err, broken) {
		t.Errorf("error of the source: %v", err)
	}
}

func TestReaderGivesUpOnHopelessFiles(t *testing.T) {
	file := strings.Repeat("WARC/1.0\r\nContent-Length: x\r\n\r\n", 3*maxDamages)
	r := NewReader(strings.NewReader(file), Limits{})
	n := 0
	for ; ; n++ {
		_, err := r.Next()
		if _, ok := errors.AsType[*Damage](err); ok && !strings.Contains(err.Error(), "more than") {
			continue
		}
		if concord.KindOf(err) != concord.Corrupt {
			t.Errorf("final error %v", err)
		}
		break
	}
	if n != maxDamages {
		t.Errorf("gave up after %d damages", n)
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte(rec("metadata", "a", "x: y", "\r\n")))
	f.Add(gz(rec("response", "a", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "\r\n"), rec("metadata", "b", "", "\n")))
	f.Add(gz("WARC/1.0\r\nContent-Length: 99999999\r\n\r\nshort"))
	f.Add([]byte("WARC/1.0\nContent-Length: 9223372036854775807\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := NewReader(bytes.NewReader(data), Limits{MaxBlock: 1 << 16})
		for i := 0; ; i++ {
			if i > 3*maxDamages+len(data) {
				t.Fatal("no end")
			}
			got, err := r.Next()
			if err == nil {
				if len(got.Block) > 1<<16 || got.Offset < 0 || got.Offset+got.Length > int64(len(data)) {
					t.Fatalf("record at %d+%d of %d", got.Offset, got.Length, len(data))
				}
				got.Verify()
				indexLine(got)
				continue
			}
			if d, ok := errors.AsType[*Damage](err); ok && d == err {
				continue
			}
			break
		}
		_, _ = Scan(bytes.NewReader(data), "fuzz", Limits{MaxBlock: 1 << 16}, func(it Item) error {
			_, _ = DecodeContent(it.Header, it.Payload, 1<<16)
			for _, r := range append(it.Related, it.Record) {
				var buf bytes.Buffer
				if _, _, err := NewWriter(&buf, true).Write(&r); err != nil {
					t.Fatalf("item cannot be kept: %v", err)
				}
				if got, err := NewReader(&buf, Limits{}).Next(); err != nil || got.ID() != r.ID() || !bytes.Equal(got.Block, r.Block) {
					t.Fatalf("item changes when it is kept: %v", err)
				}
			}
			return nil
		})
	})
}
