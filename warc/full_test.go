//go:build linux

package warc

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"concord"
)

// A real disk writes a part of what does not fit. What is appended when there is space again lies where Append says, with nothing between.
func TestFullDiskForReal(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("SKIPPED: a small file system cannot be mounted here (%v); a full disk was not tried: run this test as root on Linux", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	junk := filepath.Join(dir, "junk")
	if err := os.WriteFile(junk, make([]byte, 128<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := Config{Dir: filepath.Join(dir, "archive")}
	a := mustOpen(t, cfg)
	recs, _ := mustBuild(t, page("https://example.org/a", 1, 20_000))
	var locs []concord.Location
	for range 100 {
		got, err := a.Append([][]Record{recs})
		if err == nil {
			locs = append(locs, got[0][0])
			continue
		}
		if concord.KindOf(err) != concord.Unavailable {
			t.Fatal(err)
		}
		break
	}
	if err := os.Remove(junk); err != nil {
		t.Fatal(err)
	}
	locs = append(locs, mustAppend(t, a, recs)[0][0])
	for _, loc := range locs {
		checkRead(t, a, loc, recs[0])
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if f := mustOpen(t, cfg).Files(); len(f) != 1 || len(f[0].Damages) != 0 {
		t.Errorf("files %+v", f)
	}
}
