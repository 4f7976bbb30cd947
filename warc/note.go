package warc

import (
	"bytes"
	"strings"
	"time"

	"concord"

	"github.com/google/uuid"
)

// NewNote makes a metadata record that belongs to no capture: something its writer wants to find again in the archive
// itself. It has no target URI, so neither indexes nor exports have it; Scan passes it over and Walk hands it out.
func NewNote(at time.Time, fields ...Field) Record { return metadataRecord(at, "", "", fields) }

// NewCompanion makes a metadata record about the capture in record: it names it by WARC-Concurrent-To.
func NewCompanion(record *Record, at time.Time, fields ...Field) Record {
	return metadataRecord(at, record.TargetURI(), urn(record.ID()), fields)
}

func metadataRecord(at time.Time, target, of string, fields []Field) Record {
	block := encodeFields(fields)
	h := Fields{{"WARC-Type", TypeMetadata}, {"WARC-Record-ID", urn(uuid.NewString())},
		{"WARC-Date", at.UTC().Truncate(time.Second).Format(time.RFC3339)}}
	h.Add("WARC-Target-URI", target)
	h.Add("WARC-Concurrent-To", of)
	h.Add("Content-Type", "application/warc-fields")
	h.Add("WARC-Block-Digest", concord.Sum(block).Labelled())
	return Record{Header: h, Block: block}
}

// Annotate adds fields to the metadata record of a group that Build made, and returns the group; where it has none, one
// is added.
func Annotate(group []Record, fields ...Field) []Record {
	for i := range group {
		r := &group[i]
		if r.Type() != TypeMetadata {
			continue
		}
		r.Block = append(bytes.Clone(r.Block), encodeFields(fields)...)
		for j := range r.Header {
			if strings.EqualFold(r.Header[j].Name, "WARC-Block-Digest") {
				r.Header[j].Value = concord.Sum(r.Block).Labelled()
			}
		}
		return group
	}
	date, err := group[0].Date()
	if err != nil {
		date = time.Unix(0, 0)
	}
	return append(group, NewCompanion(&group[0], date, fields...))
}

// Metadata returns the fields of a metadata record, nil when its block holds none (it is XML, say). Folded lines are
// not joined: nothing of ours is folded.
func (r *Record) Metadata() Fields {
	if r.Type() != TypeMetadata || r.ContentType() != "application/warc-fields" {
		return nil
	}
	var out Fields
	for line := range strings.Lines(string(r.Block)) {
		name, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		if ok && name != "" {
			out = append(out, Field{name, strings.TrimSpace(value)})
		}
	}
	return out
}

// isNote reports whether a record is of the form that NewNote makes.
func (r *Record) isNote() bool {
	return r.Type() == TypeMetadata && r.TargetURI() == "" && r.Header.Get("WARC-Concurrent-To") == "" && r.Header.Get("WARC-Refers-To") == ""
}
