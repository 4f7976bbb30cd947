package loopweb

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Article returns a page of about n words of made-up prose, the same for the same name: text for hosts that have none of
// their own. The name occurs in the title, so that the page can be asked for.
func Article(name string, n int) string {
	return fmt.Sprintf("<!doctype html><html lang=en><head><title>%s</title></head><body><main><h1>%s</h1>%s</main></body></html>",
		name, name, Prose(name, n))
}

// Prose returns n made-up words in paragraphs.
func Prose(seed string, n int) string {
	var h uint64 = 14695981039346656037
	for _, c := range []byte(seed) {
		h = (h ^ uint64(c)) * 1099511628211
	}
	rng := rand.New(rand.NewPCG(h, 1))
	var b strings.Builder
	b.WriteString("<p>")
	for i := range n {
		if i > 0 && i%60 == 0 {
			b.WriteString(".</p>\n<p>")
		}
		b.WriteString(word(rng))
		b.WriteByte(' ')
	}
	b.WriteString(".</p>")
	return b.String()
}

func word(rng *rand.Rand) string {
	syllables := []string{"ba", "co", "di", "fu", "ge", "hi", "jo", "ka", "lu", "me", "no", "pa", "qui", "ro", "se", "ti", "vu", "wa", "xe", "zo"}
	var b strings.Builder
	for range 2 + rng.IntN(3) {
		b.WriteString(syllables[rng.IntN(len(syllables))])
	}
	return b.String()
}

// Cloaked is a host that shows its one page to everybody alike, but for those whose user agent holds a word.
func Cloaked(agent string) *Host {
	return &Host{Name: "cloaked", Start: "/page", Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := "What everybody sees"
		if strings.Contains(r.UserAgent(), agent) {
			name = "What one of you sees"
		}
		if r.URL.Path != "/page" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, Article(name, 120))
	})}
}

func links(hrefs ...string) string {
	var b strings.Builder
	for _, h := range hrefs {
		fmt.Fprintf(&b, "<p><a href=%q>to %s</a></p>", h, h)
	}
	return b.String()
}

// page answers with an article and links.
func page(title string, hrefs ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, strings.Replace(Article(title, 150), "</main>", links(hrefs...)+"</main>", 1))
	}
}

// Odd returns one host of every kind of trouble.
func Odd() []*Host {
	return []*Host{
		forbidding(), robotsBroken(), redirecting(), flaky(), trap(), hostile(), duplicates(), shy(), charsets(), sitemapOnly(),
		Slow(Generated("slow", 12), 150*time.Millisecond),
	}
}

// Generated is a host of n plain pages, each linking to some others.
func Generated(name string, n int) *Host {
	mux := http.NewServeMux()
	h := &Host{Name: name, Handler: mux, Start: "/"}
	title := func(i int) string { return fmt.Sprintf("%s page %d", name, i) }
	path := func(i int) string {
		if i == 0 {
			return "/"
		}
		return "/p/" + strconv.Itoa(i)
	}
	for i := range n {
		// Two children make a tree that reaches every page; one link across makes it a web.
		var to []string
		for _, j := range []int{2*i + 1, 2*i + 2, (i * 7) % n} {
			if j < n {
				to = append(to, path(j))
			}
		}
		pattern := path(i)
		if i == 0 {
			pattern = "/{$}"
		}
		mux.HandleFunc("GET "+pattern, page(title(i), to...))
		h.Index = append(h.Index, path(i))
	}
	return h
}

func forbidding() *Host {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /robots.txt", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "# rules\nUser-agent: concord\nDisallow: /private/\nAllow: /private/open$\nDisallow: /*.cgi$\n\nUser-agent: *\nDisallow: /\n")
	})
	mux.HandleFunc("GET /{$}", page("forbidding start", "/private/secret", "/private/open", "/run.cgi", "/plain"))
	mux.HandleFunc("GET /private/open", page("forbidding open door"))
	mux.HandleFunc("GET /plain", page("forbidding plain"))
	return &Host{Name: "forbidding", Handler: mux, Start: "/", Index: []string{"/", "/private/open", "/plain"},
		Forbidden: []string{"/private/secret", "/run.cgi"}}
}

