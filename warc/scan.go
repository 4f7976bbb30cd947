package warc

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"concord"
)

// Item is one capture found in a WARC file of another tool, with what is needed to index it and to keep it.
type Item struct {
	Kind    string    // TypeResponse, TypeRevisit, TypeResource or TypeConversion (text that was extracted by the tool)
	ID      string    // UUID of the record
	URL     string    // as the record states it
	Time    time.Time // UTC
	Status  int       // 0: the record holds no HTTP response
	Header  http.Header
	Mime    string     // declared media type of the payload, lower case, without parameters
	IP      netip.Addr // zero: not stated
	Payload []byte     // transfer coding removed, content coding kept; empty for a revisit
	Raw     concord.Digest
	Block   concord.Digest // of the record's block

	Truncated string // reason the tool states for a payload that is not whole; "segmented": the rest is in other records
	Check     Check  // what came of checking the stated digests
	Note      string // what had to be tolerated in the HTTP response

	// RefersTo is set for a revisit: the capture whose payload it shares, as far as it says so.
	RefersTo struct {
		ID, URL string
		Time    time.Time
	}

	Record  Record   // as read, to be appended to an archive as it is
	Related []Record // request and metadata records that belong to it, as far as they lie next to it
}

// Summary says what Scan found. What it left out is counted, and told in plain words as far as there is room.
type Summary struct {
	Name     string
	Records  int            // whole records of any type
	ByType   map[string]int // whole records by WARC-Type; "other": types the standard does not know
	Items    int            // items handed to fn
	Skipped  int            // records that are no capture or cannot be used, and damaged places
	Problems []string       // "<name>: at offset …: …", at most MaxProblems of them
}

// MaxProblems bounds the list of problems; Summary.Skipped counts all.
const MaxProblems = 100

func (s *Summary) problem(offset int64, format string, args ...any) {
	s.Skipped++
	if len(s.Problems) < MaxProblems {
		s.Problems = append(s.Problems, fmt.Sprintf("%s: at offset %d: %s", s.Name, offset, fmt.Sprintf(format, args...)))
	}
}

// maxRelated bounds the records that are held beside one capture.
const maxRelated = 8

// Scan reads a WARC file, plain or gzipped, and hands each capture in it to fn: responses, revisits, resources, and the
// extracted text of WET files (Kind "conversion"). Metadata of WAT files and other records are counted only. Damage does
// not end the scan: Summary says what was skipped and where. A record whose block does not match its own digest is
// skipped as damaged; a payload digest that does not match is reported in Item.Check.
//
// An error of fn ends the scan and is returned as it is. A source in which no record is found at all is an Invalid error.
func Scan(r io.Reader, name string, limits Limits, fn func(Item) error) (Summary, error) {
	s := scanner{fn: fn, sum: Summary{Name: name, ByType: map[string]int{}}}
	src := NewReader(r, limits)
	for {
		rec, err := src.Next()
		if err == io.EOF {
			break
		}
		if d, ok := errors.AsType[*Damage](err); ok {
			s.sum.problem(d.Offset, "%s", d.text())
			continue
		}
		if err == nil {
			err = s.record(rec)
		}
		if err != nil {
			return s.sum, err
		}
	}
	if err := s.flush(); err != nil {
		return s.sum, err
	}
	s.sum.Skipped += len(s.before)
	if s.sum.Records == 0 {
		return s.sum, concord.Errorf(concord.Invalid, "%s holds no WARC record: is it a .warc or .warc.gz file?", name)
	}
	return s.sum, nil
}

func knownType(kind string) bool {
	switch kind {
	case TypeWarcinfo, TypeResponse, TypeResource, TypeRequest, TypeMetadata, TypeRevisit, TypeConversion, TypeContinuation:
		return true
	}
	return false
}

type scanner struct {
	fn     func(Item) error
	sum    Summary
	item   *Item               // waits for the records behind it that belong to it
	before []Record            // request and metadata records that may belong to the next capture
	note   func(*Record) error // takes what NewNote made; nil: it is passed over
}

func (s *scanner) record(rec *Record) error {
	s.sum.Records++
	// Fields that cannot be written again are dropped, so that the record can be kept.
	rec.Header = slices.DeleteFunc(rec.Header, func(f Field) bool { return !f.writable() })
	kind := rec.Type()
	if !knownType(kind) {
		kind = "other"
	}
	s.sum.ByType[kind]++
	switch kind {
	case TypeResponse, TypeRevisit, TypeResource, TypeConversion:
		if err := s.flush(); err != nil {
			return err
		}
		s.item = s.newItem(rec)
	case TypeRequest, TypeMetadata:
		if rec.isNote() {
			return s.noted(rec)
		}
		s.companion(rec)
	case TypeWarcinfo:
	default:
		s.sum.Skipped++
	}
	return nil
}

// noted hands a note on, after what stands before it.
func (s *scanner) noted(rec *Record) error {
	if s.note == nil {
		return nil
	}
	if err := s.flush(); err != nil {
		return err
	}
	return s.note(rec)
}

