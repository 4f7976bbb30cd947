package join

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"concord"
	"concord/durable"
)

// The files of an identity, all of mode 0600.
const (
	authorityFile = "authority.pem" // certificate and key of the cluster's authority
	nodeFile      = "node.pem"      // certificate of this node, that of the authority, and this node's key
	requestFile   = "request.pem"   // the key of a machine that asked to join, until it is answered
)

// Identity is this node in its cluster: its certificate and the authority that made it. Safe for concurrent use.
type Identity struct {
	dir       string
	authority *authority
	peer      Peer
	key       ed25519.PrivateKey
	current   atomic.Pointer[tls.Certificate]
	revoked   func(Peer) bool
	log       *slog.Logger
	now       func() time.Time
}

// Create makes a new cluster, with this node as its first, and keeps it in dir. Errors: Conflict when dir has an identity.
func Create(dir, name string, logger *slog.Logger) (*Identity, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	if Exists(dir) {
		return nil, concord.Errorf(concord.Conflict, "%s holds the identity of a node already", dir)
	}
	a, err := newAuthority(time.Now())
	if err != nil {
		return nil, fmt.Errorf("make the cluster's authority: %w", err)
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return store(dir, a, Peer{a.cluster, name, 1}, key, nil, logger)
}

// Exists reports whether dir holds an identity.
func Exists(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, nodeFile))
	return err == nil
}

// store writes an identity; der is its certificate, nil to sign one. The node's file comes last: with it the identity exists.
func store(dir string, a *authority, p Peer, key ed25519.PrivateKey, der []byte, logger *slog.Logger) (*Identity, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	data, err := encodePEM(a.key, a.cert.Raw)
	if err != nil {
		return nil, err
	}
	if err := writeSecret(filepath.Join(dir, authorityFile), data); err != nil {
		return nil, err
	}
	id := &Identity{dir: dir, authority: a, peer: p, key: key, log: logger, now: time.Now}
	if der == nil {
		return id, id.Renew()
	}
	return id, id.adopt(der)
}

func writeSecret(path string, data []byte) error {
	return durable.WriteFile(path, 0o600, func(w io.Writer) error { _, err := w.Write(data); return err })
}

// Open reads the identity in dir. A certificate that has run out meanwhile is renewed: the node has the authority's key.
// Errors: NotFound when there is none; Corrupt; Unauthorized when others can read its keys.
func Open(dir string, logger *slog.Logger) (*Identity, error) {
	authorityKey, certs, err := readSecret(filepath.Join(dir, authorityFile))
	if err != nil {
		return nil, err
	}
	if len(certs) != 1 {
		return nil, concord.Errorf(concord.Corrupt, "%s in %s is damaged: restore it from another node", authorityFile, dir)
	}
	a, err := parseAuthority(certs[0], authorityKey)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	key, certs, err := readSecret(filepath.Join(dir, nodeFile))
	if err != nil {
		return nil, err
	}
	nodeKey, ok := key.(ed25519.PrivateKey)
	if !ok || len(certs) != 2 || !bytes.Equal(certs[1], a.cert.Raw) {
		return nil, concord.Errorf(concord.Corrupt, "%s in %s is damaged, or of another cluster: restore it from a backup, or join again", nodeFile, dir)
	}
	id := &Identity{dir: dir, authority: a, key: nodeKey, log: logger, now: time.Now}
	return id, id.load(certs[0])
}

// load takes the certificate found on disk into use, or a new one for the same node.
func (id *Identity) load(der []byte) error {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return concord.Errorf(concord.Corrupt, "certificate of this node: %w", err)
	}
	if err := cert.CheckSignatureFrom(id.authority.cert); err != nil || !id.key.Public().(ed25519.PublicKey).Equal(cert.PublicKey) {
		return concord.Errorf(concord.Corrupt, "certificate of this node in %s is not one of its cluster and key", id.dir)
	}
	if id.peer, err = peerOf(cert); err != nil {
		return err
	}
	if cert.NotAfter.Sub(id.now()) < renewBefore {
		return id.Renew()
	}
	id.use(cert)
	return nil
}

// readSecret reads a file of keys, which only its owner may be able to read.
func readSecret(path string) (key any, certs [][]byte, err error) {
	fi, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, concord.Errorf(concord.NotFound, "no %s: this node has not joined a cluster", path)
	}
	if err != nil {
		return nil, nil, err
	}
	if fi.Mode().Perm()&0o077 != 0 {
		return nil, nil, concord.Errorf(concord.Unauthorized, "%s can be read by others; run: chmod 600 %s", path, path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	if key, certs, err = decodePEM(data); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, certs, nil
}

// Renew makes a new certificate for this node and puts it into use, on running listeners as well.
func (id *Identity) Renew() error {
	der, err := id.authority.sign(id.peer, id.key.Public(), id.now())
	if err != nil {
		return fmt.Errorf("renew certificate: %w", err)
	}
	return id.adopt(der)
}

// adopt writes a certificate of this node and puts it into use.
func (id *Identity) adopt(der []byte) error {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	data, err := encodePEM(id.key, der, id.authority.cert.Raw)
	if err != nil {
		return err
	}
	if err := writeSecret(filepath.Join(id.dir, nodeFile), data); err != nil {
		return err
	}
	id.use(cert)
	return nil
}

func (id *Identity) use(cert *x509.Certificate) {
	id.current.Store(&tls.Certificate{Certificate: [][]byte{cert.Raw, id.authority.cert.Raw}, PrivateKey: id.key, Leaf: cert})
}

// Run renews the certificate in time, until ctx ends.
func (id *Identity) Run(ctx context.Context) error {
	const look = time.Hour // a timer of weeks would not count the time a machine sleeps
	for {
		if left := id.Expires().Sub(id.now()); left < renewBefore {
			if err := id.Renew(); err != nil {
				id.log.Error("certificate not renewed, trying again", "expires", id.Expires(), "error", err)
			} else {
				id.log.Info("certificate renewed", "expires", id.Expires())
			}
		}
		t := time.NewTimer(look)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
		}
	}
}

// Peer returns who this node is.
func (id *Identity) Peer() Peer { return id.peer }

// Expires returns when the certificate in use ends.
func (id *Identity) Expires() time.Time { return id.current.Load().Leaf.NotAfter }

// AuthorityExpires returns when the cluster's authority ends, and with it the cluster.
func (id *Identity) AuthorityExpires() time.Time { return id.authority.cert.NotAfter }
