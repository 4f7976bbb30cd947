package page

import (
	"bytes"
	"mime"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html/charset"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
)

// prescanBytes is how much of a page is searched for a meta charset; the HTML standard asks for 1,024, pages with long
// comments at the top need more.
const prescanBytes = 4096

// decode returns a body as UTF-8 and the name of the encoding it was read as. The order is that of the HTML standard
// (section 13.2.3.2): byte order mark, header, meta; but a body that is valid UTF-8 and not ASCII is UTF-8 whatever is
// declared, since text in another encoding is practically never valid UTF-8.
func decode(body []byte, contentType string, isHTML bool) (string, string) {
	switch {
	case bytes.HasPrefix(body, []byte("\xEF\xBB\xBF")):
		return validUTF8(body[3:]), "utf-8"
	case bytes.HasPrefix(body, []byte("\xFE\xFF")):
		return decodeWith(unicode.UTF16(unicode.BigEndian, unicode.UseBOM), body), "utf-16be"
	case bytes.HasPrefix(body, []byte("\xFF\xFE")):
		return decodeWith(unicode.UTF16(unicode.LittleEndian, unicode.UseBOM), body), "utf-16le"
	}
	declared, name := declaredEncoding(body, contentType, isHTML)
	ascii := isASCII(body)
	if ascii && !strings.HasPrefix(name, "iso-2022") && !strings.HasPrefix(name, "utf-16") && name != "replacement" {
		return string(body), "utf-8"
	}
	if utf8.Valid(trimPartialRune(body)) && !ascii {
		return validUTF8(body), "utf-8"
	}
	switch {
	case declared == nil:
		return decodeWith(charmap.Windows1252, body), "windows-1252"
	case name == "utf-8" && mostlyUTF8(body):
		return validUTF8(body), name
	case name == "utf-8", name == "replacement":
		return decodeWith(charmap.Windows1252, body), "windows-1252"
	}
	return decodeWith(declared, body), name
}

// declaredEncoding returns what header or meta declare, nil when nothing usable is declared.
func declaredEncoding(body []byte, contentType string, isHTML bool) (encoding.Encoding, string) {
	if _, params, err := mime.ParseMediaType(contentType); err == nil && params["charset"] != "" {
		if e, name := charset.Lookup(params["charset"]); e != nil {
			return e, name
		}
	}
	if i := strings.Index(strings.ToLower(contentType), "charset="); i >= 0 { // header with broken parameters
		label, _, _ := strings.Cut(contentType[i+len("charset="):], ";")
		if e, name := charset.Lookup(strings.Trim(label, " \t\"'")); e != nil {
			return e, name
		}
	}
	if !isHTML {
		return nil, ""
	}
	head := body[:min(len(body), prescanBytes)]
	if label := xmlEncoding(head); label != "" {
		if e, name := charset.Lookup(label); e != nil {
			return asciiCompatible(e, name)
		}
	}
	if label := metaCharset(head); label != "" {
		if e, name := charset.Lookup(label); e != nil {
			return asciiCompatible(e, name)
		}
	}
	return nil, ""
}

// asciiCompatible replaces UTF-16 declared in a document that could be read as ASCII, as the standard does.
func asciiCompatible(e encoding.Encoding, name string) (encoding.Encoding, string) {
	if strings.HasPrefix(name, "utf-16") {
		return encoding.Nop, "utf-8"
	}
	return e, name
}

// xmlEncoding returns the encoding of an XML declaration at the start.
func xmlEncoding(head []byte) string {
	if !bytes.HasPrefix(head, []byte("<?xml")) {
		return ""
	}
	decl, _, ok := bytes.Cut(head, []byte("?>"))
	_, after, found := bytes.Cut(decl, []byte("encoding="))
	if !ok || !found || len(after) < 2 {
		return ""
	}
	label, _, ok := bytes.Cut(after[1:], after[:1])
	if !ok {
		return ""
	}
	return string(label)
}

// metaCharset finds charset=… inside the first meta elements. Inside a comment it does not count.
func metaCharset(head []byte) string {
	low := bytes.ToLower(head)
	for {
		i := bytes.IndexByte(low, '<')
		if i < 0 {
			return ""
		}
		low = low[i:]
		if bytes.HasPrefix(low, []byte("<!--")) {
			end := bytes.Index(low, []byte("-->"))
			if end < 0 {
				return ""
			}
			low = low[end+3:]
			continue
		}
		tag, rest, ok := bytes.Cut(low, []byte(">"))
		if !ok {
			return ""
		}
		low = rest
		if !bytes.HasPrefix(tag, []byte("<meta")) {
			continue
		}
		_, after, found := bytes.Cut(tag, []byte("charset"))
		if !found {
			continue
		}
		after = bytes.TrimLeft(after, " \t\r\n")
		if len(after) == 0 || after[0] != '=' {
			continue
		}
		after = bytes.TrimLeft(after[1:], " \t\r\n\"'")
		if end := bytes.IndexAny(after, " \t\r\n\"';/"); end >= 0 {
			after = after[:end]
		}
		return string(after)
	}
}

// mostlyUTF8 reports whether a body declared as UTF-8 is UTF-8 with a few damaged places, rather than another encoding.
func mostlyUTF8(body []byte) bool {
	good, bad := 0, 0
	for i := 0; i < len(body); {
		if body[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, size := utf8.DecodeRune(body[i:])
		if r == utf8.RuneError && size <= 1 {
			bad++
		} else {
			good++
		}
		i += size
	}
	return good >= bad
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// trimPartialRune drops a rune cut at the end of a truncated body.
func trimPartialRune(b []byte) []byte {
	for i := 1; i <= utf8.UTFMax && i <= len(b); i++ {
		if c := b[len(b)-i]; utf8.RuneStart(c) {
			if c >= utf8.RuneSelf && !utf8.FullRune(b[len(b)-i:]) {
				return b[:len(b)-i]
			}
			break
		}
	}
	return b
}

func validUTF8(b []byte) string { return strings.ToValidUTF8(string(b), "\uFFFD") }

// decodeWith decodes; bytes that mean nothing in the encoding become U+FFFD.
func decodeWith(e encoding.Encoding, b []byte) string {
	out, err := e.NewDecoder().Bytes(b)
	if err != nil {
		return validUTF8(b)
	}
	return validUTF8(out)
}

// Charset returns the WHATWG name of the encoding that Extract reads an HTML body in: that of its byte order mark, the
// Content-Type header, a meta element, or what the bytes look like.
func Charset(contentType string, body []byte) string {
	_, name := decode(body, contentType, true)
	return name
}
