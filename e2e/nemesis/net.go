//go:build linux

package nemesis

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// ErrMissing is why New and AddHost do nothing on a machine that cannot give what they need; the error says what that is.
var ErrMissing = errors.New("this machine cannot run hosts in namespaces")

// tools are the programs used.
var tools = []string{"unshare", "nsenter", "ip", "tc", "mount", "umount", "mkfs.ext4", "sh", "cat"}

const (
	// firstAddr is the switch's end of the range for benchmarks (RFC 2544): private to every crawler, in use nowhere.
	firstAddr = "198.18.0.0"
	prefixLen = 16
	maxHosts  = 64 // each has a filter for each other one
	dirPrefix = "concord-nemesis-"
)

// Net is a switch with hosts on it. Its methods may be called from several goroutines.
type Net struct {
	dir     string // of disk images; holds the mount point too
	starter *starter
	sw      *space
	inject  *tap // where frames that were delayed come out

	mu      sync.Mutex
	shut    bool // Close was called
	hosts   []*Host
	servers []*nameServer

	// By the places of sender and receiver.
	links    map[[2]int]Link
	forwards map[[2]int]*forward // at work on slow links
}

// New makes a switch, and takes away what processes that were killed left. Errors: ErrMissing.
func New() (*Net, error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("%w: it needs the rights of root", ErrMissing)
	}
	for _, t := range tools {
		if _, err := exec.LookPath(t); err != nil {
			return nil, fmt.Errorf("%w: it has no program %s (Debian: iproute2, util-linux, e2fsprogs)", ErrMissing, t)
		}
	}
	if err := sweep(os.TempDir()); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", fmt.Sprintf("%s%d-", dirPrefix, os.Getpid()))
	if err != nil {
		return nil, err
	}
	n := &Net{dir: dir, starter: newStarter(), links: map[[2]int]Link{}, forwards: map[[2]int]*forward{}}
	if err := n.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrMissing, err), n.Close())
	}
	return n, nil
}

func (n *Net) open() (err error) {
	if err := errors.Join(os.Mkdir(n.mountPoint(), 0o755), os.WriteFile(n.resolvConf(), nil, 0o644)); err != nil {
		return err
	}
	if n.sw, err = newSpace(n.starter); err != nil {
		return err
	}
	if err := n.sw.ip("link add br0 type bridge", "link set br0 up"); err != nil {
		return err
	}
	if n.inject, err = newTap(n.sw, "inject"); err != nil {
		return err
	}
	// The switch must not learn that a host is behind the forwarder.
	return n.sw.ip("link set inject master br0", "link set inject type bridge_slave learning off")
}

// mountPoint is where every host has its disk, in its own mount namespace.
func (n *Net) mountPoint() string { return filepath.Join(n.dir, "disk") }

// Hosts returns the hosts in the order they were added.
func (n *Net) Hosts() []*Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.hosts)
}

// AddHost puts a host on the switch, with an address and, if diskBytes is not 0, with a disk of that size (at least 16 MiB).
// Errors: ErrMissing.
func (n *Net) AddHost(name string, diskBytes int64) (*Host, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.hosts) == maxHosts {
		return nil, fmt.Errorf("%d hosts are the most", maxHosts)
	}
	h := &Host{Name: name, net: n, index: len(n.hosts)}
	addr := netip.MustParseAddr(firstAddr).As4()
	addr[3] = byte(h.index + 1)
	h.Addr = netip.AddrFrom4(addr)
	var err error
	if h.space, err = newSpace(n.starter); err != nil {
		return nil, err
	}
	n.hosts = append(n.hosts, h)
	if err := h.connect(); err != nil {
		return nil, fmt.Errorf("%w: host %s: %w", ErrMissing, name, err)
	}
	if diskBytes > 0 {
		if err := h.makeDisk(diskBytes); err != nil {
			return nil, fmt.Errorf("%w: disk of host %s: %w", ErrMissing, name, err)
		}
	}
	return h, n.writeNames()
}

// hostsFile is mounted over /etc/hosts of every host: they know one another by their names. It is written in place: a mount is of the file, not of its name.
func (n *Net) hostsFile() string { return filepath.Join(n.dir, "hosts") }

func (n *Net) writeNames() error {
	var b strings.Builder
	b.WriteString("127.0.0.1 localhost\n")
	for _, h := range n.hosts {
		fmt.Fprintf(&b, "%s %s\n", h.Addr, h.Name)
	}
	return os.WriteFile(n.hostsFile(), []byte(b.String()), 0o644)
}

// Close kills all processes of the hosts and takes everything away. A second call does nothing.
func (n *Net) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.shut {
		return nil
	}
	n.shut = true
	for _, s := range n.servers {
		s.close()
	}
	for _, f := range n.forwards {
		f.close()
	}
	clear(n.forwards)
	if n.inject != nil {
		n.inject.close()
	}
	for _, h := range n.hosts {
		h.close()
	}
	n.hosts = nil
	if n.sw != nil {
		n.sw.close()
	}
	n.starter.close()
	return os.RemoveAll(n.dir)
}
