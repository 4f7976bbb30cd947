package weburl

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestRobots(t *testing.T) {
	const two = "User-agent: *\nDisallow: /x\n\nUser-agent: Concord\nAllow: /x\n"
	for _, c := range []struct {
		name, file, uri string
		line            int // deciding line; negative: it disallows
	}{
		{"empty file", "", "/a", 0},
		{"no group for us", "User-agent: other\nDisallow: /\n", "/a", 0},
		{"star", "User-agent: *\nDisallow: /a\n", "/a/b", -2},
		{"star, other path", "User-agent: *\nDisallow: /a\n", "/b", 0},
		{"own group only", two, "/x", 5},
		{"own group without rules", "User-agent: *\nDisallow: /\n\nUser-agent: concord\n", "/x", 0},
		{"token without case, version ignored", "user-AGENT: CONCORD/2.0 (x)\nDISALLOW: /x\n", "/x", -2},
		{"token is not a prefix", "User-agent: concordance\nDisallow: /\n", "/x", 0},
		{"groups of one token merge", "User-agent: concord\nDisallow: /x\n\nUser-agent: b\nDisallow: /\n\nUser-agent: concord\nAllow: /x/y\n", "/x/y", 8},
		{"allow wins a tie across groups", "User-agent: concord\nDisallow: /x\nUser-agent: concord\nAllow: /x\n", "/x", 4},
		{"allow wins a tie across groups, first", "User-agent: concord\nAllow: /x\nUser-agent: concord\nDisallow: /x\n", "/x", 2},
		{"longest wins across groups", "User-agent: concord\nAllow: /x\nUser-agent: concord\nDisallow: /x/y\n", "/x/y", -4},
		{"two agents, one group", "User-agent: a\nUser-agent: concord\nDisallow: /x\n", "/x", -3},
		{"blank line does not end agents", "User-agent: concord\n\nUser-agent: b\nDisallow: /x\n", "/x", -4},
		{"crawl-delay does not end agents", "User-agent: concord\nCrawl-delay: 9\nUser-agent: b\nDisallow: /x\n", "/x", -4},
		{"sitemap does not end a group", "User-agent: *\nDisallow: /a\nSitemap: http://x/\nDisallow: /x\n", "/x", -4},
		{"rules before any agent", "Disallow: /\nUser-agent: *\nDisallow: /a\n", "/x", 0},
		{"longest wins", "User-agent: *\nDisallow: /a/b\nAllow: /a\nAllow: /a/b/c\n", "/a/b/c/d", 4},
		{"longest wins, disallow", "User-agent: *\nAllow: /a\nDisallow: /a/b\n", "/a/b", -3},
		{"allow wins a tie", "User-agent: *\nDisallow: /page\nAllow: /page\n", "/page", 3},
		{"wildcard counts in length", "User-agent: *\nAllow: /x\nDisallow: /*.htm\n", "/x.htm", -3},
		{"stars are octets, a tie", "User-agent: *\nDisallow: /*.ph\nAllow: /page\n", "/page.php", 3},
		{"stars are octets, longer", "User-agent: *\nAllow: /page\nDisallow: /*.php\n", "/page.php", -3},
		{"star in the middle", "User-agent: *\nDisallow: /a/*/z\n", "/a/b/c/z9", -2},
		{"star matches nothing too", "User-agent: *\nDisallow: /a*/z\n", "/a/z", -2},
		{"anchor", "User-agent: *\nDisallow: /*.pdf$\n", "/x.pdf", -2},
		{"anchor misses", "User-agent: *\nDisallow: /*.pdf$\n", "/x.pdf?y", 0},
		{"anchored whole", "User-agent: *\nAllow: /$\nDisallow: /\n", "/", 2},
		{"anchored whole misses", "User-agent: *\nAllow: /$\nDisallow: /\n", "/x", -3},
		{"anchor takes the last place", "User-agent: *\nDisallow: /*ab$\n", "/ab/ab", -2},
		{"dollar inside is literal", "User-agent: *\nDisallow: /a$b\n", "/a$b", -2},
		{"escaped dollar", "User-agent: *\nDisallow: /a%24\n", "/a$b", -2},
		{"escaped star", "User-agent: *\nDisallow: /a%2Ab\n", "/a*b", -2},
		{"escaped star is no wildcard", "User-agent: *\nDisallow: /a%2Ab\n", "/axb", 0},
		{"empty disallow", "User-agent: *\nDisallow:\n", "/x", 0},
		{"star only", "User-agent: *\nDisallow: *\n", "/x", -2},
		{"pattern without slash", "User-agent: *\nDisallow: private/\n", "/private/x", -2},
		{"case matters in paths", "User-agent: *\nDisallow: /X\n", "/x", 0},
		{"triplet of an unreserved character", "User-agent: *\nDisallow: /foo/bar/%62%61%7A\n", "/foo/bar/baz", -2},
		{"UTF-8 in the rule", "User-agent: *\nDisallow: /foo/bar/ツ\n", "/foo/bar/%E3%83%84", -2},
		{"lower-case triplets", "User-agent: *\nDisallow: /%e3%83%84\n", "/ツ", -2},
		{"slash in a path is not %2F", "User-agent: *\nDisallow: /a/b\n", "/a%2Fb", 0},
		{"delimiters in a query, rule bare", "User-agent: *\nDisallow: /b?u=https://foo.bar\n", "/b?u=https%3A%2F%2Ffoo.bar", -2},
		{"delimiters in a query, rule escaped", "User-agent: *\nDisallow: /b?u=https%3A%2F%2Ffoo.bar\n", "/b?u=https://foo.bar/x", -2},
		{"star before delimiters", "User-agent: *\nDisallow: /*u=http:\n", "/b?u=http://x", -2},
		{"characters that path and query escape differently", "User-agent: *\nDisallow: /*{id}'\n", "/x?{id}'", -2},
		{"CR line ends", "User-agent: *\rDisallow: /x\r", "/x", -2},
		{"CRLF line ends count once", "User-agent: *\r\n\r\nDisallow: /x\r\n", "/x", -3},
		{"byte order mark", "\uFEFFUser-agent: *\nDisallow: /x", "/x", -2},
		{"comments", "# hi\nUser-agent: * # all\nDisallow: /x # this\n", "/x/y", -3},
		{"missing colon", "User-agent *\nDisallow /x\n", "/x", -2},
		{"missing colon, three words", "User-agent: *\nDisallow /x y\n", "/x", 0},
		{"spaces", "  User-agent :  *  \n\tDisallow :\t/x\t\n", "/x", -2},
		{"typos", "Useragent: *\nDisalow: /x\n", "/x", -2},
		{"unknown lines and garbage", "User-agent: *\nNoindex: /\n\x00\xff\xfe\nHost: x\nDisallow: /x\n", "/x", -5},
		{"robots.txt itself", "User-agent: *\nDisallow: /\n", "/robots.txt", 0},
	} {
		v := ParseRobots([]byte(c.file)).Check("Concord", mustParse(t, "http://a.example"+c.uri))
		want := Verdict{Allowed: c.line >= 0, Line: max(c.line, -c.line)}
		if v.Allowed != want.Allowed || v.Line != want.Line {
			t.Errorf("%s: %+v, want %+v", c.name, v, want)
		}
		if v.Line > 0 && !strings.Contains(c.file, v.Rule) || v.Line > 0 && v.Rule == "" {
			t.Errorf("%s: rule %q is not in the file", c.name, v.Rule)
		}
	}
}

