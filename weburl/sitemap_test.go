package weburl

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"concord"
)

// collect reads a sitemap into one line an entry.
func collect(r io.Reader, limits SitemapLimits) (lines []string, kind SitemapKind, err error) {
	kind, err = ReadSitemap(r, limits, func(e SitemapEntry) error {
		line := e.Loc
		if e.IsIndex {
			line = "index " + line
		}
		if !e.LastMod.IsZero() {
			line += " " + e.LastMod.Format(time.RFC3339)
		}
		lines = append(lines, line)
		return nil
	})
	return lines, kind, err
}

const plainSitemap = `<?xml version="1.0" encoding="UTF-8"?>
<!-- made by hand > really -->
<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:image="http://www.google.com/schemas/sitemap-image/1.1">
<url><loc> http://a.example/1?x=1&amp;y=2 </loc><lastmod>2024-05-06</lastmod><priority>0.5</priority></url>
<url><image:image><image:loc>http://a.example/i.png</image:loc></image:image><loc><![CDATA[http://a.example/2?a&b]]></loc></url>
<url><lastmod>2024</lastmod></url>
<url a=">"><loc>http://a.example/3?x=1&y=2&#38;z=&#x33;</loc><lastmod>soon</lastmod></url >
</urlset>`

func TestSitemaps(t *testing.T) {
	const plainLines = "http://a.example/1?x=1&y=2 2024-05-06T00:00:00Z|http://a.example/2?a&b|http://a.example/3?x=1&y=2&z=3"
	for _, c := range []struct {
		name, in string
		kind     SitemapKind
		want     string
		invalid  bool
	}{
		{"plain", plainSitemap, SitemapURLs, plainLines, false},
		{"byte order mark and white space", "\xEF\xBB\xBF\n " + plainSitemap, SitemapURLs, plainLines, false},
		{"prefixed", `<s:urlset xmlns:s="x"><s:url><s:loc>http://a.example/</s:loc></s:url></s:urlset>`, SitemapURLs, "http://a.example/", false},
		{"index", `<sitemapindex><sitemap><loc>http://a.example/1.xml.gz</loc><lastmod>2024-05-06T07:08:09+02:00</lastmod></sitemap></sitemapindex>`,
			SitemapIndex, "index http://a.example/1.xml.gz 2024-05-06T05:08:09Z", false},
		{"text", "http://a.example/1\r\n\r\nnot a url\nHTTPS://a.example/2", SitemapText, "http://a.example/1|HTTPS://a.example/2", false},
		{"RSS 2", `<rss version="2.0"><channel><link>http://a.example/</link><item><title>x</title><atom:link href="y"/>
			<link>http://a.example/1</link><pubDate>Mon, 06 May 2024 07:08:09 GMT</pubDate><guid>z</guid></item></channel></rss>`,
			SitemapRSS, "http://a.example/1 2024-05-06T07:08:09Z", false},
		{"RSS 1", `<rdf:RDF><channel/><item rdf:about="x"><link>http://a.example/1</link><dc:date>2024-05-06</dc:date></item></rdf:RDF>`,
			SitemapRSS, "http://a.example/1 2024-05-06T00:00:00Z", false},
		{"Atom", `<feed><link href="http://a.example/"/><entry><link rel="self" href="s"/><link rel='alternate' hreflang="en" href='http://a.example/1?a=1&amp;b'/>
			<updated>2024-05-06T07:08:09Z</updated><content type="xhtml"><div><a href="u"><br/></a></div></content></entry></feed>`,
			SitemapAtom, "http://a.example/1?a=1&b 2024-05-06T07:08:09Z", false},
		{"empty", "", SitemapUnknown, "", true},
		{"prose", "Not found.\n", SitemapUnknown, "", true},
		{"HTML", "<html><body>Not found</body></html>", SitemapUnknown, "", true},
		{"HTML with doctype", "<!DOCTYPE html><html>", SitemapUnknown, "", true},
		{"entities", `<!DOCTYPE x [<!ENTITY a "aaaa">]><urlset><url><loc>&a;</loc></url></urlset>`, SitemapUnknown, "", true},
		{"unknown entity stays", `<urlset><url><loc>http://a.example/?a&b;&nbsp;</loc></url></urlset>`, SitemapURLs, "http://a.example/?a&b;&nbsp;", false},
		{"cut off", plainSitemap[:strings.Index(plainSitemap, "<url a")], SitemapURLs, strings.Join(strings.Split(plainLines, "|")[:2], "|"), true},
		{"cut off in a tag", `<urlset><url><loc>http://a.example/</loc></url><ur`, SitemapURLs, "http://a.example/", true},
		{"tags cross", `<urlset><url><loc>http://a.example/</loc></url><url><loc>x</url></loc></urlset>`, SitemapURLs, "http://a.example/", true},
		{"bare <", `<urlset><url><loc>http://a.example/</loc></url><url><loc>a<b</loc></url></urlset>`, SitemapURLs, "http://a.example/", true},
		{"overlong location", `<urlset><url><loc>` + strings.Repeat("x", 100_000) + `</loc></url><url><loc>http://a.example/</loc></url></urlset>`, SitemapURLs, "http://a.example/", false},
		{"overlong CDATA", `<urlset><url><loc><![CDATA[` + strings.Repeat("x>", 100_000) + `]]></loc></url><url><loc>http://a.example/</loc></url></urlset>`, SitemapURLs, "http://a.example/", false},
		{"deep", "<urlset>" + strings.Repeat("<a>", 100), SitemapURLs, "", true},
		{"comment only", "<!-- -->", SitemapUnknown, "", true},
	} {
		check := func(how string, r io.Reader) {
			lines, kind, err := collect(r, SitemapLimits{})
			if got := strings.Join(lines, "|"); got != c.want || kind != c.kind || (err != nil) != c.invalid || err != nil && concord.KindOf(err) != concord.Invalid {
				t.Errorf("%s, %s: %q of kind %q, %v; want %q of kind %q", c.name, how, got, kind, err, c.want, c.kind)
			}
		}
		check("whole", strings.NewReader(c.in))
		check("byte by byte", iotest.OneByteReader(strings.NewReader(c.in)))
		check("gzipped", bytes.NewReader(gzipped(c.in)))
	}
}

