package note

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"unicode"
	"unicode/utf8"

	"concord"
)

// Type is the algorithm byte of a key (c2sp.org/signed-note).
type Type byte

const (
	Ed25519     Type = 0x01 // Ed25519 over the text
	Cosignature Type = 0x04 // Ed25519 over a time and the text (c2sp.org/tlog-cosignature)
)

// MaxName is the most bytes a key name may have: the struct of ML-DSA cosignatures has a one-byte length for it.
const MaxName = 255

// Key is a verifier key: a name bound to a public key and an algorithm.
type Key struct {
	Name   string
	Type   Type
	Public [ed25519.PublicKeySize]byte
}

// String returns the key as a vkey: name, key ID and base64 of type and key, joined by "+".
func (k Key) String() string {
	return fmt.Sprintf("%s+%08x+%s", k.Name, k.ID(), base64.StdEncoding.EncodeToString(append([]byte{byte(k.Type)}, k.Public[:]...)))
}

// ID returns the key ID: the first four bytes of SHA-256(name, line feed, type, public key).
func (k Key) ID() uint32 {
	h := sha256.New()
	h.Write([]byte(k.Name))
	h.Write([]byte{'\n', byte(k.Type)})
	h.Write(k.Public[:])
	return binary.BigEndian.Uint32(h.Sum(nil))
}

// ParseKey reads a vkey. It refuses what does not re-encode to s, and types other than the two known here.
func ParseKey(s string) (Key, error) {
	k, data, err := splitKey(s)
	if err != nil {
		return Key{}, err
	}
	copy(k.Public[:], data)
	if k.String() != s {
		return Key{}, concord.Errorf(concord.Invalid, "verifier key %q: its key ID does not match its name and key", concord.Clip(s, 120))
	}
	return k, nil
}

// splitKey takes "name+id+base64(type and 32 bytes)" apart without checking the ID.
func splitKey(s string) (k Key, data []byte, err error) {
	name, rest, _ := strings.Cut(s, "+")
	id, b64, _ := strings.Cut(rest, "+")
	data, err = base64.StdEncoding.Strict().DecodeString(b64)
	if _, e := strconv.ParseUint(id, 16, 32); e != nil || err != nil || len(id) != 8 || len(data) != 1+ed25519.PublicKeySize || strings.ContainsAny(b64, "\r\n") {
		return k, nil, concord.Errorf(concord.Invalid, "verifier key %q: want <name>+<8 hex digits>+<base64 of type and key>", concord.Clip(s, 120))
	}
	if !ValidName(name) {
		return k, nil, concord.Errorf(concord.Invalid, "verifier key %q: the name is empty, too long, or has a space, a plus or a control character", concord.Clip(s, 120))
	}
	if t := Type(data[0]); t != Ed25519 && t != Cosignature {
		return k, nil, concord.Errorf(concord.Invalid, "verifier key %q: type 0x%02x is not supported, only 0x01 and 0x04 are", concord.Clip(s, 120), data[0])
	}
	return Key{Name: name, Type: Type(data[0])}, data[1:], nil
}

// ValidName reports whether name can be a key name.
func ValidName(name string) bool {
	return name != "" && len(name) <= MaxName && utf8.ValidString(name) &&
		!strings.ContainsFunc(name, func(r rune) bool { return unicode.IsSpace(r) || r < ' ' || r == 0x7f || r == '+' })
}

// Made reports whether the line names this key.
func (k Key) Made(s Sig) bool { return s.Name == k.Name && s.ID == k.ID() }

// Verify reports whether s is this key's signature of text.
func (k Key) Verify(text string, s Sig) bool { return k.Made(s) && k.verify(text, s.Data) }

func (k Key) verify(text string, data []byte) bool {
	switch {
	case k.Type == Ed25519 && len(data) == ed25519.SignatureSize:
		return ed25519.Verify(k.Public[:], []byte(text), data)
	case k.Type == Cosignature && len(data) == 8+ed25519.SignatureSize:
		t := binary.BigEndian.Uint64(data)
		return t <= maxTime && ed25519.Verify(k.Public[:], cosigned(text, t), data[8:])
	}
	return false
}

