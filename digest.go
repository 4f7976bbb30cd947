package concord

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
)

// Digest is a SHA-256 digest. The zero value means "none".
//
// It has two texts: standard base64 (44 characters) in signed text and JSON, and "sha256:" with lower-case hex in WARC
// headers, CDXJ and for people.
type Digest [sha256.Size]byte

// Sum returns the digest of b.
func Sum(b []byte) Digest { return sha256.Sum256(b) }

// IsZero reports whether d is the zero value, "none".
func (d Digest) IsZero() bool { return d == Digest{} }

// String returns d in standard base64.
func (d Digest) String() string { return base64.StdEncoding.EncodeToString(d[:]) }

// Labelled returns d as "sha256:" and 64 lower-case hex digits, the form WARC headers use.
func (d Digest) Labelled() string { return "sha256:" + hex.EncodeToString(d[:]) }

// ParseDigest reads the canonical base64 form written by String. Anything that does not re-encode to itself is refused.
func ParseDigest(s string) (Digest, error) {
	var d Digest
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != len(d) || strings.ContainsAny(s, "\r\n") {
		return Digest{}, Errorf(Invalid, "digest %q is not the base64 of 32 bytes", Clip(s, 60))
	}
	copy(d[:], b)
	return d, nil
}

// ParseLabelled reads the "sha256:<hex>" form written by Labelled.
func ParseLabelled(s string) (Digest, error) {
	var d Digest
	h, ok := strings.CutPrefix(s, "sha256:")
	b, err := hex.DecodeString(h)
	if !ok || err != nil || len(b) != len(d) {
		return Digest{}, Errorf(Invalid, "digest %q is not sha256: and 64 hex digits", Clip(s, 80))
	}
	copy(d[:], b)
	return d, nil
}

// MarshalText writes the base64 form, and nothing for the zero digest.
func (d Digest) MarshalText() ([]byte, error) {
	if d.IsZero() {
		return nil, nil
	}
	return []byte(d.String()), nil
}

// UnmarshalText reads what MarshalText wrote.
func (d *Digest) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*d = Digest{}
		return nil
	}
	v, err := ParseDigest(string(text))
	if err != nil {
		return err
	}
	*d = v
	return nil
}

// Clip shortens s to at most n bytes for use in a message, on a rune border, with an ellipsis when it cut.
func Clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return fmt.Sprintf("%s…", s[:n])
}
