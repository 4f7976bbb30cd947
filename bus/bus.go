// Package bus is the NATS fence: it answers "how do the parts of one cluster tell each other things, durably and in
// order?" with logs (JetStream streams) and leases (a key-value bucket with compare-and-set). No NATS type leaves it.
//
// One node runs the server inside its own process with no port open. The nodes of a cluster run one each, which speak to each other
// over TLS with certificates on both sides, and keep every stream in three copies (Cluster). Or all is on servers that the operator
// runs (Config.URL). Grow moves a node's streams from the first to the second or third.
//
// Every acknowledgement means fsync (SyncAlways), in a cluster on a majority of the copies, and every message carries a checksum of
// ours that is verified when it is read. Requests that get lost with the machine that had them are made again: appends are known by
// their messages' IDs, leases by who wrote them. What is damaged on one machine's disk is read from another and found by Scrub.
//
// A message that the engine finds damaged it may leave out without a word. So the messages that a process appends are numbered, by
// subject and in lanes that one append uses at a time, and a reader to whom a number does not come reads another copy, or fails. It cannot
// see that the first message of a lane is missing that it would get, nor the last; these are for Scrub, which compares the copies.
//
// It is not for data that must outlive the engine: the archive is the truth, and what lies here can be replayed or
// re-derived from it.
package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"concord"
	"concord/trace"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// MaxMessageBytes bounds one message: a page's text is at most 512 KiB, JSON may double it, anchors add some.
	MaxMessageBytes = 4 << 20
	// startTimeout bounds the wait for the engine; recovery of a large log after a kill takes seconds, not minutes.
	startTimeout = 2 * time.Minute
	// requestTimeout bounds one request to the engine, an fsync of a full batch on a slow disk included.
	requestTimeout = 15 * time.Second
	// tryTimeout bounds one try of a request to several machines: an answer that does not come was lost with its sender.
	tryTimeout = 2 * time.Second
	// maxMemoryBytes bounds in-memory streams, of which there are none; ordered consumers keep their small state there.
	maxMemoryBytes = 64 << 20
)

// Config says which engine carries the logs: one of this process, alone (the default) or as a node of a cluster (Cluster), or
// servers that the operator runs (URL).
type Config struct {
	Dir      string // directory of its own, created with 0700; not used with URL
	NodeName string // name of this node, unique in its cluster
	// MaxLogBytes bounds each log. A full log refuses appends (Unavailable) until its consumers have committed and
	// Trim made room, so that nothing unapplied is ever dropped. Default 2 GiB.
	MaxLogBytes int64
	// MaxBlobBytes is the room for blobs beside the logs, in the engine of this process: at least what Blobs is asked for.
	MaxBlobBytes int64
	// Replicas is how many machines keep each log: 1, 3 or 5. Default 1 for a node alone, else 3. A stream never gets fewer than it
	// has; in a cluster it has one copy until that many nodes are there, see Cluster.
	Replicas int
	// Cluster is set on a node of a cluster, nil on one that is alone.
	Cluster *Cluster
	// URL names NATS servers to use instead of the embedded one, comma-separated: "nats://user:password@host:4222,host2", or
	// "tls://…". They need JetStream, version 2.12 and max_payload of 5 MB; for acknowledgements to mean fsync there as well, set
	// sync_interval: always in their configuration, which cannot be seen from here.
	URL    string
	Trace  *trace.Tracer // of what other nodes ask; nil: nothing is recorded
	Logger *slog.Logger
}

