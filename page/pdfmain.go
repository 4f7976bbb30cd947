package page

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"runtime/debug"
	"strings"

	"concord"
)

// maxPDFStackBytes bounds the stack: the library recurses into nested objects, and Go's own bound is 1 GB.
const maxPDFStackBytes = 64 << 20

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
