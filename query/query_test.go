package query

import (
	"errors"
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
	}
	for _, tt := range tests {
		var qe *concord.QueryError
		if _, err := Parse(tt.query); !errors.As(err, &qe) || qe.Reason != tt.reason {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.reason)
		}
	}
	for name, q := range map[string]string{
		"bytes": strings.Repeat("a", text.MaxTermBytes) + strings.Repeat(" ", concord.MaxQueryBytes-text.MaxTermBytes),
		"terms": strings.Repeat("a ", MaxTerms),
		"depth": strings.Repeat("(", MaxDepth) + "a" + strings.Repeat(")", MaxDepth),
	} {
		if _, err := Parse(q); err != nil {
			t.Errorf("%s at the bound: %v", name, err)
		}
	}
}

func TestSpans(t *testing.T) {
	const q = `été -intitle:"a b" site:example.org “x y” lang:de e-mail`
	want := []string{"été", `intitle:"a b"`, "site:example.org", "“x y”", "lang:de", "e-mail"}
	var got []string
	for _, n := range mustParse(t, q).(And).Nodes {
		if not, ok := n.(Not); ok {
			n = not.Node
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
	n := mustParse(t, `Speling "old eror" OR speling -eror intitle:tilte inurl:eror site:eror.example`)
	if got, want := Words(n), []string{"speling", "old", "eror", "tilte"}; !slices.Equal(got, want) {
		t.Errorf("Words = %q, want %q", got, want)
	}
	before := n.String()
	r := Replace(n, map[string]string{"speling": "spelling", "eror": "error", "tilte": "title"})
	const want = `spelling ("old error" OR spelling) -eror intitle:title inurl:eror site:eror.example`
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

// FuzzParse holds the invariants of the package comment and that errors point into the query.
func FuzzParse(f *testing.F) {
	for _, q := range []string{"a", `a "b c" -d OR e`, "(a | b) -(c -d)", "site:example.org lang:de after:2024 filetype:pdf", "intitle:\"x y\" inurl:z",
		"f(x) e-mail 12:30 --amend", "東京都 한국어 ½ ﷺ ㈱ צה\"ל", "“a” «b» „c", "site:[::1]:80 site:bücher.example", "ʼa' a'b'", "\xff(\x00)", "((((a))))"} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, q string) {
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
		s := n.String()
		again, err := Parse(s)
		if err != nil && len(s) > concord.MaxQueryBytes {
			return // canonical text can be longer: dates are written out
		}
		if err != nil || !Equal(n, again) || again.String() != s {
			t.Fatalf("%q parses to %s, and that to %v (%v)", q, s, again, err)
		}
	})
}

func checkTree(t *testing.T, n Node, inAnd bool, length int) {
	switch n := n.(type) {
	case And:
		positive := false
		for _, c := range n.Nodes {
			_, not := c.(Not)
			positive = positive || !not
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
	default:
		if s := spanOf(n); s.Length < 1 || s.Offset < 0 || s.Offset+s.Length > length {
			t.Fatalf("%s has span %v", n, s)
		}
	}
}
