package join

import (
	"context"
	"crypto/tls"
	"os"
	"path/filepath"
	"testing"
	"time"

	"concord"
)

func TestOnlyNodesOfThisCluster(t *testing.T) {
	c, other := newCluster(t), newCluster(t)
	stranger := &tls.Config{InsecureSkipVerify: true}
	if _, serverErr, _ := talk(t, c.id.ServerTLS(), stranger); serverErr == nil {
		t.Error("a client without a certificate was let in")
	}
	if seen, serverErr, clientErr := talk(t, c.id.JoinTLS(), stranger); serverErr != nil || clientErr != nil {
		t.Errorf("who wants to join is not heard: %v, %v", serverErr, clientErr)
	} else if _, ok := PeerOf(seen); ok {
		t.Error("who wants to join is taken for a node")
	}
	if _, serverErr, _ := talk(t, c.id.ServerTLS(), forced(other.id)); concord.KindOf(serverErr) != concord.Unauthorized {
		t.Errorf("a node of another cluster was let in: %v", serverErr)
	}
	if _, serverErr, _ := talk(t, c.id.JoinTLS(), forced(other.id)); concord.KindOf(serverErr) != concord.Unauthorized {
		t.Errorf("a node of another cluster was let in to join: %v", serverErr)
	}
	if _, _, clientErr := talk(t, other.id.ServerTLS(), c.id.ClientTLS()); concord.KindOf(clientErr) != concord.Unauthorized {
		t.Errorf("a client talks to another cluster: %v", clientErr)
	}
}

// forced shows a certificate to anybody.
func forced(id *Identity) *tls.Config {
	c := id.ClientTLS()
	c.VerifyConnection = nil
	return c
}

// A certificate that the authority's key signed for something else than a node of its cluster is refused.
func TestForeignNamesInCertificates(t *testing.T) {
	c := newCluster(t)
	a, key := c.id.authority, c.id.key
	for _, p := range []Peer{{"00000000000000000000000000000000", "node-1", 1}, {a.cluster, "node-1", 0}, {a.cluster, "Node 1", 1}} {
		der, err := a.sign(p, key.Public(), time.Now())
		if err != nil {
			continue
		}
		bad := forced(c.id)
		bad.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key}, nil
		}
		if _, serverErr, _ := talk(t, c.id.ServerTLS(), bad); concord.KindOf(serverErr) != concord.Unauthorized {
			t.Errorf("%+v was let in: %v", p, serverErr)
		}
	}
	self := forced(c.id) // the authority itself is no node
	self.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return &tls.Certificate{Certificate: [][]byte{a.cert.Raw}, PrivateKey: a.key}, nil
	}
	if _, serverErr, _ := talk(t, c.id.ServerTLS(), self); serverErr == nil {
		t.Error("the authority was let in as a node")
	}
}

