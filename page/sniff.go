package page

import (
	"bytes"
	"mime"
	"net/http"
	"strings"
)

const (
	mimeHTML  = "text/html"
	mimeXHTML = "application/xhtml+xml"
	mimeText  = "text/plain"
	mimePDF   = "application/pdf"
)

// sniffBytes is how much of a body decides its type: 1,445 octets are what the MIME Sniffing Standard reads at most.
const sniffBytes = 1445

// Indexable reports whether pages of a media type (without parameters, lower case) have text that is indexed.
func Indexable(mime string) bool {
	switch mime {
	case mimeHTML, mimeXHTML, mimeText, mimePDF:
		return true
	}
	return false
}

// Sniff returns the media type of a body, lower case and without parameters. The declared type is believed, except
// where it is absent or generic, where text/plain or text/html is declared for bytes that are a PDF or another binary
// format, and where text/plain is declared for what starts like an HTML document. It returns "" for an empty body of no
// declared type.
func Sniff(contentType string, body []byte) string {
	declared := mediaType(contentType)
	head := body[:min(len(body), sniffBytes)]
	switch declared {
	case "", "application/octet-stream", "application/unknown", "unknown/unknown", "*/*", "binary/octet-stream", "application/force-download":
		return sniffUndeclared(declared, head)
	case mimeText:
		if t := binaryType(head); t != "" {
			return t
		}
		if startsLikeHTML(head) {
			return mimeHTML
		}
		return mimeText
	case mimeHTML, mimeXHTML:
		if bytes.HasPrefix(head, []byte("%PDF-")) {
			return mimePDF
		}
		if t := binaryType(head); t != "" {
			return t
		}
		return declared
	case "application/x-pdf", "application/acrobat", "text/pdf":
		return mimePDF
	case "text/xhtml", "application/xhtml":
		return mimeXHTML
	case "application/xml", "text/xml":
		if bytes.Contains(head, []byte("http://www.w3.org/1999/xhtml")) {
			return mimeXHTML
		}
	}
	return declared
}

// mediaType returns the type of a Content-Type header, tolerant of bad parameters.
func mediaType(contentType string) string {
	t, _, err := mime.ParseMediaType(contentType)
	if err != nil && t == "" {
		t, _, _ = strings.Cut(contentType, ";")
		t, _, _ = strings.Cut(t, ",")
		t = strings.ToLower(strings.TrimSpace(t))
	}
	if strings.Count(t, "/") != 1 || strings.ContainsAny(t, " \t\r\n\"") {
		return ""
	}
	return t
}

// sniffUndeclared decides by the bytes alone.
func sniffUndeclared(declared string, head []byte) string {
	if len(bytes.TrimSpace(head)) == 0 {
		return declared
	}
	if t := binaryType(head); t != "" {
		return t
	}
	if startsLikeHTML(head) {
		return mimeHTML
	}
	return mediaType(http.DetectContentType(head))
}

// binaryType names the type of bytes that are certainly not text, "" when they may be.
func binaryType(head []byte) string {
	if bytes.HasPrefix(head, []byte("%PDF-")) {
		return mimePDF
	}
	if len(head) >= 2 && (head[0] == 0xFE && head[1] == 0xFF || head[0] == 0xFF && head[1] == 0xFE) {
		return "" // UTF-16 with its mark
	}
	t := mediaType(http.DetectContentType(head))
	if strings.HasPrefix(t, "text/") {
		return ""
	}
	return t
}

// htmlStarts are how a document that is HTML starts, whatever it is declared as. Tags that text may well start with
// ("<b>", "<a ") are left out: the decision is to be conservative.
var htmlStarts = [...]string{"<!doctype html", "<html", "<head", "<body", "<title"}

func startsLikeHTML(head []byte) bool {
	head = bytes.TrimPrefix(head, []byte("\xEF\xBB\xBF"))
	for {
		head = bytes.TrimLeft(head, " \t\r\n\f")
		end := -1
		if bytes.HasPrefix(head, []byte("<!--")) {
			end = bytes.Index(head, []byte("-->"))
		} else if bytes.HasPrefix(head, []byte("<?xml")) {
			end = bytes.Index(head, []byte("?>"))
		}
		if end < 0 {
			break
		}
		head = head[min(len(head), end+3):]
	}
	for _, s := range htmlStarts {
		if len(head) > len(s) && strings.EqualFold(string(head[:len(s)]), s) {
			switch head[len(s)] {
			case ' ', '>', '\t', '\r', '\n', '\f':
				return true
			}
		}
	}
	return false
}
