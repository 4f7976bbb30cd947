package page

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"concord/weburl"
)

const megabytes = 4 // less than the crawler's bound, so that the tests are quick; quadratic behaviour shows all the same

// fill repeats s to that size.
func fill(s string) string { return strings.Repeat(s, megabytes<<20/len(s)) }

// TestHostileHTML bounds time and memory of what is written to exhaust them.
func TestHostileHTML(t *testing.T) {
	attrs := new(strings.Builder)
	for i := range 200_000 {
		fmt.Fprintf(attrs, "a%d ", i)
	}
	formats := new(strings.Builder)
	for i := range 300 {
		fmt.Fprintf(formats, "<b class=c%d>", i)
	}
	for name, body := range map[string]string{
		"deep divs":          fill("<div>"),
		"deep links":         fill(`<a href="/x"><div>`),
		"deep formatting":    "<p>" + formats.String() + fill("<p>x"),
		"many attributes":    "<div " + attrs.String() + ">" + strings.Repeat("<b a>", 300_000) + "end",
		"one attribute":      `<div title="` + fill("x") + `">the text after it`,
		"open tag":           fill("<"),
		"open comment":       "<!--" + fill("-"),
		"entities":           fill("&amp;&notanentity;&#x41;"),
		"tables":             fill("<table><tr><td>"),
		"lists":              fill("<li><ul>"),
		"links":              manyLinks(60_000),
		"headings":           fill("<h1>a<h2>b"),
		"classes":            fill(`<p class="comment sidebar article-content post">x`),
		"one long word":      fill("x"),
		"one long paragraph": "<p>" + fill("word, and more. "),
		"line breaks":        fill("<br>a<br/>"),
		"pre":                "<pre>" + fill("x\n"),
		"scripts":            fill("<script>x</script>"),
		"end tags":           fill("</p></div></b>"),
		"bad UTF-8":          fill("\xff\xfe\xc3"),
		"NUL":                "<p>" + strings.Repeat("ordinary text ", 200) + fill("a\x00"),
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			p := extractHTMLString(t, body)
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 200<<20 {
				t.Errorf("allocated %d MB", allocated>>20)
			}
			if took > 20*time.Second { // 0.1 to 0.4 s on an idle machine; quadratic behaviour takes minutes
				t.Errorf("took %v", took)
			}
			if len(p.Body) > MaxBodyBytes || len(p.Links) > MaxLinks || len(p.Title) > MaxTitleBytes || len(p.Headings) > MaxHeadings {
				t.Errorf("%d bytes of text, %d links, %d of title, %d headings", len(p.Body), len(p.Links), len(p.Title), len(p.Headings))
			}
			if testing.Verbose() {
				t.Logf("%v, %d MB, %d bytes of text, truncated %v", took, (after.TotalAlloc-before.TotalAlloc)>>20, len(p.Body), p.Truncated)
			}
		})
	}
}

func manyLinks(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "<a href=/p%d.html>page %d</a> ", i, i)
	}
	return b.String()
}

func FuzzExtract(f *testing.F) {
	for _, s := range []string{
		"", "<", "<p>text", "<title>t</title><h1>h</h1><p>A sentence, which is long enough. And another one.</p>",
		`<base href="//x.example/"><a href=y rel=nofollow>l</a><link rel=canonical href=?q>`,
		`<meta charset=euc-kr><meta http-equiv=refresh content="0;url=z">`,
		`<script type="application/ld+json">{"@graph":[{"datePublished":"2020-01-01","articleBody":"<p>x</p>"}]}</script>`,
		"<pre>\n\n a\r\n b</pre><table><tr><td>1<td>2<tr><td>3</table>", "<svg><title>x</title><path/></svg><br><br>x",
		"\xef\xbb\xbf<html lang=de>", "%PDF-1.4", "\xff\xfe<\x00p\x00>\x00x\x00",
		"<div hidden>a</div><nav>b</nav><p style='display:none'>c</p><noscript><p>d</p></noscript>",
	} {
		f.Add([]byte(s), "text/html; charset=utf-8")
		f.Add([]byte(s), "")
	}
	f.Add([]byte("plain\n\n\ftext"), "text/plain; charset=iso-8859-1")
	u, err := weburl.Parse("http://www.example.org/dir/page.html?q=1")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte, contentType string) {
		in := Input{URL: u, ContentType: contentType, Body: body, Product: "concord"}
		p, err := Extract(in)
		again, err2 := Extract(in)
		if (err == nil) != (err2 == nil) {
			t.Fatalf("first %v, then %v", err, err2)
		}
		if err != nil {
			return
		}
		if d := cmp.Diff(p, again); d != "" {
			t.Fatalf("not deterministic: %s", d)
		}
		for _, s := range append([]string{p.Title, p.Body, p.Description, p.Canonical, p.Language}, p.Headings...) {
			if !utf8.ValidString(s) {
				t.Errorf("not UTF-8: %q", s)
			}
		}
		if len(p.Body) > MaxBodyBytes || len(p.Title) > MaxTitleBytes || len(p.Links) > MaxLinks {
			t.Errorf("bounds: %d, %d, %d", len(p.Body), len(p.Title), len(p.Links))
		}
		if strings.TrimSpace(p.Title+p.Body) == "" != p.TextDigest.IsZero() && p.Profile != "" {
			t.Errorf("digest %v of title %q and %d bytes", p.TextDigest, p.Title, len(p.Body))
		}
		for _, l := range p.Links {
			if v, err := weburl.Parse(l.URL); err != nil || v.String() != l.URL {
				t.Errorf("link %q is not in normal form: %v", l.URL, err)
			}
			if len(l.Anchor) > MaxAnchorBytes || !utf8.ValidString(l.Anchor) {
				t.Errorf("anchor %q", l.Anchor)
			}
		}
	})
}
