package query

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"concord"
)

var rewrite = flag.Bool("rewrite", false, "rewrite testdata with what Parse does now")

// TestScripts runs testdata/*.txt: a query after "> ", then its tree and, after "= ", its canonical text, or the
// error as Explain shows it. Lines that begin with # are remarks.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := runScript(string(want))
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			compareLines(t, string(want), got)
		})
	}
}

func compareLines(t *testing.T, want, got string) {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(w), len(g)) {
		var wantLine, gotLine string
		if i < len(w) {
			wantLine = w[i]
		}
		if i < len(g) {
			gotLine = g[i]
		}
		if wantLine != gotLine {
			t.Fatalf("line %d:\nwant %s\ngot  %s\n(-rewrite accepts what Parse does now)", i+1, wantLine, gotLine)
		}
	}
}

func runScript(script string) string {
	var b strings.Builder
	for line := range strings.SplitSeq(strings.TrimSpace(script), "\n") {
		q, isQuery := strings.CutPrefix(line, ">")
		if !isQuery {
			if strings.HasPrefix(line, "#") || line == "" {
				b.WriteString(line + "\n")
			}
			continue
		}
		b.WriteString(line + "\n" + outcome(strings.TrimPrefix(q, " ")) + "\n")
	}
	return b.String()
}

func outcome(q string) string {
	n, err := Parse(q)
	if err != nil {
		var qe *concord.QueryError
		if !errors.As(err, &qe) || concord.KindOf(err) != concord.Invalid {
			return "wrong kind of error: " + err.Error()
		}
		return "! " + strings.ReplaceAll(Explain(qe), "\n", "\n! ")
	}
	return sexp(n) + "\n= " + n.String()
}

// sexp writes a tree with the bytes of the query each leaf came from left out; TestSpans looks at those.
func sexp(n Node) string {
	list := func(name string, nodes []Node) string {
		parts := []string{name}
		for _, c := range nodes {
			parts = append(parts, sexp(c))
		}
		return "(" + strings.Join(parts, " ") + ")"
	}
	switch n := n.(type) {
	case And:
		return list("and", n.Nodes)
	case Or:
		return list("or", n.Nodes)
	case Not:
		return list("not", []Node{n.Node})
	case Maybe:
		return list("maybe", []Node{n.Node})
	case Prefix:
		return "(prefix " + prefix(n.Field) + n.Text + ")"
	case Fuzzy:
		return fmt.Sprintf("(fuzzy %d %s%s)", n.Distance, prefix(n.Field), n.Text)
	case Word:
		return prefix(n.Field) + n.Text
	case Phrase:
		kind := "phrase"
		if n.Slop > 0 {
			kind = fmt.Sprint("sloppy ", n.Slop)
		}
		return "(" + kind + " " + prefix(n.Field) + strings.Join(n.Words, " ") + ")"
	case Date:
		if n.Of != Dated {
			return fmt.Sprintf("(%s from %s before %s)", n.Of, bound(n.After), bound(n.Before))
		}
		if n.Before.IsZero() {
			return "(after " + n.After.Format(time.DateOnly) + ")"
		}
		return "(before " + n.Before.Format(time.DateOnly) + ")"
	}
	return "(" + strings.Replace(n.String(), ":", " ", 1) + ")"
}

func bound(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format(time.DateOnly)
}
