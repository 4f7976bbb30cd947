package join

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"concord/cluster/memstore"
)

var quiet = slog.New(slog.DiscardHandler)

// testCluster is a cluster's first node, serving.
type testCluster struct {
	t      *testing.T
	store  *memstore.Store
	id     *Identity
	reg    *Registry
	server *Server
	addr   string
	later  atomic.Int64 // by how much the registry's clock is ahead
}

func newCluster(t *testing.T) *testCluster {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "identity")
	id, err := Create(dir, "node-1", quiet)
	if err != nil {
		t.Fatal(err)
	}
	c := &testCluster{t: t, store: memstore.New(), id: id}
	c.reg = c.registry(dir, id)
	if err := c.reg.Register(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	c.server, c.addr = c.serve(id, c.reg)
	return c
}

// registry opens the registry of one node, and follows it.
func (c *testCluster) registry(dir string, id *Identity) *Registry {
	c.t.Helper()
	reg, err := NewRegistry(c.store, dir, quiet)
	if err != nil {
		c.t.Fatal(err)
	}
	reg.now = func() time.Time { return time.Now().Add(time.Duration(c.later.Load())) }
	id.Trust(reg.Revoked)
	c.background(reg.Run)
	return reg
}

// background runs f until the test ends.
func (c *testCluster) background(f func(context.Context) error) {
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := f(ctx); err != nil {
			c.t.Error(err)
		}
	})
	c.t.Cleanup(func() { stop(); wg.Wait() })
}

// serve lets machines join at a node.
func (c *testCluster) serve(id *Identity, reg *Registry) (*Server, string) {
	c.t.Helper()
	s, err := NewServer(ServerConfig{Identity: id, Registry: reg, Logger: quiet,
		Layout: func(context.Context) ([]byte, error) { return []byte(`{"shards":4}`), nil },
		Peers:  func() []string { return []string{"127.0.0.1:1", "127.0.0.1:2"} }})
	if err != nil {
		c.t.Fatal(err)
	}
	ln := listen(c.t)
	c.background(func(ctx context.Context) error { return s.Run(ctx, ln) })
	return s, ln.Addr().String()
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

func (c *testCluster) token(life time.Duration, uses int) Token {
	c.t.Helper()
	tok, err := c.reg.NewToken(c.t.Context(), c.id, life, uses)
	if err != nil {
		c.t.Fatal(err)
	}
	return tok
}

// join lets a machine join in a directory of its own.
func (c *testCluster) join(tok Token, name string) (*Joined, error) {
	return c.joinIn(c.t.TempDir(), tok, name)
}

func (c *testCluster) joinIn(dir string, tok Token, name string) (*Joined, error) {
	return Join(c.t.Context(), ClientConfig{Addr: c.addr, Token: tok, Name: name, Dir: dir, Logger: quiet})
}

func (c *testCluster) mustJoin(tok Token, name string) *Joined {
	c.t.Helper()
	j, err := c.join(tok, name)
	if err != nil {
		c.t.Fatal(err)
	}
	return j
}

// talk makes a connection between two sides and sends a byte each way, and returns what each side got of it.
func talk(t *testing.T, server, client *tls.Config) (seen *tls.ConnectionState, serverErr, clientErr error) {
	t.Helper()
	ln := listen(t)
	b, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	a, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(5 * time.Second)
	a.SetDeadline(deadline)
	b.SetDeadline(deadline)
	srv, cli := tls.Server(a, server), tls.Client(b, client)
	done := make(chan error, 1)
	go func() { done <- echo(srv); a.Close() }()
	_, clientErr = cli.Write([]byte{1})
	if clientErr == nil {
		_, clientErr = io.ReadFull(cli, make([]byte, 1))
	}
	b.Close()
	serverErr = <-done
	state := srv.ConnectionState()
	return &state, serverErr, clientErr
}

func echo(conn *tls.Conn) error {
	b := make([]byte, 1)
	if _, err := io.ReadFull(conn, b); err != nil {
		return err
	}
	_, err := conn.Write(b)
	return err
}
