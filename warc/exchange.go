package warc

import (
	"bytes"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"concord"

	"github.com/google/uuid"
)

// Profiles of revisit records (WARC 1.1 section 6.7).
const (
	ProfileIdentical   = "http://netpreserve.org/warc/1.1/revisit/identical-payload-digest"
	ProfileNotModified = "http://netpreserve.org/warc/1.1/revisit/server-not-modified"
)

// Reasons of WARC-Truncated (WARC 1.1 section 5.13).
const (
	TruncatedLength     = "length"     // longer than the body limit
	TruncatedTime       = "time"       // took longer than allowed
	TruncatedDisconnect = "disconnect" // the server went away
)

// RevisitKind says why a payload is not stored a second time.
type RevisitKind uint8

const (
	IdenticalPayload RevisitKind = iota // it was received again and has the same digest
	NotModified                         // the server answered 304 to a conditional request
)

// Earlier names the capture whose payload a revisit shares. URL, Time and Raw are needed, ID where it is known.
type Earlier struct {
	ID   string
	URL  string
	Time time.Time
	Raw  concord.Digest
	Kind RevisitKind
}

// Exchange is one HTTP request and the response to it, as the bytes went over the wire.
type Exchange struct {
	URL       string     // as it was asked, in normal form
	Time      time.Time  // when the request was sent
	IP        netip.Addr // of the server; zero: not known (a proxy)
	Request   []byte     // request line, fields, body; empty: no request record is made
	Response  []byte     // status line, fields, body with its chunks and content coding; never written to
	Truncated string     // why the response is not whole, one of the constants above; empty: it is
	RevisitOf *Earlier   // the body is left out, because an earlier capture has it
	Protocol  []string   // for WARC-Protocol: "http/1.1", "tls/1.3"
	Cipher    string     // for WARC-Cipher-Suite
	Metadata  []Field    // for the metadata record; none: no such record is made
}

// CaptureInfo is what a capture needs to know of the records made of it.
type CaptureInfo struct {
	ID      string         // UUID of the response or revisit record
	Raw     concord.Digest // payload digest; of a 304 answer, the digest of the payload it refers to
	Record  concord.Digest // block digest of the response or revisit record
	Size    int64          // payload bytes received
	Head    Head
	Payload []byte // transfer coding removed, content coding kept; shares memory with Response where it can
}

// Build makes the records of an exchange: the response (or revisit) first, then request and metadata, each linked to
// the first by WARC-Concurrent-To. The blocks share memory with the exchange. Interim 1xx answers are left out of the
// response block, so that every reader finds the final answer, and named in the metadata record instead.
//
// A response that is no HTTP/1 response, a 304 revisit with a body, or an "identical" payload whose digest differs from
// the earlier one is an Invalid error.
func Build(x Exchange) ([]Record, CaptureInfo, error) {
	response, interim, err := stripInterim(x.Response)
	if err != nil {
		return nil, CaptureInfo{}, err
	}
	head, payload, err := Payload(response)
	if err != nil {
		return nil, CaptureInfo{}, err
	}
	info := CaptureInfo{ID: uuid.NewString(), Size: int64(len(payload)), Head: head, Payload: payload, Raw: concord.Sum(payload)}
	b := builder{x: &x, date: x.Time.UTC().Truncate(time.Second).Format(time.RFC3339), main: urn(info.ID)}
	if x.RevisitOf != nil {
		err = b.revisit(response, &info)
	} else {
		b.response(response, &info)
	}
	if err != nil {
		return nil, CaptureInfo{}, err
	}
	b.request()
	b.metadata(interim)
	for i := range b.out {
		if err := b.out[i].check(); err != nil {
			return nil, CaptureInfo{}, err
		}
	}
	return b.out, info, nil
}

type builder struct {
	x    *Exchange
	date string
	main string // record ID of the first record
	out  []Record
}

// begin returns the fields every record of the exchange has, with room for the others.
func (b *builder) begin(kind, id, contentType string) Fields {
	f := make(Fields, 0, 16)
	f = append(f, Field{"WARC-Type", kind}, Field{"WARC-Record-ID", id}, Field{"WARC-Date", b.date},
		Field{"WARC-Target-URI", b.x.URL}, Field{"Content-Type", contentType})
	if id != b.main {
		f.Add("WARC-Concurrent-To", b.main)
	}
	return f
}

func (b *builder) wire(f *Fields) {
	if b.x.IP.IsValid() {
		f.Add("WARC-IP-Address", b.x.IP.Unmap().WithZone("").String())
	}
	for _, p := range b.x.Protocol {
		f.Add("WARC-Protocol", p)
	}
	f.Add("WARC-Cipher-Suite", b.x.Cipher)
}

