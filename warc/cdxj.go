package warc

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"concord"
	"concord/weburl"
)

// CDXLine is one line of a CDXJ index (CDXJ 0.1.0): where a capture of a URL lies.
//
//	org,example)/ 20261122101500 {"url":"https://example.org/","mime":"text/html","status":"200",
//	"digest":"sha256:…","length":"1234","offset":"784","filename":"concord-….warc.gz"}
//
// (on one line). Numbers are written as strings, the form that indexers in use write, and read in both forms.
type CDXLine struct {
	Key      string // SURT of the URL
	Stamp    string // 14 or 17 digits of UTC time
	URL      string
	Mime     string // "warc/revisit" for a revisit
	Status   int    // 0: no HTTP response
	Digest   string // payload digest with its label
	Location concord.Location
}

// MaxCDXLine bounds one line: a URL of a few kilobytes, twice, and some digits.
const MaxCDXLine = 64 << 10

const (
	// maxIndexedURL is the longest URL that gets an index line; crawl takes URLs of 2 KiB. Percent-encoded as a key and
	// escaped as JSON it stays well within MaxCDXLine.
	maxIndexedURL = 4 << 10
	// maxIndexedToken bounds media type and digest in the same way.
	maxIndexedToken = 256
)

type cdxJSON struct {
	URL      string    `json:"url"`
	Mime     string    `json:"mime,omitempty"`
	Status   cdxNumber `json:"status,omitempty"`
	Digest   string    `json:"digest,omitempty"`
	Length   cdxNumber `json:"length,omitempty"`
	Offset   cdxNumber `json:"offset"`
	Filename string    `json:"filename"`
}

// cdxNumber is a number that tools write with and without quotation marks.
type cdxNumber string

// UnmarshalJSON accepts a string or a number.
func (n *cdxNumber) UnmarshalJSON(b []byte) error {
	*n = cdxNumber(strings.Trim(string(b), `"`))
	return nil
}

func (n cdxNumber) int() (int64, error) {
	if n == "" || n == "-" {
		return 0, nil
	}
	return strconv.ParseInt(string(n), 10, 64)
}

// String returns the line without a line feed.
func (l CDXLine) String() string {
	j := cdxJSON{URL: l.URL, Mime: l.Mime, Digest: l.Digest, Filename: l.Location.File,
		Offset: cdxNumber(strconv.FormatInt(l.Location.Offset, 10)), Length: cdxNumber(strconv.FormatInt(l.Location.Length, 10))}
	if l.Status > 0 {
		j.Status = cdxNumber(strconv.Itoa(l.Status))
	}
	var buf bytes.Buffer
	buf.WriteString(l.Key + " " + l.Stamp + " ")
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(j) // strings only: cannot fail
	return strings.TrimSuffix(buf.String(), "\n")
}

// ParseCDXLine reads a CDXJ line of this or another tool. Errors are of kind Invalid.
func ParseCDXLine(line string) (CDXLine, error) {
	bad := func(what string) (CDXLine, error) {
		return CDXLine{}, concord.Errorf(concord.Invalid, "CDXJ line: %s: %q", what, concord.Clip(line, 80))
	}
	if len(line) > MaxCDXLine {
		return bad("longer than 64 KiB")
	}
	key, rest, _ := strings.Cut(line, " ")
	stamp, text, ok := strings.Cut(rest, " ")
	if !ok || key == "" {
		return bad("want key, time and JSON")
	}
	if (len(stamp) != 14 && len(stamp) != 17) || strings.Trim(stamp, "0123456789") != "" {
		return bad("time is not of 14 or 17 digits")
	}
	var j cdxJSON
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return bad("no JSON object")
	}
	status, err1 := j.Status.int()
	offset, err2 := j.Offset.int()
	length, err3 := j.Length.int()
	if err1 != nil || err2 != nil || err3 != nil || status < 0 || status > 999 || offset < 0 || length < 0 {
		return bad("status, offset or length is not a number in range")
	}
	return CDXLine{Key: key, Stamp: stamp, URL: j.URL, Mime: j.Mime, Status: int(status), Digest: j.Digest,
		Location: concord.Location{File: j.Filename, Offset: offset, Length: length}}, nil
}

// indexLine returns the CDXJ line of a record, without its location; ok is false for records that are not indexed.
func indexLine(r *Record) (l CDXLine, ok bool) {
	kind := r.Type()
	switch kind {
	case TypeResponse, TypeRevisit, TypeResource, TypeConversion:
	default:
		return CDXLine{}, false
	}
	date, err := r.Date()
	target := r.TargetURI()
	if err != nil || target == "" || len(target) > maxIndexedURL {
		return CDXLine{}, false
	}
	l = CDXLine{Key: sortKey(target), Stamp: stampOf(date), URL: target, Mime: r.ContentType(), Digest: r.Header.Get("WARC-Payload-Digest")}
	if l.Mime == "application/http" {
		l.Mime = ""
		if head, err := parseHead(r.Block); err == nil {
			l.Status, l.Mime = head.Status, mediaType(head.Header.Get("Content-Type"))
		}
	}
	if kind == TypeRevisit {
		l.Mime = "warc/revisit"
	}
	if len(l.Mime) > maxIndexedToken {
		l.Mime = ""
	}
	if len(l.Digest) > maxIndexedToken {
		l.Digest = ""
	}
	if l.Digest == "" && kind == TypeResponse {
		if _, payload, err := Payload(r.Block); err == nil {
			l.Digest = concord.Sum(payload).Labelled()
		}
	}
	return l, true
}

// sortKey returns the SURT of a URL; a URI that is no web address sorts under itself, in lower case, without spaces.
func sortKey(target string) string {
	if u, err := weburl.Parse(target); err == nil {
		return weburl.SURT(u)
	}
	return strings.Map(func(c rune) rune {
		if c <= ' ' || c == 0x7f {
			return '_'
		}
		return c
	}, strings.ToLower(target))
}

func stampOf(t time.Time) string { return t.UTC().Format(stampLayout) }