func TestRobotsLimit(t *testing.T) {
	u := mustParse(t, "http://a.example/private/x")
	file := func(padding int, rule string) []byte {
		return []byte("User-agent: *\n#" + strings.Repeat("x", padding-1) + "\n" + rule)
	}
	const head, rule = len("User-agent: *\n") + 1, "Disallow: /private/\n"
	for padding, allowed := range map[int]bool{100: false, MaxRobotsBytes - head - len(rule): false,
		MaxRobotsBytes - head - len(rule) + 2: true, MaxRobotsBytes: true} {
		if v := ParseRobots(file(padding, rule)).Check("Concord", u); v.Allowed != allowed {
			t.Errorf("rule after %d bytes: %+v", padding, v)
		}
	}
	// Cut after "Disallow: /p": half a line would forbid too much.
	if v := ParseRobots(file(MaxRobotsBytes-head-12, rule)).Check("Concord", mustParse(t, "http://a.example/public")); !v.Allowed {
		t.Errorf("half a line counts: %+v", v)
	}
}

func TestRobotsDelaysAndSitemaps(t *testing.T) {
	r := ParseRobots([]byte("Sitemap: https://a.example/1.xml\nUser-agent: *\nCrawl-delay: 2.5\nDisallow: /x\nsite-map:/2.xml\n" +
		"User-agent: slow\nCrawl-delay: 1e99\nDisallow:\nUser-agent: odd\nCrawl-delay: -1\nCrawl-delay: NaN\nDisallow:\n" +
		"User-agent: twice\nCrawl-delay: 3\nCrawl-delay: 7\nSitemap: /2.xml\n"))
	for product, want := range map[string]time.Duration{"Concord": 2500 * time.Millisecond, "slow": maxCrawlDelay, "odd": -1, "twice/1.0": 7 * time.Second} {
		got, ok := r.CrawlDelay(product)
		if ok != (want >= 0) || ok && got != want {
			t.Errorf("%s: %v, %v; want %v", product, got, ok, want)
		}
	}
	if got := fmt.Sprint(r.Sitemaps()); got != "[https://a.example/1.xml /2.xml]" {
		t.Errorf("sitemaps %s", got)
	}
	if _, ok := ParseRobots(nil).CrawlDelay("Concord"); ok {
		t.Error("a delay out of nothing")
	}
}

