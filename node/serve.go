package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"concord"
	"concord/chain"
	"concord/web"

	"golang.org/x/sync/errgroup"
)

// SocketName is the Unix socket in the data directory that the command line uses. Who may open it may write.
const SocketName = "concord.sock"

const (
	// shutdownTime bounds the wait for requests in progress; SIGTERM promises an end within 5 s.
	shutdownTime = 1500 * time.Millisecond
	// maxSocketPath is what the operating systems allow in a socket's address (104 on BSD, 108 on Linux).
	maxSocketPath = 100
)

type listeners struct{ tcp, unix net.Listener }

// listen opens the address and the socket before anything runs, so that a taken port is said at once.
func (n *Node) listen() (listeners, error) {
	var l listeners
	var err error
	path := n.path(SocketName)
	if len(path) > maxSocketPath {
		return l, concord.Errorf(concord.Invalid, "the data directory's path is too long for a socket in it (%d characters, at most %d): use a shorter --data", len(path), maxSocketPath-len(SocketName)-1)
	}
	if l.tcp, err = net.Listen("tcp", n.cfg.HTTP); err != nil {
		return l, concord.Errorf(concord.Unavailable, "cannot listen on %s: %w; is another node running? Use --http for another address", n.cfg.HTTP, err)
	}
	// The lock on the data directory is ours, so a socket that is there is a dead process's.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		l.tcp.Close()
		return l, err
	}
	if l.unix, err = net.Listen("unix", path); err == nil {
		err = os.Chmod(path, 0o600)
	}
	if err != nil {
		l.tcp.Close()
		return l, fmt.Errorf("listen on %s: %w", path, err)
	}
	n.readyMu.Lock()
	n.addr = l.tcp.Addr().String()
	n.readyMu.Unlock()
	return l, nil
}

// serve adds the two servers to the group; both end, with a moment for requests in progress, when ctx does.
func (n *Node) serve(ctx context.Context, g *errgroup.Group, l listeners) {
	for _, s := range []struct {
		l net.Listener
		h http.Handler
	}{{l.tcp, n.web.Handler()}, {l.unix, n.web.SocketHandler()}} {
		srv := n.web.HTTPServer(s.h)
		g.Go(func() error {
			if err := srv.Serve(s.l); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve %s: %w", s.l.Addr(), err)
			}
			return nil
		})
		g.Go(func() error {
			<-ctx.Done()
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
			defer cancel()
			if srv.Shutdown(end) != nil {
				return srv.Close()
			}
			return nil
		})
	}
}

// openWeb builds the server for the address that is really listened on: it decides which Host names are accepted.
func (n *Node) openWeb(addr string) (err error) {
	n.web, err = web.New(web.Config{
		Searcher: n.searcher, Crawls: crawls{n.crawler, n}, Pages: pages{n}, Archive: archive{n}, Receipts: receipts{n},
		Ledger: ledger{n}, Transfer: transfer{n}, Cluster: steering{n}, Federation: n.federation(), Operators: n.operatorsForWeb(), Notary: n.notary(), Witnesses: n.witnesses(), Replicas: n.replicasForWeb(), Status: n.Status, Ready: n.Ready, Metrics: n.metrics(),
		APIKey: n.apiKey, KeyFile: n.path("api.key"), Operator: n.layout.Operator, Contact: n.cfg.Contact, Origin: n.cfg.Origin,
		Addr: addr, Hosts: n.cfg.Hosts, UserAgent: n.crawler.UserAgent(), Trace: n.tracer, Log: n.log("web"),
	})
	return err
}

// Ready says why the node does not serve; nil: it does.
func (n *Node) Ready(context.Context) error {
	n.readyMu.Lock()
	defer n.readyMu.Unlock()
	if n.ready != nil {
		return n.ready
	}
	if own, ok := n.book().(*chain.Chain); ok { // one that another node keeps may be away: searching goes on
		if s := own.Status(); s.Halted != "" {
			return concord.Errorf(concord.Unavailable, "the ledger has stopped: %s", s.Halted)
		}
	}
	return n.bus.WriteError()
}
