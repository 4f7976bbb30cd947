//go:build linux

package nemesis

import (
	"context"
	"errors"
	"fmt"
	"net"
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

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sleeper runs a process that does nothing until SIGTERM.
func sleeper(t *testing.T, h *Host) {
	t.Helper()
	_, err := h.Start(context.Background(), filepath.Join(t.TempDir(), "log"), "sh", "-c", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done")
	must(t, err)
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
