// Package bus is the NATS fence: it answers "how do the parts of one cluster tell each other things, durably and in
// order?" with logs (JetStream streams) and leases (a key-value bucket with compare-and-set). No NATS type leaves it.
//
// One node runs the server inside its own process with no port open. Every acknowledgement means fsync (SyncAlways), and
// every message carries a checksum of ours that is verified when it is read, because a flipped bit in a store is
// otherwise served silently.
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
	"time"

	"concord"

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
	// maxMemoryBytes bounds in-memory streams, of which there are none; ordered consumers keep their small state there.
	maxMemoryBytes = 64 << 20
)

// Config says where the embedded engine keeps its files.
type Config struct {
	Dir      string // directory of its own, created with 0700
	NodeName string // name of this node, unique in its cluster
	// MaxLogBytes bounds each log. A full log refuses appends (Unavailable) until its consumers have committed and
	// Trim made room, so that nothing unapplied is ever dropped. Default 2 GiB.
	MaxLogBytes int64
	// Cluster is set on a node of a cluster, nil on one that is alone.
	Cluster *Cluster
	Logger  *slog.Logger
}

// Bus is a running engine and a connection to it. Safe for concurrent use.
type Bus struct {
	cfg    Config
	server *server.Server
	conn   *nats.Conn
	js     jetstream.JetStream
}

// Open starts the engine on its directory and returns when it serves: after a kill it has by then recovered every
// acknowledged message. Close stops it.
func Open(ctx context.Context, cfg Config) (*Bus, error) {
	if cfg.MaxLogBytes == 0 {
		cfg.MaxLogBytes = 2 << 30
	}
	if cfg.Dir == "" || cfg.NodeName == "" || cfg.Logger == nil {
		return nil, concord.Errorf(concord.Invalid, "open bus: directory, node name and logger must be set")
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open bus: %w", err)
	}
	srv, err := server.NewServer(&server.Options{
		ServerName:         cfg.NodeName,
		DontListen:         true,
		NoSigs:             true,
		MaxPayload:         MaxMessageBytes + 64<<10,
		MaxPending:         64 << 20,
		JetStream:          true,
		StoreDir:           cfg.Dir,
		JetStreamMaxStore:  8 * cfg.MaxLogBytes,
		JetStreamMaxMemory: maxMemoryBytes,
		SyncAlways:         true,
	})
	if err != nil {
		return nil, fmt.Errorf("open bus: %w", err)
	}
	srv.SetLoggerV2(engineLog{cfg.Logger}, false, false, false)
	go srv.Start()
	b := &Bus{cfg: cfg, server: srv}
	if err := b.connect(ctx); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// connect waits until the engine has recovered: ReadyForConnections alone is too early, so it asks for health as well.
func (b *Bus) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if !b.server.ReadyForConnections(startTimeout) {
		return concord.Errorf(concord.Unavailable, "open bus: the message engine did not start within %v; see the log", startTimeout)
	}
	conn, err := nats.Connect("", nats.InProcessServer(b.server), nats.Timeout(startTimeout), nats.MaxReconnects(-1))
	if err != nil {
		return fmt.Errorf("open bus: connect: %w", err)
	}
	b.conn = conn
	if b.js, err = jetstream.New(conn); err != nil {
		return fmt.Errorf("open bus: %w", err)
	}
	for {
		if _, err = b.js.AccountInfo(ctx); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return concord.Errorf(concord.Unavailable, "open bus: message engine not healthy: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Close stops the engine; what was acknowledged is on disk already.
func (b *Bus) Close() {
	if b.conn != nil {
		b.conn.Close()
	}
	b.server.Shutdown()
	b.server.WaitForShutdown()
}

// Bytes returns the size of the engine's files.
func (b *Bus) Bytes() int64 {
	var n int64
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
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout), errors.Is(err, nats.ErrConnectionClosed),
		errors.Is(err, nats.ErrNoResponders), errors.As(err, &api):
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
