package join

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"concord"

	"golang.org/x/net/netutil"
)

const (
	// maxConnections bounds the machines that are connected to join; more wait.
	maxConnections = 64
	// maxJoining bounds the requests worked on at once.
	maxJoining = 4
	// exchangeTimeout bounds one request, slow disks and a store that looks for a leader included.
	exchangeTimeout = 30 * time.Second
	// maxHeaderBytes bounds the head of a request.
	maxHeaderBytes = 8 << 10
)

// ServerConfig is what a node needs to let others join.
type ServerConfig struct {
	Identity *Identity
	Registry *Registry
	// Layout returns what a new node has to know before it starts; nothing here looks into it. At most 256 KiB.
	Layout func(context.Context) ([]byte, error)
	// Peers returns the addresses of live nodes, for the new one to connect to.
	Peers  func() []string
	Logger *slog.Logger
}

// Server lets machines join. It is an http.Handler for Path, to be served on a listener with Identity.JoinTLS. Safe for
// concurrent use.
type Server struct {
	cfg   ServerConfig
	limit *limiter
	slots chan struct{}
}

// NewServer checks the configuration.
func NewServer(cfg ServerConfig) (*Server, error) {
	if cfg.Identity == nil || cfg.Registry == nil || cfg.Layout == nil || cfg.Peers == nil || cfg.Logger == nil {
		return nil, concord.Errorf(concord.Invalid, "join server: every field of its configuration must be set")
	}
	return &Server{cfg, newLimiter(time.Now), make(chan struct{}, maxJoining)}, nil
}

// Run serves joining alone on a listener, without TLS of its own yet, until ctx ends. It closes the listener.
func (s *Server) Run(ctx context.Context, ln net.Listener) error {
	mux := http.NewServeMux()
	mux.Handle("POST "+Path, s)
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: exchangeTimeout, ReadTimeout: exchangeTimeout, WriteTimeout: 2 * exchangeTimeout,
		IdleTimeout: exchangeTimeout, MaxHeaderBytes: maxHeaderBytes, ErrorLog: slog.NewLogLogger(s.cfg.Logger.Handler(), slog.LevelDebug)}
	ln = tls.NewListener(netutil.LimitListener(ln, maxConnections), s.cfg.Identity.JoinTLS())
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ln) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := srv.Shutdown(stop); err != nil {
		err = srv.Close()
		<-ended
		return err
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// ServeHTTP answers one machine.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	from := addressOf(r.RemoteAddr)
	var out *reply
	err := s.limit.allow(from)
	if err == nil {
		if out, err = s.answer(r); concord.KindOf(err) == concord.Invalid || concord.KindOf(err) == concord.Unauthorized {
			s.limit.failed(from)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if err != nil {
		s.cfg.Logger.Warn("a machine was not let in", "address", r.RemoteAddr, "error", err)
		text := err.Error()
		if kind := concord.KindOf(err); kind == concord.Internal || kind == concord.Corrupt {
			text = "the node could not do it; its log says why"
		}
		w.WriteHeader(statusOf(concord.KindOf(err)))
		_ = json.NewEncoder(w).Encode(refusal{text}) // who left cannot be told
		return
	}
	_ = json.NewEncoder(w).Encode(out) // who did not hear it asks again, with the same key
}

func (s *Server) answer(r *http.Request) (*reply, error) {
	if r.TLS == nil || r.TLS.Version < tls.VersionTLS13 {
		return nil, concord.Errorf(concord.Invalid, "joining needs TLS 1.3")
	}
	ctx, cancel := context.WithTimeout(r.Context(), exchangeTimeout)
	defer cancel()
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return nil, concord.Errorf(concord.Unavailable, "too many machines join at once; try again")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequestBytes+1))
	if err != nil {
		return nil, concord.Errorf(concord.Invalid, "read request: %w", err)
	}
	q, err := decodeRequest(body)
	if err != nil {
		return nil, err
	}
	binding, err := r.TLS.ExportKeyingMaterial(bindingLabel, nil, bindingBytes)
	if err != nil {
		return nil, fmt.Errorf("bind to connection: %w", err)
	}
	return s.admit(ctx, q, binding)
}

// admit makes a machine a node, if its proof holds. The machine that asks again with the same key, since it did not hear the
// answer, gets it again and uses nothing up.
func (s *Server) admit(ctx context.Context, q *request, binding []byte) (*reply, error) {
	reg, id := s.cfg.Registry, s.cfg.Identity
	if err := reg.check(ctx, q, binding); err != nil {
		return nil, err
	}
	has, err := reg.free(ctx, q.Name, q.key)
	if err != nil {
		return nil, err
	}
	layout, err := s.cfg.Layout(ctx)
	if err != nil {
		return nil, fmt.Errorf("layout of the cluster: %w", err)
	}
	if len(layout) > maxLayoutBytes {
		return nil, fmt.Errorf("layout of the cluster has %d bytes, more than %d", len(layout), maxLayoutBytes)
	}
	if !has {
		if err := reg.use(ctx, q.Token); err != nil {
			return nil, err
		}
	}
	generation, err := reg.register(ctx, q.Name, q.key)
	if err != nil {
		return nil, err
	}
	cert, err := id.authority.sign(Peer{id.peer.Cluster, q.Name, generation}, q.key, id.now())
	if err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(id.authority.key)
	if err != nil {
		return nil, err
	}
	peers := s.cfg.Peers()
	s.cfg.Logger.Info("a node joined", "node", q.Name, "generation", generation)
	return &reply{cert, id.authority.cert.Raw, key, layout, peers[:min(len(peers), maxPeers)]}, nil
}
