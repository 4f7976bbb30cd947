package join

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"concord"
)

// ClientConfig says where to join, and as whom.
type ClientConfig struct {
	Addr   string // host:port of any node of the cluster
	Token  Token
	Name   string // of this node, see CheckName
	Dir    string // where the identity is kept
	Logger *slog.Logger
}

// Joined is what a machine is told when it becomes a node. Its identity is durable already; Layout and Peers are for the
// caller to keep.
type Joined struct {
	Identity *Identity
	Layout   []byte
	Peers    []string
}

// Join makes this machine a node of the cluster at an address. When it fails before the answer was heard it can be called
// again with the same directory: it asks with the same key, and the token counts once. Errors: Unauthorized for a token
// that is wrong, used up or has ended, and for a cluster that is not the token's; Conflict for a name that is taken or a
// directory that has an identity; Unavailable when nobody answers.
func Join(ctx context.Context, cfg ClientConfig) (*Joined, error) {
	if err := CheckName(cfg.Name); err != nil {
		return nil, err
	}
	if Exists(cfg.Dir) {
		return nil, concord.Errorf(concord.Conflict, "%s holds the identity of a node already: this node is in a cluster", cfg.Dir)
	}
	key, err := requestKey(cfg.Dir)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*exchangeTimeout)
	defer cancel()
	conn, err := connect(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	q, err := newRequest(cfg, key, conn.ConnectionState())
	if err != nil {
		return nil, err
	}
	answer, err := post(ctx, conn, cfg.Addr, q)
	if err != nil {
		return nil, err
	}
	id, err := accept(cfg, key, answer)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(filepath.Join(cfg.Dir, requestFile)); err != nil {
		cfg.Logger.Debug("request not deleted", "error", err)
	}
	return &Joined{id, answer.Layout, answer.Peers}, nil
}

// requestKey returns the key this machine asks with, the same in every try.
func requestKey(dir string) (ed25519.PrivateKey, error) {
	path := filepath.Join(dir, requestFile)
	key, _, err := readSecret(path)
	if err == nil {
		if k, ok := key.(ed25519.PrivateKey); ok {
			return k, nil
		}
		err = concord.Errorf(concord.Corrupt, "%s holds no key", path)
	}
	if kind := concord.KindOf(err); kind != concord.NotFound && kind != concord.Corrupt {
		return nil, err
	}
	_, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	data, err := encodePEM(k)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return k, writeSecret(path, data)
}

// connect reaches a node and verifies its cluster. Nothing of the token was sent when it returns.
func connect(ctx context.Context, cfg ClientConfig) (*tls.Conn, error) {
	var d net.Dialer
	raw, err := d.DialContext(ctx, "tcp", cfg.Addr)
	if err != nil {
		return nil, concord.Errorf(concord.Unavailable, "connect to %s: %w", cfg.Addr, err)
	}
	conn := tls.Client(raw, &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, // verified by the fingerprint in the token instead
		VerifyConnection:   verifyJoin(cfg.Token),
	})
	if err := conn.HandshakeContext(ctx); err != nil {
		raw.Close()
		kind := concord.Unavailable
		if concord.KindOf(err) == concord.Unauthorized {
			kind = concord.Unauthorized
		}
		return nil, concord.Errorf(kind, "join at %s: %w", cfg.Addr, err)
	}
	return conn, nil
}

func newRequest(cfg ClientConfig, key ed25519.PrivateKey, state tls.ConnectionState) (*request, error) {
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, err
	}
	binding, err := state.ExportKeyingMaterial(bindingLabel, nil, bindingBytes)
	if err != nil {
		return nil, err
	}
	q := &request{Token: cfg.Token.id(), Name: cfg.Name, CSR: csr}
	q.Proof = proof(cfg.Token.hash(), binding, q)
	return q, nil
}

// post sends the request over the connection that was verified, and no other.
func post(ctx context.Context, conn *tls.Conn, addr string, q *request) (*reply, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: maxHeaderBytes, DialTLSContext: func(context.Context, string, string) (net.Conn, error) {
		return conn, nil
	}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+addr+Path, bytes.NewReader(body))
	if err != nil {
		return nil, concord.Errorf(concord.Invalid, "join at %s: %w", addr, err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := transport.RoundTrip(r)
	if err != nil {
		return nil, concord.Errorf(concord.Unavailable, "join at %s: %w", addr, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxReplyBytes+1))
	if err != nil {
		return nil, concord.Errorf(concord.Unavailable, "join at %s: %w", addr, err)
	}
	if resp.StatusCode != http.StatusOK {
		var no refusal
		if json.Unmarshal(data, &no) != nil || no.Error == "" {
			no.Error = resp.Status
		}
		return nil, concord.Errorf(kindOfStatus(resp.StatusCode), "join at %s: %s", addr, concord.Clip(no.Error, maxErrorText))
	}
	return decodeReply(data)
}

// decodeReply reads a reply. Errors: Invalid.
func decodeReply(data []byte) (*reply, error) {
	var a reply
	if len(data) > maxReplyBytes {
		return nil, concord.Errorf(concord.Invalid, "the answer is larger than %d bytes", maxReplyBytes)
	}
	if err := json.Unmarshal(data, &a); err != nil {
		return nil, concord.Errorf(concord.Invalid, "the answer is not understood: %w", err)
	}
	if len(a.Layout) > maxLayoutBytes || len(a.Peers) > maxPeers {
		return nil, concord.Errorf(concord.Invalid, "the answer has a layout of %d bytes and %d addresses, more than a node sends", len(a.Layout), len(a.Peers))
	}
	return &a, nil
}

// accept checks what the cluster sent, and keeps it.
func accept(cfg ClientConfig, key ed25519.PrivateKey, answer *reply) (*Identity, error) {
	authorityKey, err := x509.ParsePKCS8PrivateKey(answer.AuthorityKey)
	if err != nil {
		return nil, concord.Errorf(concord.Invalid, "key of the cluster's authority: %w", err)
	}
	a, err := parseAuthority(answer.Authority, authorityKey)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(answer.Certificate)
	if err != nil {
		return nil, concord.Errorf(concord.Invalid, "certificate: %w", err)
	}
	p, err := verify(a.cert, cert, time.Now())
	if err != nil {
		return nil, fmt.Errorf("the certificate that was made for this node: %w; compare the clocks of the machines", err)
	}
	if fingerprint(a.cert.Raw) != cfg.Token.Authority || p.Name != cfg.Name || !key.Public().(ed25519.PublicKey).Equal(cert.PublicKey) {
		return nil, concord.Errorf(concord.Unauthorized, "the certificate that came back is not the one that was asked for")
	}
	return store(cfg.Dir, a, p, key, answer.Certificate, cfg.Logger)
}