func robotsBroken() *Host {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /robots.txt", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	mux.HandleFunc("GET /{$}", page("nobody may come in"))
	return &Host{Name: "robots-broken", Handler: mux, Start: "/", Index: []string{}, Forbidden: []string{"/"}}
}

func redirecting() *Host {
	mux := http.NewServeMux()
	to := func(target string, code int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, target, code) }
	}
	mux.HandleFunc("GET /{$}", page("redirecting start", "/one", "/loop", "/away", "/file", "/endless/0"))
	mux.HandleFunc("GET /one", to("/two", http.StatusMovedPermanently))
	mux.HandleFunc("GET /two", to("/end?utm_source=x#part", http.StatusFound))
	mux.HandleFunc("GET /end", page("redirecting end of the chain"))
	mux.HandleFunc("GET /loop", to("/loop", http.StatusFound))
	mux.HandleFunc("GET /away", to("http://169.254.169.254/latest/meta-data/", http.StatusFound))
	mux.HandleFunc("GET /file", to("file:///etc/passwd", http.StatusFound))
	mux.HandleFunc("GET /endless/{n}", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.PathValue("n"))
		http.Redirect(w, r, "/endless/"+strconv.Itoa(n+1), http.StatusFound)
	})
	return &Host{Name: "redirecting", Handler: mux, Start: "/", Index: []string{"/", "/end"},
		NoIndex: []string{"/one", "/two", "/loop", "/away", "/file"}, Forbidden: []string{"/endless/40", "/end?utm_source=x"}}
}

// flaky answers every path with 503 and Retry-After first, and well from the second time on; /gone never comes back.
func flaky() *Host {
	mux := http.NewServeMux()
	var mu sync.Mutex
	tried := map[string]bool{}
	once := func(code int, then http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			first := !tried[r.URL.Path]
			tried[r.URL.Path] = true
			mu.Unlock()
			if first {
				w.Header().Set("Retry-After", "1")
				w.WriteHeader(code)
				return
			}
			then(w, r)
		}
	}
	mux.HandleFunc("GET /{$}", page("flaky start", "/busy", "/many", "/gone", "/reset"))
	mux.HandleFunc("GET /busy", once(http.StatusServiceUnavailable, page("flaky busy page")))
	mux.HandleFunc("GET /many", once(http.StatusTooManyRequests, page("flaky page of too many requests")))
	mux.HandleFunc("GET /gone", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) })
	mux.HandleFunc("GET /reset", func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) })
	return &Host{Name: "flaky", Handler: mux, Start: "/", Index: []string{"/", "/busy", "/many"}}
}

func trap() *Host {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", page("trap start", "/calendar?year=2026&month=1", "/loop/a/", "/good"))
	mux.HandleFunc("GET /good", page("trap good page"))
	mux.HandleFunc("GET /calendar", func(w http.ResponseWriter, r *http.Request) {
		y, _ := strconv.Atoi(r.FormValue("year"))
		m, _ := strconv.Atoi(r.FormValue("month"))
		page(fmt.Sprintf("calendar %d %d", y, m), fmt.Sprintf("/calendar?year=%d&month=%d", y+m/12, m%12+1),
			fmt.Sprintf("/calendar?year=%d&month=%d", y+1, m))(w, r)
	})
	mux.HandleFunc("GET /loop/{rest...}", func(w http.ResponseWriter, r *http.Request) {
		page("loop "+strconv.Itoa(len(r.URL.Path)), r.URL.Path+"a/b/", "../"+"a/")(w, r)
	})
	return &Host{Name: "trap", Handler: mux, Start: "/", Index: []string{"/", "/good"}}
}