func gzipped(s string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, s)
	w.Close()
	return b.Bytes()
}

func TestSitemapErrors(t *testing.T) {
	boom := errors.New("boom")
	if _, err := ReadSitemap(strings.NewReader(plainSitemap), SitemapLimits{}, func(SitemapEntry) error { return boom }); err != boom {
		t.Errorf("emit's error became %v", err)
	}
	broken := io.MultiReader(strings.NewReader(plainSitemap[:400]), iotest.ErrReader(boom))
	if lines, _, err := collect(broken, SitemapLimits{}); !errors.Is(err, boom) || len(lines) != 1 {
		t.Errorf("the reader's error became %v after %d entries", err, len(lines))
	}
	packed := gzipped(plainSitemap)
	if _, _, err := collect(bytes.NewReader(packed[:len(packed)/2]), SitemapLimits{}); concord.KindOf(err) != concord.Invalid {
		t.Errorf("half a gzip file: %v", err)
	}
	packed[len(packed)/2] ^= 0x55
	if _, _, err := collect(bytes.NewReader(packed), SitemapLimits{}); concord.KindOf(err) != concord.Invalid {
		t.Errorf("damaged gzip: %v", err)
	}
	for _, limits := range []SitemapLimits{{MaxEntries: 2}, {MaxBytes: 480}} {
		lines, kind, err := collect(strings.NewReader(plainSitemap), limits)
		if concord.KindOf(err) != concord.Invalid || kind != SitemapURLs || len(lines) == 0 || len(lines) > 2 {
			t.Errorf("%+v: %d entries, %q, %v", limits, len(lines), kind, err)
		}
	}
	if lines, _, err := collect(strings.NewReader(plainSitemap), SitemapLimits{MaxBytes: int64(len(plainSitemap)), MaxEntries: 3}); err != nil || len(lines) != 3 {
		t.Errorf("exactly at the limits: %d, %v", len(lines), err)
	}
}

// endless repeats a text for ever.
type endless struct{ text, rest string }

func (e *endless) Read(p []byte) (int, error) {
	if e.rest == "" {
		e.rest = e.text
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

// TestSitemapBombs feeds input without end and compressed bombs, and wants an error in bounded memory.
func TestSitemapBombs(t *testing.T) {
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	io.CopyN(w, &endless{text: "<urlset><url><loc>" + strings.Repeat(" ", 1<<16)}, 8<<20)
	w.Close()
	for name, r := range map[string]io.Reader{
		"gzip bomb":     &bomb,
		"empty members": &endless{text: string(gzipped(""))},
		"text":          io.MultiReader(strings.NewReader("<urlset><url><loc>"), &endless{text: "x"}),
		"cdata":         io.MultiReader(strings.NewReader("<urlset><url><loc><![CDATA["), &endless{text: "x]>"}),
		"tag":           io.MultiReader(strings.NewReader("<urlset a='"), &endless{text: ">"}),
		"comment":       io.MultiReader(strings.NewReader("<!--"), &endless{text: "->"}),
		"one line":      io.MultiReader(strings.NewReader("http://"), &endless{text: "x"}),
		"white space":   &endless{text: " "},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _, err := collect(r, SitemapLimits{MaxBytes: 4 << 20})
		runtime.ReadMemStats(&after)
		if concord.KindOf(err) != concord.Invalid {
			t.Errorf("%s: %v", name, err)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 2<<20 {
			t.Errorf("%s: %d bytes allocated", name, used)
		}
	}
}

func FuzzSitemap(f *testing.F) {
	for _, s := range []string{plainSitemap, "http://a.example/\n", "<feed><entry><link href='x'/></entry></feed>",
		"<rss><item><link>a</link><pubDate>x</pubDate></item></rss>", string(gzipped(plainSitemap)), "<urlset><url><loc><![CDATA[a]]>]]></loc></url>"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		limits := SitemapLimits{MaxBytes: 1 << 16, MaxEntries: 100}
		lines, kind, err := collect(bytes.NewReader(b), limits)
		again, kindAgain, errAgain := collect(iotest.HalfReader(bytes.NewReader(b)), limits)
		if fmt.Sprint(lines) != fmt.Sprint(again) || kind != kindAgain || (err == nil) != (errAgain == nil) {
			t.Fatalf("%q, %q, %v; in pieces %q, %q, %v", lines, kind, err, again, kindAgain, errAgain)
		}
		if len(lines) > 100 || err == nil && kind == SitemapUnknown || err != nil && concord.KindOf(err) != concord.Invalid {
			t.Fatalf("%d entries, %q, %v", len(lines), kind, err)
		}
	})
}

func BenchmarkSitemap(b *testing.B) {
	var s strings.Builder
	s.WriteString("<urlset>\n")
	for i := range 10_000 {
		fmt.Fprintf(&s, "<url><loc>http://a.example/some/page-%d.html?a=1&amp;b=2</loc><lastmod>2024-05-06T07:08:09+00:00</lastmod><changefreq>daily</changefreq></url>\n", i)
	}
	s.WriteString("</urlset>")
	b.SetBytes(int64(s.Len()))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ReadSitemap(strings.NewReader(s.String()), SitemapLimits{}, func(SitemapEntry) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
