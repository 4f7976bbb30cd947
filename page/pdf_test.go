package page

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"concord"
	"concord/weburl"
)

// pdfFile writes small PDF files: numbered objects and a cross-reference table.
type pdfFile struct {
	buf     bytes.Buffer
	offsets []int
}

func (f *pdfFile) object(body string) int {
	if f.buf.Len() == 0 {
		f.buf.WriteString("%PDF-1.4\n%\xE2\xE3\xCF\xD3\n")
	}
	f.offsets = append(f.offsets, f.buf.Len())
	fmt.Fprintf(&f.buf, "%d 0 obj\n%s\nendobj\n", len(f.offsets), body)
	return len(f.offsets)
}

// stream adds a stream object, compressed when deflate is set.
func (f *pdfFile) stream(data []byte, deflate bool) int {
	filter := ""
	if deflate {
		var z bytes.Buffer
		w := zlib.NewWriter(&z)
		w.Write(data)
		w.Close()
		data, filter = z.Bytes(), "/Filter /FlateDecode "
	}
	return f.object(fmt.Sprintf("<< %s/Length %d >>\nstream\n%s\nendstream", filter, len(data), data))
}

// bytes ends the file; root and info are object numbers.
func (f *pdfFile) bytes(root, info int) []byte {
	at := f.buf.Len()
	fmt.Fprintf(&f.buf, "xref\n0 %d\n0000000000 65535 f \n", len(f.offsets)+1)
	for _, o := range f.offsets {
		fmt.Fprintf(&f.buf, "%010d 00000 n \n", o)
	}
	fmt.Fprintf(&f.buf, "trailer\n<< /Size %d /Root %d 0 R /Info %d 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(f.offsets)+1, root, info, at)
	return f.buf.Bytes()
}

// simplePDF has one page for each text; lines are set 14 points apart in 12 point Helvetica.
func simplePDF(title string, deflate bool, texts ...string) []byte {
	f := new(pdfFile)
	font := f.object("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding /FirstChar 32 /LastChar 126 /Widths [" + strings.Repeat("500 ", 95) + "] >>")
	info := f.object("<< /Title (" + title + ") >>")
	pages := len(f.offsets) + 2*len(texts) + 1
	var kids strings.Builder
	for _, t := range texts {
		var c strings.Builder
		c.WriteString("BT /F1 12 Tf 14 TL 72 720 Td\n")
		for _, line := range strings.Split(t, "\n") {
			fmt.Fprintf(&c, "(%s) Tj T*\n", strings.NewReplacer("(", `\(`, ")", `\)`, `\`, `\\`).Replace(line))
		}
		c.WriteString("ET")
		content := f.stream([]byte(c.String()), deflate)
		p := f.object(fmt.Sprintf("<< /Type /Page /Parent %d 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 %d 0 R >> >> /Contents %d 0 R >>", pages, font, content))
		fmt.Fprintf(&kids, "%d 0 R ", p)
	}
	f.object(fmt.Sprintf("<< /Type /Pages /Kids [%s] /Count %d >>", kids.String(), len(texts)))
	root := f.object(fmt.Sprintf("<< /Type /Catalog /Pages %d 0 R >>", pages))
	return f.bytes(root, info)
}

// child is a reader whose child is this test binary.
func child(t *testing.T) PDFChild {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return PDFChild{Exe: exe, Args: []string{childArg}, Timeout: 10 * time.Second}
}

func TestPDF(t *testing.T) {
	u, _ := weburl.Parse("http://docs.example.org/papers/crawl-study.pdf")
	for _, deflate := range []bool{false, true} {
		body := simplePDF("A study of crawlers", deflate,
			"Crawlers are programs that fetch pages.\nThey are polite when they wait (as they should) bet-\nween two requests.", "Second page.")
		p, err := Extract(Input{URL: u, ContentType: "application/pdf", Body: body, PDF: child(t)})
		if err != nil {
			t.Fatal(err)
		}
		want := "Crawlers are programs that fetch pages.\nThey are polite when they wait (as they should) between two requests.\n\nSecond page."
		if p.Title != "A study of crawlers" || p.Body != want || p.FileType != "pdf" || p.TextDigest.IsZero() {
			t.Errorf("deflate %v: title %q, type %q, body %q, want %q", deflate, p.Title, p.FileType, p.Body, want)
		}
	}
}

func TestPDFTitleFromLargestLine(t *testing.T) {
	f := new(pdfFile)
	font := f.object("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding /FirstChar 32 /LastChar 126 /Widths [" + strings.Repeat("500 ", 95) + "] >>")
	info := f.object("<< /Title (Microsoft Word - draft3.doc) >>")
	content := f.stream([]byte("BT /F1 9 Tf 72 760 Td (Journal of Tests, volume 3) Tj /F1 24 Tf 0 -40 Td (On Headlines) Tj /F1 10 Tf 0 -40 Td (The text.) Tj ET"), true)
	f.object(fmt.Sprintf("<< /Type /Page /Parent 5 0 R /Resources << /Font << /F1 %d 0 R >> >> /Contents %d 0 R >>", font, content))
	f.object("<< /Type /Pages /Kids [4 0 R] /Count 1 >>")
	title, text, err := child(t).Text(context.Background(), f.bytes(f.object("<< /Type /Catalog /Pages 5 0 R >>"), info))
	if err != nil || title != "On Headlines" || !strings.Contains(text, "The text.") {
		t.Errorf("title %q, text %q, error %v", title, text, err)
	}
}

// TestHostilePDF gives the child what would hang, exhaust or crash this process.
func TestHostilePDF(t *testing.T) {
	loop := func() []byte { // a page tree that contains itself
		f := new(pdfFile)
		f.object("<< /Type /Pages /Kids [1 0 R 1 0 R] /Count 1000000000 >>")
		return f.bytes(f.object("<< /Type /Catalog /Pages 1 0 R >>"), 1)
	}
	deep := func() []byte { // arrays nested a million deep
		f := new(pdfFile)
		n := 1_000_000
		f.object(strings.Repeat("[", n) + strings.Repeat("]", n))
		f.object("<< /Type /Pages /Kids 1 0 R /Count 1 >>")
		return f.bytes(f.object("<< /Type /Catalog /Pages 2 0 R >>"), 1)
	}
	bomb := func() []byte { // a content stream that inflates to one string of 160 MB
		f := new(pdfFile)
		var z bytes.Buffer
		w, _ := zlib.NewWriterLevel(&z, zlib.BestSpeed)
		w.Write([]byte("BT /F1 12 Tf ("))
		block := bytes.Repeat([]byte("bomb "), 1<<16)
		for range 512 {
			w.Write(block)
		}
		w.Write([]byte(") Tj ET"))
		w.Close()
		f.object("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
		f.object(fmt.Sprintf("<< /Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream", z.Len(), z.Bytes()))
		f.object("<< /Type /Page /Parent 4 0 R /Resources << /Font << /F1 1 0 R >> >> /Contents 2 0 R >>")
		f.object("<< /Type /Pages /Kids [3 0 R] /Count 1 >>")
		return f.bytes(f.object("<< /Type /Catalog /Pages 4 0 R >>"), 1)
	}
	selfRef := func() []byte { // content and fonts that refer to themselves
		f := new(pdfFile)
		f.object("<< /Length 1 0 R >>\nstream\nBT (x) Tj ET\nendstream")
		f.object("<< /Type /Page /Parent 3 0 R /Resources 2 0 R /Font 2 0 R /Contents [1 0 R 1 0 R] >>")
		f.object("<< /Type /Pages /Kids [2 0 R] /Count 1 /Parent 3 0 R >>")
		return f.bytes(f.object("<< /Type /Catalog /Pages 3 0 R >>"), 1)
	}
	mayBeEmpty := map[string]bool{"self": true}
	for name, body := range map[string][]byte{"loop": loop(), "deep": deep(), "bomb": bomb(), "self": selfRef(),
		"empty": nil, "head": []byte("%PDF-1.7\n"), "noise": bytes.Repeat([]byte("%PDF-1.4 obj << [ ("), 10_000)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := child(t)
			c.Timeout, c.MemoryBytes = 2*time.Second, 96<<20
			start := time.Now()
			_, text, err := c.Text(context.Background(), body)
			if took := time.Since(start); took > 6*time.Second {
				t.Errorf("took %v", took)
			}
			if text != "" || err != nil && concord.KindOf(err) != concord.Invalid || err == nil && !mayBeEmpty[name] {
				t.Errorf("error is %v (%v), want an invalid one; text has %d bytes", err, concord.KindOf(err), len(text))
			}
			t.Log(err)
		})
	}
}

// TestLongPDF has more text on one page than is kept: that is no error.
func TestLongPDF(t *testing.T) {
	u, _ := weburl.Parse("http://docs.example.org/long.pdf")
	p, err := Extract(Input{URL: u, ContentType: "application/pdf", Body: simplePDF("Long", true, strings.Repeat("The same line again.\n", 40_000)), PDF: child(t)})
	if err != nil || !p.Truncated || len(p.Body) > MaxBodyBytes || len(p.Body) < MaxBodyBytes-4096 {
		t.Errorf("error %v, truncated %v, %d bytes", err, p != nil && p.Truncated, len(p.Body))
	}
}

func TestPDFChildFaults(t *testing.T) {
	ctx := context.Background()
	sh := func(script string) PDFChild {
		return PDFChild{Exe: "/bin/sh", Args: []string{"-c", script}, Timeout: 400 * time.Millisecond}
	}
	for name, c := range map[string]PDFChild{
		"endless output": sh("cat >/dev/null; while :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done"),
		"hangs":          sh("sleep 60"),
		"grandchild":     sh("sleep 60 & sleep 60"),
		"no answer":      sh("cat >/dev/null"),
		"crash":          sh("echo boom >&2; exit 3"),
		"garbage":        sh("cat >/dev/null; echo conpdf01 is not what this says"),
	} {
		start := time.Now()
		if _, _, err := c.Text(ctx, []byte("%PDF-1.4")); concord.KindOf(err) != concord.Invalid || err == nil {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(start); took > 4*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
	}
	if _, _, err := (PDFChild{Exe: "/no/such/program"}).Text(ctx, nil); err == nil || concord.KindOf(err) != concord.Internal {
		t.Errorf("missing program: %v", err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, _, err := sh("sleep 60").Text(ended, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("ended context: %v", err)
	}
	if _, _, err := sh("true").Text(ctx, make([]byte, maxPDFBytes+1)); concord.KindOf(err) != concord.Invalid {
		t.Errorf("too large: %v", err)
	}
}

// TestPDFMainRefuses gives the child's entry what a person might type.
func TestPDFMainRefuses(t *testing.T) {
	for _, in := range []string{"", "hello", strings.Repeat("x", 100), "conpdf01" + strings.Repeat("\xff", 24)} {
		var out bytes.Buffer
		if err := PDFMain(strings.NewReader(in), &out); err == nil || out.Len() > 0 {
			t.Errorf("PDFMain(%q) = %v, %d bytes out", in, err, out.Len())
		}
	}
}

// TestRealPDFs reads what PDFs this machine has.
func TestRealPDFs(t *testing.T) {
	files, _ := filepath.Glob("/usr/share/doc/*/*.pdf")
	more, _ := filepath.Glob("/usr/share/doc/*/*/*.pdf")
	files = append(files, more...)
	if len(files) == 0 {
		t.Skip("SKIPPED: no PDF under /usr/share/doc; no real one was read: install a package with one and run this test again")
	}
	for _, f := range files[:min(len(files), 4)] {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		title, text, err := child(t).Text(context.Background(), b)
		t.Logf("%s: title %q, %d bytes, %v", f, title, len(text), err)
	}
}

func FuzzPDFAnswer(f *testing.F) {
	good := binary.BigEndian.AppendUint64(nil, pdfMagic)
	good = append(good, 0, 0, 0, 0, 1, 0, 0, 0, 2)
	f.Add(append(good, "abc"...))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		title, text, err := parsePDFAnswer(b)
		if err == nil && len(title)+len(text)+pdfAnswer != len(b) {
			t.Errorf("%d + %d bytes of %d", len(title), len(text), len(b))
		}
	})
}
