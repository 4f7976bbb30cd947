package warc

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"

	"lukechampine.com/blake3"
)

// Verdict is what checking a digest came to.
type Verdict uint8

const (
	NotStated  Verdict = iota // the record states none
	Verified                  // it matches
	Mismatch                  // it does not match
	NotChecked                // the algorithm or form is not known, or the payload is not in the record (a revisit)
	Variant                   // it matches the body as it lies in the block, chunks included: a widespread mistake
)

var verdictNames = [...]string{"not stated", "verified", "mismatch", "not checked", "verified with chunks"}

func (v Verdict) String() string {
	if int(v) < len(verdictNames) {
		return verdictNames[v]
	}
	return "unknown"
}

// Check is what checking the digests of a record came to.
type Check struct {
	Block   Verdict
	Payload Verdict
}

// OK reports whether nothing contradicts the record.
func (c Check) OK() bool { return c.Block != Mismatch && c.Payload != Mismatch }

// Verify checks the digests that the record states, whichever tool wrote it: sha1, sha256, sha512, md5 and blake3, in
// hex, base32 or base64.
//
// The payload digest is compared with the body without its transfer coding, content coding kept, as the standard
// means it, and then with the two other things that tools hash: the body with its chunks (verdict Variant), and, for a
// request, which has a payload only in theory, whatever follows its head.
func (r *Record) Verify() Check {
	c := Check{Block: compare(r.Header.Get("WARC-Block-Digest"), r.Block)}
	stated := r.Header.Get("WARC-Payload-Digest")
	switch {
	case stated == "":
	case r.Type() == TypeRevisit || r.Header.Get("WARC-Segment-Number") != "":
		c.Payload = NotChecked
	default:
		c.Payload = r.verifyPayload(stated)
	}
	return c
}

func (r *Record) verifyPayload(stated string) Verdict {
	if r.ContentType() != "application/http" {
		return compare(stated, r.Block)
	}
	if r.Type() == TypeRequest {
		return compare(stated, afterHead(r.Block))
	}
	head, payload, err := Payload(r.Block)
	if err != nil {
		return NotChecked
	}
	v := compare(stated, payload)
	if v == Mismatch && head.Header.Get("Transfer-Encoding") != "" && compare(stated, r.Block[head.Size:]) == Verified {
		return Variant
	}
	if v == Mismatch && head.Status == http.StatusNotModified {
		return NotChecked // the digest of what the answer refers to
	}
	return v
}

// afterHead returns what follows the first empty line.
func afterHead(b []byte) []byte {
	for {
		line, rest, ok := cutLine(b)
		if b = rest; len(line) == 0 || !ok {
			return b
		}
	}
}

// compare checks data against a labelled digest.
func compare(stated string, data []byte) Verdict {
	if stated == "" {
		return NotStated
	}
	label, value, ok := strings.Cut(strings.TrimSpace(stated), ":")
	if !ok {
		return NotChecked
	}
	sum := digestOf(label, data)
	if sum == nil {
		return NotChecked
	}
	want, ok := decodeDigest(value, len(sum))
	switch {
	case !ok:
		return NotChecked
	case string(want) == string(sum):
		return Verified
	}
	return Mismatch
}

// digestOf computes the digest of that label; "sha-256" and "sha256" are the same. Nil: not known.
func digestOf(label string, data []byte) []byte {
	switch strings.ReplaceAll(strings.ToLower(label), "-", "") {
	case "sha1":
		s := sha1.Sum(data)
		return s[:]
	case "sha256":
		s := sha256.Sum256(data)
		return s[:]
	case "sha512":
		s := sha512.Sum512(data)
		return s[:]
	case "md5":
		s := md5.Sum(data)
		return s[:]
	case "blake3":
		s := blake3.Sum256(data)
		return s[:]
	}
	return nil
}

// decodeDigest reads a digest of size bytes in the form that its length tells.
func decodeDigest(value string, size int) ([]byte, bool) {
	var b []byte
	var err error
	bare := strings.TrimRight(value, "=")
	switch len(bare) {
	case hex.EncodedLen(size):
		b, err = hex.DecodeString(bare)
	case base32.StdEncoding.WithPadding(base32.NoPadding).EncodedLen(size):
		b, err = base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ToUpper(bare))
	case base64.RawStdEncoding.EncodedLen(size):
		b, err = base64.RawStdEncoding.DecodeString(strings.NewReplacer("-", "+", "_", "/").Replace(bare))
	default:
		return nil, false
	}
	return b, err == nil && len(b) == size
}
