//go:build linux

package nemesis

import (
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// echo answers every connection to port 7 of a host with what it says, and UDP packets are counted at port 9.
func echo(t *testing.T, h *Host) {
	t.Helper()
	l, err := h.Listen(7)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
}

const patience = 250 * time.Millisecond // more than enough for a packet on a good wire

func port(h *Host, p uint16) string { return netip.AddrPortFrom(h.Addr, p).String() }

// reaches says whether a connection from one host to another comes about, and how long one round trip over it takes.
func reaches(from, to *Host, limit time.Duration) (bool, time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	c, err := from.Dial(ctx, "tcp", port(to, 7))
	if err != nil {
		return false, 0
	}
	defer c.Close()
	return roundTrip(c, limit)
}

func roundTrip(c net.Conn, limit time.Duration) (bool, time.Duration) {
	_ = c.SetDeadline(time.Now().Add(limit))
	start := time.Now()
	if _, err := c.Write([]byte("x")); err != nil {
		return false, 0
	}
	_, err := io.ReadFull(c, make([]byte, 1))
	return err == nil, time.Since(start)
}

func check(t *testing.T, from, to *Host, want bool) {
	t.Helper()
	if got, _ := reaches(from, to, patience); got != want {
		t.Errorf("%s reaches %s: %v, want %v", from.Name, to.Name, got, want)
	}
}

func TestPartitions(t *testing.T) {
	t.Parallel()
	n := newNet(t, 5, 0)
	h := n.Hosts()
	for _, x := range h {
		echo(t, x)
	}
	check(t, h[0], h[1], true)

	// One node alone; a connection that is open stays open and stands still.
	open, err := h[0].Dial(context.Background(), "tcp", port(h[1], 7))
	must(t, err)
	defer open.Close()
	must(t, n.Cut(h[:1], n.Others(h[0])))
	check(t, h[0], h[1], false)
	check(t, h[2], h[0], false)
	check(t, h[2], h[1], true)
	if ok, _ := roundTrip(open, patience); ok {
		t.Error("a connection that was open before the cut still carries data")
	}
	must(t, n.Heal())
	_ = open.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.ReadFull(open, make([]byte, 1)); err != nil {
		t.Errorf("what was sent during the cut does not arrive after it: %v", err)
	}

	// A minority and a majority.
	must(t, n.Cut(h[:2], h[2:]))
	check(t, h[0], h[1], true)
	check(t, h[2], h[4], true)
	check(t, h[1], h[3], false)
	check(t, h[3], h[1], false)
	must(t, n.Heal())
	check(t, h[1], h[3], true)
}

// One way only: packets arrive, answers do not.
func TestOneWayCut(t *testing.T) {
	t.Parallel()
	n := newNet(t, 2, 0)
	a, b := n.Hosts()[0], n.Hosts()[1]
	must(t, n.SetLink(b, a, Link{Cut: true}))
	for _, way := range []struct {
		from, to *Host
		arrives  bool
	}{{a, b, true}, {b, a, false}} {
		if got := arrives(t, way.from, way.to); got != way.arrives {
			t.Errorf("a packet from %s arrives at %s: %v, want %v", way.from.Name, way.to.Name, got, way.arrives)
		}
	}
	echo(t, a)
	echo(t, b)
	check(t, a, b, false) // a connection needs both ways
	check(t, b, a, false)
}

// arrives sends one UDP packet, which needs no answer.
func arrives(t *testing.T, from, to *Host) bool {
	t.Helper()
	var in net.PacketConn
	must(t, to.space.enter(func() (err error) {
		in, err = net.ListenPacket("udp4", port(to, 9))
		return err
	}))
	defer in.Close()
	out, err := from.Dial(context.Background(), "udp", port(to, 9))
	must(t, err)
	defer out.Close()
	_, err = out.Write([]byte("x"))
	must(t, err)
	_ = in.SetReadDeadline(time.Now().Add(patience))
	_, _, err = in.ReadFrom(make([]byte, 10))
	return err == nil
}

func TestSlowLinks(t *testing.T) {
	t.Parallel()
	n := newNet(t, 2, 0)
	a, b := n.Hosts()[0], n.Hosts()[1]
	echo(t, b)
	const delay = 100 * time.Millisecond
	must(t, n.SetLink(a, b, Link{Delay: delay}))
	if ok, took := reaches(a, b, 2*time.Second); !ok || took < delay || took > delay+50*time.Millisecond {
		t.Errorf("%v late one way: answer %v after %v", delay, ok, took)
	}
	must(t, n.Heal())
	if ok, took := reaches(a, b, time.Second); !ok || took > 20*time.Millisecond {
		t.Errorf("healed: answer %v after %v", ok, took)
	}

	// 200 kB at 200 kB/s take a second, whole and in order.
	must(t, n.SetLink(a, b, Link{Rate: 200_000, Delay: 2 * time.Millisecond, Jitter: 2 * time.Millisecond, Loss: 0.005}))
	c, err := a.Dial(context.Background(), "tcp", port(b, 7))
	must(t, err)
	defer c.Close()
	sent := []byte(strings.Repeat("0123456789", 20_000))
	start := time.Now()
	go func() { _, _ = c.Write(sent) }()
	got := make([]byte, len(sent))
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != string(sent) {
		t.Errorf("over a narrow link: %v, same bytes: %v", err, string(got) == string(sent))
	}
	if took := time.Since(start); took < 900*time.Millisecond || took > 5*time.Second {
		t.Errorf("200 kB at 200 kB/s took %v", took)
	}
}

// Names are answered by one host, and only while it can be reached.
func TestNames(t *testing.T) {
	t.Parallel()
	n := newNet(t, 2, 0)
	a, b := n.Hosts()[0], n.Hosts()[1]
	must(t, n.ServeNames(b, "site.test"))
	look := func(name string) (string, error) {
		out, err := a.Run(context.Background(), "getent", "ahostsv4", name)
		address, _, _ := strings.Cut(string(out), " ")
		return address, err
	}
	for name, want := range map[string]string{"site.test": b.Addr.String(), "h2": b.Addr.String(), "other.test": ""} {
		if got, err := look(name); got != want || (err == nil) != (want != "") {
			t.Errorf("%s is %q (%v), want %q", name, got, err, want)
		}
	}
	must(t, n.Cut([]*Host{a}, []*Host{b}))
	if got, err := look("site.test"); err == nil {
		t.Errorf("without its server site.test is %q", got)
	}
}
