package warc

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const samplesDir = "../../shared/data/conformance/warc"

func openSample(t testing.TB, name string) *os.File {
	t.Helper()
	f, err := os.Open(filepath.Join(samplesDir, name))
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("SKIPPED: sample %s is not in ../shared/data/conformance/warc; run this test where it is", name)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// describe reads everything a Reader has to say, one line a record or damage.
func describe(r *Reader) []string {
	var out []string
	for {
		rec, err := r.Next()
		var d *Damage
		switch {
		case err == io.EOF:
			return out
		case errors.As(err, &d):
			out = append(out, "damage "+err.Error())
		case err != nil:
			return append(out, "error "+err.Error())
		default:
			c := rec.Verify()
			whole := ""
			if !rec.Whole {
				whole = ", not alone"
			}
			out = append(out, fmt.Sprintf("%s %s %d+%d %d bytes: block %s, payload %s%s", rec.Version, rec.Type(), rec.Offset,
				rec.Length, len(rec.Block), c.Block, c.Payload, whole))
		}
	}
}

// The offsets and lengths were checked with an independent gzip decoder, the digests with another WARC reader.
var samples = []struct {
	name string
	want string
}{
	{"example.warc.gz", `
1.0 warcinfo 0+353 249 bytes: block not stated, payload not stated
1.0 warcinfo 353+431 470 bytes: block not stated, payload not stated
1.0 response 784+1228 975 bytes: block verified, payload verified
1.0 request 2012+609 493 bytes: block verified, payload verified
1.0 revisit 2621+586 369 bytes: block verified, payload not checked
1.0 request 3207+609 493 bytes: block verified, payload verified
`},
	{"example-trunc.warc", `
1.0 warcinfo 0+488 249 bytes: block not stated, payload not stated
1.0 warcinfo 488+709 470 bytes: block not stated, payload not stated
1.0 response 1197+1369 973 bytes: block mismatch, payload mismatch
damage at offset 1197: 6 stray bytes after the record were passed over
1.0 request 2566+804 493 bytes: block not stated, payload not stated
`},
	{"example-iana.org-chunked.warc", `
1.0 warcinfo 0+405 137 bytes: block not stated, payload not stated
1.0 response 405+7974 7566 bytes: block verified, payload verified with chunks
1.0 request 8379+452 76 bytes: block verified, payload not stated
`},
	{"example-wrong-chunks.warc.gz", `
1.0 response 0+1130 1613 bytes: block mismatch, payload verified
1.0 request 1130+445 137 bytes: block verified, payload verified
`},
	{"example-bad.warc.gz.bad", `
1.0 warcinfo 0+1950 196 bytes: block not stated, payload not stated, not alone
1.0 response 0+1950 1610 bytes: block not stated, payload verified, not alone
1.0 request 0+1950 323 bytes: block not stated, payload not stated, not alone
1.0 revisit 0+1950 340 bytes: block not stated, payload not checked, not alone
1.0 request 0+1950 323 bytes: block not stated, payload not stated, not alone
1.0 response 0+1950 471 bytes: block not stated, payload verified, not alone
`},
	{"gowarc-test.warc.gz", `
1.0 warcinfo 0+343 143 bytes: block verified, payload not stated
1.0 request 343+368 110 bytes: block verified, payload not stated
1.0 response 711+21639 21830 bytes: block verified, payload not stated
`},
	{"whirlwind.warc.gz", `
1.0 warcinfo 0+516 486 bytes: block verified, payload not stated
1.0 request 516+507 265 bytes: block verified, payload verified
1.0 response 1023+17351 74581 bytes: block verified, payload verified
1.0 metadata 18374+483 201 bytes: block verified, payload verified
`},
	{"whirlwind.warc.wat.gz", `
1.0 warcinfo 0+443 278 bytes: block verified, payload not stated
1.0 metadata 443+918 1386 bytes: block verified, payload verified
`},
	{"whirlwind.warc.wet.gz", `
1.0 warcinfo 0+466 368 bytes: block verified, payload not stated
1.0 conversion 466+2540 4456 bytes: block verified, payload verified
`},
}

func TestSamplesOfOtherTools(t *testing.T) {
	for _, s := range samples {
		t.Run(s.name, func(t *testing.T) {
			got := describe(NewReader(openSample(t, s.name), Limits{}))
			if diff := cmp.Diff(strings.Split(strings.TrimSpace(s.want), "\n"), got); diff != "" {
				t.Errorf("records (-want +got):\n%s\nall:\n%s", diff, strings.Join(got, "\n"))
			}
		})
	}
}

// decodedSizes are those that another reader gets.
var decodedSizes = map[string]int{
	"https://apis.google.com/js/platform.js": 53952,
	"http://www.iana.org/":                   7223,
	"http://example.com/":                    1270,
}

func TestScanSamples(t *testing.T) {
	tests := []struct{ name, want string }{
		{"example.warc.gz", `
response 200 text/html http://example.com/ 606 bytes, 1 related
revisit 200 text/html http://example.com/ 0 bytes, 1 related
records 6 items 2 skipped 0`},
		{"example-trunc.warc", `
records 4 items 0 skipped 3
example-trunc.warc: at offset 1197: block of http://example.com/ does not match its digest
example-trunc.warc: at offset 1197: 6 stray bytes after the record were passed over`},
		{"example-iana.org-chunked.warc", `
response 200 text/html http://www.iana.org/ 7223 bytes, 1 related
records 3 items 1 skipped 0`},
		{"example-wrong-chunks.warc.gz", `
response 200 text/html http://example.com/ 1270 bytes, 1 related, "stated block digest is wrong"
records 2 items 1 skipped 0`},
		{"example-bad.warc.gz.bad", `
response 200 text/html http://example.com?example=1 1270 bytes, 1 related
revisit 200 text/html http://example.com?example=1 0 bytes, 1 related
response 302 text/html http://www.iana.org/domains/example 201 bytes, 0 related
records 6 items 3 skipped 0`},
		{"gowarc-test.warc.gz", `
response 200 text/javascript https://apis.google.com/js/platform.js 20541 bytes, 0 related
records 3 items 1 skipped 1`},
		{"whirlwind.warc.gz", `
response 200 text/html https://an.wikipedia.org/wiki/Escopete 72848 bytes, 2 related
records 4 items 1 skipped 0`},
		{"whirlwind.warc.wat.gz", `
records 2 items 0 skipped 1`},
		{"whirlwind.warc.wet.gz", `
conversion 0 text/plain https://an.wikipedia.org/wiki/Escopete 4456 bytes, 0 related
records 2 items 1 skipped 0`},
	}
	for _, s := range tests {
		t.Run(s.name, func(t *testing.T) {
			var got []string
			sum, err := Scan(openSample(t, s.name), s.name, Limits{}, func(it Item) error {
				note := ""
				if it.Note != "" {
					note = fmt.Sprintf(", %q", it.Note)
				}
				got = append(got, fmt.Sprintf("%s %d %s %s %d bytes, %d related%s", it.Kind, it.Status, it.Mime, it.URL,
					len(it.Payload), len(it.Related), note))
				text, err := DecodeContent(it.Header, it.Payload, 1<<20)
				if want, ok := decodedSizes[it.URL]; err != nil || ok && it.Kind == TypeResponse && len(text) != want {
					t.Errorf("%s decodes to %d bytes, %v", it.URL, len(text), err)
				}
				if it.Time.IsZero() || it.ID == "" || it.Block.IsZero() {
					t.Errorf("item lacks time, ID or block digest: %+v", it)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprintf("records %d items %d skipped %d", sum.Records, sum.Items, sum.Skipped))
			got = append(got, sum.Problems...)
			if diff := cmp.Diff(strings.Split(strings.TrimSpace(s.want), "\n"), got); diff != "" {
				t.Errorf("scan (-want +got):\n%s", diff)
			}
		})
	}
}
