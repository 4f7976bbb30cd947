package warc

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"concord"
)

// Record types of WARC 1.1, section 6.
const (
	TypeWarcinfo     = "warcinfo"
	TypeResponse     = "response"
	TypeResource     = "resource"
	TypeRequest      = "request"
	TypeMetadata     = "metadata"
	TypeRevisit      = "revisit"
	TypeConversion   = "conversion"
	TypeContinuation = "continuation"
)

// Version is the WARC version this package writes.
const Version = "1.1"

// Field is one named line of a header.
type Field struct {
	Name  string
	Value string
}

// Fields is a header: its lines in order. Names compare without case.
type Fields []Field

// Get returns the value of the first field of that name, "" when there is none.
func (f Fields) Get(name string) string {
	for i := range f {
		if strings.EqualFold(f[i].Name, name) {
			return f[i].Value
		}
	}
	return ""
}

// Values returns the values of all fields of that name, in order.
func (f Fields) Values(name string) []string {
	var out []string
	for i := range f {
		if strings.EqualFold(f[i].Name, name) {
			out = append(out, f[i].Value)
		}
	}
	return out
}

// Add appends a field; an empty value adds nothing.
func (f *Fields) Add(name, value string) {
	if value != "" {
		*f = append(*f, Field{name, value})
	}
}

// Record is one WARC record. The zero Version is written as "1.1"; Content-Length is always written from Block.
type Record struct {
	Version string // "1.1", "1.0", "0.18"
	Header  Fields // all named fields in order, as read; values without surrounding white space
	Block   []byte

	// Where a Reader or an Archive found it. Offset counts bytes of the file as stored (compressed, if it is); Length
	// is the number of stored bytes, and Whole says that exactly these bytes, read alone, give this record again.
	Offset int64
	Length int64
	Whole  bool
}

// Type returns WARC-Type in lower case.
func (r *Record) Type() string { return strings.ToLower(r.Header.Get("WARC-Type")) }

// ID returns the UUID of WARC-Record-ID without "<urn:uuid:" and ">". Another form of URI is returned without "<" and ">".
func (r *Record) ID() string { return bareID(r.Header.Get("WARC-Record-ID")) }

// TargetURI returns WARC-Target-URI, without the angle brackets that some tools write round it.
func (r *Record) TargetURI() string { return trimAngle(r.Header.Get("WARC-Target-URI")) }

// ContentType returns the media type of the block, lower case, without parameters.
func (r *Record) ContentType() string { return mediaType(r.Header.Get("Content-Type")) }

// Date returns WARC-Date in UTC. Older tools wrote 14 digits; fractions of a second are kept.
func (r *Record) Date() (time.Time, error) {
	v := r.Header.Get("WARC-Date")
	for _, layout := range [...]string{time.RFC3339Nano, "2006-01-02T15:04:05", stampLayout, "2006-01-02"} {
		if t, err := time.Parse(layout, v); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, concord.Errorf(concord.Invalid, "WARC-Date %q is not a time", concord.Clip(v, 40))
}

// stampLayout is the 14-digit time of CDX lines and file names.
const stampLayout = "20060102150405"

func trimAngle(s string) string {
	if len(s) >= 2 && s[0] == '<' && s[len(s)-1] == '>' {
		return s[1 : len(s)-1]
	}
	return s
}

func bareID(s string) string {
	s = trimAngle(s)
	if len(s) > 9 && strings.EqualFold(s[:9], "urn:uuid:") {
		return s[9:]
	}
	return s
}

func mediaType(s string) string {
	if i := strings.IndexByte(s, ';'); i >= 0 {
		s = s[:i]
	}
	return strings.ToLower(strings.TrimSpace(s))
}

// check refuses a header that could not be read back.
func (r *Record) check() error {
	for _, f := range r.Header {
		if !f.writable() {
			return concord.Errorf(concord.Invalid, "WARC field %q holds a line break or is no field: %q",
				concord.Clip(f.Name, 40), concord.Clip(f.Value, 80))
		}
	}
	if !r.complete() {
		return concord.Errorf(concord.Invalid, "WARC record lacks its type, ID or date")
	}
	return nil
}

// writable reports whether the field can be read back: one with a line break is two fields to a reader.
func (f Field) writable() bool {
	return f.Name != "" && !strings.ContainsAny(f.Name, "\r\n\x00: \t") && !strings.ContainsAny(f.Value, "\r\n\x00")
}

func (r *Record) complete() bool {
	return r.Header.Get("WARC-Type") != "" && r.Header.Get("WARC-Record-ID") != "" && r.Header.Get("WARC-Date") != ""
}

// appendTo appends the record as it stands in a file, with the two line breaks that end it.
func (r *Record) appendTo(buf *bytes.Buffer) {
	version := r.Version
	if version == "" {
		version = Version
	}
	buf.WriteString("WARC/")
	buf.WriteString(version)
	buf.WriteString("\r\n")
	for _, f := range r.Header {
		if strings.EqualFold(f.Name, "Content-Length") {
			continue
		}
		buf.WriteString(f.Name)
		buf.WriteString(": ")
		buf.WriteString(f.Value)
		buf.WriteString("\r\n")
	}
	buf.WriteString("Content-Length: ")
	buf.Write(strconv.AppendInt(buf.AvailableBuffer(), int64(len(r.Block)), 10))
	buf.WriteString("\r\n\r\n")
	buf.Write(r.Block)
	buf.WriteString("\r\n\r\n")
}
