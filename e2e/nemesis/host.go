//go:build linux

package nemesis

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
)

// Host is one machine of a Net.
type Host struct {
	Name string
	Addr netip.Addr

	net   *Net
	index int
	space *space
	aims  [maxHosts]string // device that packets for each other host are sent to; empty: the wire. Guarded by Net.mu
	disk  string           // image; empty: no disk

	mu   sync.Mutex // the process, and the disk under it
	proc *process
}

// newRand is a source that depends on a seed and a name.
func newRand(seed uint64, name string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(name))
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

// connect plugs the host into the switch.
func (h *Host) connect() error {
	if err := h.space.run("", "sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6; echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6; true"); err != nil {
		return err
	}
	port := fmt.Sprintf("p%d", h.index)
	if err := h.net.sw.ip(
		fmt.Sprintf("link add %s type veth peer name eth0 netns %s", port, h.space.pid()),
		fmt.Sprintf("link set %s master br0 up", port)); err != nil {
		return err
	}
	// What goes into one end of the void comes out at the other, where nobody has its address.
	if err := h.space.ip("link set lo up", fmt.Sprintf("addr add %s/%d dev eth0", h.Addr, prefixLen), "link set eth0 up",
		"link add void type veth peer name void1", "link set void up", "link set void1 up"); err != nil {
		return err
	}
	if err := h.net.writeNames(); err != nil {
		return err
	}
	for file, over := range map[string]string{h.net.hostsFile(): "/etc/hosts", h.net.resolvConf(): "/etc/resolv.conf"} {
		if err := h.space.run("", "mount", "--bind", file, over); err != nil {
			return err
		}
	}
	return h.space.run("", "tc", "qdisc", "add", "dev", "eth0", "clsact")
}

// Dial connects to an address as a process on the host does. The address must be a number, not a name.
func (h *Host) Dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	enter := h.space.enter(func() error {
		conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
		return nil
	})
	if enter != nil {
		return nil, enter
	}
	return conn, err
}

// Listen listens on a TCP port of the host.
func (h *Host) Listen(port int) (l net.Listener, err error) {
	enter := h.space.enter(func() error {
		l, err = net.Listen("tcp4", netip.AddrPortFrom(h.Addr, uint16(port)).String())
		return nil
	})
	if enter != nil {
		return nil, enter
	}
	return l, err
}

// Client returns an HTTP client that asks from the host. It keeps no connections: each request meets the network as it then is.
func (h *Host) Client() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: h.Dial, DisableKeepAlives: true}}
}

// Run executes a command on the host and returns what it prints on its standard output. An error has its standard error.
func (h *Host) Run(ctx context.Context, name string, args ...string) ([]byte, error) {
	cmd := h.space.command(name, args...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := h.net.starter.start(cmd); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var err error
	select {
	case err = <-ended:
	case <-ctx.Done():
		_ = cmd.Process.Kill()
		<-ended
		err = ctx.Err()
	}
	if err != nil {
		err = fmt.Errorf("%s %s on %s: %w: %s", name, strings.Join(args, " "), h.Name, err, strings.TrimSpace(stderr.String()))
	}
	return []byte(stdout.String()), err
}

// close kills the host's process and lets its space go.
func (h *Host) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	_ = h.kill()
	h.space.close()
}