func hostile() *Host {
	mux := http.NewServeMux()
	paths := []string{"/bomb", "/headers", "/endless", "/chunks", "/lie", "/deep", "/nul", "/drip", "/empty", "/script", "/image"}
	mux.HandleFunc("GET /{$}", page("hostile start", paths...))
	mux.HandleFunc("GET /bomb", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb())
	})
	mux.HandleFunc("GET /headers", func(w http.ResponseWriter, r *http.Request) {
		raw(w, func(c io.Writer) {
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\n")
			for i := range 100_000 {
				if _, err := fmt.Fprintf(c, "X-%d: %s\r\n", i, strings.Repeat("a", 100)); err != nil {
					return
				}
			}
		})
	})
	mux.HandleFunc("GET /endless", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		block := []byte(strings.Repeat("<p>never ending ", 4096))
		for range 2000 {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("GET /chunks", func(w http.ResponseWriter, r *http.Request) {
		raw(w, func(c io.Writer) {
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nnot a chunk\r\n")
		})
	})
	mux.HandleFunc("GET /lie", func(w http.ResponseWriter, r *http.Request) {
		raw(w, func(c io.Writer) {
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 100000\r\n\r\n<title>short</title>")
		})
	})
	mux.HandleFunc("GET /deep", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, strings.Repeat("<div><b>", 100_000), "deep")
	})
	mux.HandleFunc("GET /nul", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(bytes.Repeat([]byte("a\x00\xff\xfe<p>\x1b[31m"), 1000))
	})
	mux.HandleFunc("GET /drip", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000000")
		for range 30 {
			_, _ = w.Write([]byte("x"))
			_ = http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("GET /empty", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.HandleFunc("GET /script", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, `<title>"><script>alert(1)</script></title><body onload="alert(2)"><main>`, Prose("script", 120),
			`<p>hostile script page <img src=x onerror=alert(3)> <a href="javascript:alert(4)">click</a><script>alert(5)</script></main>`)
	})
	mux.HandleFunc("GET /image", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "image/png")
		_, _ = w.Write([]byte("\x89PNG\r\n\x1a\nnot really"))
	})
	return &Host{Name: "hostile", Handler: mux, Start: "/", Index: []string{"/", "/script"}, NoIndex: []string{"/image", "/empty"}}
}

// raw takes over the connection and writes what no well-behaved server would.
func raw(w http.ResponseWriter, write func(io.Writer)) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	write(c)
}

// bomb is 1 GiB of spaces in about 1 MB of gzip.
var bomb = sync.OnceValue(func() []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	block := bytes.Repeat([]byte(" "), 1<<20)
	for range 1024 {
		_, _ = z.Write(block)
	}
	_ = z.Close()
	return b.Bytes()
})

func duplicates() *Host {
	mux := http.NewServeMux()
	same := Article("duplicate original text", 1500)
	serve := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, s)
		}
	}
	mux.HandleFunc("GET /{$}", page("duplicates start", "/original", "/copy", "/near", "/another", "/print"))
	mux.HandleFunc("GET /original", serve(same))
	mux.HandleFunc("GET /copy", serve(same))
	mux.HandleFunc("GET /another", serve(same))
	mux.HandleFunc("GET /near", serve(strings.Replace(same, "<p>", "<p>Edited ", 1)))
	mux.HandleFunc("GET /print", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, strings.Replace(Article("printable version of it all", 200), "</title>", `</title><link rel=canonical href="/whole">`, 1))
	})
	mux.HandleFunc("GET /whole", serve(Article("printable version of it all", 200)))
	return &Host{Name: "duplicates", Handler: mux, Start: "/", Index: []string{"/", "/whole"}, NoIndex: []string{"/print"},
		OneOf: []string{"/original", "/copy", "/near", "/another"}}
}

