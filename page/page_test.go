package page

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"concord"
	"concord/text"
	"concord/weburl"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the expectations of testdata/*.txtar")

const testURL = "http://www.example.org/dir/page.html"

// extractHTMLString extracts a page at testURL.
func extractHTMLString(t testing.TB, body string) *concord.Page {
	t.Helper()
	u, err := weburl.Parse(testURL)
	if err != nil {
		t.Fatal(err)
	}
	p, err := Extract(Input{URL: u, ContentType: "text/html", Body: []byte(body), Product: "concord"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestGolden extracts the pages of testdata. A file has the sections "header" (HTTP header lines, may be absent),
// "body", and "want".
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no testdata", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			in := Input{Header: http.Header{}, ContentType: "text/html; charset=utf-8", Product: "concord"}
			if in.URL, err = weburl.Parse(testURL); err != nil {
				t.Fatal(err)
			}
			want := -1
			for i, f := range a.Files {
				switch f.Name {
				case "header":
					for line := range strings.Lines(string(f.Data)) {
						k, v, _ := strings.Cut(line, ":")
						in.Header.Add(k, strings.TrimSpace(v))
					}
					if ct := in.Header.Get("Content-Type"); ct != "" {
						in.ContentType = ct
					}
				case "body":
					in.Body = f.Data
				case "want":
					want = i
				}
			}
			p, err := Extract(in)
			if err != nil {
				t.Fatal(err)
			}
			got := describe(p)
			if *rewrite {
				if want < 0 {
					a.Files = append(a.Files, txtar.File{Name: "want"})
					want = len(a.Files) - 1
				}
				a.Files[want].Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if want < 0 {
				t.Fatal("no want section; run with -rewrite and look at it")
			}
			if d := cmp.Diff(string(a.Files[want].Data), got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
			if norm := text.Normalise(p.Title + "\n" + p.Body); p.TextDigest != concord.Sum([]byte(norm)) || p.Profile != text.Profile {
				t.Errorf("digest %v under %q is not that of the normalised text", p.TextDigest, p.Profile)
			}
		})
	}
}

// describe writes a page as lines.
func describe(p *concord.Page) string {
	var b strings.Builder
	line := func(name string, v any) {
		if s := fmt.Sprint(v); s != "" && s != "false" && s != "0" {
			fmt.Fprintf(&b, "%s: %s\n", name, s)
		}
	}
	date := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.Format(time.RFC3339)
	}
	line("title", p.Title)
	line("description", p.Description)
	line("canonical", p.Canonical)
	line("language", p.Language)
	line("type", p.FileType)
	line("published", date(p.Published))
	line("modified", date(p.Modified))
	line("noindex", p.NoIndex)
	line("nofollow", p.NoFollow)
	line("noarchive", p.NoArchive)
	line("nosnippet", p.NoSnippet)
	line("max-snippet", p.MaxSnippet)
	line("expires", date(p.Expires))
	line("truncated", p.Truncated)
	for _, h := range p.Headings {
		line("heading", h)
	}
	for _, l := range p.Links {
		no := ""
		if l.NoFollow {
			no = " nofollow"
		}
		fmt.Fprintf(&b, "link: %s %q%s\n", l.URL, l.Anchor, no)
	}
	fmt.Fprintf(&b, "\n%s\n", p.Body)
	return b.String()
}

func TestErrors(t *testing.T) {
	u, _ := weburl.Parse(testURL)
	for _, tt := range []struct{ contentType, body, want string }{
		{"image/png", "\x89PNG\r\n\x1a\n", "content type image/png is not indexed"},
		{"application/json", "{}", "content type application/json is not indexed"},
		{"", "", "content type unknown is not indexed"},
		{"application/pdf", "%PDF-1.4", "content type application/pdf is not indexed: there is no PDF reader"},
	} {
		_, err := Extract(Input{URL: u, ContentType: tt.contentType, Body: []byte(tt.body)})
		if err == nil || err.Error() != tt.want || concord.KindOf(err) != concord.Invalid {
			t.Errorf("%s: %v (%v), want %s", tt.contentType, err, concord.KindOf(err), tt.want)
		}
	}
}

func TestEmptyPage(t *testing.T) {
	for _, body := range []string{"", " ", "<html></html>", "<script>x()</script>"} {
		p := extractHTMLString(t, body)
		if p.Body != "" || p.Title != "" || !p.TextDigest.IsZero() || p.Profile != "" || p.Simhash != 0 {
			t.Errorf("%q gives %+v", body, p)
		}
	}
}

func TestSniff(t *testing.T) {
	for _, tt := range []struct{ contentType, body, want string }{
		{"text/html; charset=utf-8", "<p>x", "text/html"},
		{"TEXT/HTML", "<p>x", "text/html"},
		{"text/html;charset", "<p>x", "text/html"},
		{"text/html, text/html", "<p>x", "text/html"},
		{"", "<!DOCTYPE html><p>x", "text/html"},
		{"", "  <!-- c --><?xml version='1.0'?>\n<html>", "text/html"},
		{"", "just words", "text/plain"},
		{"", "%PDF-1.5", "application/pdf"},
		{"", "\x89PNG\r\n\x1a\n", "image/png"},
		{"", "", ""},
		{"text/plain", "just words with <b>tags</b>", "text/plain"},
		{"text/plain", "\n<html><body>x", "text/html"},
		{"text/plain", "<htmlish> words", "text/plain"},
		{"text/plain", "%PDF-1.5", "application/pdf"},
		{"text/plain", "\x1f\x8b\x08\x00\x00", "application/x-gzip"},
		{"text/plain; charset=utf-16le", "\xff\xfea\x00", "text/plain"},
		{"text/html", "\x89PNG\r\n\x1a\n", "image/png"},
		{"text/html", "no tags at all", "text/html"},
		{"application/octet-stream", "<html><p>", "text/html"},
		{"application/octet-stream", "PK\x03\x04", "application/zip"},
		{"application/xhtml+xml", "<?xml version='1.0'?><html>", "application/xhtml+xml"},
		{"application/xml", `<html xmlns="http://www.w3.org/1999/xhtml">`, "application/xhtml+xml"},
		{"application/xml", `<rss/>`, "application/xml"},
		{"application/x-pdf", "%PDF", "application/pdf"},
		{"nonsense", "<html><p>", "text/html"},
	} {
		if got := Sniff(tt.contentType, []byte(tt.body)); got != tt.want {
			t.Errorf("Sniff(%q, %q) = %q, want %q", tt.contentType, tt.body, got, tt.want)
		}
	}
}

func TestDecode(t *testing.T) {
	const euckr = "\xbe\xc6\xc6\xc4\xc4\xa1" // 아파치
	for _, tt := range []struct{ contentType, body, want, charset string }{
		{"text/html", "plain", "plain", "utf-8"},
		{"text/html; charset=iso-8859-1", "gr\xfc\xdfe", "grüße", "windows-1252"},
		{"text/html; charset=iso-8859-1", "grüße", "grüße", "utf-8"}, // the header lies
		{"text/html; charset=utf-8", "grüße \xff.", "grüße \uFFFD.", "utf-8"},
		{"text/html; charset=utf-8", "gr\xfc\xdfe", "grüße", "windows-1252"},
		{"text/html", "gr\xfc\xdfe", "grüße", "windows-1252"},
		{"text/html; charset=EUC-KR", euckr, "아파치", "euc-kr"},
		{"text/html", `<meta charset="euc-kr">` + euckr, `<meta charset="euc-kr">아파치`, "euc-kr"},
		{"text/html", `<META content="text/html; charset=EUC-KR" http-equiv="Content-Type" />` + euckr,
			`<META content="text/html; charset=EUC-KR" http-equiv="Content-Type" />아파치`, "euc-kr"},
		{"text/html", `<!-- <meta charset=euc-kr> -->gr` + "\xfc\xdfe", `<!-- <meta charset=euc-kr> -->grüße`, "windows-1252"},
		{"text/html", `<?xml version="1.0" encoding="ISO-8859-2"?>` + "\xb1", `<?xml version="1.0" encoding="ISO-8859-2"?>ą`, "iso-8859-2"},
		{"text/html", "\xef\xbb\xbfgrüße", "grüße", "utf-8"},
		{"text/html", "\xff\xfeg\x00\xfc\x00", "gü", "utf-16le"},
		{"text/html", "\xfe\xff\x00g\x00\xfc", "gü", "utf-16be"},
		{"text/html; charset=shift_jis", "\x93\xfa\x96{", "日本", "shift_jis"},
		{"text/html; charset=nonsense", "grüße", "grüße", "utf-8"},
		{"text/html; charset='utf-8", "gr\xc3\xbc", "grü", "utf-8"},
		{"text/html", `<meta charset="utf-16"><p>x`, `<meta charset="utf-16"><p>x`, "utf-8"},
		{"text/html", "cut in a rune \xc3\xbc\xe2\x82", "cut in a rune ü\uFFFD", "utf-8"},
	} {
		got, charset := decode([]byte(tt.body), tt.contentType, true)
		if got != tt.want || charset != tt.charset {
			t.Errorf("decode(%q, %q) = %q as %s, want %q as %s", tt.contentType, tt.body, got, charset, tt.want, tt.charset)
		}
	}
}

func TestParseDate(t *testing.T) {
	for in, want := range map[string]string{
		"2020-05-06T07:08:09+02:00":     "2020-05-06T05:08:09Z",
		"2020-05-06T07:08:09.123Z":      "2020-05-06T07:08:09Z",
		"2020-05-06T07:08:09+0200":      "2020-05-06T05:08:09Z",
		"2020-05-06 07:08:09":           "2020-05-06T07:08:09Z",
		" 2020-05-06 ":                  "2020-05-06T00:00:00Z",
		"2020/05/06":                    "2020-05-06T00:00:00Z",
		"20200506":                      "2020-05-06T00:00:00Z",
		"Wed, 06 May 2020 07:08:09 GMT": "2020-05-06T07:08:09Z",
		"May 6, 2020":                   "2020-05-06T00:00:00Z",
		"6 May 2020":                    "2020-05-06T00:00:00Z",
		"1989-12-31":                    "",
		"2100-01-01":                    "",
		"0001-01-01T00:00:00Z":          "",
		"05/06/2020":                    "",
		"yesterday":                     "",
		"":                              "",
	} {
		got := ""
		if v, ok := parseDate(in); ok {
			got = v.Format(time.RFC3339)
		}
		if got != want {
			t.Errorf("parseDate(%q) = %q, want %q", in, got, want)
		}
	}
}
