// Package join answers "how does a machine become one of us?": the certificates of a cluster, the tokens that let a machine ask
// for one, and the exchange in which it gets it.
//
// The first node makes a certificate authority and signs its own certificate. A token carries a secret and the fingerprint of
// that authority, so that a machine that was told a token trusts nobody else and needs no leap of faith. It connects by TLS,
// verifies the authority by its fingerprint, proves that it knows the secret without sending it, and gets a certificate. It
// gets the authority's key as well: the nodes of a cluster trust each other, and any of them can let the next one in or
// renew a certificate when another is gone.
//
// It is not protection against a node that turned hostile: whoever had the authority's key can make certificates. Removing
// a node keeps out a machine that is out of use or was restored from a backup; after a theft the cluster needs a new authority.
//
// Invariants:
//   - Neither the authority's key nor a layout goes to anybody whose proof was not verified, and only under TLS 1.3.
//   - The store keeps hashes of secrets only. A secret is checked in constant time, and before anything about its token is told.
//   - A name belongs to one key at a time; a name that was removed comes back with a higher generation only.
//   - Keys are written with mode 0600, whole or not at all.
package join

import (
	"crypto/tls"
	"crypto/x509"
	"net/url"
	"strconv"
	"strings"
	"time"

	"concord"
)

const (
	// authorityLife is the life of the certificate authority. A cluster that outlives it is made anew.
	authorityLife = 10 * 365 * 24 * time.Hour
	// certificateLife is short, so that a certificate nobody remembers ends by itself, and long enough for a machine that
	// was off over a holiday.
	certificateLife = 30 * 24 * time.Hour
	// renewBefore is the rest of its life at which a certificate is renewed.
	renewBefore = certificateLife / 3
	// backdate is how far the clocks of two nodes may differ.
	backdate = time.Hour
	// uriScheme begins the name in a certificate: concord://CLUSTER/NODE/GENERATION.
	uriScheme = "concord"
)

// Peer is who a certificate of the cluster belongs to.
type Peer struct {
	Cluster    string // identity of the cluster: 32 hexadecimal digits
	Name       string // of the node
	Generation uint64 // counts how often a node of this name joined, from 1
}

func (p Peer) uri() *url.URL {
	return &url.URL{Scheme: uriScheme, Host: p.Cluster, Path: "/" + p.Name + "/" + strconv.FormatUint(p.Generation, 10)}
}

// peerOf reads the name in a certificate. Errors: Unauthorized.
func peerOf(cert *x509.Certificate) (Peer, error) {
	bad := concord.Errorf(concord.Unauthorized, "the certificate of %q names no node of a cluster", concord.Clip(cert.Subject.CommonName, 80))
	if len(cert.URIs) != 1 || cert.URIs[0].Scheme != uriScheme || cert.IsCA {
		return Peer{}, bad
	}
	name, generation, ok := strings.Cut(strings.TrimPrefix(cert.URIs[0].Path, "/"), "/")
	n, err := strconv.ParseUint(generation, 10, 64)
	p := Peer{cert.URIs[0].Host, name, n}
	if !ok || err != nil || n == 0 || CheckName(name) != nil || cert.Subject.CommonName != name || *p.uri() != *cert.URIs[0] {
		return Peer{}, bad
	}
	return p, nil
}

// PeerOf returns the node at the other end of a connection whose handshake verified it (ServerTLS, ClientTLS, JoinTLS); ok is
// false when it showed no certificate.
func PeerOf(state *tls.ConnectionState) (p Peer, ok bool) {
	if state == nil || len(state.PeerCertificates) == 0 {
		return Peer{}, false
	}
	p, err := peerOf(state.PeerCertificates[0])
	return p, err == nil
}