func shy() *Host {
	mux := http.NewServeMux()
	with := func(h http.HandlerFunc, key, value string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { w.Header().Set(key, value); h(w, r) }
	}
	mux.HandleFunc("GET /{$}", page("shy start", "/noindex", "/header", "/others", "/nofollow"))
	mux.HandleFunc("GET /noindex", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, strings.Replace(Article("shy by meta", 150), "<title>", `<meta name=robots content="noindex"><title>`, 1))
	})
	mux.HandleFunc("GET /header", with(page("shy by header"), "X-Robots-Tag", "noindex, noarchive"))
	mux.HandleFunc("GET /others", with(page("shy towards others"), "X-Robots-Tag", "otherbot: noindex"))
	mux.HandleFunc("GET /nofollow", with(page("shy links", "/unseen"), "X-Robots-Tag", "nofollow"))
	mux.HandleFunc("GET /unseen", page("nobody leads here"))
	return &Host{Name: "shy", Handler: mux, Start: "/", Index: []string{"/", "/others", "/nofollow"},
		NoIndex: []string{"/noindex", "/header"}, Forbidden: []string{"/unseen"}}
}

func charsets() *Host {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", page("charsets start", "/latin1", "/utf16", "/meta", "/plain.txt", "/paper.pdf"))
	latin := "<title>Caf\xe9 gr\xfcn</title><main>" + Prose("latin", 120) + "<p>Stra\xdfe und \xc4pfel</p></main>"
	mux.HandleFunc("GET /latin1", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=iso-8859-1")
		_, _ = io.WriteString(w, latin)
	})
	mux.HandleFunc("GET /meta", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<meta charset=windows-1252>"+strings.Replace(latin, "gr\xfcn", "r\xf4ti", 1)+"<p>"+Prose("meta", 80))
	})
	mux.HandleFunc("GET /utf16", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		b := []byte{0xff, 0xfe}
		for _, r := range "<title>sechzehn wide letters</title><main>" + Prose("wide", 120) + "</main>" {
			b = append(b, byte(r), byte(r>>8))
		}
		_, _ = w.Write(b)
	})
	mux.HandleFunc("GET /plain.txt", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, "A plain file of text\n\nwith a zylophone in it, and some more words so that it is worth reading.\n")
	})
	mux.HandleFunc("GET /paper.pdf", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/pdf")
		_, _ = w.Write(PDF("A paper on quibblewort", "The quibblewort is a plant that grows in tests.", "It has leaves, a stem and one page of text."))
	})
	return &Host{Name: "charsets", Handler: mux, Start: "/", Index: []string{"/", "/latin1", "/meta", "/utf16", "/plain.txt", "/paper.pdf"}}
}

// sitemapOnly has pages that no link leads to.
func sitemapOnly() *Host {
	mux := http.NewServeMux()
	h := &Host{Name: "sitemap-only", Handler: mux, Start: "/", Index: []string{"/", "/hidden/1", "/hidden/2"}, Forbidden: []string{"/hidden/forbidden"}}
	mux.HandleFunc("GET /robots.txt", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "User-agent: *\nDisallow: /hidden/forbidden\nSitemap: %s\n", h.URL("/map.xml.gz"))
	})
	mux.HandleFunc("GET /map.xml.gz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/gzip")
		_, _ = w.Write(zipped("<urlset xmlns='http://www.sitemaps.org/schemas/sitemap/0.9'><url><loc>" + h.URL("/hidden/1") + "</loc></url><url><loc> " +
			h.URL("/hidden/2") + " </loc><lastmod>2026-01-01</lastmod></url><url><loc>" + h.URL("/hidden/forbidden") +
			"</loc></url><url><loc>http://elsewhere.example/</loc></url></urlset>"))
	})
	mux.HandleFunc("GET /{$}", page("sitemap start"))
	mux.HandleFunc("GET /hidden/{n}", func(w http.ResponseWriter, r *http.Request) { page("hidden page "+r.PathValue("n"))(w, r) })
	return h
}
