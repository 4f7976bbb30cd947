package weburl

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	whatwg "github.com/nlnwa/whatwg-url/url"

	"concord"
)

func mustParse(t testing.TB, s string) URL {
	t.Helper()
	u, err := Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestNormalForm(t *testing.T) {
	session := strings.Repeat("0123456789abcdef", 2)
	for in, want := range map[string]string{
		"http://Example.ORG":                                  "http://example.org/",
		" \thttps://example.org:443/a\n/b#frag ":              "https://example.org/a/b",
		"http://example.org:443/":                             "http://example.org:443/",
		"https://example.org./x":                              "https://example.org/x",
		"http://bücher.example/straße?q=ß":                    "http://xn--bcher-kva.example/stra%C3%9Fe?q=%C3%9F",
		"http://XN--BCHER-KVA.example/":                       "http://xn--bcher-kva.example/",
		"http://0x7f.1/":                                      "http://127.0.0.1/",
		"http://[2001:DB8:0::1]:8080/":                        "http://[2001:db8::1]:8080/",
		"http://a_b.example/~me/%7Eyou/%c3%a9/%2f":            "http://a_b.example/~me/~you/%C3%A9/%2F",
		"http://a.example/a/./b/../../c/%2e%2E/d":             "http://a.example/d",
		"http://a.example//x///y":                             "http://a.example//x///y",
		"http://a.example/100%":                               "http://a.example/100%25",
		"http://a.example/%%34%31":                            "http://a.example/%2541",
		"http://a.example/a b?c d='e'":                        "http://a.example/a%20b?c%20d=%27e%27",
		"http://a.example/\xff?\xff":                          "http://a.example/%EF%BF%BD?%EF%BF%BD",
		"http://a.example/?":                                  "http://a.example/",
		"http://a.example/?utm_source=x&a=1&UTM_Medium=y&b=2": "http://a.example/?a=1&b=2",
		"http://a.example/?fbclid=1&gclid=2":                  "http://a.example/",
		"http://a.example/?u%74m_source=1&x":                  "http://a.example/?x",
		"http://a.example/?utm=1&utmx=2&mygclid=3":            "http://a.example/?utm=1&utmx=2&mygclid=3",
		"http://a.example/?a=1&&b=&=c&":                       "http://a.example/?a=1&&b=&=c&",
		"http://a.example/?b=2&a=1":                           "http://a.example/?b=2&a=1",
		"http://a.example/v;jsessionid=" + session + "/x":     "http://a.example/v/x",
		"http://a.example/v;JSESSIONID=" + session + ";v=2":   "http://a.example/v;v=2",
		"http://a.example/a/..;jsessionid=" + session + "/b":  "http://a.example/b",
		"http://a.example/v;jsessionid=short":                 "http://a.example/v;jsessionid=short",
		"http://a.example/?PHPSESSID=" + session + "&p=1":     "http://a.example/?p=1",
		"http://a.example/?ASPSESSIONIDAB=" + session:         "http://a.example/",
		"http://a.example/?sid=" + session:                    "http://a.example/",
		"http://a.example/?sid=42&s=blue":                     "http://a.example/?sid=42&s=blue",
	} {
		if got, err := Parse(in); err != nil || got.String() != want {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, in := range []string{
		"", "example.org", "/path", "ftp://example.org/", "mailto:a@b.example", "javascript:alert(1)", "http://", "http:///",
		"http://me@example.org/", "http://me:secret@example.org/", "http://a..b/", "http://.example/", "http://a.example../",
		"http://a.example:65536/", "http://a.example:8a/", "http://[::1", "http://[fe80::1%25eth0]/", "http://1.2.3.256/",
		"http://a,b.example/", "http://a.-5/", "http://1.2.3.-4/", "http://" + strings.Repeat("a", 64) + ".example/",
		"http://a.example/" + strings.Repeat("x", MaxURLBytes), "http://a.example/#" + strings.Repeat("x", maxRawBytes),
	} {
		u, err := Parse(in)
		if concord.KindOf(err) != concord.Invalid || !u.IsZero() {
			t.Errorf("%.60q: %q, %v", in, u, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error repeats a password: %v", err)
		}
	}
	longest := "http://a.example/" + strings.Repeat("x", MaxURLBytes-len("http://a.example/"))
	if got, err := Parse(longest + "#" + longest); err != nil || got.String() != longest {
		t.Errorf("a URL of %d bytes: %v", len(longest), err)
	}
}

func TestResolve(t *testing.T) {
	base := mustParse(t, "https://example.org:8443/a/b/c?q=1")
	for ref, want := range map[string]string{
		"":                    "https://example.org:8443/a/b/c?q=1",
		"#x":                  "https://example.org:8443/a/b/c?q=1",
		"?":                   "https://example.org:8443/a/b/c",
		"?r=2":                "https://example.org:8443/a/b/c?r=2",
		"d":                   "https://example.org:8443/a/b/d",
		"../d?e":              "https://example.org:8443/a/d?e",
		"..":                  "https://example.org:8443/a/",
		"../../../../d":       "https://example.org:8443/d",
		"/d":                  "https://example.org:8443/d",
		`\d`:                  "https://example.org:8443/d",
		"//other.example/d":   "https://other.example/d",
		"https:d":             "https://example.org:8443/a/b/d",
		"http:d":              "http://d/",
		"http://other.test":   "http://other.test/",
		"d;x=1/./e":           "https://example.org:8443/a/b/d;x=1/e",
		"d:e":                 "",
		"mailto:x@y.example":  "",
		"./d:e":               "https://example.org:8443/a/b/d:e",
		"tel:+1":              "",
		"  data:text/plain,x": "",
	} {
		got, err := base.Resolve(ref)
		if got.String() != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", ref, got, err, want)
		}
	}
}

func TestAccessors(t *testing.T) {
	for _, c := range []struct{ url, scheme, host, hostPort, port, origin, path, query, site, dir, surt string }{
		{"https://www.example.co.uk:8443/A/b?Q=1", "https", "www.example.co.uk", "www.example.co.uk:8443", "8443",
			"https://www.example.co.uk:8443", "/A/b", "Q=1", "example.co.uk", "https://www.example.co.uk:8443/A/",
			"uk,co,example,www:8443)/a/b?q=1"},
		{"http://alice.github.io/", "http", "alice.github.io", "alice.github.io", "80", "http://alice.github.io", "/", "",
			"alice.github.io", "http://alice.github.io/", "io,github,alice)/"},
		{"http://github.io/x", "http", "github.io", "github.io", "80", "http://github.io", "/x", "", "github.io",
			"http://github.io/", "io,github)/x"},
		{"https://192.0.2.7/x?", "https", "192.0.2.7", "192.0.2.7", "443", "https://192.0.2.7", "/x", "", "192.0.2.7",
			"https://192.0.2.7/", "192.0.2.7)/x"},
		{"http://[2001:db8::1]:8080/", "http", "2001:db8::1", "[2001:db8::1]:8080", "8080", "http://[2001:db8::1]:8080", "/",
			"", "2001:db8::1", "http://[2001:db8::1]:8080/", "[2001:db8::1]:8080)/"},
		{"http://localhost:7667/manual/", "http", "localhost", "localhost:7667", "7667", "http://localhost:7667", "/manual/",
			"", "localhost", "http://localhost:7667/manual/", "localhost:7667)/manual/"},
		{"http://wiki.corp.internal/", "http", "wiki.corp.internal", "wiki.corp.internal", "80", "http://wiki.corp.internal",
			"/", "", "corp.internal", "http://wiki.corp.internal/", "internal,corp,wiki)/"},
	} {
		u := mustParse(t, c.url)
		got := []string{u.Scheme(), u.Host(), u.HostPort(), u.Port(), u.Origin(), u.Path(), u.Query(), u.Site(), u.Dir().String(), SURT(u)}
		want := []string{c.scheme, c.host, c.hostPort, c.port, c.origin, c.path, c.query, c.site, c.dir, c.surt}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%s: value %d is %q, want %q", c.url, i, got[i], want[i])
			}
		}
		if u.Dir() != mustParse(t, u.Dir().String()) || u.Root() != mustParse(t, u.Origin()) {
			t.Errorf("%s: Dir %q or Root %q is not in normal form", c.url, u.Dir(), u.Root())
		}
		if _, ip := u.Addr(); ip != (c.host[0] <= '9') {
			t.Errorf("%s: Addr says %v", c.url, ip)
		}
		var back URL
		if b, err := json.Marshal(u); err != nil || json.Unmarshal(b, &back) != nil || back != u {
			t.Errorf("%s: JSON gives %q, %v", c.url, back, err)
		}
	}
	var zero URL
	if !zero.IsZero() || zero.Scheme()+zero.Host()+zero.HostPort()+zero.Port()+zero.Origin()+zero.Path()+zero.Query()+zero.Site()+SURT(zero)+Trap(zero) != "" || zero.Dir() != zero || zero.Root() != zero {
		t.Error("the zero URL has parts")
	}
}

func TestFileType(t *testing.T) {
	for in, want := range map[string]string{
		"/": "", "/a": "", "/a.pdf": "pdf", "/A.PDF?x=1": "pdf", "/a.html": "html", "/a.tar.gz": "other", "/v1.2": "", "/a.b/c": "",
	} {
		if got := FileType(mustParse(t, "http://a.example"+in)); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

// FuzzParse holds the invariants of the normal form, and Parse to a general implementation of the standard.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"http://example.org/", "../a?b#c", "//x/%2e/%2E%2e/..", `http:\\a\b`, "?utm_x=1&&y", "http://[::1]:80/",
		"http://a.example/;jsessionid=0123456789abcdef0123;x/.", "http://ü.example:0080/%zz%", "\x00http://256/\t", "HTTPS:x", "http://1.2.3.4.:1/^{}|'\"`"} {
		f.Add(s)
	}
	base := mustParse(f, "http://example.org/foo/bar?x")
	f.Fuzz(func(t *testing.T, s string) {
		u, err := base.Resolve(s)
		checkAgainstGeneral(t, s, base, u, err)
		if err != nil {
			if concord.KindOf(err) != concord.Invalid || !u.IsZero() {
				t.Fatalf("%q: %q, %v", s, u, err)
			}
			return
		}
		again, err := Parse(u.String())
		if err != nil || again != u {
			t.Fatalf("%q: normal form %q parses to %q, %v", s, u, again, err)
		}
		if len(u.String()) > MaxURLBytes || strings.ContainsFunc(u.String(), func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '#' }) {
			t.Fatalf("%q: normal form %q", s, u)
		}
		if u.Origin()+u.RequestURI() != u.String() || !strings.HasPrefix(u.Path(), "/") || u.Site() == "" || !strings.HasSuffix(u.Host(), u.Site()) {
			t.Fatalf("%q: parts of %q", s, u)
		}
		Trap(u)
		SURT(u)
		FileType(u)
	})
}

