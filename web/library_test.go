package web

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"concord"
)

var testNow = time.Date(2026, 11, 22, 14, 3, 20, 0, time.UTC)

// hostilePage tries everything a page can try from inside an archive.
const hostilePage = `<!doctype html><html lang="en"><head><title>Hostile <b>page</b></title><base href="https://evil.example/deep/">
<meta http-equiv="refresh" content="0;url=https://evil.example/gone"><link rel="stylesheet" href="https://evil.example/x.css">
<style>body{background:url(https://evil.example/track.png)}</style><style></style><script>alert(1)</script><style>p{color:red}<script>top.pwned=1</script></style>
<script>top.pwned=1;document.cookie="pwned=1"</script></head>
<body onload="top.pwned=1"><h1>receipt bait</h1><p onclick="top.pwned=1" style="color:green">A page that attacks its reader.</p>
<a id="js" href="javascript:top.pwned=1">script link</a> <a id="rel" href="other.html">relative link</a> <a href="#place">place</a>
<a href="data:text/html,<script>top.pwned=1</script>">data link</a> <a href=" java&#9;script:top.pwned=1">spaced</a>
<img src="x" onerror="top.pwned=1" alt="broken picture"><img src="data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9J3RvcC5wd25lZD0xJy8+" alt="svg">
<img src="data:image/png;base64,iVBORw0KGgo=" alt="dot"><svg onload="top.pwned=1"><script>top.pwned=1</script><a xlink:href="javascript:1">x</a></svg>
<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=top.pwned=1&gt;"></table></mtext></math>
<iframe src="/signin" srcdoc="<script>top.pwned=1</script>"></iframe><object data="/"></object><embed src="/">
<form action="/crawl" method="post"><input name="seeds" value="https://evil.example/"><button>click me</button></form>
<noscript><p>without scripts</p><img src=x onerror=top.pwned=1></noscript><template><script>top.pwned=1</script></template>
<p id="place">The end.</p><plaintext>`

var library = []struct {
	url, title, lang, kind string
	body                   string
	published              time.Time
}{
	{"https://docs.example.org/", "The Example Manual", "en", "html", "The manual of Example, a store for small documents. Start with the first steps, then read about the archive, the index and how a receipt is checked.", time.Time{}},
	{"https://docs.example.org/first-steps.html", "First steps", "en", "html", "First steps: install the program, start it, and open the address it prints. A crawl fetches pages politely; every page is kept in an archive and gets a receipt.", testNow.AddDate(0, -7, -3)},
	{"https://docs.example.org/receipts/what-is-a-receipt.html", "What is a receipt?", "en", "html", "A receipt is a small file that shows who saw a page, and when. It carries an inclusion proof from the capture up to a checkpoint that operators cosigned, so anyone can check it offline.", testNow.AddDate(0, -2, 0)},
	{"https://docs.example.org/receipts/verify.html", "Verifying a receipt offline", "en", "html", "To verify a receipt you need the file and a policy, nothing else. The verifier walks the path from the capture line to the batch root, from there to the checkpoint, and counts the cosignatures.", testNow.AddDate(0, -1, -9)},
	{"https://docs.example.org/reference/search/operators.html", "Query operators", "en", "html", "Words, phrases in quotation marks, OR and a minus sign. A receipt belongs to each result. Restrict by site, language, date, title and file type.", time.Time{}},
	{"https://handbuch.example.de/quittung.html", "Was ist eine Quittung (Receipt)?", "de", "html", "Eine Quittung (englisch receipt) belegt, wer eine Seite wann gesehen hat. Sie lässt sich ohne Netz prüfen; nötig ist nur die Richtliniendatei.", testNow.AddDate(-1, 0, 0)},
	{"https://journal.example.net/2026/transparency-logs?issue=4&page=12", "Transparency logs for people who do not run one", "en", "html", "A log that only grows, a root that everybody can compare, a receipt in your pocket: why append-only trees are the right tool when nobody wants to trust a single clerk.", testNow.AddDate(0, 0, -12)},
	{"https://archive.example.com/papers/evidence.pdf", "Evidence from the web: a field guide", "en", "pdf", "Printouts do not prove themselves. A capture with a receipt states what was sent, by whom it was received and when it was written down.", testNow.AddDate(-2, -4, 0)},
	{"https://notes.example.net/plain.txt", "plain.txt", "en", "text", "Notes on crawling politely.\n\nOne request at a time. A receipt for every page.\n\n  indented <b>not markup</b>", time.Time{}},
	{"https://handboek.example.nl/archief/bewaren-en-bewijzen-van-webpaginas-voor-beginners-en-gevorderden-in-de-praktijk.html", "Bewaren en bewijzen: een heel lange titel over het archiveren van webpagina's, het bewijzen ervan en de receipt die daarbij hoort", "nl", "html", "Elke pagina krijgt een receipt. Wie het bewijs wil controleren heeft geen netwerk nodig.", time.Time{}},
	{"https://shop.example.com/help/returns", "Returns without a receipt", "en", "html", "Lost your receipt? You can return most things within 30 days. Bring the card you paid with.", time.Time{}},
	{"https://shop.example.com/help/receipt-email", "Get your receipt by e-mail", "en", "html", "Choose e-mail at the till and your receipt arrives before you leave the shop.", time.Time{}},
}

