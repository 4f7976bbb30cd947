package query

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"concord"
	"concord/text"
)

func mustParse(t *testing.T, q string) Node {
	t.Helper()
	n, err := Parse(q)
	if err != nil {
		t.Fatalf("Parse(%q): %v", q, err)
	}
	return n
}

func TestBounds(t *testing.T) {
	tests := []struct{ name, query, reason string }{
		{"bytes", strings.Repeat("a", concord.MaxQueryBytes+1), "query is 2049 bytes long; at most 2048 are allowed"},
		{"terms", strings.Repeat("a ", MaxTerms+1), "query has more than 64 words and filters"},
		{"phrase", `"` + strings.Repeat("a ", MaxTerms+1) + `"`, "query has more than 64 words and filters"},
		{"filters", strings.Repeat("lang:de ", MaxTerms+1), "query has more than 64 words and filters"},
		{"depth", strings.Repeat("(", MaxDepth+1) + "a" + strings.Repeat(")", MaxDepth+1), "parentheses are nested deeper than 32"},
		{"long word", strings.Repeat("é", 33), "word is longer than 64 bytes: nothing that long is indexed"},
		{"long prefix", strings.Repeat("é", 33) + "*", "word is longer than 64 bytes: nothing that long is indexed"},
		{"long fuzzy word", strings.Repeat("a", MaxFuzzyBytes+1) + "~", "word is longer than 32 bytes: too long for ~"},
		{"patterns", strings.Repeat("app* apple~ ", MaxPatterns/2) + "pears~", "query has more than 8 words with * or ~"},
		{"slop", `"a b"~51`, "the words of a phrase may be moved by at most 50 places"},
		{"huge slop", `"a b"~` + strings.Repeat("9", 100), "the words of a phrase may be moved by at most 50 places"},
	}
	for _, tt := range tests {
		var qe *concord.QueryError
		if _, err := Parse(tt.query); !errors.As(err, &qe) || qe.Reason != tt.reason {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.reason)
		}
	}
	for name, q := range map[string]string{
		"bytes":      strings.Repeat("a", text.MaxTermBytes) + strings.Repeat(" ", concord.MaxQueryBytes-text.MaxTermBytes),
		"terms":      strings.Repeat("a ", MaxTerms),
		"depth":      strings.Repeat("(", MaxDepth) + "a" + strings.Repeat(")", MaxDepth),
		"prefix":     strings.Repeat("a", text.MaxTermBytes) + "*",
		"fuzzy word": strings.Repeat("a", MaxFuzzyBytes) + "~",
		"patterns":   strings.Repeat("app* ", MaxPatterns),
		"slop":       `"a b"~50`,
	} {
		if _, err := Parse(q); err != nil {
			t.Errorf("%s at the bound: %v", name, err)
		}
	}
}

func TestSpans(t *testing.T) {
	const q = `été -intitle:"a b" site:example.org “x y” lang:de e-mail ?app* -intitle:pear~1 "x y"~3 ?inurl:"a b"~1 fetched:2024..`
	want := []string{"été", `intitle:"a b"`, "site:example.org", "“x y”", "lang:de", "e-mail", "app*", "intitle:pear~1", `"x y"~3`,
		`inurl:"a b"~1`, "fetched:2024.."}
	var got []string
	for _, n := range mustParse(t, q).(And).Nodes {
		switch signed := n.(type) {
		case Not:
			n = signed.Node
		case Maybe:
			n = signed.Node
		}
		s := spanOf(n)
		got = append(got, q[s.Offset:s.Offset+s.Length])
	}
	if !slices.Equal(got, want) {
		t.Errorf("spans cover\n%q, want\n%q", got, want)
	}
}

func spanOf(n Node) Span {
	switch n := n.(type) {
	case Word:
		return n.Span
	case Prefix:
		return n.Span
	case Fuzzy:
		return n.Span
	case Phrase:
		return n.Span
	case Site:
		return n.Span
	case Lang:
		return n.Span
	case FileType:
		return n.Span
	case Date:
		return n.Span
	}
	return Span{}
}

func TestWordsAndReplace(t *testing.T) {
	n := mustParse(t, `Speling "old eror"~3 OR speling -eror intitle:tilte inurl:eror site:eror.example ?(tilte oder) eror* speling~`)
	if got, want := Words(n), []string{"speling", "old", "eror", "tilte", "oder"}; !slices.Equal(got, want) {
		t.Errorf("Words = %q, want %q", got, want)
	}
	before := n.String()
	r := Replace(n, map[string]string{"speling": "spelling", "eror": "error", "tilte": "title", "oder": "order"})
	const want = `spelling ("old error"~3 OR spelling) -eror intitle:title inurl:eror site:eror.example ?(title order) eror* speling~2`
	if r.String() != want {
		t.Errorf("Replace = %s, want %s", r, want)
	}
	if n.String() != before {
		t.Errorf("Replace changed its argument to %s", n)
	}
	if Equal(n, r) || !Equal(n, mustParse(t, before)) {
		t.Error("Equal does not tell trees apart, or tells equal ones apart")
	}
}

