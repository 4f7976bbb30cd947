package page

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime/debug"
	"strings"
	"unicode"

	"github.com/ledongthuc/pdf"

	"concord"
)

const (
	maxPDFPages      = 2_000    // page objects that are visited
	maxPDFStackBytes = 64 << 20 // the library recurses into nested objects; Go's own bound is 1 GB
)

// PDFMain is the whole life of the child that PDFChild starts: it reads one request from stdin, limits its own process,
// parses, and writes the answer to stdout. It must be called in a process made for it, since the limits stay. The error
// is one of reading or writing; a PDF that cannot be read is an answer.
func PDFMain(stdin io.Reader, stdout io.Writer) error {
	var head [pdfHeadSize]byte
	if _, err := io.ReadFull(stdin, head[:]); err != nil {
		return fmt.Errorf("read pdf request: %w", err)
	}
	memory, cpu := binary.BigEndian.Uint64(head[8:]), binary.BigEndian.Uint64(head[16:])
	size := binary.BigEndian.Uint64(head[24:])
	if binary.BigEndian.Uint64(head[:]) != pdfMagic || size > maxPDFBytes || memory > math.MaxInt64/2 {
		return concord.Errorf(concord.Invalid, "read pdf request: this command is run by concord itself and reads its own format")
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(stdin, body); err != nil {
		return fmt.Errorf("read pdf request: %w", err)
	}
	debug.SetMemoryLimit(int64(memory / 4 * 3))
	debug.SetMaxStack(maxPDFStackBytes)
	if err := limitProcess(memory, cpu); err != nil {
		return fmt.Errorf("limit pdf child: %w", err)
	}
	title, text, err := pdfText(body)
	status := byte(0)
	if err != nil {
		status, title, text = 1, "", err.Error()
	}
	var cut bool
	title = clipText(strings.ToValidUTF8(title, "\uFFFD"), maxPDFTitleBytes, &cut)
	text = clipText(strings.ToValidUTF8(text, "\uFFFD"), maxPDFTextBytes, &cut)
	out := binary.BigEndian.AppendUint64(nil, pdfMagic)
	out = append(out, status)
	out = binary.BigEndian.AppendUint32(out, uint32(len(title)))
	out = binary.BigEndian.AppendUint32(out, uint32(len(text)))
	out = append(append(out, title...), text...)
	if _, err := stdout.Write(out); err != nil {
		return fmt.Errorf("write pdf answer: %w", err)
	}
	return nil
}

// pdfText reads a PDF. A page that makes the library panic is left out; a document that does is an error.
func pdfText(body []byte) (title, text string, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = concord.Errorf(concord.Invalid, "the library gave up: %v", r)
		}
	}()
	r, err := pdf.NewReader(bytes.NewReader(body), int64(len(body)))
	if err != nil {
		return "", "", err
	}
	title = pdfInfoTitle(r)
	var out pdfLines
	pages, broken := min(r.NumPage(), maxPDFPages), 0
	for i := 1; i <= pages && out.text.Len() < maxPDFTextBytes; i++ {
		glyphs, err := pdfGlyphs(r.Page(i))
		if err != nil {
			broken++
			continue
		}
		out.page(glyphs)
	}
	if pages <= 0 || broken == pages {
		return "", "", errors.New("it has no readable page")
	}
	if title == "" {
		title = out.largest
	}
	return title, joinHyphens(out.text.String()), nil
}

// pdfGlyphs returns the glyphs of a page in the order they are painted.
func pdfGlyphs(p pdf.Page) (glyphs []pdf.Text, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = concord.Errorf(concord.Invalid, "page: %v", r)
		}
	}()
	return p.Content().Text, nil
}

// pdfInfoTitle returns the title of the document information, unless a program wrote a file name there.
func pdfInfoTitle(r *pdf.Reader) string {
	title := collapse(r.Trailer().Key("Info").Key("Title").Text())
	low := strings.ToLower(title)
	for _, junk := range [...]string{"untitled", "microsoft word", "microsoft powerpoint", "powerpoint presentation", ".doc", ".indd", ".dvi", ".tex", ".qxd", ".xls", ".cdr"} {
		if strings.Contains(low, junk) {
			return ""
		}
	}
	return title
}

// Distances between glyphs, as parts of the type size, that make a space, a new line, and a new paragraph.
const (
	pdfSpaceGap     = 0.18
	pdfLineGap      = 0.5
	pdfParagraphGap = 1.7
)

// pdfLines makes lines and paragraphs of painted glyphs.
type pdfLines struct {
	text    strings.Builder
	line    strings.Builder
	size    float64 // of the current line's largest glyph
	prev    pdf.Text
	started bool
	largest string  // line in the largest type on the first page: the title as a reader sees it
	largeSz float64 // its size
	pages   int
}

// page adds the glyphs of one page.
func (l *pdfLines) page(glyphs []pdf.Text) {
	l.started = false
	for _, g := range glyphs {
		if g.S == "\n" || g.S == "" || !finite(g.X) || !finite(g.Y) || !finite(g.W) {
			continue
		}
		size := math.Max(math.Abs(g.FontSize), 1)
		if l.started {
			dy, gap := math.Abs(g.Y-l.prev.Y), g.X-(l.prev.X+l.prev.W)
			switch {
			case dy > pdfLineGap*size || gap < -4*size && l.prev.W > 0:
				l.endLine(dy > pdfParagraphGap*math.Max(size, l.size))
			case gap > pdfSpaceGap*size && l.prev.W > 0 && l.prev.S != " ":
				l.line.WriteByte(' ')
			}
		}
		l.line.WriteString(g.S)
		l.size = math.Max(l.size, size)
		l.prev, l.started = g, true
	}
	l.endLine(true)
	l.pages++
}

// endLine adds the current line to the text. A word hyphenated at the end of the line before is joined again.
func (l *pdfLines) endLine(paragraph bool) {
	line := collapse(l.line.String())
	l.line.Reset()
	if line != "" {
		if l.pages == 0 && l.size > l.largeSz*1.05 && len(line) > 3 {
			l.largest, l.largeSz = line, l.size
		}
		l.text.WriteString(line)
		l.text.WriteByte('\n')
	}
	if paragraph && l.text.Len() > 0 && !strings.HasSuffix(l.text.String(), "\n\n") {
		l.text.WriteByte('\n')
	}
	l.size = 0
}

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

// joinHyphens joins words that were divided at line ends: a letter, a hyphen, a line end, a lower-case letter.
func joinHyphens(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for {
		i := strings.Index(s, "-\n")
		if i < 0 {
			b.WriteString(s)
			return b.String()
		}
		before, after := lastRune(s[:i]), firstRune(s[i+2:])
		b.WriteString(s[:i])
		if !unicode.IsLetter(before) || !unicode.IsLower(after) {
			b.WriteString("-\n")
		}
		s = s[i+2:]
	}
}

func firstRune(s string) rune {
	for _, r := range s {
		return r
	}
	return 0
}

func lastRune(s string) rune {
	var last rune
	for _, r := range s[max(0, len(s)-4):] {
		last = r
	}
	return last
}