// checkAgainstGeneral compares with the general parser: what it takes for a web page without user name must be the same
// page here, unless its host is no DNS name or it is too long, and what it refuses must be refused.
func checkAgainstGeneral(t *testing.T, s string, base, u URL, err error) {
	general, generalErr := whatwg.ParseRef(base.String(), s)
	if generalErr != nil || !strings.HasPrefix(general.Protocol(), "http") {
		if err == nil {
			t.Fatalf("%q: %q, but the general parser says %v", s, u, generalErr)
		}
		return
	}
	want, wantErr := Parse(general.Href(true))
	switch {
	case len(s) > MaxURLBytes/9: // bounds are reached at different lengths
	case !utf8.ValidString(s): // it joins bytes that were apart
	case general.IsIPv4() && strings.ContainsAny(strings.ToLower(s), "+-＋－﹢﹣⁺₊%"): // it takes signed numbers
	case (err == nil) != (wantErr == nil) || u != want:
		t.Fatalf("%q: %q, %v; the general parser says %q, which is %q, %v", s, u, err, general.Href(true), want, wantErr)
	case err != nil && general.Username() == "" && general.Password() == "" && checkName(general.Hostname()) == nil:
		t.Fatalf("%q: refused (%v), but the general parser says %q", s, err, general.Href(true))
	}
}

var benchURLs = []string{
	"https://docs.example.org/3/library/asyncio-task.html#coroutines",
	"https://en.example.org/wiki/Concordance_(publishing)?utm_source=feed&utm_medium=rss&oldid=12345",
	"https://www.example.com/products/search?q=left+handed+scissors&page=2&sort=price",
	"http://Example.NET:80/a/b/../c/index.html",
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := Parse(benchURLs[i%len(benchURLs)]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseGeneral(b *testing.B) { // the general implementation alone, for comparison
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := whatwg.Parse(benchURLs[i%len(benchURLs)]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkResolve(b *testing.B) {
	base := mustParse(b, "https://docs.example.org/3/library/asyncio-task.html")
	refs := []string{"asyncio-sync.html#locks", "../reference/index.html", "/3/search.html?q=x", "#top", "https://other.example/"}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := base.Resolve(refs[i%len(refs)]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseInternational(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse("https://bücher.example/straße"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSite(b *testing.B) {
	u := mustParse(b, "https://www.docs.example.co.uk/")
	b.ReportAllocs()
	for b.Loop() {
		u.Site()
	}
}
