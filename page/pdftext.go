package page

import (
	"bytes"
	"errors"
	"math"
	"strings"

	"github.com/ledongthuc/pdf"

	"concord"
)

// Bounds of one document, inside those of the process.
const (
	maxPDFPages = 2_000 // page objects that are visited
	maxPDFForms = 8     // depth of form objects inside forms
)

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
	out := pdfPainter{fonts: map[string]*pdfFont{}}
	pages, broken := min(r.NumPage(), maxPDFPages), 0
	for i := 1; i <= pages && !out.full(); i++ {
		if out.page(r.Page(i)) != nil {
			broken++
		}
	}
	if pages <= 0 || broken == pages {
		return "", "", errors.New("it has no readable page")
	}
	if title == "" {
		title = out.lines.largest
	}
	return ligatures.Replace(title), ligatures.Replace(joinHyphens(out.lines.text.String())), nil
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

// matrix is an affine map as PDF writes it (ISO 32000-1, 8.3.3): x' = a x + c y + e, y' = b x + d y + f.
type matrix [6]float64

var identity = matrix{1, 0, 0, 1, 0, 0}

// mul returns the map that applies m first and then n.
func (m matrix) mul(n matrix) matrix {
	return matrix{
		m[0]*n[0] + m[1]*n[2], m[0]*n[1] + m[1]*n[3],
		m[2]*n[0] + m[3]*n[2], m[2]*n[1] + m[3]*n[3],
		m[4]*n[0] + m[5]*n[2] + n[4], m[4]*n[1] + m[5]*n[3] + n[5],
	}
}

// pdfFont is what text needs of a font: characters and widths of codes, read once.
type pdfFont struct {
	decode func(string) string
	widths map[int]float64 // thousandths of the type size, by code
	other  float64         // width of codes not listed
	bytes  int             // bytes a code
}

// newPDFFont reads a font dictionary (ISO 32000-1, 9.6 and 9.7).
func newPDFFont(f pdf.Font) *pdfFont {
	out := &pdfFont{decode: f.Encoder().Decode, widths: map[int]float64{}, other: 500, bytes: 1}
	if f.V.Key("Subtype").Name() == "Type0" {
		out.bytes, out.other = 2, 1000
		d := f.V.Key("DescendantFonts").Index(0)
		if dw := d.Key("DW"); !dw.IsNull() {
			out.other = dw.Float64()
		}
		out.readCIDWidths(d.Key("W"))
		return out
	}
	first := f.FirstChar()
	for i, w := range f.Widths() {
		out.widths[first+i] = w
	}
	return out
}

// maxCIDs bounds a range in a width array.
const maxCIDs = 1 << 16

// readCIDWidths reads "first [w w …]" and "first last w" groups.
func (f *pdfFont) readCIDWidths(w pdf.Value) {
	for i := 0; i+1 < w.Len() && i < maxCIDs; {
		first := int(w.Index(i).Int64())
		if list := w.Index(i + 1); list.Kind() == pdf.Array {
			for j := 0; j < min(list.Len(), maxCIDs); j++ {
				f.widths[first+j] = list.Index(j).Float64()
			}
			i += 2
			continue
		}
		last, width := int(w.Index(i+1).Int64()), w.Index(i+2).Float64()
		for code := first; code <= min(last, first+maxCIDs); code++ {
			f.widths[code] = width
		}
		i += 3
	}
}

// width is the width of a string of codes in thousandths, and the number of codes and of spaces among them.
func (f *pdfFont) width(s string) (sum float64, codes, spaces int) {
	for i := 0; i+f.bytes <= len(s); i += f.bytes {
		code := int(s[i])
		if f.bytes == 2 {
			code = code<<8 | int(s[i+1])
		} else if code == ' ' {
			spaces++
		}
		w, ok := f.widths[code]
		if !ok {
			w = f.other
		}
		sum += w
		codes++
	}
	return sum, codes, spaces
}

// pdfState is the part of the graphics state that text depends on (ISO 32000-1, 9.3).
type pdfState struct {
	ctm                           matrix
	font                          *pdfFont
	size, char, word, scale, lead float64
	rise                          float64
}

// pdfPainter follows the operators of pages and collects what they paint.
type pdfPainter struct {
	pdfState
	saved   []pdfState
	tm, tlm matrix
	fonts   map[string]*pdfFont // by resource name and base font: pages share them
	lines   pdfLines
	forms   int
}

func (p *pdfPainter) full() bool { return p.lines.text.Len() >= maxPDFTextBytes }

// page paints one page. A page the library panics on keeps what was painted before.
func (p *pdfPainter) page(page pdf.Page) (err error) {
	defer func() {
		if r := recover(); r != nil && r != errFull {
			err = concord.Errorf(concord.Invalid, "page: %v", r)
		}
		p.lines.endPage()
	}()
	content := page.V.Key("Contents")
	if page.V.IsNull() || content.IsNull() {
		return nil
	}
	p.pdfState, p.saved, p.forms = pdfState{ctm: identity, scale: 1}, nil, 0
	p.run(content, page.Resources())
	return nil
}

// errFull ends the interpretation of a stream once enough text is there.
var errFull = errors.New("enough text")

