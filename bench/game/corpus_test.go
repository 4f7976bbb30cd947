package game

import (
	"bytes"
	"strings"
	"testing"
)

// The right-hand sides are what Python's re.sub("[^a-zA-Z]+", " ", s.lower()) gives.
func TestAppendWords(t *testing.T) {
	for in, want := range map[string]string{
		"":                     "",
		"Hello, World!":        "hello world ",
		"  don't 42 stop":      " don t stop",
		"naïve café Ünder":     "na ve caf nder",
		"İstanbul K2 5\u212a!": "i stanbul k k ",
		"a\nb\tc":              "a b c",
		"\xff\xfe x":           " x",
		"Iİi":                  "ii i",
	} {
		if got := string(AppendWords(nil, in)); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func TestWriteWords(t *testing.T) {
	long := strings.Repeat("Word ", 25)
	in := `{"_id": "a", "title": "T", "text": "` + long + `\nshort\n  ` + long + `"}` + "\n7\tX y\n"
	for _, c := range []struct {
		paragraphs bool
		limit      int
		want       string
	}{
		{false, 0, "0\t" + strings.ToLower(long) + "short " + strings.ToLower(long) + "\n1\tx y\n"},
		{true, 0, "0\t" + strings.ToLower(strings.TrimSpace(long)) + "\n1\t" + strings.ToLower(strings.TrimSpace(long)) + "\n"},
		{true, 1, "0\t" + strings.ToLower(strings.TrimSpace(long)) + "\n"},
	} {
		var out bytes.Buffer
		docs, err := WriteWords(&out, strings.NewReader(in), c.paragraphs, c.limit)
		if err != nil || out.String() != c.want || docs != strings.Count(c.want, "\n") {
			t.Errorf("paragraphs %v, limit %d: %d documents %q, %v; want %q", c.paragraphs, c.limit, docs, out.String(), err, c.want)
		}
	}
}

func FuzzReadCorpus(f *testing.F) {
	for _, s := range []string{`{"_id":"1","title":"t","text":"words"}`, "3\twords", "{", "no tab", "\t", `{"_id":1}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		err := ReadCorpus(strings.NewReader(s), func(d Document) error {
			for _, c := range AppendWords(nil, d.Text) {
				if c != ' ' && (c < 'a' || c > 'z') {
					t.Errorf("%q has byte %q after transformation", d.Text, c)
				}
			}
			return Paragraphs(d, func(p Document) error {
				if len(p.Text) < MinParagraph {
					t.Errorf("paragraph of %d bytes", len(p.Text))
				}
				return nil
			})
		})
		_ = err // any line may be refused
	})
}
