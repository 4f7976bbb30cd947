//go:build linux

package nemesis

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Link is what happens to packets on their way from one host to another, in that direction alone. The zero Link is a good wire.
type Link struct {
	Cut    bool          // nothing arrives
	Delay  time.Duration // each packet takes this long
	Jitter time.Duration // and up to this much more; order is kept
	Rate   int64         // bytes a second, 0: no bound
	Loss   float64       // part of the packets that is lost, 0 to 1
}

func (l Link) String() string {
	if l.Cut {
		return "cut"
	}
	var parts []string
	if l.Delay > 0 || l.Jitter > 0 {
		parts = append(parts, fmt.Sprintf("%v±%v late", l.Delay+l.Jitter/2, l.Jitter/2))
	}
	if l.Rate > 0 {
		parts = append(parts, fmt.Sprintf("%d kB/s", l.Rate/1000))
	}
	if l.Loss > 0 {
		parts = append(parts, fmt.Sprintf("%.1f %% lost", 100*l.Loss))
	}
	if parts == nil {
		return "good"
	}
	return strings.Join(parts, ", ")
}

// SetLink changes the way from one host to another. What is on its way through a forwarder when the way changes is lost, as TCP expects of wires.
func (n *Net) SetLink(from, to *Host, l Link) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.setLink(from, to, l)
}

func (n *Net) setLink(from, to *Host, l Link) error {
	key := [2]int{from.index, to.index}
	if n.links[key] == l {
		return nil
	}
	if f := n.forwards[key]; f != nil {
		f.close()
		delete(n.forwards, key)
	}
	device := ""
	switch {
	case l.Cut:
		device = "void"
	case l != Link{}:
		f, err := newForward(from, to, l, n.inject)
		if err != nil {
			return err
		}
		n.forwards[key] = f
		device = f.tap.name
	}
	n.links[key] = l
	return from.aim(to, device)
}

// Cut cuts both ways between each host of a and each host of b.
func (n *Net) Cut(a, b []*Host) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	var errs []error
	for _, x := range a {
		for _, y := range b {
			if x != y {
				errs = append(errs, n.setLink(x, y, Link{Cut: true}), n.setLink(y, x, Link{Cut: true}))
			}
		}
	}
	return errors.Join(errs...)
}

// Others returns all hosts but those named.
func (n *Net) Others(not ...*Host) (others []*Host) {
	for _, h := range n.Hosts() {
		keep := true
		for _, x := range not {
			keep = keep && x != h
		}
		if keep {
			others = append(others, h)
		}
	}
	return others
}

// Heal makes all ways good.
func (n *Net) Heal() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	var errs []error
	for _, x := range n.hosts {
		for _, y := range n.hosts {
			if x != y {
				errs = append(errs, n.setLink(x, y, Link{}))
			}
		}
	}
	return errors.Join(errs...)
}

// aim sends packets for a host to a device of this one, empty: to the wire.
func (h *Host) aim(to *Host, device string) error {
	var lines []string
	if h.aims[to.index] != "" {
		lines = append(lines, fmt.Sprintf("filter del dev eth0 egress pref %d", to.index+1))
	}
	if device != "" {
		lines = append(lines, fmt.Sprintf("filter add dev eth0 egress protocol ip pref %d u32 match ip dst %s/32 action mirred egress redirect dev %s", to.index+1, to.Addr, device))
	}
	if err := h.space.run(strings.Join(lines, "\n")+"\n", "tc", "-batch", "-"); err != nil {
		return fmt.Errorf("way from %s to %s: %w", h.Name, to.Name, err)
	}
	h.aims[to.index] = device
	return nil
}
