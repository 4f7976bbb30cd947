//go:build linux

package nemesis

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestDisk(t *testing.T) {
	t.Parallel()
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

// What was synced outlives a power cut, what was not does not, on two disks at once.
func TestPowerCut(t *testing.T) {
	t.Parallel()
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
