//go:build linux

package nemesis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// newNet is a Net of so many hosts, or the reason why there is none.
func newNet(t *testing.T, hosts int, diskBytes int64) *Net {
	t.Helper()
	n, err := New()
	if errors.Is(err, ErrMissing) {
		t.Skipf("SKIPPED: %v; no fault was tried: run this test as root on Linux", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	for i := range hosts {
		_, err := n.AddHost(fmt.Sprintf("h%d", i+1), diskBytes)
		if errors.Is(err, ErrMissing) {
			t.Skipf("SKIPPED: %v; no fault was tried: run this test as root on Linux", err)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return n
}

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

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestPartitions(t *testing.T) {
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

func TestDisk(t *testing.T) {
	n := newNet(t, 1, 32<<20)
	h := n.Hosts()[0]
	sleeper(t, h)
	file := h.Path(filepath.Join(h.Disk(), "f"))
	must(t, os.WriteFile(file, []byte("some"), 0o600))

	must(t, h.FillDisk(1<<20))
	if free, err := h.FreeSpace(); err != nil || free > 1<<20 {
		t.Errorf("%d bytes free, want at most a MiB: %v", free, err)
	}
	must(t, h.FillDisk(0))
	if err := os.WriteFile(file+"2", make([]byte, 64<<10), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("writing on a full disk: %v, want ENOSPC", err)
	}
	must(t, h.FreeDisk())
	must(t, os.WriteFile(file+"2", make([]byte, 64<<10), 0o600))

	flip, err := h.FlipBit(newRand(1, ""), h.Disk(), "f")
	must(t, err)
	if b, _ := os.ReadFile(file); string(b) == "some" || len(b) != 4 {
		t.Errorf("%v: the file says %q", flip, b)
	}
	if _, err := h.FlipBit(newRand(1, ""), h.Disk(), "nothing-*"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file to flip a bit in: %v", err)
	}
}

// sleeper runs a process that does nothing until SIGTERM.
func sleeper(t *testing.T, h *Host) {
	t.Helper()
	_, err := h.Start(context.Background(), filepath.Join(t.TempDir(), "log"), "sh", "-c", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done")
	must(t, err)
}

// What was synced outlives a power cut, what was not does not, on two disks at once.
func TestPowerCut(t *testing.T) {
	n := newNet(t, 2, 32<<20)
	for _, h := range n.Hosts() {
		sleeper(t, h)
		for _, synced := range []bool{true, false} {
			f, err := os.Create(h.Path(filepath.Join(h.Disk(), fmt.Sprint(synced))))
			must(t, err)
			_, err = f.WriteString("first ")
			must(t, err)
			if synced {
				must(t, f.Sync())
			}
			_, err = f.WriteString("second")
			must(t, errors.Join(err, f.Close()))
		}
	}
	must(t, PowerCut(n.Hosts()...))
	for _, h := range n.Hosts() {
		if h.Running() {
			t.Errorf("the process of %s outlived the power cut", h.Name)
		}
		if b, err := os.ReadFile(h.Path(filepath.Join(h.Disk(), "true"))); err != nil || string(b) != "first " {
			t.Errorf("%s has %q of the synced file (%v), want what was synced", h.Name, b, err)
		}
		if b, _ := os.ReadFile(h.Path(filepath.Join(h.Disk(), "false"))); len(b) > 0 {
			t.Errorf("%s has %q of a file that was never synced", h.Name, b)
		}
		sleeper(t, h) // and the machine starts again
	}
}

func TestProcess(t *testing.T) {
	n := newNet(t, 1, 0)
	h := n.Hosts()[0]
	log := filepath.Join(t.TempDir(), "log")
	count := h.Path(log)
	first, err := h.Start(context.Background(), log, "sh", "-c", "echo ready $0; trap 'exit 0' TERM; while :; do echo x >&2; sleep 0.01; done", "now")
	if err != nil || first != "ready now" {
		t.Fatalf("first line %q, %v", first, err)
	}
	if _, err := h.Start(context.Background(), log, "true"); err == nil {
		t.Error("a second process starts beside the first")
	}
	must(t, h.Pause())
	before := len(Tail(count, 1e6))
	time.Sleep(50 * time.Millisecond)
	if after := len(Tail(count, 1e6)); after != before {
		t.Error("a paused process writes on")
	}
	must(t, h.Resume())
	for deadline := time.Now().Add(5 * time.Second); len(Tail(count, 1e6)) == before; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a resumed process does nothing")
		}
	}
	if took, err := h.Terminate(); err != nil || took > time.Second {
		t.Errorf("SIGTERM: %v after %v", err, took)
	}
	if h.Running() || h.PID() != 0 {
		t.Error("it runs after its end")
	}
	if _, err := h.Start(context.Background(), log, "sh", "-c", "echo broken >&2; exit 3"); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("a program that ends at once: %v", err)
	}
	sleeper(t, h)
	must(t, h.Kill())
	if h.Running() {
		t.Error("it runs after a kill")
	}
}

// Names are answered by one host, and only while it can be reached.
func TestNames(t *testing.T) {
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

// After Close nothing is left: no process, no mount, no loop device, no directory, and the machine's own network was never touched.
func TestCloseLeavesNothing(t *testing.T) {
	before := links(t)
	n := newNet(t, 2, 16<<20)
	h := n.Hosts()
	sleeper(t, h[0])
	must(t, n.SetLink(h[0], h[1], Link{Delay: time.Second}))
	pids := []int{h[0].PID(), h[0].space.holder.Process.Pid, h[1].space.holder.Process.Pid, n.sw.holder.Process.Pid}
	if during := links(t); during != before {
		t.Errorf("interfaces of the machine: %q before, %q with hosts", before, during)
	}
	if mounts, _ := os.ReadFile("/proc/mounts"); strings.Contains(string(mounts), n.dir) {
		t.Error("a host's disk is mounted for all to see")
	}
	must(t, n.Close())
	for _, pid := range pids {
		if err := syscall.Kill(pid, 0); err == nil {
			t.Errorf("process %d is still there", pid)
		}
	}
	if _, err := os.Stat(n.dir); err == nil {
		t.Errorf("%s is still there", n.dir)
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) { // the kernel lets loop devices go in its own time
		var left []string
		files, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
		for _, f := range files {
			if b, _ := os.ReadFile(f); strings.HasPrefix(string(b), n.dir) {
				left = append(left, f)
			}
		}
		if left == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("still in use: %q", left)
		}
	}
}

func links(t *testing.T) string {
	t.Helper()
	list, err := net.Interfaces()
	must(t, err)
	var names []string
	for _, l := range list {
		names = append(names, l.Name)
	}
	return strings.Join(names, " ")
}

// killedVar makes the test's own program a harness that is to be killed.
const killedVar = "CONCORD_NEMESIS_KILLED"

// When a test is killed, its hosts and what runs on them end with it, and the next one takes its files away.
func TestKilledHarness(t *testing.T) {
	if os.Getenv(killedVar) != "" {
		n := newNet(t, 2, 16<<20)
		h := n.Hosts()[0]
		sleeper(t, h)
		fmt.Println("pids", h.PID(), h.space.pid(), n.sw.pid(), n.dir)
		time.Sleep(time.Minute)
		return
	}
	newNet(t, 0, 0) // or skip
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledHarness$")
	cmd.Env = append(os.Environ(), killedVar+"=1")
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	var process, holder, sw int
	var dir string
	if _, err := fmt.Fscanf(out, "pids %d %d %d %s\n", &process, &holder, &sw, &dir); err != nil {
		t.Fatal(err)
	}
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if syscall.Kill(process, 0) != nil && syscall.Kill(holder, 0) != nil && syscall.Kill(sw, 0) != nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("processes %d, %d and %d outlive the test that was killed", process, holder, sw)
		}
	}
	newNet(t, 0, 0)
	if _, err := os.Stat(dir); err == nil {
		t.Errorf("%s is still there", dir)
	}
}

// The directory of a dead process goes, that of a living one stays.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	dead, alive := filepath.Join(dir, dirPrefix+"999999999-1"), filepath.Join(dir, fmt.Sprintf("%s%d-1", dirPrefix, os.Getpid()))
	must(t, os.MkdirAll(filepath.Join(dead, "disk"), 0o700))
	must(t, os.MkdirAll(alive, 0o700))
	must(t, sweep(dir))
	if _, err := os.Stat(dead); err == nil {
		t.Error("a dead process's directory stays")
	}
	if _, err := os.Stat(alive); err != nil {
		t.Error("a living process's directory goes")
	}
}