func TestSiteMatch(t *testing.T) {
	tests := []struct {
		site, host string
		want       bool
	}{
		{"example.org", "example.org", true},
		{"example.org", "www.example.org", true},
		{"example.org", "a.b.example.org:8080", true},
		{"example.org", "badexample.org", false},
		{"example.org", "example.org.evil.example", false},
		{"www.example.org", "example.org", false},
		{"org", "example.org", true},
		{"localhost:8080", "localhost:8080", true},
		{"localhost:8080", "localhost:8081", false},
		{"localhost:8080", "localhost", false},
		{"localhost", "localhost:8080", true},
		{"[::1]", "[::1]:8080", true},
		{"[::1]:8080", "[::1]:8080", true},
		{"[::1]:8080", "[::1]", false},
	}
	for _, tt := range tests {
		if got := mustParse(t, "site:"+tt.site).(Site).Match(tt.host); got != tt.want {
			t.Errorf("site:%s matches %s: %v", tt.site, tt.host, got)
		}
	}
}

func TestDateMatch(t *testing.T) {
	start := time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC)
	after, before := mustParse(t, "after:2024-05").(Date), mustParse(t, "before:2024-05-01").(Date)
	for _, tt := range []struct {
		t    time.Time
		want bool
	}{{start, true}, {start.Add(-time.Second), false}, {start.Add(time.Second), true}} {
		if after.Match(tt.t) != tt.want || before.Match(tt.t) == tt.want {
			t.Errorf("%v: after %v, before %v", tt.t, after.Match(tt.t), before.Match(tt.t))
		}
	}
}

func TestRangeMatch(t *testing.T) {
	d := mustParse(t, "fetched:2024-01..2024-02").(Date)
	for _, tt := range []struct {
		t    string
		want bool
	}{
		{"2023-12-31T23:59:59Z", false}, {"2024-01-01T00:00:00Z", true}, {"2024-02-29T23:59:59Z", true}, {"2024-03-01T00:00:00Z", false},
	} {
		at, err := time.Parse(time.RFC3339, tt.t)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Match(at); got != tt.want {
			t.Errorf("%s matches %s: %v", d, tt.t, got)
		}
	}
}

func TestFuzzyDistance(t *testing.T) {
	for word, want := range map[string]int{"": 0, "ab": 0, "abc": 1, "été": 1, "naïve": 1, "don't": 1, "हिन्दी": 1, "apples": 2} {
		if got := FuzzyDistance(word); got != want {
			t.Errorf("FuzzyDistance(%q) = %d, want %d", word, got, want)
		}
	}
}

func TestWalk(t *testing.T) {
	var met []string
	Walk(mustParse(t, `a (b OR (c -d)) ?(e "f g")`), func(n Node) bool {
		met = append(met, n.String())
		_, not := n.(Not)
		return !not
	})
	want := []string{`a (b OR (c -d)) ?(e "f g")`, "a", "b OR (c -d)", "b", "c -d", "c", "-d", `?(e "f g")`, `e "f g"`, "e", `"f g"`}
	if !slices.Equal(met, want) {
		t.Errorf("Walk met\n%q, want\n%q", met, want)
	}
}

// FuzzParse holds the invariants of the package comment and that errors point into the query.
func FuzzParse(f *testing.F) {
	for _, q := range []string{"a", `a "b c" -d OR e`, "(a | b) -(c -d)", "site:example.org lang:de after:2024 filetype:pdf", "intitle:\"x y\" inurl:z",
		"f(x) e-mail 12:30 --amend", "東京都 한국어 ½ ﷺ ㈱ צה\"ל", "“a” «b» „c", "site:[::1]:80 site:bücher.example", "ʼa' a'b'", "\xff(\x00)", "((((a))))",
		"a ?b ?\"c d\"~3 ?(e f)", "app* apple~ intitle:pear~1 -x86*", "published:2024-01..2024-03 fetched:..2023", "-?a ?-b ??c ?(?d e)",
		"東京* 안녕~ हिन्दी* 3~5 c++* straße~ ½ab* ʼabc* ㈱ab~", "after:0001 published:0001..9999"} {
		f.Add(q)
	}
	f.Fuzz(checkQuery)
}