// run interprets a content stream.
func (p *pdfPainter) run(content, resources pdf.Value) {
	var args [6]pdf.Value
	pdf.Interpret(content, func(stack *pdf.Stack, op string) {
		if p.full() {
			panic(errFull)
		}
		n := stack.Len()
		for n > len(args) {
			n-- // more operands than any operator has: the first are lost
		}
		for i := n - 1; i >= 0; i-- {
			args[i] = stack.Pop()
		}
		for stack.Len() > 0 {
			stack.Pop()
		}
		p.operator(op, args[:n], resources)
	})
}

// operator applies one operator. Operators with too few operands are passed over.
func (p *pdfPainter) operator(op string, a []pdf.Value, resources pdf.Value) {
	switch op {
	case "q":
		if len(p.saved) < 256 {
			p.saved = append(p.saved, p.pdfState)
		}
	case "Q":
		if n := len(p.saved); n > 0 {
			p.pdfState, p.saved = p.saved[n-1], p.saved[:n-1]
		}
	case "BT":
		p.tm, p.tlm = identity, identity
	case "T*":
		p.nextLine(0, -p.lead)
	}
	if len(a) == 0 {
		return
	}
	switch op {
	case "cm":
		p.ctm = toMatrix(a).mul(p.ctm)
	case "Tm":
		p.tlm = toMatrix(a)
		p.tm = p.tlm
	case "Td", "TD":
		if len(a) == 2 {
			if op == "TD" {
				p.lead = -a[1].Float64()
			}
			p.nextLine(a[0].Float64(), a[1].Float64())
		}
	case "TL":
		p.lead = a[0].Float64()
	case "Tc":
		p.char = a[0].Float64()
	case "Tw":
		p.word = a[0].Float64()
	case "Tz":
		p.scale = a[0].Float64() / 100
	case "Ts":
		p.rise = a[0].Float64()
	case "Tf":
		if len(a) == 2 {
			p.font, p.size = p.fontOf(a[0].Name(), resources), a[1].Float64()
		}
	case "Do":
		p.form(resources.Key("XObject").Key(a[0].Name()), resources)
	default:
		p.showOperator(op, a)
	}
}

// showOperator applies the operators that paint text.
func (p *pdfPainter) showOperator(op string, a []pdf.Value) {
	switch op {
	case "\"", "'":
		if op == "\"" && len(a) == 3 {
			p.word, p.char = a[0].Float64(), a[1].Float64()
		}
		p.nextLine(0, -p.lead)
		p.show(a[len(a)-1].RawString())
	case "Tj":
		p.show(a[0].RawString())
	case "TJ":
		for i := range a[0].Len() {
			switch x := a[0].Index(i); x.Kind() {
			case pdf.String:
				p.show(x.RawString())
			case pdf.Integer, pdf.Real:
				p.advance(-x.Float64() / 1000 * p.size * p.scale)
			}
		}
	}
}

func toMatrix(a []pdf.Value) (m matrix) {
	if len(a) < 6 {
		return identity
	}
	for i := range m {
		m[i] = a[i].Float64()
	}
	return m
}

func (p *pdfPainter) nextLine(x, y float64) {
	p.tlm = matrix{1, 0, 0, 1, x, y}.mul(p.tlm)
	p.tm = p.tlm
}

func (p *pdfPainter) advance(x float64) { p.tm = matrix{1, 0, 0, 1, x, 0}.mul(p.tm) }

// fontOf returns a font of the resources, read once a document.
func (p *pdfPainter) fontOf(name string, resources pdf.Value) *pdfFont {
	v := resources.Key("Font").Key(name)
	if v.IsNull() {
		return nil
	}
	key := name + "/" + v.Key("BaseFont").Name()
	f, ok := p.fonts[key]
	if !ok {
		f = newPDFFont(pdf.Font{V: v})
		p.fonts[key] = f
	}
	return f
}

// form paints a form object, which may paint others.
func (p *pdfPainter) form(v, outer pdf.Value) {
	if v.Key("Subtype").Name() != "Form" || p.forms >= maxPDFForms {
		return
	}
	resources := v.Key("Resources")
	if resources.IsNull() {
		resources = outer
	}
	p.forms++
	state, saved := p.pdfState, p.saved
	if m := v.Key("Matrix"); m.Len() == 6 {
		var a [6]pdf.Value
		for i := range a {
			a[i] = m.Index(i)
		}
		p.ctm = toMatrix(a[:]).mul(p.ctm)
	}
	p.run(v, resources)
	p.pdfState, p.saved = state, saved
	p.forms--
}

// show paints one string.
func (p *pdfPainter) show(codes string) {
	if p.font == nil {
		return
	}
	w, n, spaces := p.font.width(codes)
	tx := (w/1000*p.size + float64(n)*p.char + float64(spaces)*p.word) * p.scale
	m := matrix{1, 0, 0, 1, 0, p.rise}.mul(p.tm).mul(p.ctm)
	size := math.Hypot(m[2], m[3]) * p.size
	p.lines.add(run{x: m[4], y: m[5], w: tx * math.Hypot(m[0], m[1]), size: math.Abs(size), text: p.font.decode(codes)})
	p.advance(tx)
}
