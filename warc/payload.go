package warc

import (
	"bytes"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"

	"concord"
)

// maxHead bounds the head of an HTTP response inside a block: what servers send is under 16 KiB, crawl stops at 64 KiB.
const maxHead = 256 << 10

// maxInterim bounds the 1xx responses before the final one.
const maxInterim = 16

// Head is the head of a stored HTTP response.
type Head struct {
	Proto  string // "HTTP/1.1"
	Status int
	Reason string
	Header http.Header // names in canonical form, values as sent
	Size   int         // bytes of the block up to and with the empty line; the body follows
	Note   string      // what had to be tolerated, in plain words; empty: nothing
}

// Payload takes the block of a response record apart: the head, and the payload, which is the body with its transfer
// coding removed and its content coding kept (DecodeContent undoes that). The payload shares memory with block unless
// it was chunked. Tools exist that removed the chunks and left the header that announces them: such a body is returned
// as it is. Of a body with broken chunks the data up to the break is returned. Head.Note says so in both cases.
//
// Interim 1xx responses are passed over. Content-Length is not obeyed: archives hold responses whose coding was
// removed after the fact, and the record's own length is the better witness. A block that does not begin with an HTTP
// status line is an Invalid error.
func Payload(block []byte) (Head, []byte, error) {
	head, err := parseHead(block)
	if err != nil {
		return Head{}, nil, err
	}
	body := block[head.Size:]
	if !isChunked(head.Header) {
		return head, body, nil
	}
	payload, note := dechunk(body)
	if note != "" {
		head.Note = note
	}
	return head, payload, nil
}

// parseHead reads status line and fields, passing over interim responses.
func parseHead(block []byte) (Head, error) {
	base := 0
	for range maxInterim {
		head, err := parseOneHead(block[base:])
		if err != nil {
			return Head{}, err
		}
		head.Size += base
		if head.Status >= 200 || head.Status == http.StatusSwitchingProtocols || head.Size == len(block) {
			return head, nil
		}
		base = head.Size
	}
	return Head{}, concord.Errorf(concord.Invalid, "HTTP response has more than %d interim responses", maxInterim)
}

func parseOneHead(b []byte) (Head, error) {
	line, rest, _ := cutLine(b)
	head, err := parseStatusLine(string(line))
	if err != nil {
		return Head{}, err
	}
	head.Header = make(http.Header, 16)
	var last string
	for {
		line, next, ok := cutLine(rest)
		if len(b)-len(next) > maxHead {
			return Head{}, concord.Errorf(concord.Invalid, "HTTP response head is longer than %d bytes", maxHead)
		}
		rest = next
		if len(line) == 0 {
			if !ok {
				head.Note = "head is not ended by an empty line"
			}
			head.Size = len(b) - len(rest)
			return head, nil
		}
		last = addField(head.Header, last, line)
	}
}

// addField adds one header line. A line that begins with white space continues the field before it (obs-fold, RFC 9112
// section 5.2); a line without a colon is left out.
func addField(h http.Header, last string, line []byte) string {
	if line[0] == ' ' || line[0] == '\t' {
		if v := h[last]; len(v) > 0 {
			v[len(v)-1] += " " + string(bytes.TrimSpace(line))
		}
		return last
	}
	name, value, ok := bytes.Cut(line, []byte{':'})
	if !ok {
		return ""
	}
	key := textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(string(name)))
	h[key] = append(h[key], string(bytes.TrimSpace(value)))
	return key
}

// parseStatusLine reads "HTTP/1.1 200 OK"; the reason may be missing, and "HTTP/2 200" is accepted, as tools write it.
func parseStatusLine(line string) (Head, error) {
	proto, rest, _ := strings.Cut(line, " ")
	code, reason, _ := strings.Cut(strings.TrimLeft(rest, " "), " ")
	status, err := strconv.Atoi(code)
	if !strings.HasPrefix(strings.ToUpper(proto), "HTTP/") || err != nil || status < 100 || status > 999 {
		return Head{}, concord.Errorf(concord.Invalid, "%q is not an HTTP status line", concord.Clip(line, 60))
	}
	return Head{Proto: proto, Status: status, Reason: strings.TrimSpace(reason)}, nil
}

// cutLine returns the bytes up to the next line feed, without it and a carriage return before it, and what follows.
// ok is false when no line feed was left.
func cutLine(b []byte) (line, rest []byte, ok bool) {
	i := bytes.IndexByte(b, '\n')
	if i < 0 {
		return b, nil, false
	}
	return bytes.TrimSuffix(b[:i], []byte{'\r'}), b[i+1:], true
}

func isChunked(h http.Header) bool {
	for _, v := range h["Transfer-Encoding"] {
		for coding := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(coding), "chunked") {
				return true
			}
		}
	}
	return false
}

// dechunk removes the chunked transfer coding (RFC 9112 section 7.1). Trailer fields are dropped. The note is empty
// when the body was well formed.
func dechunk(body []byte) (payload []byte, note string) {
	rest := body
	for first := true; ; first = false {
		line, after, ok := cutLine(rest)
		size, valid := chunkSize(line)
		switch {
		case len(rest) == 0 && first:
			return nil, ""
		case !valid && first:
			return body, "body is not chunked although its head says so"
		case len(rest) == 0 || !ok:
			return payload, "chunked body ends before its last chunk"
		case !valid:
			return payload, "chunked body is broken; what follows the break is left out"
		case size == 0:
			return payload, ""
		case size > int64(len(after)):
			return append(payload, after...), "chunked body ends inside a chunk"
		}
		if payload == nil {
			payload = make([]byte, 0, len(body))
		}
		payload = append(payload, after[:size]...)
		rest = bytes.TrimPrefix(after[size:], []byte{'\r'})
		rest = bytes.TrimPrefix(rest, []byte{'\n'})
	}
}

// chunkSize reads the hex length of a chunk line, before any extension.
func chunkSize(line []byte) (int64, bool) {
	if i := bytes.IndexByte(line, ';'); i >= 0 {
		line = line[:i]
	}
	line = bytes.TrimSpace(line)
	if len(line) == 0 || len(line) > 15 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(line), 16, 60)
	return int64(n), err == nil
}
