package join

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"net/url"
	"time"

	"concord"
)

// authority is the certificate authority of a cluster: who has its key may name nodes.
type authority struct {
	cluster string
	cert    *x509.Certificate
	key     ed25519.PrivateKey
}

// newAuthority makes the authority of a new cluster.
func newAuthority(now time.Time) (*authority, error) {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	cluster := hex.EncodeToString(id[:])
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "concord cluster " + cluster},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(authorityLife),
		KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
		PermittedURIDomains: []string{cluster}, PermittedDNSDomainsCritical: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		return nil, err
	}
	return parseAuthority(der, key)
}

// parseAuthority checks that a certificate is that of a cluster's authority and belongs to the key. Errors: Corrupt.
func parseAuthority(der []byte, key crypto.PrivateKey) (*authority, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, concord.Errorf(concord.Corrupt, "certificate of the cluster's authority: %w", err)
	}
	k, isKey := key.(ed25519.PrivateKey)
	if !cert.IsCA || len(cert.PermittedURIDomains) != 1 || !isKey || !k.Public().(ed25519.PublicKey).Equal(cert.PublicKey) {
		return nil, concord.Errorf(concord.Corrupt, "certificate and key of the cluster's authority do not belong together")
	}
	return &authority{cert.PermittedURIDomains[0], cert, k}, nil
}

// serial returns a random serial number of 127 bits (RFC 5280, section 4.1.2.2, allows 20 bytes).
func serial() *big.Int {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b[:])
}

// sign makes a certificate for a node's key. It says what the authority knows, nothing of what the node asked for.
func (a *authority) sign(p Peer, key crypto.PublicKey, now time.Time) ([]byte, error) {
	end := now.Add(certificateLife)
	if end.After(a.cert.NotAfter) {
		end = a.cert.NotAfter
	}
	return x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: p.Name},
		NotBefore: now.Add(-backdate), NotAfter: end,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true, DNSNames: []string{p.Name}, URIs: []*url.URL{p.uri()},
	}, a.cert, key, a.key)
}

// fingerprint identifies an authority in a token: the SHA-256 of its certificate.
func fingerprint(der []byte) [sha256.Size]byte { return sha256.Sum256(der) }

// verify checks that a certificate was made by the authority for a node of its cluster. Errors: Unauthorized.
func verify(root, cert *x509.Certificate, now time.Time) (Peer, error) {
	roots := x509.NewCertPool()
	roots.AddCert(root)
	_, err := cert.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return Peer{}, concord.Errorf(concord.Unauthorized, "the other side's certificate is not one of this cluster: %w", err)
	}
	p, err := peerOf(cert)
	if err == nil && p.Cluster != root.PermittedURIDomains[0] {
		err = concord.Errorf(concord.Unauthorized, "node %s is of another cluster", p.Name)
	}
	return p, err
}

// encodePEM puts certificates and a key into one file, so that they are replaced together.
func encodePEM(key crypto.PrivateKey, certs ...[]byte) ([]byte, error) {
	var out []byte
	for _, der := range certs {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return append(out, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...), nil
}

// decodePEM reads what encodePEM wrote. Errors: Corrupt.
func decodePEM(data []byte) (key crypto.PrivateKey, certs [][]byte, err error) {
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		data = rest
		switch block.Type {
		case "CERTIFICATE":
			certs = append(certs, block.Bytes)
		case "PRIVATE KEY":
			if key, err = x509.ParsePKCS8PrivateKey(block.Bytes); err != nil {
				return nil, nil, concord.Errorf(concord.Corrupt, "private key: %w", err)
			}
		}
	}
	return key, certs, nil
}