// TestRandomQueries holds the same for queries made of the language's signs, which bytes at random rarely form.
func TestRandomQueries(t *testing.T) {
	parts := []string{"apple", "a", "é", "straße", "東京", "안녕", "हिन्दी", "3", "½", "ﷺ", "OR", "AND", "|", "(", ")", "\"", "“", "”", "-", "?", "~", "*",
		"+", ".", "'", "~1", "~2", "~3", "\"a b\"", "intitle:", "inurl:", "site:a.example", "lang:de", "published:", "fetched:", "after:", "2024", "..",
		"2025-02", "9999", "0001", " ", " ", " ", "\u00ad", "\u0301", "צה\"ל", "ー"}
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		var b strings.Builder
		for range 1 + random.IntN(12) {
			b.WriteString(parts[random.IntN(len(parts))])
		}
		checkQuery(t, b.String())
	}
}

func checkQuery(t *testing.T, q string) {
	n, err := Parse(q)
	if err != nil {
		var qe *concord.QueryError
		if !errors.As(err, &qe) || qe.Query != q || qe.Offset < 0 || qe.Offset > len(q) || qe.Length < 1 || qe.Reason == "" {
			t.Fatalf("Parse(%q): malformed error %#v", q, err)
		}
		if lines := strings.Count(Explain(qe), "\n"); lines != 1 {
			t.Fatalf("Explain of %q has %d lines", q, lines+1)
		}
		return
	}
	checkTree(t, n, false, len(q))
	checkBounds(t, n)
	s := n.String()
	again, err := Parse(s)
	if err != nil && len(s) > concord.MaxQueryBytes {
		return // canonical text can be longer: dates and distances are written out
	}
	if err != nil || !Equal(n, again) || again.String() != s {
		t.Fatalf("%q parses to %s, and that to %v (%v)", q, s, again, err)
	}
}

func checkTree(t *testing.T, n Node, inAnd bool, length int) {
	switch n := n.(type) {
	case And:
		positive := false
		for _, c := range n.Nodes {
			_, not := c.(Not)
			_, maybe := c.(Maybe)
			positive = positive || !not && !maybe
			if _, and := c.(And); and {
				t.Fatal("And inside And")
			}
			checkTree(t, c, true, length)
		}
		if len(n.Nodes) < 2 || !positive {
			t.Fatalf("And of %d nodes, positive: %v", len(n.Nodes), positive)
		}
	case Or:
		for _, c := range n.Nodes {
			if _, or := c.(Or); or {
				t.Fatal("Or inside Or")
			}
			checkTree(t, c, false, length)
		}
		if len(n.Nodes) < 2 {
			t.Fatalf("Or of %d nodes", len(n.Nodes))
		}
	case Not:
		if !inAnd {
			t.Fatal("Not outside And")
		}
		checkTree(t, n.Node, false, length)
	case Maybe:
		if !inAnd || !scores(n.Node) {
			t.Fatalf("%s outside And, or without a word", n)
		}
		checkTree(t, n.Node, false, length)
	default:
		checkLeaf(t, n)
		if s := spanOf(n); s.Length < 1 || s.Offset < 0 || s.Offset+s.Length > length {
			t.Fatalf("%s has span %v", n, s)
		}
	}
}

func checkBounds(t *testing.T, n Node) {
	terms, patterns := 0, 0
	Walk(n, func(n Node) bool {
		switch n := n.(type) {
		case And, Or, Not, Maybe:
			return true
		case Prefix, Fuzzy:
			patterns++
		case Phrase:
			terms += len(n.Words) - 1
		}
		terms++
		return true
	})
	if terms > MaxTerms || patterns > MaxPatterns {
		t.Fatalf("%s has %d terms, %d patterns", n, terms, patterns)
	}
}

func checkLeaf(t *testing.T, n Node) {
	switch n := n.(type) {
	case Prefix:
		if letters(n.Text) < MinPrefix {
			t.Fatalf("%s is too short", n)
		}
	case Fuzzy:
		if letters(n.Text) < MinFuzzy || len(n.Text) > MaxFuzzyBytes || len(folded(n.Text)) > MaxFuzzyBytes ||
			n.Distance < 1 || n.Distance > MaxFuzzyDistance {
			t.Fatalf("%s is out of bounds", n)
		}
	case Phrase:
		if len(n.Words) < 2 || n.Slop < 0 || n.Slop > MaxSlop {
			t.Fatalf("%s is out of bounds", n)
		}
	case Date:
		if n.After.IsZero() && n.Before.IsZero() || !n.After.IsZero() && !n.Before.IsZero() && !n.After.Before(n.Before) {
			t.Fatalf("date from %v to %v", n.After, n.Before)
		}
	}
}
