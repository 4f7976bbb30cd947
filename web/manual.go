package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"sort"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
)

//go:embed manual/*.md
var manualFiles embed.FS

// manual is the user manual, rendered once when the server is made. Each Markdown file is a page; index.md is the first,
// the others follow by file name, and a number in front of a name ("20-queries.md") orders it without showing.
type manual struct {
	pages  []*manualText
	byName map[string]*manualText
}

type manualText struct {
	Link     string
	Title    string
	Body     template.HTML // made by the renderer from our own text, with raw HTML turned off
	Headings []manualHeading
}

type manualHeading struct {
	Level     int
	ID, Title string
}

// manualPage is one page of the manual.
type manualPage struct {
	frame
	Text     *manualText
	Pages    []*manualText
	Previous *manualText
	Next     *manualText
}

func (*manualPage) template() string { return "manual" }

func loadManual(files fs.FS) (*manual, error) {
	names, err := fs.Glob(files, "*.md")
	if err != nil || len(names) == 0 {
		return nil, fmt.Errorf("read manual: no Markdown files (%v)", err)
	}
	sort.Slice(names, func(i, j int) bool {
		if (names[i] == "index.md") != (names[j] == "index.md") {
			return names[i] == "index.md"
		}
		return names[i] < names[j]
	})
	m := &manual{byName: map[string]*manualText{}}
	md := goldmark.New(goldmark.WithExtensions(extension.Table), goldmark.WithParserOptions(parser.WithAutoHeadingID()))
	for _, name := range names {
		source, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("read manual: %w", err)
		}
		t, err := renderManual(md, source)
		if err != nil {
			return nil, fmt.Errorf("render manual page %s: %w", name, err)
		}
		slug := manualSlug(name)
		t.Link = "/manual/" + slug
		m.pages = append(m.pages, t)
		m.byName[slug] = t
	}
	return m, nil
}

// carriedManual is the manual in the binary.
func carriedManual() fs.FS {
	files, err := fs.Sub(manualFiles, "manual")
	if err != nil {
		panic(err) // the name is a constant and valid
	}
	return files
}

// manualSlug is the name of a file in the address of its page; of index.md, nothing.
func manualSlug(file string) string {
	name := strings.TrimSuffix(path.Base(file), ".md")
	if digits, rest, ok := strings.Cut(name, "-"); ok && strings.Trim(digits, "0123456789") == "" {
		name = rest
	}
	if name == "index" {
		return ""
	}
	return name
}

// plainText returns the text of a heading without its mark-up.
func plainText(n ast.Node, source []byte) string {
	var b strings.Builder
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if t, ok := n.(*ast.Text); ok && entering {
			b.Write(t.Segment.Value(source))
		}
		return ast.WalkContinue, nil
	})
	return b.String()
}

func renderManual(md goldmark.Markdown, source []byte) (*manualText, error) {
	t := &manualText{Title: "Manual"}
	doc := md.Parser().Parse(text.NewReader(source))
	err := ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Heading:
			title := plainText(n, source)
			if n.Level == 1 {
				t.Title = title
			} else if id, ok := n.AttributeString("id"); ok && n.Level <= 3 {
				if b, ok := id.([]byte); ok {
					t.Headings = append(t.Headings, manualHeading{n.Level, string(b), title})
				}
			}
		case *ast.Link:
			n.Destination = manualTarget(n.Destination)
		}
		return ast.WalkContinue, nil
	})
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := md.Renderer().Render(&b, source, doc); err != nil {
		return nil, err
	}
	t.Body = template.HTML(b.String())
	return t, nil
}

// manualTarget turns a link between Markdown files into one between pages.
func manualTarget(dest []byte) []byte {
	file, fragment, _ := strings.Cut(string(dest), "#")
	if strings.Contains(file, "://") || !strings.HasSuffix(file, ".md") {
		return dest
	}
	to := "/manual/" + manualSlug(file)
	if fragment != "" {
		to += "#" + fragment
	}
	return []byte(to)
}

func (s *Server) manualPage(w http.ResponseWriter, r *http.Request) {
	t, ok := s.manual.byName[strings.TrimSuffix(r.PathValue("page"), "/")]
	if !ok {
		s.fail(w, r, newProblem(http.StatusNotFound, "the manual has no page of this name"))
		return
	}
	p := &manualPage{frame: frame{Title: t.Title, Section: "manual", BoxInTop: true}, Text: t, Pages: s.manual.pages}
	for i, other := range s.manual.pages {
		if other != t {
			continue
		}
		if i > 0 {
			p.Previous = s.manual.pages[i-1]
		}
		if i+1 < len(s.manual.pages) {
			p.Next = s.manual.pages[i+1]
		}
	}
	w.Header().Set("Cache-Control", "no-cache")
	s.render(w, r, http.StatusOK, p)
}