// complete fills in defaults and says what is wrong.
func (c *Config) complete() error {
	if c.MaxLogBytes == 0 {
		c.MaxLogBytes = 2 << 30
	}
	alone := c.Cluster == nil && c.URL == ""
	switch {
	case c.Replicas == 0 && alone:
		c.Replicas = 1
	case c.Replicas == 0:
		c.Replicas = clusterReplicas
	}
	switch {
	case c.NodeName == "" || c.Logger == nil || c.Dir == "" && c.URL == "":
		return concord.Errorf(concord.Invalid, "open bus: directory, node name and logger must be set")
	case c.URL != "" && c.Cluster != nil:
		return concord.Errorf(concord.Invalid, "open bus: a node has an engine of its own in a cluster or uses the servers at a URL, not both")
	case c.Replicas != 1 && c.Replicas != 3 && c.Replicas != 5, alone && c.Replicas != 1:
		return concord.Errorf(concord.Invalid, "open bus: %d replicas: want 1 for a node alone, else 1, 3 or 5", c.Replicas)
	}
	if c.Cluster != nil {
		return c.Cluster.check()
	}
	return nil
}

// Bus is a running engine and a connection to it. Safe for concurrent use.
type Bus struct {
	cfg    Config
	server *server.Server // nil when the operator's own servers are used
	conn   *nats.Conn
	system *nats.Conn // to the engine's account for administration; of a cluster's node only
	js     jetstream.JetStream

	starting    sync.WaitGroup
	stopRaising context.CancelFunc
	raising     sync.WaitGroup
}

