package weburl

import (
	"bufio"
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"strconv"
	"strings"

	"concord"
)

const (
	maxFieldBytes = 2 * MaxURLBytes // text of one element, escapes included; what is longer is no URL and is dropped
	maxTagName    = 64              // bytes of an element name that are looked at
	maxXMLDepth   = 64              // feeds nest about ten deep where they carry page text
)

type xmlEvent uint8

const (
	xmlEOF xmlEvent = iota
	xmlStart
	xmlEnd
)

// xmlScanner finds tags in XML and collects the text of those elements it is told to. It keeps nothing else: memory is
// bounded whatever the input. It is as lenient as feeds in the wild need, but tags must nest.
type xmlScanner struct {
	in         *bufio.Reader
	name       string // local name of the last tag
	prefix     string // its namespace prefix
	rel, href  string // attributes of the last start tag, entities decoded
	selfClosed bool   // the last start tag was <x/>
	capture    bool   // collect text until the next tag
	text       []byte
	tooLong    bool     // text went beyond maxFieldBytes
	open       []string // full names of the open elements
	tag        []byte   // scratch
}

// next goes to the next start or end tag. After a start tag that closes itself no end tag is reported.
func (x *xmlScanner) next() (xmlEvent, error) {
	for {
		if err := x.readText(); err == io.EOF {
			return xmlEOF, nil
		} else if err != nil {
			return xmlEOF, err
		}
		c, err := x.in.ReadByte()
		if err != nil {
			return xmlEOF, unexpected(err)
		}
		switch c {
		case '!':
			err = x.declaration()
		case '?':
			err = x.skipPast("?>", false)
		case '/':
			return xmlEnd, x.endTag()
		default:
			x.in.UnreadByte()
			return xmlStart, x.startTag()
		}
		if err != nil {
			return xmlEOF, unexpected(err)
		}
	}
}

// readText reads up to and including the next "<".
func (x *xmlScanner) readText() error {
	for {
		chunk, err := x.in.ReadSlice('<')
		if err == nil {
			chunk = chunk[:len(chunk)-1]
		}
		if x.capture {
			x.keep(chunk)
		}
		if err != bufio.ErrBufferFull {
			return err
		}
	}
}

func (x *xmlScanner) keep(b []byte) {
	if len(x.text)+len(b) > maxFieldBytes {
		x.tooLong = true
		return
	}
	x.text = append(x.text, b...)
}

// takeText returns the collected text, trimmed and with entities decoded, and ends collecting.
func (x *xmlScanner) takeText() string {
	s := ""
	if !x.tooLong {
		s = strings.TrimSpace(decodeEntities(string(x.text)))
	}
	x.text, x.capture, x.tooLong = x.text[:0], false, false
	return s
}

// declaration handles what follows "<!": comments, CDATA, and document types, which are refused.
func (x *xmlScanner) declaration() error {
	head, err := x.in.Peek(2)
	switch {
	case err != nil:
		return err
	case string(head) == "--":
		x.in.Discard(2)
		return x.skipPast("-->", false)
	}
	if head, err = x.in.Peek(len("[CDATA[")); err != nil || string(head) != "[CDATA[" {
		return concord.Errorf(concord.Invalid, "read sitemap: document type declarations are refused")
	}
	x.in.Discard(len("[CDATA["))
	return x.skipPast("]]>", x.capture)
}

// skipPast reads up to and including end; with keep it collects what comes before as literal text.
func (x *xmlScanner) skipPast(end string, keep bool) error {
	last := end[len(end)-1]
	tail := make([]byte, 0, 8) // what was read last, to find end across chunks
	for {
		chunk, err := x.in.ReadSlice(last)
		if err != nil && err != bufio.ErrBufferFull {
			return err
		}
		if keep && !x.tooLong {
			x.keep(bytes.ReplaceAll(chunk, []byte("&"), []byte("&amp;")))
		}
		tail = append(tail, chunk[max(0, len(chunk)-len(end)):]...)
		tail = append(tail[:0], tail[max(0, len(tail)-len(end)):]...)
		if string(tail) == end {
			if keep && !x.tooLong {
				x.text = x.text[:len(x.text)-len(end)]
			}
			return nil
		}
	}
}

