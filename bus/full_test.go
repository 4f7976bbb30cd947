//go:build linux

package bus

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"concord"
)

// A node of a cluster whose disk is full keeps no copies any more and says so; the others go on. Opened anew with space it has all again.
func TestFullDiskOfAMember(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	if err := syscall.Mount("tmpfs", c.dirs[0], "tmpfs", 0, "size=64m"); err != nil {
		t.Skipf("SKIPPED: a small file system cannot be mounted here (%v); a full disk was not tried: run this test as root on Linux", err)
	}
	t.Cleanup(func() {
		c.stop(0)
		_ = syscall.Unmount(c.dirs[0], syscall.MNT_DETACH)
	})
	c.open(0, 1, 2)
	log := openLog(t, c.buses[1])
	eventually(t, 20*time.Second, "three copies", func() bool { return c.whole() })
	if err := c.buses[0].WriteError(); err != nil {
		t.Fatal(err)
	}

	junk := filepath.Join(c.dirs[0], "junk")
	fillDisk(t, junk)
	sent := 0
	send := func() error {
		_, err := log.Append(t.Context(), batch("capture.1", sent, 50)...)
		if err == nil {
			sent += 50
		}
		return err
	}
	eventually(t, 30*time.Second, "the node on the full disk says so", func() bool {
		_ = send() // may stand still for an election
		return c.buses[0].WriteError() != nil
	})
	if err := c.buses[1].WriteError(); err != nil {
		t.Errorf("the other node says: %v", err)
	}
	eventually(t, 30*time.Second, "the others go on", func() bool { return send() == nil })
	eventually(t, 30*time.Second, "it sees the log by the others", func() bool {
		last, err := openLog(t, c.buses[0]).Last(t.Context(), "capture.1")
		return err == nil && last >= uint64(sent)
	})

	if err := os.Remove(junk); err != nil {
		t.Fatal(err)
	}
	if concord.KindOf(c.buses[0].WriteError()) != concord.Unavailable {
		t.Error("with space again it has forgotten")
	}
	c.stop(0)
	c.open(0)
	if err := c.buses[0].WriteError(); err != nil {
		t.Errorf("opened anew: %v", err)
	}
	eventually(t, 30*time.Second, "three copies again", func() bool { return c.whole() })
	if got := collect(t, openLog(t, c.buses[0]), "capture.1", 0, sent); len(got) != sent {
		t.Errorf("%d of %d messages", len(got), sent)
	}
}

// whole says that every stream has three copies that are current.
func (c *testCluster) whole() bool {
	logs, err := c.buses[1].Logs(c.t.Context())
	for _, l := range logs {
		if len(l.Copies) != 3 {
			return false
		}
		for _, x := range l.Copies {
			if !x.Online || !x.Current || x.Last != l.Last {
				return false
			}
		}
	}
	return err == nil && len(logs) > 0
}

// fillDisk writes zeros until there is no space.
func fillDisk(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
}