// companion files a request or metadata record with the capture it names, or keeps it for the next one.
func (s *scanner) companion(rec *Record) {
	if !rec.complete() {
		s.sum.Skipped++
		return
	}
	if s.item != nil && belongs(rec, &s.item.Record) {
		if len(s.item.Related) < maxRelated {
			s.item.Related = append(s.item.Related, *rec)
		}
		return
	}
	if len(s.before) == maxRelated {
		s.before = append(s.before[:0], s.before[1:]...)
		s.sum.Skipped++
	}
	s.before = append(s.before, *rec)
}

// belongs reports whether one of the two records names the other.
func belongs(a, b *Record) bool {
	for _, v := range append(a.Header.Values("WARC-Concurrent-To"), a.Header.Values("WARC-Refers-To")...) {
		if bareID(v) == b.ID() {
			return true
		}
	}
	for _, v := range b.Header.Values("WARC-Concurrent-To") {
		if bareID(v) == a.ID() {
			return true
		}
	}
	return false
}

// flush hands the waiting item to fn.
func (s *scanner) flush() error {
	item := s.item
	s.item = nil
	if item == nil {
		return nil
	}
	s.sum.Items++
	return s.fn(*item)
}

// newItem makes an item of a capture's record; nil: it cannot be used, and is counted as skipped.
func (s *scanner) newItem(rec *Record) *Item {
	item := &Item{Kind: rec.Type(), ID: rec.ID(), URL: rec.TargetURI(), Record: *rec, Block: concord.Sum(rec.Block),
		Truncated: rec.Header.Get("WARC-Truncated"), Check: rec.Verify(), Related: s.related(rec)}
	if item.Truncated == "" && rec.Header.Get("WARC-Segment-Number") != "" {
		item.Truncated = "segmented"
	}
	item.IP, _ = netip.ParseAddr(rec.Header.Get("WARC-IP-Address"))
	var err error
	if item.Time, err = rec.Date(); err != nil {
		s.sum.problem(rec.Offset, "%v", err)
		return nil
	}
	switch {
	case item.URL == "" || item.ID == "":
		s.sum.problem(rec.Offset, "%s record without a target URI or record ID", item.Kind)
		return nil
	case item.Check.Block == Mismatch && item.Check.Payload != Verified:
		s.sum.problem(rec.Offset, "block of %s does not match its digest", concord.Clip(item.URL, 200))
		return nil
	}
	if err := item.content(rec); err != nil {
		s.sum.problem(rec.Offset, "%s: %v", concord.Clip(item.URL, 200), err)
		return nil
	}
	if item.Check.Block == Mismatch {
		item.restate()
	}
	return item
}

// related returns those of the kept records that belong to rec, and forgets the others.
func (s *scanner) related(rec *Record) []Record {
	var out []Record
	for _, b := range s.before {
		if belongs(&b, rec) {
			out = append(out, b)
		} else {
			s.sum.Skipped++
		}
	}
	s.before = s.before[:0]
	return out
}

// restate gives a record whose payload is proven whole, but whose block digest was wrong when its tool wrote it, a right
// one, and keeps what was stated: an archive takes a wrong block digest for damage.
func (it *Item) restate() {
	header := make(Fields, 0, len(it.Record.Header)+1)
	for _, f := range it.Record.Header {
		if strings.EqualFold(f.Name, "WARC-Block-Digest") {
			f.Name = "X-Stated-Block-Digest"
		}
		header = append(header, f)
	}
	header.Add("WARC-Block-Digest", it.Block.Labelled())
	it.Record.Header = header
	it.Note = "stated block digest is wrong"
}

// content fills in what the block says.
func (it *Item) content(rec *Record) error {
	it.Mime, it.Payload = rec.ContentType(), rec.Block
	if it.Mime == "application/http" || it.Kind == TypeResponse && strings.HasPrefix(it.URL, "http") {
		head, payload, err := Payload(rec.Block)
		if err != nil {
			return err
		}
		it.Status, it.Header, it.Note, it.Payload = head.Status, head.Header, head.Note, payload
		it.Mime = mediaType(head.Header.Get("Content-Type"))
	}
	it.Raw = concord.Sum(it.Payload)
	if it.Kind == TypeRevisit {
		it.revisit(rec)
	}
	return nil
}

// revisit fills in what a revisit refers to. Its payload digest is that of the earlier capture, where it is a SHA-256.
func (it *Item) revisit(rec *Record) {
	it.Payload, it.Raw = nil, concord.Digest{}
	if d, ok := strings.CutPrefix(rec.Header.Get("WARC-Payload-Digest"), "sha256:"); ok {
		if b, ok := decodeDigest(d, len(it.Raw)); ok {
			copy(it.Raw[:], b)
		}
	}
	it.RefersTo.ID = bareID(rec.Header.Get("WARC-Refers-To"))
	it.RefersTo.URL = trimAngle(rec.Header.Get("WARC-Refers-To-Target-URI"))
	if date := rec.Header.Get("WARC-Refers-To-Date"); date != "" {
		r := Record{Header: Fields{{"WARC-Date", date}}}
		it.RefersTo.Time, _ = r.Date()
	}
}