func TestRemovedNodeIsRefused(t *testing.T) {
	c := newCluster(t)
	tok := c.token(0, 3)
	old := c.mustJoin(tok, "node-2").Identity
	if err := c.reg.Remove(t.Context(), "node-2"); err != nil {
		t.Fatal(err)
	}
	awaitRevoked(t, c.reg, old.Peer())
	if _, serverErr, _ := talk(t, c.id.ServerTLS(), old.ClientTLS()); concord.KindOf(serverErr) != concord.Unauthorized {
		t.Errorf("a removed node connects: %v", serverErr)
	}
	if _, _, clientErr := talk(t, old.ServerTLS(), c.id.ClientTLS()); concord.KindOf(clientErr) != concord.Unauthorized {
		t.Errorf("a removed node is connected to: %v", clientErr)
	}
	// Known after a restart, before the store is reached.
	again, err := NewRegistry(nil, c.id.dir, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if !again.Revoked(old.Peer()) || again.Revoked(c.id.Peer()) {
		t.Error("the list is not kept")
	}
	// Its name comes back with another generation; the old certificate does not.
	back := c.mustJoin(tok, "node-2").Identity
	if back.Peer().Generation != 2 {
		t.Errorf("joined again as %+v", back.Peer())
	}
	if _, serverErr, clientErr := talk(t, c.id.ServerTLS(), back.ClientTLS()); serverErr != nil || clientErr != nil {
		t.Errorf("a node that joined again is refused: %v, %v", serverErr, clientErr)
	}
	if _, serverErr, _ := talk(t, c.id.ServerTLS(), old.ClientTLS()); serverErr == nil {
		t.Error("the removed node is let in with its old certificate")
	}
}

func awaitRevoked(t *testing.T, r *Registry, p Peer) {
	t.Helper()
	for start := time.Now(); !r.Revoked(p); time.Sleep(time.Millisecond) {
		if time.Since(start) > 5*time.Second {
			t.Fatal("the removal was not told")
		}
	}
}

func TestRenewalReachesRunningListeners(t *testing.T) {
	c := newCluster(t)
	second := c.mustJoin(c.token(0, 1), "node-2").Identity
	server, client := c.id.ServerTLS(), second.ClientTLS()
	serial := func() string {
		t.Helper()
		var got string
		watching := client.Clone()
		check := client.VerifyConnection
		watching.VerifyConnection = func(s tls.ConnectionState) error {
			got = s.PeerCertificates[0].SerialNumber.String()
			return check(s)
		}
		if _, serverErr, clientErr := talk(t, server, watching); serverErr != nil || clientErr != nil {
			t.Fatal(serverErr, clientErr)
		}
		return got
	}
	before, expires := serial(), c.id.Expires()
	later := time.Now().Add(certificateLife - renewBefore + time.Minute)
	c.id.now = func() time.Time { return later }
	second.now = c.id.now
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.id.Run(ctx) }()
	for !c.id.Expires().After(expires) {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if after := serial(); after == before {
		t.Error("the listener shows its old certificate")
	}
	reopened, err := Open(c.id.dir, quiet)
	if err != nil || !reopened.Expires().Equal(c.id.Expires()) {
		t.Errorf("the new certificate was not kept: %v", err)
	}
}

func TestOpenRenewsWhatRanOut(t *testing.T) {
	c := newCluster(t)
	der, err := c.id.authority.sign(c.id.peer, c.id.key.Public(), time.Now().Add(-2*certificateLife))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.id.adopt(der); err != nil {
		t.Fatal(err)
	}
	if _, serverErr, _ := talk(t, newServer(t, c), c.id.ClientTLS()); concord.KindOf(serverErr) != concord.Unauthorized {
		t.Errorf("a certificate that ran out was taken: %v", serverErr)
	}
	id, err := Open(c.id.dir, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if time.Until(id.Expires()) < renewBefore || id.Peer() != c.id.Peer() {
		t.Errorf("ends at %v", id.Expires())
	}
}

// newServer returns the configuration of another node of the cluster.
func newServer(t *testing.T, c *testCluster) *tls.Config {
	t.Helper()
	id := &Identity{authority: c.id.authority, key: c.id.key, peer: Peer{c.id.peer.Cluster, "node-7", 1}, dir: t.TempDir(), now: time.Now}
	if err := id.Renew(); err != nil {
		t.Fatal(err)
	}
	return id.ServerTLS()
}

func TestDamagedIdentityIsRefused(t *testing.T) {
	c := newCluster(t)
	for _, name := range []string{authorityFile, nodeFile} {
		path := filepath.Join(c.id.dir, name)
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(good); i += 7 {
			bad := append([]byte(nil), good...)
			bad[i] ^= 1 << (i % 7)
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			id, err := Open(c.id.dir, quiet)
			if err == nil && (!id.key.Equal(c.id.key) || !id.authority.key.Equal(c.id.authority.key) || id.Peer() != c.id.Peer()) {
				t.Fatalf("%s with byte %d changed was taken for another identity", name, i)
			}
			if err != nil && concord.KindOf(err) != concord.Corrupt {
				t.Fatalf("%s with byte %d changed: %v", name, i, err)
			}
		}
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(c.id.dir, quiet); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(c.id.dir, nodeFile), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(c.id.dir, quiet); concord.KindOf(err) != concord.Unauthorized {
		t.Errorf("keys that everybody can read: %v", err)
	}
	if _, err := Open(t.TempDir(), quiet); concord.KindOf(err) != concord.NotFound {
		t.Errorf("no identity: %v", err)
	}
}

func TestCreateOnce(t *testing.T) {
	c := newCluster(t)
	if _, err := Create(c.id.dir, "node-1", quiet); concord.KindOf(err) != concord.Conflict {
		t.Error(err)
	}
	if _, err := Create(t.TempDir(), "no_name", quiet); concord.KindOf(err) != concord.Invalid {
		t.Error(err)
	}
	if left := time.Until(c.id.AuthorityExpires()); left < 9*365*24*time.Hour {
		t.Errorf("the authority ends in %v", left)
	}
}
