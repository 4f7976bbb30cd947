//go:build e2e && linux

package node

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"concord"
)

const (
	diskSize  = "96m"
	diskFloor = "16000000" // bytes under which the crawler stops
)

// A full disk stops fetching, not searching; the node says so, and goes on when there is space again.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := mountDisk(t)
	s := newSite(t, 40, 0)
	data := filepath.Join(dir, "d")
	p := start(t, data, freeSpaceVar+"="+diskFloor)
	p.await(p.crawl(s.URL))
	p.attested()
	policy, _ := p.get("/api/v1/policy", nil)

	// Below the floor: a new crawl waits, and the node says why.
	junk := filepath.Join(dir, "junk")
	fill(t, dir, junk, 8<<20)
	more := newSite(t, 10, 0)
	warned(t, p, "nothing is fetched")
	id := p.crawl(more.URL)
	time.Sleep(300 * time.Millisecond)
	if found, proven := s.check(p, policy); found != s.pages || proven != s.pages {
		t.Errorf("below the floor %d pages are found and %d proven, want %d", found, proven, s.pages)
	}

	// Not one byte left.
	fill(t, dir, junk, 0)
	for range 5 {
		time.Sleep(200 * time.Millisecond)
		if found, _ := s.check(p, policy); found != s.pages {
			t.Fatalf("on a full disk %d of %d pages are found:\n%s", found, s.pages, p.says())
		}
	}

	if err := os.Remove(junk); err != nil {
		t.Fatal(err)
	}
	p.await(id)
	p.attested()
	if found, proven := more.check(p, policy); found != more.pages || proven != more.pages {
		t.Errorf("with space again %d of the new pages are found and %d proven, want %d", found, proven, more.pages)
	}
	p.stop()
	p = start(t, data, freeSpaceVar+"="+diskFloor)
	if found, proven := s.check(p, policy); found != s.pages || proven != s.pages {
		t.Errorf("after a restart %d pages are found and %d proven, want %d", found, proven, s.pages)
	}
	p.stop()

	// A rebuild gives up before the disk is full, and leaves what there was.
	fill(t, dir, junk, 8<<20)
	cfg := testConfig(data)
	fmt.Sscan(diskFloor, &cfg.Crawl.FreeSpace)
	if _, err := Rebuild(t.Context(), cfg, RebuildOptions{All: true}); concord.KindOf(err) != concord.Unavailable || !strings.Contains(err.Error(), "make room") {
		t.Errorf("rebuild on a nearly full disk: %v", err)
	}
	if exists(filepath.Join(data, rebuildDir)) {
		t.Error("a rebuild that gave up left its files")
	}
	if err := os.Remove(junk); err != nil {
		t.Fatal(err)
	}
	if report, err := Rebuild(t.Context(), cfg, RebuildOptions{}); err != nil || len(report.Made) > 0 {
		t.Errorf("after a rebuild that gave up: %+v, %v", report, err)
	}
	if report, err := Rebuild(t.Context(), cfg, RebuildOptions{All: true}); err != nil || report.Pages == 0 {
		t.Errorf("rebuild with space again: %+v, %v", report, err)
	}
}

// A disk that is full for longer than the leases last costs an idle node its message engine. It says that it is not ready, and searching goes on;
// when there is space again it ends, so that whoever starts it again has a whole node.
func TestFullDiskForLong(t *testing.T) {
	long(t)
	t.Parallel()
	dir := mountDisk(t)
	s := newSite(t, 10, 0)
	data := filepath.Join(dir, "d")
	p := start(t, data, freeSpaceVar+"="+diskFloor)
	p.await(p.crawl(s.URL))
	p.attested()
	policy, _ := p.get("/api/v1/policy", nil)
	if b, status := p.get("/readyz", nil); status != http.StatusOK {
		t.Fatalf("status %d before the disk is full: %s", status, b)
	}

	junk := filepath.Join(dir, "junk")
	fill(t, dir, junk, 0)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		if _, status := p.get("/readyz", nil); status == http.StatusServiceUnavailable {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the node says that it is ready:\n%s", p.says())
		}
	}
	warned(t, p, "takes no more messages")
	time.Sleep(3 * watchInterval)
	if found, _ := s.check(p, policy); found != s.pages {
		t.Fatalf("on a full disk %d of %d pages are found:\n%s", found, s.pages, p.says())
	}

	if err := os.Remove(junk); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.ended:
	case <-time.After(20 * time.Second):
		t.Fatalf("the node has space and no message engine, and goes on:\n%s", p.says())
	}
	if says := p.says(); p.cmd.ProcessState.ExitCode() != 1 || !strings.Contains(says, "start the node again") {
		t.Errorf("it ended with %v:\n%s", p.cmd.ProcessState, says)
	}
	p = start(t, data, freeSpaceVar+"="+diskFloor)
	more := newSite(t, 10, 0)
	p.await(p.crawl(more.URL))
	for _, x := range []site{s, more} {
		if found, _ := x.check(p, policy); found != x.pages {
			t.Errorf("after a restart %d of %d pages are found", found, x.pages)
		}
	}
	p.stop()
}

// mountDisk is a directory with a small file system of its own.
func mountDisk(t *testing.T) string {
	t.Helper()
	dir := shortDir(t)
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+diskSize); err != nil {
		t.Skipf("SKIPPED: a small file system cannot be mounted here (%v); a full disk was not tried: run this test as root on Linux", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// fill appends zeros to a file until only so many bytes of the file system are free.
func fill(t *testing.T, dir, name string, leave int64) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 64<<10)
	for {
		var fs syscall.Statfs_t
		if err := syscall.Statfs(dir, &fs); err != nil {
			t.Fatal(err)
		}
		over := int64(fs.Bavail)*fs.Bsize - leave
		if over <= 0 {
			return
		}
		if _, err := f.Write(block[:min(over, int64(len(block)))]); err != nil {
			return // full
		}
	}
}

// warned waits for a warning on the status page.
func warned(t *testing.T, p *process, want string) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		var st struct{ Warnings []string }
		p.json("/api/v1/status", nil, &st)
		if strings.Contains(strings.Join(st.Warnings, "\n"), want) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no warning says %q: %q", want, st.Warnings)
		}
	}
}
