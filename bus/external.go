package bus

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"concord"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// minVersion is the first with atomic batches (2.12); the embedded engine is 2.15.
	minMajor, minMinor = 2, 12
	// reconnectWait is the pause between two tries to reach the operator's servers.
	reconnectWait = 250 * time.Millisecond
	// connectTimeout bounds one such try.
	connectTimeout = 5 * time.Second

	codeNoPeers       = 10005 // "no suitable peers for placement"
	codeNotClustered  = 10074 // "replicas > 1 not supported in non-clustered mode"
	codeNoResources   = 10023 // "insufficient resources"
	codeStoreExceeded = 10047 // "insufficient storage resources available"
)

// openExternal connects to servers that the operator runs and checks that they can do what is asked of them.
func (b *Bus) openExternal(ctx context.Context) error {
	hosts, err := hostsOf(b.cfg.URL)
	if err != nil {
		return err
	}
	var denied atomic.Pointer[string]
	conn, err := nats.Connect(b.cfg.URL, nats.Name("concord "+b.cfg.NodeName), nats.MaxReconnects(-1), nats.ReconnectWait(reconnectWait),
		nats.Timeout(connectTimeout), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if errors.Is(err, nats.ErrPermissionViolation) {
				text := err.Error()
				denied.Store(&text)
			}
			b.cfg.Logger.Warn("message engine", "error", err)
		}))
	switch {
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired):
		return concord.Errorf(concord.Unauthorized, "open bus: the NATS servers at %s refuse the user or password of the URL", hosts)
	case err != nil:
		return concord.Errorf(concord.Unavailable, "open bus: no NATS server answers at %s: %w", hosts, err)
	}
	b.conn = conn
	if b.js, err = jetstream.New(conn); err != nil {
		return fmt.Errorf("open bus: %w", err)
	}
	if !recent(conn.ConnectedServerVersion()) {
		return concord.Errorf(concord.Invalid, "open bus: NATS server %s has version %s; want %d.%d or newer (atomic batches)",
			conn.ConnectedUrlRedacted(), conn.ConnectedServerVersion(), minMajor, minMinor)
	}
	if need := int64(MaxMessageBytes + 64<<10); conn.MaxPayload() < need {
		return concord.Errorf(concord.Invalid, "open bus: the NATS servers take messages of up to %d bytes; set max_payload to %d or more in their configuration",
			conn.MaxPayload(), need)
	}
	return b.checkExternal(ctx, hosts, &denied)
}

// checkExternal asks for JetStream, and explains why it may not be had.
func (b *Bus) checkExternal(ctx context.Context, hosts string, denied *atomic.Pointer[string]) error {
	err := b.patiently(ctx, func(ctx context.Context) error {
		_, err := b.js.AccountInfo(ctx)
		if denied.Load() != nil {
			return concord.Errorf(concord.Unauthorized, "open bus: the NATS user may not use JetStream: %s", *denied.Load())
		}
		if errors.Is(err, jetstream.ErrJetStreamNotEnabled) || errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount) {
			return concord.Errorf(concord.Invalid, "open bus: JetStream is off on the NATS servers at %s, or for this user's account; switch it on (jetstream: enabled)", hosts)
		}
		return err
	})
	if err != nil && concord.KindOf(err) == concord.Internal {
		return concord.Errorf(concord.Unavailable, "open bus: JetStream at %s does not answer: %w", hosts, err)
	}
	return err
}

// explain says what to do about a stream that the operator's servers refuse.
func (b *Bus) explain(stream string, err error) error {
	var api *jetstream.APIError
	if b.cfg.URL == "" || !errors.As(err, &api) {
		return err
	}
	if api.ErrorCode == codeNoPeers && strings.Contains(api.Description, "storage") {
		return concord.Errorf(concord.Invalid, "the NATS servers have too little storage for %d copies of stream %s: give JetStream more (max_file_store), or bound the stream: %w",
			b.cfg.Replicas, stream, err)
	}
	switch api.ErrorCode {
	case codeNoPeers, codeNotClustered, codeNoResources:
		return concord.Errorf(concord.Invalid, "the NATS servers cannot keep %d copies of stream %s: run as many servers with JetStream, or configure fewer replicas: %w",
			b.cfg.Replicas, stream, err)
	case codeStoreExceeded:
		return concord.Errorf(concord.Invalid, "the NATS account has less storage than the %d bytes of stream %s: raise its limit, or configure smaller logs: %w",
			b.cfg.MaxLogBytes, stream, err)
	}
	return err
}

// hostsOf returns the servers of a URL without what is secret in it.
func hostsOf(list string) (string, error) {
	var hosts []string
	for part := range strings.SplitSeq(list, ",") {
		part = strings.TrimSpace(part)
		if !strings.Contains(part, "://") {
			part = "nats://" + part
		}
		u, err := url.Parse(part)
		if err != nil || u.Host == "" || u.Scheme != "nats" && u.Scheme != "tls" {
			return "", concord.Errorf(concord.Invalid, "open bus: want a URL like nats://user:password@host:4222,host2:4222 or tls://host:4222")
		}
		hosts = append(hosts, u.Host)
	}
	return strings.Join(hosts, ", "), nil
}

// recent says whether a server's version, "2.12.1", is new enough.
func recent(version string) bool {
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	if len(parts) < 2 {
		return false
	}
	major, err := strconv.Atoi(parts[0])
	minor, err2 := strconv.Atoi(parts[1])
	return err == nil && err2 == nil && (major > minMajor || major == minMajor && minor >= minMinor)
}
