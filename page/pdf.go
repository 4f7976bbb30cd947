package page

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"concord"
)

// PDFReader returns the title and the text of a PDF, lines and paragraphs separated by LF. An error means that the PDF
// cannot be read within the reader's bounds.
type PDFReader interface {
	Text(ctx context.Context, body []byte) (title, text string, err error)
}

// PDFChild is a PDFReader that parses each PDF in a process of its own: PDF libraries loop, recurse and allocate
// without bound on hostile files, and a process can be bounded. The process runs PDFMain, sees an empty environment and
// ends with the call. It is safe for concurrent use; the zero values of the bounds mean the defaults below.
type PDFChild struct {
	Exe         string        // program to run, usually os.Executable()
	Args        []string      // arguments that make it call PDFMain(os.Stdin, os.Stdout)
	Timeout     time.Duration // wall-clock and processor time of one PDF
	MemoryBytes uint64        // heap one PDF may need
}

// Defaults and bounds of a child.
const (
	DefaultPDFTimeout     = 20 * time.Second
	DefaultPDFMemoryBytes = 256 << 20
	maxPDFBytes           = 64 << 20 // larger ones are not given to the child
	maxPDFTitleBytes      = MaxTitleBytes
	maxPDFTextBytes       = MaxBodyBytes + 4096 // a little more than is kept, so that Page.Truncated is true
	maxStderrBytes        = 2048                // of a crash only the first lines say something
)

// The child's input is a head of four big-endian numbers and the body: magic, heap bytes, processor seconds, length of
// the body. Its output is: magic, status byte (0 good, 1 error), title length (4 bytes), text length (4 bytes), title,
// text; the text of an error is its message.
const (
	pdfMagic    = 0x636f6e70_64663031 // "conpdf01"
	pdfHeadSize = 32
	pdfAnswer   = 8 + 1 + 4 + 4
)

// Text runs the child on one PDF. Errors are Invalid when the PDF is to blame (damaged, too large, over the bounds),
// Internal when the child cannot be started, and ctx's error when ctx ended first.
func (c PDFChild) Text(ctx context.Context, body []byte) (title, text string, err error) {
	if len(body) > maxPDFBytes {
		return "", "", concord.Errorf(concord.Invalid, "pdf of %d bytes is larger than %d", len(body), maxPDFBytes)
	}
	if c.Timeout <= 0 {
		c.Timeout = DefaultPDFTimeout
	}
	if c.MemoryBytes == 0 {
		c.MemoryBytes = DefaultPDFMemoryBytes
	}
	run, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()

	head := make([]byte, 0, pdfHeadSize)
	head = binary.BigEndian.AppendUint64(head, pdfMagic)
	head = binary.BigEndian.AppendUint64(head, c.MemoryBytes)
	head = binary.BigEndian.AppendUint64(head, uint64((c.Timeout+time.Second-1)/time.Second))
	head = binary.BigEndian.AppendUint64(head, uint64(len(body)))
	cmd := exec.CommandContext(run, c.Exe, c.Args...)
	cmd.Env = []string{"GOMAXPROCS=1", "GOTRACEBACK=single"} // nothing of ours; one thread of Go code
	cmd.Dir = "/"
	cmd.Stdin = io.MultiReader(bytes.NewReader(head), bytes.NewReader(body))
	out := &boundedBuffer{max: pdfAnswer + maxPDFTitleBytes + maxPDFTextBytes}
	crash := &boundedBuffer{max: maxStderrBytes, dropRest: true}
	cmd.Stdout, cmd.Stderr = out, crash
	cmd.WaitDelay = time.Second // a grandchild that holds the pipes does not hold us
	isolate(cmd)
	if err := cmd.Start(); err != nil {
		return "", "", fmt.Errorf("start pdf child: %w", err)
	}
	err = cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return "", "", fmt.Errorf("read pdf: %w", ctx.Err())
	case run.Err() != nil:
		return "", "", concord.Errorf(concord.Invalid, "pdf took longer than %s", c.Timeout)
	case out.full:
		return "", "", concord.Errorf(concord.Invalid, "pdf reader wrote more than its bound")
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		return "", "", concord.Errorf(concord.Invalid, "pdf could not be read within its bounds: %w%s", err, firstLine(crash.buf.Bytes()))
	}
	return parsePDFAnswer(out.buf.Bytes())
}

// parsePDFAnswer reads the output of PDFMain.
func parsePDFAnswer(b []byte) (title, text string, err error) {
	if len(b) < pdfAnswer || binary.BigEndian.Uint64(b) != pdfMagic {
		return "", "", concord.Errorf(concord.Invalid, "pdf child gave no answer")
	}
	titleLen, textLen := uint64(binary.BigEndian.Uint32(b[9:])), uint64(binary.BigEndian.Uint32(b[13:]))
	rest := b[pdfAnswer:]
	if titleLen+textLen != uint64(len(rest)) || !utf8.Valid(rest) {
		return "", "", concord.Errorf(concord.Invalid, "pdf child gave a damaged answer")
	}
	title, text = string(rest[:titleLen]), string(rest[titleLen:])
	if b[8] != 0 {
		return "", "", concord.Errorf(concord.Invalid, "pdf cannot be read: %s", concord.Clip(collapse(text), 200))
	}
	return title, text, nil
}

// firstLine returns ": " and the first line of what a crashed child wrote, bounded.
func firstLine(b []byte) string {
	line, _, _ := bytes.Cut(bytes.TrimSpace(b), []byte("\n"))
	if len(line) == 0 {
		return ""
	}
	return ": " + concord.Clip(strings.ToValidUTF8(string(line), "?"), 160)
}

// boundedBuffer keeps the first max bytes. A write beyond them is dropped or fails, which ends the copying.
type boundedBuffer struct {
	buf      bytes.Buffer
	max      int
	dropRest bool
	full     bool
}

func (w *boundedBuffer) Write(p []byte) (int, error) {
	room := w.max - w.buf.Len()
	if len(p) <= room {
		return w.buf.Write(p)
	}
	w.buf.Write(p[:room])
	w.full = true
	if w.dropRest {
		return len(p), nil
	}
	return room, io.ErrShortWrite
}

// extractPDF fills a page from a PDF body.
func extractPDF(ctx context.Context, in Input, p *concord.Page) error {
	if in.PDF == nil {
		return concord.Errorf(concord.Invalid, "content type %s is not indexed: there is no PDF reader", mimePDF)
	}
	title, text, err := in.PDF.Text(ctx, in.Body)
	if err != nil {
		return err
	}
	p.FileType = "pdf"
	p.Title, p.Body = collapse(title), cleanLines(text)
	if p.Title == "" {
		p.Title = strings.TrimSuffix(lastSegment(in), path.Ext(lastSegment(in)))
	}
	return nil
}