// newLibrary returns a node with a realistic handful of pages, hosts, crawls and events.
func newLibrary() *memory {
	m := newMemory(testNow)
	for i, p := range library {
		at := testNow.Add(-time.Duration(len(library)-i) * 11 * time.Minute)
		h := concord.Hit{URL: p.url, Title: p.title, Language: p.lang, FileType: p.kind, Fetched: at, Published: p.published}
		c := Content{Mime: "text/html", Charset: "utf-8", Body: []byte(articleOf(p.title, p.lang, p.body))}
		switch p.kind {
		case "pdf":
			c.Mime, c.Body = "application/pdf", []byte("%PDF-1.7\n"+p.body)
		case "text":
			c.Mime, c.Body = "text/plain", []byte(p.body)
		}
		if i == 1 { // an older capture with another text
			old := h
			old.Fetched = at.AddDate(0, 0, -9)
			m.add(old, "First steps, an earlier version.", Content{Mime: "text/html", Charset: "utf-8"})
		}
		m.add(h, p.body, c)
		m.seal(at.Add(4 * time.Second))
	}
	m.add(concord.Hit{URL: "https://evil.example/", Title: `<script>alert("title")</script>`, FileType: "html", Fetched: testNow.Add(-9 * time.Minute)},
		`bait <img src=x onerror=alert(1)> "quoted" & more`, Content{Mime: "text/html", Charset: "utf-8", Body: []byte(hostilePage)})
	m.add(concord.Hit{URL: "https://docs.example.org/old", Title: "Moved", Fetched: testNow.Add(-8 * time.Minute)}, "moved",
		Content{Status: http.StatusMovedPermanently, Header: http.Header{"Location": {"https://docs.example.org/"}}})
	m.add(concord.Hit{URL: "https://news.example.net/paywalled", Title: "Members only", FileType: "html", NoArchive: true, Fetched: testNow.Add(-7 * time.Minute)},
		"noarchive please", Content{Mime: "text/html", NoArchive: true})
	m.seal(testNow.Add(-6 * time.Minute))
	m.add(concord.Hit{URL: "https://docs.example.org/just-now.html", Title: "Just now", FileType: "html", Fetched: testNow.Add(-2 * time.Second)},
		"fresh page without proof yet", Content{Mime: "text/html", Charset: "utf-8"})
	m.furnish()
	return m
}

// furnish adds crawls, hosts and events.
func (m *memory) furnish() {
	m.crawls = []concord.Crawl{
		{ID: "c-3", Spec: concord.CrawlSpec{Seeds: []string{"https://docs.example.org/", "https://handbuch.example.de/", "https://journal.example.net/", "https://shop.example.com/"}, Scope: concord.ScopeSite},
			Created: testNow.Add(-17 * time.Minute), Queued: 1_912, InFlight: 4, Fetched: 5_904, Indexed: 5_120, Skipped: 784, Failed: 12, Refused: 148, Bytes: 214_337_000},
		{ID: "c-2", Spec: concord.CrawlSpec{Seeds: []string{"https://notes.example.net/"}, Scope: concord.ScopePrefix}, Created: testNow.Add(-30 * time.Hour),
			Finished: testNow.Add(-29 * time.Hour), Fetched: 311, Indexed: 300, Skipped: 11, Bytes: 9_100_000},
	}
	m.hosts = []concord.HostStatus{
		{Host: "docs.example.org", Queued: 1_200, InFlight: "https://docs.example.org/reference/search/ranking.html", Reason: "ready", Delay: time.Second, Fetched: 3_410, Robots: "rules from 2026-11-22T10:00:00Z"},
		{Host: "journal.example.net", Queued: 640, Next: testNow.Add(1400 * time.Millisecond), Reason: "delay", Delay: 1500 * time.Millisecond, Fetched: 1_870, Failed: 2, Robots: "allowed by default (404)"},
		{Host: "slow.example.com", Queued: 72, Next: testNow.Add(48 * time.Second), Reason: "back-off after 503", Delay: 48 * time.Second, Backoff: 3, Fetched: 41, Failed: 10, LastError: "503 Service Unavailable", Robots: "rules from 2026-11-22T13:10:00Z"},
		{Host: "down.example.com", Reason: "robots.txt unreachable", Queued: 9, Next: testNow.Add(55 * time.Minute), Robots: "unreachable: dial tcp: i/o timeout"},
		{Host: "shop.example.com", Reason: "ready", Fetched: 583, Robots: "none"},
	}
	notes := []string{"indexed", "indexed", "duplicate of https://docs.example.org/first-steps.html", "refused by robots.txt line 3", "noindex", "redirect to https://docs.example.org/", "back-off: 503 Service Unavailable"}
	codes := []int{200, 200, 200, 0, 200, 301, 503}
	for i := range 24 {
		k := i % len(notes)
		e := concord.CrawlEvent{Time: testNow.Add(-time.Duration(i) * 700 * time.Millisecond), Crawl: "c-3", Status: codes[k], Note: notes[k],
			URL: fmt.Sprintf("https://docs.example.org/reference/%s/chapter-%d.html", strings.ToLower(strings.Fields(library[i%len(library)].title)[0]), 40-i)}
		if codes[k] == 200 {
			e.Bytes, e.Took = int64(9_000+i*731), time.Duration(40+i*3)*time.Millisecond
		}
		m.events = append(m.events, e)
	}
}

func articleOf(title, lang, body string) string {
	return `<!doctype html><html lang="` + lang + `"><head><meta charset="utf-8"><title>` + title + `</title><style>h1{color:#333}</style>
<script>document.title="changed"</script></head><body><nav><a href="/">Home</a> <a href="/first-steps.html">First steps</a></nav>
<main><h1>` + title + `</h1><p>` + body + `</p><h2>More</h2><ul><li>One request at a time</li><li>Every page is kept</li></ul>
<table><tr><th>Part</th><th>Bytes</th></tr><tr><td>entry</td><td>311</td></tr></table><pre>concord verify page.tlog-proof</pre>
<p><img src="/logo.png" alt="A drawing of two rings"> <a href="https://journal.example.net/2026/transparency-logs?issue=4&amp;page=12">Read on</a></p></main></body></html>`
}
