package join

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"testing"
	"time"

	"concord"
)

func TestToken(t *testing.T) {
	tok := newToken([32]byte{1, 2, 3}, time.Now().Add(time.Hour))
	text := tok.String()
	got, err := ParseToken(" " + text + "\n")
	if err != nil || got != tok {
		t.Fatalf("%+v, %v", got, err)
	}
	for i := range text {
		bad := []byte(text)
		bad[i] ^= 1
		if _, err := ParseToken(string(bad)); concord.KindOf(err) != concord.Invalid {
			t.Fatalf("letter %d changed: %v", i, err)
		}
		if _, err := ParseToken(text[:i]); concord.KindOf(err) != concord.Invalid {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
	if tok.id() == newToken(tok.Authority, tok.Expires).id() {
		t.Error("two tokens have one name")
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add(newToken([32]byte{1}, time.Unix(1800000000, 0)).String())
	f.Add(tokenPrefix)
	f.Fuzz(func(t *testing.T, s string) {
		tok, err := ParseToken(s)
		if err != nil {
			if concord.KindOf(err) != concord.Invalid {
				t.Fatal(err)
			}
			return
		}
		if again, err := ParseToken(tok.String()); err != nil || again != tok {
			t.Fatalf("%q: %v", s, err)
		}
	})
}

func FuzzDecodeRequest(f *testing.F) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		f.Fatal(err)
	}
	q := &request{Token: newToken([32]byte{}, time.Now()).id(), Name: "node-1", CSR: csr}
	q.Proof = proof([32]byte{}, nil, q)
	seed, err := json.Marshal(q)
	if err != nil {
		f.Fatal(err)
	}
	if _, err := decodeRequest(seed); err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte(`{"name":"a","token":"","csr":"AA==","proof":""}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		q, err := decodeRequest(data)
		if err != nil {
			if concord.KindOf(err) != concord.Invalid {
				t.Fatal(err)
			}
			return
		}
		if CheckName(q.Name) != nil || len(q.Proof) != 32 || len(q.key) != ed25519.PublicKeySize {
			t.Fatalf("%+v", q)
		}
	})
}

func FuzzDecodeReply(f *testing.F) {
	f.Add([]byte(`{"certificate":"AA==","authority":"AA==","authority_key":"AA==","layout":"e30=","peers":["a:1"]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := decodeReply(data)
		if err == nil {
			_, err = accept(ClientConfig{Name: "node-1", Dir: "/nonexistent"}, ed25519.NewKeyFromSeed(make([]byte, 32)), a)
			if err == nil {
				t.Fatal("accepted")
			}
		}
	})
}
