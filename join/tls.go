package join

import (
	"crypto/tls"
	"crypto/x509"
	"time"

	"concord"
)

// Trust makes the TLS configurations refuse peers that revoked reports, from the next handshake on. Call it before the
// configurations are used; Registry.Revoked is meant for it.
func (id *Identity) Trust(revoked func(Peer) bool) { id.revoked = revoked }

// ServerTLS returns the configuration of a listener for the nodes of this cluster only: both sides show certificates, which
// are renewed under it. It implies TLS 1.3.
func (id *Identity) ServerTLS() *tls.Config {
	c := id.config()
	c.ClientAuth = tls.RequireAnyClientCert // verified below, with more than the library's rules
	return c
}

// ClientTLS returns the configuration for connections to nodes of this cluster, at whatever address.
func (id *Identity) ClientTLS() *tls.Config { return id.config() }

// JoinTLS returns the configuration of a listener that machines without a certificate may use as well, to join. Handlers
// for nodes ask PeerOf.
func (id *Identity) JoinTLS() *tls.Config {
	c := id.config()
	c.ClientAuth = tls.RequestClientCert
	verifyPeer := c.VerifyConnection
	c.VerifyConnection = func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 {
			return nil
		}
		return verifyPeer(state)
	}
	return c
}

func (id *Identity) config() *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(id.authority.cert)
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		RootCAs:    pool, // for engines that want to see them: verifyConnection has its own
		ClientCAs:  pool,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return id.current.Load(), nil
		},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return id.current.Load(), nil
		},
		// Nodes are known by name and cluster, not by the address they are reached at, so the check of host names is
		// replaced as a whole, for both sides.
		InsecureSkipVerify:     true,
		VerifyConnection:       id.verifyConnection,
		SessionTicketsDisabled: true, // each handshake looks at the list of removed nodes
	}
}

// verifyConnection lets in nodes of this cluster that were not removed.
func (id *Identity) verifyConnection(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return concord.Errorf(concord.Unauthorized, "the other side showed no certificate; only nodes of this cluster may connect")
	}
	p, err := verify(id.authority.cert, state.PeerCertificates[0], id.now())
	if err != nil {
		return err
	}
	if id.revoked != nil && id.revoked(p) {
		return concord.Errorf(concord.Unauthorized, "node %s was removed from this cluster; it has to join again, with a token", p.Name)
	}
	return nil
}

// verifyJoin is what a machine that only knows a token checks of the node it joins at: the authority by its fingerprint, then
// the node by the authority.
func verifyJoin(t Token) func(tls.ConnectionState) error {
	return func(state tls.ConnectionState) error {
		certs := state.PeerCertificates
		var root *x509.Certificate
		for _, c := range certs {
			if fingerprint(c.Raw) == t.Authority && c.IsCA && len(c.PermittedURIDomains) == 1 {
				root = c
			}
		}
		if root == nil || len(certs) < 2 {
			return concord.Errorf(concord.Unauthorized, "the token is for another cluster than the one at this address, or somebody stands in between: nothing was sent")
		}
		_, err := verify(root, certs[0], time.Now())
		return err
	}
}
