package web

import (
	"html"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"concord"
	"concord/query"
)

func TestExplainPage(t *testing.T) {
	c := newClient(t, newLibrary())
	results := c.get("/search?q=receipt", 200)
	holds(t, "results", results, ">why this result?</a>")
	link := html.UnescapeString(between(results, `<a href="/explain?`, `"`))
	body := c.get("/explain?"+link, 200)
	holds(t, "explained", body, "Why this result?", "It matches, with a score of ", "idf 4.1021: on 12 of 840 pages", "BM25F impact", `href="/why?url=`, `href="/search?q=receipt"`, `value="receipt"`)
	page := mustQuery(t, link).Get("url")
	at := "/explain?" + url.Values{"q": {"receipt zebra"}, "url": {page}}.Encode()
	holds(t, "does not match", c.get(at, 200), "It does not match, because of: zebra.", "not on the page in any of its forms")
	holds(t, "not in the index", c.get("/explain?q=receipt&url=https://nobody.example/", 404), "This page is not in the index.", "/why?url=https%3A%2F%2Fnobody.example%2F")
	holds(t, "no address", c.get("/explain?q=receipt&url=ftp://x/", 422), `role="alert"`, `aria-invalid="true"`)
	holds(t, "malformed", c.get("/explain?q="+url.QueryEscape(`"receipt`)+"&url="+url.QueryEscape(page), 422), "The query cannot be read")
	holds(t, "nothing asked", c.get("/explain", 200), `name="q" type="text"`)
	holds(t, "hostile", c.get("/explain?q=%3Cscript%3Ealert(1)&url="+url.QueryEscape(page), 200), "&lt;script&gt;alert(1)")
	lacks(t, "hostile", c.get("/explain?q=%3Cscript%3Ealert(1)&url="+url.QueryEscape(page), 200), "<script>alert")
}

func mustQuery(t *testing.T, s string) url.Values {
	t.Helper()
	v, err := url.ParseQuery(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestExplainAPI(t *testing.T) {
	m := newLibrary()
	c := newClient(t, m)
	var a SearchAnswer
	c.json("/api/v1/search?q=receipt&limit=3&explain=true&facets=site,lang&total=any", 200, &a)
	if len(a.Results) != 3 || a.Results[0].Explanation == nil || a.Results[0].Explanation.Score != a.Results[0].Score || !a.AtLeast || a.Total != 3 {
		t.Fatalf("%+v", a)
	}
	if len(a.Facets) != 2 || a.Facets[0].Field != "site" || a.Facets[1].Field != "lang" || len(a.Facets[1].Values) < 2 {
		t.Errorf("facets %+v", a.Facets)
	}
	var plain SearchAnswer
	c.json("/api/v1/search?q=receipt&limit=3", 200, &plain)
	if plain.AtLeast || plain.Facets != nil || plain.Results[0].Explanation != nil {
		t.Errorf("%+v", plain)
	}
	var ex Explained
	c.json("/api/v1/explain?"+url.Values{"q": {"receipt"}, "url": {a.Results[0].URL}}.Encode(), 200, &ex)
	if !ex.Matches || ex.Score != a.Results[0].Score || ex.Explanation.Text != "receipt" || ex.URL != a.Results[0].URL {
		t.Errorf("%+v", ex)
	}
	var p Problem
	c.json("/api/v1/explain?q=receipt&url=https://nobody.example/", 404, &p)
	for _, bad := range []string{"facets=colour", "facets=site,site", "total=some", "explain=perhaps"} {
		c.json("/api/v1/search?q=receipt&"+bad, 422, &p)
	}
	m.answered = 7
	c.json("/api/v1/explain?q=receipt&url=https://nobody.example/", 503, &p)
}

var facetLink = regexp.MustCompile(`<dd><a href="(/search\?[^"]+)" rel="nofollow">([^<]+)</a> <span>([0-9]+)</span>`)

// TestNarrowing follows every link that narrows results: each leads to fewer, as many as it says.
func TestNarrowing(t *testing.T) {
	c := newClient(t, newLibrary())
	body := c.get("/search?q=receipt", 200)
	links := facetLink.FindAllStringSubmatch(body, -1)
	if len(links) < 4 {
		t.Fatalf("%d links in %s", len(links), body)
	}
	for _, l := range links {
		var a SearchAnswer
		q := mustQuery(t, strings.TrimPrefix(html.UnescapeString(l[1]), "/search?")).Get("q")
		c.json("/api/v1/search?limit=1&q="+url.QueryEscape(q), 200, &a)
		if number(a.Total) != l[3] || a.Total >= 12 {
			t.Errorf("%s: %d results, the link said %s", q, a.Total, l[3])
		}
	}
	one := c.get("/search?q=bait", 200)
	lacks(t, "one result", one, `class="facets"`)
}

// TestNarrowedQueries holds narrowed queries equal to the query and the filter, or without a link.
func TestNarrowedQueries(t *testing.T) {
	for _, q := range []string{"red apples", "red OR green", "a OR b c", `"some words"~3`, "harb*", "-pie apples", "?pie apples", "(a OR b)", "foo -", "what?", "5*3", "c++", "site:a.example", "a AND b", "x |"} {
		root, err := query.Parse(q)
		for field, value := range map[string]string{concord.FacetLang: "de", concord.FacetType: "pdf", concord.FacetSite: "127.0.0.1:8080"} {
			text, ok := narrowed(q, field, value)
			if err != nil {
				if ok {
					t.Errorf("%s cannot be parsed, but narrowed: %s", q, text)
				}
				continue
			}
			got, perr := query.Parse(text)
			if !ok || perr != nil || !strings.HasSuffix(got.String(), value) || !strings.Contains(got.String(), root.String()) && !strings.Contains(got.String(), "("+root.String()+")") {
				t.Errorf("%s: %q, %v", q, text, perr)
			}
		}
	}
	for _, bad := range [][2]string{{concord.FacetLang, ""}, {concord.FacetLang, "nb"}, {concord.FacetSite, "under_score.example"}, {concord.FacetType, "a b"}, {concord.FacetYear, "2024"}, {concord.FacetLang, "de OR x"}} {
		if text, ok := narrowed("apples", bad[0], bad[1]); ok {
			t.Errorf("%q: %s", bad, text)
		}
	}
	if _, ok := narrowed(strings.Repeat("word ", 64), concord.FacetLang, "de"); ok {
		t.Error("more words than a query may have")
	}
}