// readTag reads the rest of a tag, up to ">" outside quotation marks, into x.tag.
func (x *xmlScanner) readTag() error {
	x.tag = x.tag[:0]
	var quote byte
	for {
		c, err := x.in.ReadByte()
		if err != nil {
			return unexpected(err)
		}
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '>':
			return nil
		case c == '<':
			return concord.Errorf(concord.Invalid, "read sitemap: \"<\" inside a tag")
		}
		if len(x.tag) < maxFieldBytes {
			x.tag = append(x.tag, c)
		}
	}
}

func (x *xmlScanner) startTag() error {
	x.text, x.capture, x.tooLong, x.rel, x.href = x.text[:0], false, false, "", ""
	if err := x.readTag(); err != nil {
		return err
	}
	body, closed := bytes.CutSuffix(x.tag, []byte("/"))
	x.selfClosed = closed
	full := x.setName(body)
	if full == "" {
		return concord.Errorf(concord.Invalid, "read sitemap: a tag without a name")
	}
	if x.name == "link" {
		x.href, x.rel = attribute(body, "href"), attribute(body, "rel")
	}
	if closed {
		return nil
	}
	if len(x.open) == maxXMLDepth {
		return concord.Errorf(concord.Invalid, "read sitemap: elements nest more than %d deep", maxXMLDepth)
	}
	x.open = append(x.open, full)
	return nil
}

func (x *xmlScanner) endTag() error {
	if err := x.readTag(); err != nil {
		return err
	}
	full := x.setName(x.tag)
	if n := len(x.open); n == 0 || x.open[n-1] != full {
		return concord.Errorf(concord.Invalid, "read sitemap: </%s> closes what is not open", concord.Clip(full, 40))
	}
	x.open = x.open[:len(x.open)-1]
	return nil
}

// setName takes prefix and local name from a tag's text and returns the two together.
func (x *xmlScanner) setName(tag []byte) string {
	n := bytes.IndexAny(tag, " \t\r\n")
	if n < 0 {
		n = len(tag)
	}
	full := string(tag[:min(n, maxTagName)])
	if prefix, local, ok := strings.Cut(full, ":"); ok {
		x.prefix, x.name = prefix, local
	} else {
		x.prefix, x.name = "", full
	}
	return full
}

// attribute returns the value of an attribute of a start tag's text, or "".
func attribute(tag []byte, name string) string {
	for rest := tag; ; {
		i := bytes.Index(rest, []byte(name))
		if i <= 0 {
			return ""
		}
		before := rest[i-1]
		rest = rest[i+len(name):]
		v := bytes.TrimLeft(rest, " \t\r\n")
		if !isXMLSpace(before) || len(v) == 0 || v[0] != '=' {
			continue
		}
		v = bytes.TrimLeft(v[1:], " \t\r\n")
		if len(v) == 0 || v[0] != '"' && v[0] != '\'' {
			return ""
		}
		if end := bytes.IndexByte(v[1:], v[0]); end >= 0 {
			return decodeEntities(string(v[1 : end+1]))
		}
		return ""
	}
}

func isXMLSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

var predefined = map[string]string{"amp": "&", "lt": "<", "gt": ">", "quot": `"`, "apos": "'"}

const maxEntity = 10 // bytes between "&" and ";": "#x10FFFF" is the longest that means something

// decodeEntities replaces predefined and numeric entities. Anything else stays: an ampersand that should have been
// escaped is common in URLs, and clearer than an error.
func decodeEntities(s string) string {
	if strings.IndexByte(s, '&') < 0 {
		return s
	}
	var b strings.Builder
	for {
		before, rest, ok := strings.Cut(s, "&")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		name, _, ok := strings.Cut(rest[:min(len(rest), maxEntity+1)], ";")
		if v := entity(name); ok && v != "" {
			b.WriteString(v)
			s = rest[len(name)+1:]
		} else {
			b.WriteByte('&')
			s = rest
		}
	}
}

func entity(name string) string {
	if v, ok := predefined[name]; ok {
		return v
	}
	digits, ok := strings.CutPrefix(name, "#")
	base := 10
	if hex, isHex := strings.CutPrefix(digits, "x"); isHex {
		digits, base = hex, 16
	}
	n, err := strconv.ParseUint(digits, base, 21)
	if !ok || err != nil || n == 0 {
		return ""
	}
	return string(rune(n))
}

// unexpected turns an end of input where more must follow into an error that says so.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func isFlateError(err error) bool {
	var corrupt flate.CorruptInputError
	return errors.As(err, &corrupt)
}
