package node

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// rebuildVar makes this test program a rebuild of everything in that data directory.
const rebuildVar = "CONCORD_TEST_REBUILD"

func rebuildChild(dir string) int {
	report, err := Rebuild(context.Background(), testConfig(dir), RebuildOptions{All: true, Progress: func(p RebuildProgress) {
		fmt.Println(p.Stage)
	}})
	if err != nil {
		fmt.Fprintln(os.Stderr, "rebuild:", err)
		return 1
	}
	_ = json.NewEncoder(os.Stdout).Encode(report)
	return 0
}

// A rebuild that is killed at any moment is simply begun again, or its node started: both give what was there.
func TestRebuildKilled(t *testing.T) {
	t.Parallel()
	golden, want := fullNode(t, 67)
	begin := func(dir string) *exec.Cmd {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), rebuildVar+"="+dir)
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	underWay := func(dir string) { // it is at work
		for end := time.Now().Add(20 * time.Second); !exists(filepath.Join(dir, rebuildDir)) && time.Now().Before(end); time.Sleep(time.Millisecond) {
		}
	}
	dir := copyDir(t, golden)
	whole := begin(dir)
	underWay(dir)
	start := time.Now()
	if err := whole.Wait(); err != nil {
		t.Fatal(err)
	}
	took := time.Since(start)
	same(t, dir, want)
	left := 0
	kills := 2
	if thorough() {
		kills = 8
	}
	for i := range kills {
		dir := copyDir(t, golden)
		cmd := begin(dir)
		underWay(dir)
		time.Sleep(took * time.Duration(i) / time.Duration(kills+1))
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if exists(filepath.Join(dir, rebuildDir)) {
			left++
		}
		if i%2 == 0 {
			if err := begin(dir).Wait(); err != nil {
				t.Fatalf("again after a kill: %v", err)
			}
		}
		same(t, dir, want)
		if exists(filepath.Join(dir, rebuildDir)) {
			t.Error("something of the rebuild is left")
		}
	}
	if left == 0 {
		t.Error("no kill met a rebuild: the test tests nothing")
	}
}

// Whatever step of the swap was done when it was killed, the next start does the rest.
func TestSwapKilled(t *testing.T) {
	t.Parallel()
	parts := []string{"a", "b"}
	for step := range 5 {
		dir := t.TempDir()
		put := func(path, what string) {
			t.Helper()
			path = filepath.Join(dir, path)
			if err := os.MkdirAll(path, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(path, "f"), []byte(what), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, p := range parts {
			put(p, "old")
			put(filepath.Join(rebuildDir, "new", p), "new")
		}
		if err := (&swap{Parts: parts}).save(dir); err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, p := range parts { // the renames, one by one, up to the step
			for _, mv := range [][2]string{{p, rebuildDir + "/old/" + p}, {rebuildDir + "/new/" + p, p}} {
				if n++; n <= step {
					if err := os.MkdirAll(filepath.Join(dir, rebuildDir, "old"), 0o700); err != nil {
						t.Fatal(err)
					}
					if err := os.Rename(filepath.Join(dir, mv[0]), filepath.Join(dir, mv[1])); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		if swapped, err := finishRebuild(dir); err != nil || !swapped {
			t.Fatalf("step %d: %v %v", step, swapped, err)
		}
		for _, p := range parts {
			if b, err := os.ReadFile(filepath.Join(dir, p, "f")); err != nil || string(b) != "new" {
				t.Errorf("step %d: %s is %q, %v", step, p, b, err)
			}
		}
		if swapped, err := finishRebuild(dir); err != nil || swapped {
			t.Errorf("step %d, once more: %v %v", step, swapped, err)
		}
	}
}

// Damaged places of the archive cost what is in them; the rest comes back, and the places are named.
func TestRebuildDamagedArchive(t *testing.T) {
	t.Parallel()
	s := newSite(t, 30, 0)
	dir := shortDir(t)
	p := start(t, dir)
	p.await(p.crawl(s.URL))
	p.attested()
	policy, _ := p.get("/api/v1/policy", nil)
	p.stop()
	files, err := filepath.Glob(filepath.Join(dir, "archive", "*.warc.gz"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 0x10
	b = b[:len(b)-7] // and its end is cut off
	if err := os.WriteFile(files[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	report, err := Rebuild(t.Context(), testConfig(dir), RebuildOptions{All: true})
	if err != nil {
		t.Fatal(err)
	}
	if report.Damaged == 0 || !strings.Contains(strings.Join(report.Problems, "\n"), "at offset") {
		t.Errorf("nothing is said of the damage: %+v", report)
	}
	p = start(t, dir)
	p.settle()
	found, proven := s.check(p, policy)
	t.Logf("%d found, %d proven, %d damaged: %v", found, proven, report.Damaged, report.Problems)
	if found < s.pages-2 {
		t.Errorf("one flipped bit cost more than its record: %d of %d pages found", found, s.pages)
	}
	p.stop()
}

func TestRebuildRefusals(t *testing.T) {
	t.Parallel()
	if _, err := Rebuild(t.Context(), testConfig(t.TempDir()), RebuildOptions{}); err == nil || !strings.Contains(err.Error(), "no data directory") {
		t.Errorf("of nothing: %v", err)
	}
	dir := shortDir(t)
	p := start(t, dir)
	if _, err := Rebuild(t.Context(), testConfig(dir), RebuildOptions{}); err == nil || !strings.Contains(err.Error(), "another node is running") {
		t.Errorf("beside a node: %v", err)
	}
	p.stop()
	if _, err := Rebuild(t.Context(), testConfig(dir), RebuildOptions{Only: []string{"archive"}}); err == nil || !strings.Contains(err.Error(), "no part") {
		t.Errorf("of a part that cannot be made: %v", err)
	}
	for _, part := range []string{"chain", "archive", "keys/operator.keys"} {
		dir := copyDir(t, dir)
		if err := os.RemoveAll(filepath.Join(dir, part)); err != nil {
			t.Fatal(err)
		}
		if _, err := Rebuild(t.Context(), testConfig(dir), RebuildOptions{All: true}); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("without %s: %v", part, err)
		}
	}
}