// Open starts the engine on its directory and returns when it serves: after a kill it has by then recovered every
// acknowledged message. A node of a cluster serves when a majority of its nodes runs; Open waits for that until ctx ends.
// Close stops it.
func Open(ctx context.Context, cfg Config) (*Bus, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	b := &Bus{cfg: cfg, stopRaising: func() {}}
	var err error
	switch {
	case cfg.URL != "":
		err = b.openExternal(ctx)
	case cfg.Cluster != nil:
		err = b.openClustered(ctx)
	default:
		err = b.openAlone(ctx)
	}
	if err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// options are those of an engine in this process that no client can reach from outside.
func (b *Bus) options() *server.Options {
	blobBytes := b.blobBound(b.cfg.MaxBlobBytes)
	return &server.Options{
		ServerName:         b.cfg.NodeName,
		DontListen:         true,
		NoSigs:             true,
		MaxPayload:         MaxMessageBytes + 64<<10,
		MaxPending:         64 << 20,
		JetStream:          true,
		StoreDir:           b.cfg.Dir,
		JetStreamMaxStore:  8*b.cfg.MaxLogBytes + blobBytes + blobBytes/64, // the names of blobs are a stream too
		JetStreamMaxMemory: maxMemoryBytes,
		SyncAlways:         true,
	}
}

// start runs an engine with options; it recovers what is in its directory.
func (b *Bus) start(opts *server.Options) error {
	if err := os.MkdirAll(opts.StoreDir, 0o700); err != nil {
		return fmt.Errorf("open bus: %w", err)
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		return fmt.Errorf("open bus: %w", err)
	}
	srv.SetLoggerV2(engineLog{b.cfg.Logger}, false, false, false)
	b.server = srv
	b.starting.Go(func() {
		srv.Start()
		if opts.Cluster.Port != 0 && srv.ClusterAddr() == nil {
			// Start leaves routes to a goroutine that waits for the client port to be open, for ever when there is none
			// (nats-server 2.15). This does that goroutine's work and takes its place among those that Shutdown waits for.
			ready := make(chan struct{})
			close(ready)
			srv.StartRouting(ready)
		}
	})
	return nil
}

func (b *Bus) openAlone(ctx context.Context) error {
	if err := b.start(b.options()); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if !b.server.ReadyForConnections(startTimeout) {
		return concord.Errorf(concord.Unavailable, "open bus: the message engine did not start within %v; see the log", startTimeout)
	}
	if err := b.connect(); err != nil {
		return err
	}
	return b.healthy(ctx)
}

// connect makes the connection inside the process.
func (b *Bus) connect(opts ...nats.Option) error {
	conn, err := nats.Connect("", append(opts, nats.InProcessServer(b.server), nats.Timeout(startTimeout), nats.MaxReconnects(-1))...)
	if err != nil {
		return fmt.Errorf("open bus: connect: %w", err)
	}
	b.conn = conn
	if b.js, err = jetstream.New(conn); err != nil {
		return fmt.Errorf("open bus: %w", err)
	}
	return nil
}

// healthy waits until the engine has recovered: it is ready for connections long before.
func (b *Bus) healthy(ctx context.Context) error {
	for {
		try, cancel := context.WithTimeout(ctx, tryTimeout)
		_, err := b.js.AccountInfo(try)
		cancel()
		if err == nil {
			return nil
		}
		if pause(ctx, 20*time.Millisecond) != nil {
			return concord.Errorf(concord.Unavailable, "open bus: message engine not healthy: %w", err)
		}
	}
}

// Close stops the engine; what was acknowledged is on disk already. In a cluster call Yield first, so that the others need not
// find out that this node is gone.
func (b *Bus) Close() {
	b.stopRaising()
	b.raising.Wait()
	for _, c := range []*nats.Conn{b.system, b.conn} {
		if c != nil {
			c.Close()
		}
	}
	if b.server != nil {
		b.starting.Wait()
		b.server.Shutdown()
		b.server.WaitForShutdown()
	}
}

// writeErrorText is how the engine's health report tells a stream that takes no more messages from one with another ailment.
const writeErrorText = "write error"

// WriteError says that the engine in this process takes no more messages into one of its streams, and why. After an error of the disk, such
// as a full one, the engine of a node alone refuses them until it is opened anew, whatever has become of the disk; reading goes on. That of a
// cluster's node stops keeping copies altogether, and what is asked here is answered by the other nodes. nil: it takes messages, or it is the
// operator's own.
func (b *Bus) WriteError() error {
	if b.server == nil {
		return nil
	}
	if !b.server.JetStreamEnabled() {
		return concord.Errorf(concord.Unavailable, "the message engine keeps nothing any more on this node until it is opened anew: its disk was full")
	}
	for _, e := range b.server.Healthz(&server.HealthzOptions{Details: true}).Errors {
		if strings.Contains(e.Error, writeErrorText) {
			return concord.Errorf(concord.Unavailable, "the message engine takes no more messages until it is opened anew: %s", e.Error)
		}
	}
	return nil
}

// Bytes returns the size of the engine's files, or of what is kept on the operator's servers.
func (b *Bus) Bytes() int64 {
	var n int64
	if b.server == nil {
		ctx, cancel := context.WithTimeout(context.Background(), tryTimeout)
		defer cancel()
		if info, err := b.js.AccountInfo(ctx); err == nil {
			n = int64(info.Store)
		}
		return n
	}
	_ = filepath.WalkDir(b.cfg.Dir, func(_ string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if fi, err := d.Info(); err == nil {
				n += fi.Size()
			}
		}
		return nil
	})
	return n
}

// wrap names the action and sorts the engine's errors: what a retry may cure is Unavailable.
func wrap(action string, err error) error {
	var api *jetstream.APIError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s: %w", action, err)
	case concord.KindOf(err) != concord.Internal:
		return fmt.Errorf("%s: %w", action, err)
	case refused(err), unanswered(err), errors.Is(err, nats.ErrConnectionClosed), errors.As(err, &api):
		return concord.Errorf(concord.Unavailable, "%s: %w", action, err)
	}
	return fmt.Errorf("%s: %w", action, err)
}

// engineLog hands the engine's log lines to slog: its notices are our debug lines.
type engineLog struct{ l *slog.Logger }

func (e engineLog) Noticef(f string, a ...any) { e.l.Debug(fmt.Sprintf(f, a...)) }
func (e engineLog) Warnf(f string, a ...any)   { e.l.Debug(fmt.Sprintf(f, a...)) }
func (e engineLog) Fatalf(f string, a ...any)  { e.l.Error(fmt.Sprintf(f, a...)) }
func (e engineLog) Errorf(f string, a ...any)  { e.l.Error(fmt.Sprintf(f, a...)) }
func (e engineLog) Debugf(f string, a ...any)  {}
func (e engineLog) Tracef(f string, a ...any)  {}
