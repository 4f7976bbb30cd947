package bus

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"

	"concord"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// clusterReplicas is how many machines keep a stream of a cluster: one may be lost at any time, and a majority decides.
	clusterReplicas = 3
	// routeTimeout bounds the TLS handshake between two nodes, on a machine that has just woken up.
	routeTimeout = 5 * time.Second
	// routeReports is how many tries to reach a node that is down go by, one a second, between two lines of the log.
	routeReports = 300
	// raiseEvery is how often a node looks for streams that have fewer copies than they could have.
	raiseEvery = 2 * time.Second
	// waitNotice is how often a node that waits for the others says so.
	waitNotice = 10 * time.Second
	// systemAccount is the engine's name for the account that administers it, streamAccount for the one that has the streams.
	systemAccount = "$SYS"
	streamAccount = "$G"
	// maxConsumers bounds the readers of one stream: partitions, the attestor, a scrub, and those of dead nodes, which
	// stay for consumerIdle.
	maxConsumers = 1000
)

// Cluster says how the nodes of one operator find and trust each other. Every connection between two nodes is TLS, and both sides
// show a certificate.
//
// The engine decides by majority of all nodes, and none of it works without one. So one node alone is not a cluster of one (it does
// not start; let Cluster be nil), and two nodes are worse than one: when either stops nobody can begin to read a log, make one or join
// (measured: appends to a log go on if its copy is at the other node, a reader that begins waits for ever). Two are meant for the
// minutes until the third comes. Every stream has one copy until then: two would stop appends as well, and guard against the loss of
// a disk only. From three nodes on streams have three copies, made within seconds, and any one node may be lost: appends then stand
// still for 10 ms if it was a follower, 5 to 9 s if it led the stream (the engine's election timeout), not at all after Yield.
//
// A node that dies and comes back is still a member. One that does not must be taken out with Remove, or majorities go on counting it.
type Cluster struct {
	Name      string   // the same on all nodes
	Listen    string   // host:port for the other nodes
	Advertise string   // host:port the others are told, when it is not Listen
	Peers     []string // host:port of other nodes; one that runs is enough, it names the rest. Empty on the first node
	// TLS has this node's certificate, and in RootCAs and ClientCAs the authority that certifies all nodes: what it signed may
	// read and write everything. Set ServerName when certificates name the cluster and not addresses.
	TLS *tls.Config
}

func (c *Cluster) check() error {
	if c.Name == "" {
		return concord.Errorf(concord.Invalid, "open bus: the cluster has no name")
	}
	if _, _, err := splitHostPort(c.Listen); err != nil {
		return err
	}
	for _, p := range c.Peers {
		if _, _, err := splitHostPort(p); err != nil {
			return err
		}
	}
	if c.TLS == nil || len(c.TLS.Certificates) == 0 && c.TLS.GetCertificate == nil || c.TLS.RootCAs == nil || c.TLS.ClientCAs == nil {
		return concord.Errorf(concord.Invalid, "open bus: a cluster needs this node's certificate and the authority of both sides (Certificates, RootCAs, ClientCAs)")
	}
	if c.TLS.InsecureSkipVerify && c.TLS.VerifyConnection == nil {
		return concord.Errorf(concord.Invalid, "open bus: the nodes of a cluster must verify each other; do not set InsecureSkipVerify")
	}
	return nil
}

func splitHostPort(addr string) (string, int, error) {
	host, port, err := net.SplitHostPort(addr)
	n, perr := strconv.Atoi(port)
	if err != nil || perr != nil || n < 1 || n > 65535 {
		return "", 0, concord.Errorf(concord.Invalid, "open bus: %q is not host:port", addr)
	}
	return host, n, nil
}

// configure adds to the options of an engine what makes it a node of the cluster.
func (c *Cluster) configure(o *server.Options, systemPassword, streamPassword string) error {
	host, port, err := splitHostPort(c.Listen)
	if err != nil {
		return err
	}
	conf := c.TLS.Clone()
	conf.MinVersion = tls.VersionTLS13
	conf.ClientAuth = tls.RequireAndVerifyClientCert
	o.Cluster = server.ClusterOpts{Name: c.Name, Host: host, Port: port, Advertise: c.Advertise, TLSConfig: conf, TLSTimeout: routeTimeout.Seconds()}
	// The engine wants a route to start as a node of a cluster: the first node names itself.
	for _, p := range append([]string{c.Listen}, c.Peers...) {
		if p != c.Listen || len(c.Peers) == 0 {
			o.Routes = append(o.Routes, &url.URL{Scheme: "nats", Host: p})
		}
	}
	o.ConnectErrorReports, o.ReconnectErrorReports = routeReports, routeReports
	// Passwords of this process alone: they only tell its two connections apart.
	system := server.NewAccount(systemAccount)
	o.Accounts, o.SystemAccount = []*server.Account{system}, systemAccount
	o.Users = []*server.User{
		{Username: "system", Password: systemPassword, Account: system},
		{Username: "streams", Password: streamPassword},
	}
	return nil
}