// verifier gives a Key the methods that golang.org/x/mod/sumdb/note asks for.
type verifier struct{ Key }

func (v verifier) Name() string                 { return v.Key.Name }
func (v verifier) KeyHash() uint32              { return v.ID() }
func (v verifier) Verify(text, sig []byte) bool { return v.verify(string(text), sig) }

// Signer signs for one purpose, with a key and its private half. Keys.Adopt gives it another key in the place of the first, for whoever
// holds it. It is safe for concurrent use.
type Signer struct{ pair atomic.Pointer[pair] }

type pair struct {
	key  Key
	priv ed25519.PrivateKey
}

// NewSigner returns the signer of a 32-byte Ed25519 seed.
func NewSigner(name string, typ Type, seed []byte) (*Signer, error) {
	if !ValidName(name) || len(seed) != ed25519.SeedSize || (typ != Ed25519 && typ != Cosignature) {
		return nil, concord.Errorf(concord.Invalid, "signing key %q: want a name, type 1 or 4, and a seed of %d bytes", concord.Clip(name, 80), ed25519.SeedSize)
	}
	p := &pair{key: Key{Name: name, Type: typ}, priv: ed25519.NewKeyFromSeed(seed)}
	copy(p.key.Public[:], p.priv.Public().(ed25519.PublicKey))
	s := new(Signer)
	s.pair.Store(p)
	return s, nil
}

// Key returns the verifier key.
func (s *Signer) Key() Key { return s.pair.Load().key }

// Sign signs a text with an Ed25519 key.
func (s *Signer) Sign(text string) (Sig, error) {
	if err := checkText(text); err != nil {
		return Sig{}, err
	}
	p := s.pair.Load()
	if p.key.Type != Ed25519 {
		return Sig{}, concord.Errorf(concord.Invalid, "sign: key %s is for cosignatures only", p.key.Name)
	}
	return Sig{p.key.Name, p.key.ID(), ed25519.Sign(p.priv, []byte(text))}, nil
}

// Cosign signs a text under a time, in unix seconds, with a Cosignature key. What a cosignature of a checkpoint states
// is in c2sp.org/tlog-cosignature; the caller must have made sure that it is true.
func (s *Signer) Cosign(text string, unix int64) (Sig, error) {
	if err := checkText(text); err != nil {
		return Sig{}, err
	}
	p := s.pair.Load()
	if p.key.Type != Cosignature || unix < 0 {
		return Sig{}, concord.Errorf(concord.Invalid, "cosign: key %s is not a cosigning key, or the time %d is negative", p.key.Name, unix)
	}
	data := binary.BigEndian.AppendUint64(nil, uint64(unix))
	return Sig{p.key.Name, p.key.ID(), append(data, ed25519.Sign(p.priv, cosigned(text, uint64(unix)))...)}, nil
}

// maxTime bounds a cosignature's time to what a signed number of seconds holds.
const maxTime = 1<<63 - 1

// Time returns the unix time inside a cosignature line.
func (s Sig) Time() (unix int64, ok bool) {
	if len(s.Data) != 8+ed25519.SignatureSize {
		return 0, false
	}
	t := binary.BigEndian.Uint64(s.Data)
	return int64(t), t <= maxTime
}

// cosigned returns the bytes that a cosignature signs.
func cosigned(text string, t uint64) []byte {
	return []byte("cosignature/v1\ntime " + strconv.FormatUint(t, 10) + "\n" + text)
}

// checkText refuses texts that no note can hold.
func checkText(text string) error {
	if text == "" || text[len(text)-1] != '\n' || !utf8.ValidString(text) ||
		strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\n' }) {
		return concord.Errorf(concord.Invalid, "sign: the text must be UTF-8 without control characters and end in a line feed")
	}
	return nil
}

// Derive returns a secret that only who has the private key can compute: HMAC-SHA-256 under the seed. Each use has a
// label of its own.
func (s *Signer) Derive(label string) [sha256.Size]byte {
	h := hmac.New(sha256.New, s.pair.Load().priv.Seed())
	h.Write([]byte(label))
	return [sha256.Size]byte(h.Sum(nil))
}
