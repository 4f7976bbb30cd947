package page

import (
	"math"
	"strings"
	"unicode"
)

// ligatures are single characters that fonts draw for several letters.
var ligatures = strings.NewReplacer("ﬀ", "ff", "ﬁ", "fi", "ﬂ", "fl", "ﬃ", "ffi", "ﬄ", "ffl", "ﬅ", "st", "ﬆ", "st")

// run is a piece of text painted at once, in page coordinates.
type run struct {
	x, y, w, size float64
	text          string
}

// Distances between runs, as parts of the type size, that make a space, a new line, and a new paragraph.
const (
	pdfSpaceGap     = 0.16
	pdfLineGap      = 0.5
	pdfParagraphGap = 1.7
	pdfBackGap      = -2.0
)

// pdfLines makes lines and paragraphs of runs in the order they are painted.
type pdfLines struct {
	text    strings.Builder
	line    strings.Builder
	size    float64 // of the line's largest type
	prev    run
	started bool
	pages   int
	largest string  // line in the largest type of the first page: the title as a reader sees it
	largeSz float64 // its size
}

// add adds a run to the current line, or starts the next.
func (l *pdfLines) add(r run) {
	if !finite(r.x) || !finite(r.y) || !finite(r.w) || !finite(r.size) || r.text == "" || l.line.Len() > maxPDFTextBytes {
		return
	}
	size := math.Max(r.size, 1)
	if l.started {
		dy, gap := math.Abs(r.y-l.prev.y), r.x-(l.prev.x+l.prev.w)
		switch {
		case dy > pdfLineGap*math.Min(size, math.Max(l.size, 1)) || gap < pdfBackGap*size:
			l.endLine(dy > pdfParagraphGap*math.Max(size, l.size))
		case gap > pdfSpaceGap*size:
			l.line.WriteByte(' ')
		}
	}
	l.line.WriteString(r.text)
	l.size = math.Max(l.size, size)
	l.prev, l.started = r, true
}

func (l *pdfLines) endPage() {
	l.endLine(true)
	l.started = false
	l.pages++
}

// endLine adds the current line to the text.
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