func (b *builder) response(block []byte, info *CaptureInfo) {
	info.Record = concord.Sum(block)
	f := b.begin(TypeResponse, b.main, "application/http; msgtype=response")
	b.wire(&f)
	f.Add("WARC-Block-Digest", info.Record.Labelled())
	f.Add("WARC-Payload-Digest", info.Raw.Labelled())
	f.Add("WARC-Truncated", b.x.Truncated)
	b.out = append(b.out, Record{Header: f, Block: block})
}

func (b *builder) revisit(response []byte, info *CaptureInfo) error {
	e := b.x.RevisitOf
	profile := ProfileIdentical
	switch {
	case e.URL == "" || e.Time.IsZero() || e.Raw.IsZero():
		return concord.Errorf(concord.Invalid, "revisit of %s names no earlier URL, time or digest", b.x.URL)
	case e.Kind == NotModified && (info.Head.Status != http.StatusNotModified || len(info.Payload) > 0):
		return concord.Errorf(concord.Invalid, "revisit of %s by server-not-modified needs a 304 without a body, not %d with %d bytes",
			b.x.URL, info.Head.Status, len(info.Payload))
	case e.Kind == NotModified:
		profile, info.Raw = ProfileNotModified, e.Raw
	case e.Raw != info.Raw || b.x.Truncated != "":
		return concord.Errorf(concord.Invalid, "payload of %s is not whole or not identical with that of %s", b.x.URL, e.URL)
	}
	block := response[:info.Head.Size]
	info.Record = concord.Sum(block)
	f := b.begin(TypeRevisit, b.main, "application/http; msgtype=response")
	b.wire(&f)
	f.Add("WARC-Profile", profile)
	if e.ID != "" {
		f.Add("WARC-Refers-To", urn(e.ID))
	}
	f.Add("WARC-Refers-To-Target-URI", e.URL)
	f.Add("WARC-Refers-To-Date", e.Time.UTC().Truncate(time.Second).Format(time.RFC3339))
	f.Add("WARC-Block-Digest", info.Record.Labelled())
	f.Add("WARC-Payload-Digest", info.Raw.Labelled())
	b.out = append(b.out, Record{Header: f, Block: block})
	return nil
}

func (b *builder) request() {
	if len(b.x.Request) == 0 {
		return
	}
	f := b.begin(TypeRequest, urn(uuid.NewString()), "application/http; msgtype=request")
	b.wire(&f)
	f.Add("WARC-Block-Digest", concord.Sum(b.x.Request).Labelled())
	b.out = append(b.out, Record{Header: f, Block: b.x.Request})
}

func (b *builder) metadata(interim []int) {
	if len(b.x.Metadata) == 0 && len(interim) == 0 {
		return
	}
	fields := b.x.Metadata
	for _, status := range interim {
		fields = append(fields[:len(fields):len(fields)], Field{"interim-response", strconv.Itoa(status)})
	}
	block := encodeFields(fields)
	f := b.begin(TypeMetadata, urn(uuid.NewString()), "application/warc-fields")
	f.Add("WARC-Block-Digest", concord.Sum(block).Labelled())
	b.out = append(b.out, Record{Header: f, Block: block})
}

// encodeFields writes an application/warc-fields block. Line breaks inside a value become spaces: it is one line.
func encodeFields(fields []Field) []byte {
	oneLine := strings.NewReplacer("\r\n", " ", "\r", " ", "\n", " ", "\x00", " ")
	var buf bytes.Buffer
	for _, f := range fields {
		buf.WriteString(oneLine.Replace(f.Name) + ": " + oneLine.Replace(f.Value) + "\r\n")
	}
	return buf.Bytes()
}

// stripInterim cuts 1xx answers off the front of a response and returns their status codes.
func stripInterim(response []byte) (rest []byte, interim []int, err error) {
	for len(interim) <= maxInterim {
		head, err := parseOneHead(response)
		if err != nil {
			return nil, nil, err
		}
		if head.Status >= 200 || head.Status == http.StatusSwitchingProtocols || head.Size == len(response) {
			return response, interim, nil
		}
		interim = append(interim, head.Status)
		response = response[head.Size:]
	}
	return nil, nil, concord.Errorf(concord.Invalid, "HTTP response has more than %d interim responses", maxInterim)
}

func urn(id string) string { return "<urn:uuid:" + id + ">" }
