package join

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"log/slog"
	"strings"
	"time"

	"concord"
)

// A token is one string to copy: "cj1-" and, in base64url without padding,
//
//	secret       32 bytes, random
//	fingerprint  32 bytes, SHA-256 of the authority's certificate
//	expiry        8 bytes, big-endian, Unix time in seconds
//	sum           4 bytes, the first of the SHA-256 of all before: a copy that lost a letter is told from a wrong one
const (
	tokenPrefix = "cj1-"
	secretBytes = 32
	tokenBytes  = secretBytes + sha256.Size + 8 + 4
	// maxTokenText bounds what is looked at as a token: its 106 bytes, and blanks of a careless copy.
	maxTokenText = 256
)

// Token lets a machine join. Who knows it can join the cluster and gets all of its keys: treat it as a password.
type Token struct {
	Secret    [secretBytes]byte
	Authority [sha256.Size]byte
	Expires   time.Time // to the second; only the cluster's clock counts
}

func newToken(authority [sha256.Size]byte, expires time.Time) Token {
	t := Token{Authority: authority, Expires: time.Unix(expires.Unix(), 0).UTC()}
	_, _ = rand.Read(t.Secret[:]) // never fails
	return t
}

// String returns the token as it is copied.
func (t Token) String() string {
	b := append(t.Secret[:], t.Authority[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(t.Expires.Unix()))
	sum := sha256.Sum256(b)
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(append(b, sum[:4]...))
}

// LogValue keeps the secret out of logs.
func (t Token) LogValue() slog.Value { return slog.StringValue("token " + t.id()) }

// ParseToken reads what String returned. Errors: Invalid.
func ParseToken(s string) (Token, error) {
	if len(s) > maxTokenText {
		return Token{}, concord.Errorf(concord.Invalid, "not a token: %d bytes; copy what concord cluster token printed", len(s))
	}
	text, ok := strings.CutPrefix(strings.TrimSpace(s), tokenPrefix)
	if !ok {
		return Token{}, concord.Errorf(concord.Invalid, "not a token: it does not begin with %q; copy what concord cluster token printed", tokenPrefix)
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != tokenBytes || strings.ContainsAny(text, "\r\n") {
		return Token{}, concord.Errorf(concord.Invalid, "the token is incomplete or mistyped; copy all of what concord cluster token printed")
	}
	body, sum := b[:tokenBytes-4], b[tokenBytes-4:]
	if want := sha256.Sum256(body); string(sum) != string(want[:4]) {
		return Token{}, concord.Errorf(concord.Invalid, "the token is mistyped; copy all of what concord cluster token printed")
	}
	var t Token
	copy(t.Secret[:], body)
	copy(t.Authority[:], body[secretBytes:])
	t.Expires = time.Unix(int64(binary.BigEndian.Uint64(body[secretBytes+sha256.Size:])), 0).UTC()
	return t, nil
}

// id names the token in the store, and tells nothing of the secret.
func (t Token) id() string {
	h := sha256.Sum256(append([]byte("concord join token name\x00"), t.Secret[:]...))
	return hex.EncodeToString(h[:tokenIDBytes])
}

// tokenIDBytes makes ids that do not meet by accident.
const tokenIDBytes = 16

// hash is what the cluster keeps of the secret, and the key of proofs.
func (t Token) hash() [sha256.Size]byte {
	return sha256.Sum256(append([]byte("concord join token proof\x00"), t.Secret[:]...))
}

// proof shows knowledge of the secret for one request on one connection: binding is exported from the TLS session, so that
// whoever stands in between cannot pass it on.
func proof(hash [sha256.Size]byte, binding []byte, r *request) []byte {
	mac := hmac.New(sha256.New, hash[:])
	for _, part := range [][]byte{[]byte("concord join 1"), binding, []byte(r.Name), r.CSR} {
		mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		mac.Write(part)
	}
	return mac.Sum(nil)
}