func (b *Bus) openClustered(ctx context.Context) error {
	opts := b.options()
	systemPassword, streamPassword := rand.Text(), rand.Text()
	if err := b.cfg.Cluster.configure(opts, systemPassword, streamPassword); err != nil {
		return err
	}
	if err := b.start(opts); err != nil {
		return err
	}
	if err := b.waitForMajority(ctx); err != nil {
		return err
	}
	if err := b.connect(nats.UserInfo("streams", streamPassword)); err != nil {
		return err
	}
	system, err := nats.Connect("", nats.InProcessServer(b.server), nats.UserInfo("system", systemPassword), nats.Timeout(startTimeout), nats.MaxReconnects(-1))
	if err != nil {
		return fmt.Errorf("open bus: connect: %w", err)
	}
	b.system = system
	if err := b.healthy(ctx); err != nil {
		return err
	}
	// The caller's ctx is of Open; raising goes on until Close.
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	b.stopRaising = stop
	b.raising.Go(func() { b.keepRaising(run) })
	return nil
}

// waitForMajority returns when the engine has a leader that this node follows. Ready for connections alone is too early.
func (b *Bus) waitForMajority(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	said := time.Now()
	for {
		health := b.server.Healthz(&server.HealthzOptions{JSServerOnly: true})
		if health.StatusCode == 200 && b.server.ReadyForConnections(time.Millisecond) {
			return nil
		}
		if time.Since(said) > waitNotice {
			b.cfg.Logger.Warn("waiting for a majority of the cluster's nodes", "cluster", b.cfg.Cluster.Name, "because", health.Error)
			said = time.Now()
		}
		select {
		case <-ctx.Done():
			return concord.Errorf(concord.Unavailable, "open bus: no majority of cluster %s: %s", b.cfg.Cluster.Name, health.Error)
		case <-tick.C:
		}
	}
}

// replicas returns how many copies a new stream is made with: what is configured, or one while the cluster has too few nodes.
func (b *Bus) replicas() int {
	if b.server != nil && b.cfg.Cluster != nil && b.clusterSize() < b.cfg.Replicas {
		return 1
	}
	return b.cfg.Replicas
}

// clusterSize returns the number of the cluster's nodes, those included that are down and were not removed.
func (b *Bus) clusterSize() int {
	info, err := b.server.Jsz(nil)
	if err != nil || info.Meta == nil {
		return 1
	}
	return info.Meta.Size
}

// ensure opens a stream with a configuration, creating it when it is new. A stream that is there keeps the copies it has when they
// are more.
func (b *Bus) ensure(ctx context.Context, cfg jetstream.StreamConfig) (jetstream.Stream, error) {
	var stream jetstream.Stream
	err := b.patiently(ctx, func(ctx context.Context) error {
		cfg.Replicas = b.replicas()
		old, err := b.js.Stream(ctx, cfg.Name)
		switch {
		case errors.Is(err, jetstream.ErrStreamNotFound):
			stream, err = b.js.CreateStream(ctx, cfg)
			return err
		case err != nil:
			return err
		}
		have := old.CachedInfo().Config
		cfg.Replicas = max(cfg.Replicas, have.Replicas)
		cfg.MaxConsumers = have.MaxConsumers // fixed when a stream is made
		cfg.Metadata = have.Metadata
		stream, err = b.js.UpdateStream(ctx, cfg)
		return err
	})
	return stream, b.explain(cfg.Name, err)
}

// keepRaising gives streams the copies they should have once the cluster has the nodes for them.
func (b *Bus) keepRaising(ctx context.Context) {
	tick := time.NewTicker(raiseEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !b.server.JetStreamIsLeader() { // one node is enough, and the leader knows all
			continue
		}
		if err := b.raise(ctx); err != nil && ctx.Err() == nil {
			b.cfg.Logger.Warn("streams have fewer copies than they should", "error", err)
		}
	}
}

// raise asks for the configured number of copies of every stream that has fewer, if there are nodes for them.
func (b *Bus) raise(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	want := b.replicas()
	streams := b.js.ListStreams(ctx)
	for info := range streams.Info() {
		if info.Config.Replicas >= want {
			continue
		}
		cfg := info.Config
		cfg.Replicas = want
		if _, err := b.js.UpdateStream(ctx, cfg); err != nil {
			return wrap("raise stream "+cfg.Name, err)
		}
		b.cfg.Logger.Info("stream gets more copies", "stream", cfg.Name, "copies", want)
	}
	return wrap("list streams", streams.Err())
}