func TestRobotsForStatus(t *testing.T) {
	u := mustParse(t, "http://a.example/x")
	for status, want := range map[int]RobotsState{200: RobotsRules, 204: RobotsRules, 301: RobotsNone, 401: RobotsNone, 403: RobotsNone,
		404: RobotsNone, 410: RobotsNone, 429: RobotsUnreachable, 500: RobotsUnreachable, 503: RobotsUnreachable, 0: RobotsUnreachable, 999: RobotsUnreachable} {
		r, state := RobotsForStatus(status, []byte("User-agent: *\nDisallow: /x"))
		v := r.Check("Concord", u)
		if state != want || v.Allowed != (want == RobotsNone) || !v.Allowed && v.Rule == "" {
			t.Errorf("%d: %s, %+v", status, state, v)
		}
		if want == RobotsUnreachable && !r.Check("Concord", mustParse(t, "http://a.example/robots.txt")).Allowed {
			t.Errorf("%d: robots.txt itself is refused", status)
		}
	}
}

// TestRobotsHostile bounds the time of files made to be slow.
func TestRobotsHostile(t *testing.T) {
	u := mustParse(t, "http://a.example/"+strings.Repeat("a", 2000))
	for name, file := range map[string]string{
		"stars":      "User-agent: *\nDisallow: /" + strings.Repeat("*a", 200_000) + "b$\n",
		"many stars": "User-agent: *\n" + strings.Repeat("Disallow: /*a*a*a*a*a*a*a*a*b\n", 16_000),
		"agents":     strings.Repeat("User-agent: concord\nDisallow: /b\n", 14_000),
		"one line":   strings.Repeat("x", MaxRobotsBytes),
		"sitemaps":   strings.Repeat("Sitemap: /a\n", 40_000),
	} {
		begin := time.Now()
		ParseRobots([]byte(file)).Check("Concord", u)
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("%s: %v", name, took)
		}
	}
}

// TestGlob compares with a direct recursive definition over all short patterns and texts.
func TestGlob(t *testing.T) {
	var slow func(p, s string) bool
	slow = func(p, s string) bool {
		switch {
		case p == "":
			return true
		case p == "$":
			return s == ""
		case p[0] == '*':
			return slow(p[1:], s) || s != "" && slow(p, s[1:])
		}
		return s != "" && s[0] == p[0] && slow(p[1:], s[1:])
	}
	words := func(alphabet string, n int) (out []string) {
		out = []string{""}
		for from := 0; n > 0; n-- {
			to := len(out)
			for _, w := range out[from:to] {
				for _, c := range alphabet {
					out = append(out, w+string(c))
				}
			}
			from = to
		}
		return out
	}
	texts := words("ab", 6)
	for _, p := range words("ab*", 5) {
		for _, p := range []string{p, p + "$"} {
			for _, s := range texts {
				if got, want := glob(p, s), slow(p, s); got != want {
					t.Fatalf("glob(%q, %q) = %v, want %v", p, s, got, want)
				}
			}
		}
	}
}

func FuzzRobots(f *testing.F) {
	f.Add([]byte("User-agent: *\nDisallow: /a*b$\nAllow: /?x=%2F\nCrawl-delay: 1\nSitemap: x"), "/a?b")
	f.Add([]byte("\xEF\xBB\xBFuser-agent:concord\rdisallow /\r\nallow:*"), "/%zz")
	f.Fuzz(func(t *testing.T, file []byte, uri string) {
		r := ParseRobots(file)
		u, err := Parse("http://a.example/" + uri)
		if err != nil {
			return
		}
		v := r.Check("Concord", u)
		if v.Line == 0 && !v.Allowed || v.Line > 0 && v.Rule == "" || v.Line > len(file)+1 {
			t.Fatalf("%+v", v)
		}
		if d, ok := r.CrawlDelay("Concord"); ok && (d < 0 || d > maxCrawlDelay) {
			t.Fatalf("delay %v", d)
		}
		for _, s := range []string{u.RequestURI(), string(file)} {
			if m := matchForm(s); matchForm(m) != m {
				t.Fatalf("%q: match form %q is no fixed point", s, m)
			}
		}
		if all := ParseRobots([]byte("User-agent: *\nDisallow: " + u.Path())); u.Path() != "/" && u.Path() != "/robots.txt" &&
			!strings.ContainsAny(u.Path(), "*$") && all.Check("Concord", u).Allowed {
			t.Fatalf("a rule with the page's own path does not match %s", u)
		}
	})
}

func BenchmarkRobotsCheck(b *testing.B) {
	var file strings.Builder
	file.WriteString("User-agent: *\n")
	for i := range 100 {
		fmt.Fprintf(&file, "Disallow: /section%d/*/private\n", i)
	}
	r := ParseRobots([]byte(file.String()))
	u := mustParse(b, "https://www.example.com/section57/products/search?q=left+handed+scissors")
	b.ReportAllocs()
	for b.Loop() {
		r.Check("Concord", u)
	}
}
