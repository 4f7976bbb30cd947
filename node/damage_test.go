package node

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"syscall"
	"testing"
	"time"
)

// kind is a file's place in the data directory with its numbers and names left out: files of one kind are written and
// read by the same code. Each stream's messages are a kind.
func kind(rel string) string {
	if !strings.HasSuffix(rel, ".blk") {
		rel = streams.ReplaceAllString(rel, "streams/S/")
	}
	return numbers.ReplaceAllString(rel, "N")
}

var streams = regexp.MustCompile(`streams/[A-Z_]+/`)

var numbers = regexp.MustCompile(`[0-9a-zA-Z]*[0-9][0-9a-zA-Z]*`)

// transient are files that carry no state, or none that a flipped bit could make wrong.
var transient = regexp.MustCompile(`(^|/)(LOCK|lock|LOG|concord\.sock)$`)

// One flipped bit in any file of a data directory must not make the node crash, panic, or say what is not so: it
// refuses to start with a message that names the file or its directory, or it starts, and then whatever it finds is
// right and whatever receipts it gives hold. What is lost must be said.
func TestDamagedFiles(t *testing.T) {
	t.Parallel()
	s := newSite(t, 12, 0)
	golden := shortDir(t)
	p := start(t, golden)
	p.await(p.crawl(s.URL))
	p.attested()
	policy, _ := p.get("/api/v1/policy", nil)
	if found, proven := s.check(p, policy); found != 12 || proven != 12 {
		t.Fatalf("%d found and %d proven before anything is damaged", found, proven)
	}
	p.stop()
	for _, rel := range victims(t, golden) {
		t.Run(strings.ReplaceAll(rel, "/", "·"), func(t *testing.T) {
			t.Parallel()
			damaged(t, s, golden, rel, policy)
		})
	}
}

// State that is older than what its log still has is refused: the messages in between would be missed in silence.
func TestStateLostAfterTrim(t *testing.T) {
	t.Parallel()
	s := newSite(t, 12, 0)
	golden := shortDir(t)
	p := start(t, golden)
	p.await(p.crawl(s.URL))
	p.attested()
	p.stop()
	n, err := Open(t.Context(), testConfig(golden))
	if err != nil {
		t.Fatal(err)
	}
	n.trim(t.Context())
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	for part, want := range map[string]string{"shard/0": "the state of shard 0 ends at message 0, but its log begins after", "attest": "the attestor's state ends at message 0", "frontier": "the files of partition 0 are gone"} {
		t.Run(strings.ReplaceAll(part, "/", "·"), func(t *testing.T) {
			dir := shortDir(t)
			if err := os.CopyFS(dir, os.DirFS(golden)); err != nil {
				t.Fatal(err)
			}
			restoreModes(t, golden, dir)
			if err := os.RemoveAll(filepath.Join(dir, part)); err != nil {
				t.Fatal(err)
			}
			p := launch(t, dir)
			if p.addr != "" || !strings.Contains(p.says(), want) || !strings.Contains(p.says(), "concord rebuild") {
				t.Errorf("without %s it says %q, want %q", part, p.says(), want)
			}
		})
	}
}

// victims returns the largest file of every kind.
func victims(t *testing.T, dir string) []string {
	t.Helper()
	largest := map[string]string{}
	sizes := map[string]int64{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if k := kind(rel); fi.Size() > sizes[k] && !transient.MatchString(rel) {
			largest[k], sizes[k] = rel, fi.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, rel := range largest {
		list = append(list, rel)
	}
	sort.Strings(list)
	if len(list) < 15 {
		t.Fatalf("only %d kinds of files: %v", len(list), list)
	}
	return list
}

func damaged(t *testing.T, s site, golden, rel string, policy []byte) {
	dir := shortDir(t)
	if err := os.CopyFS(dir, os.DirFS(golden)); err != nil {
		t.Fatal(err)
	}
	restoreModes(t, golden, dir)
	name := filepath.Join(dir, rel)
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 0x10
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	p := launch(t, dir)
	if p.addr == "" {
		refused(t, p, rel)
		return
	}
	p.settle()
	found, proven := s.check(p, policy)
	// What is made anew from the log takes a moment.
	for deadline := time.Now().Add(6 * time.Second); found+proven < 2*s.pages && p.alive() && time.Now().Before(deadline); {
		time.Sleep(100 * time.Millisecond)
		found, proven = s.check(p, policy)
	}
	if !p.alive() {
		refused(t, p, rel)
		return
	}
	var st struct{ Warnings []string }
	if b, status := p.get("/api/v1/status", nil); status == http.StatusOK {
		_ = json.Unmarshal(b, &st)
	}
	// Consensus starts after "ready": what it refuses may come only now.
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	<-p.ended
	if !p.cmd.ProcessState.Success() {
		refused(t, p, rel)
		return
	}
	said := p.says()
	if strings.Contains(said, "panic:") || strings.Contains(said, "goroutine ") {
		t.Errorf("panic:\n%s", said)
	}
	if (found < s.pages || proven < s.pages) && len(st.Warnings) == 0 && !strings.Contains(said, "level=WARN") && !strings.Contains(said, "level=ERROR") {
		t.Errorf("of %d pages %d are found and %d have receipts, and nobody says why:\n%s", s.pages, found, proven, said)
	}
	t.Logf("started: %d found, %d proven, %d lines logged", found, proven, strings.Count(said, "\n"))
}

// refused expects one line that names the file, or the directory whose files belong together.
func refused(t *testing.T, p *process, rel string) {
	t.Helper()
	said := p.says()
	line := said[strings.LastIndex(strings.TrimSpace(said), "\n")+1:]
	if strings.Contains(said, "panic:") || strings.Contains(said, "goroutine ") || !strings.Contains(said, "refused:") {
		t.Errorf("it ended with a panic or without a word:\n%s", said)
		return
	}
	part, _, _ := strings.Cut(rel, "/")
	older := part == "chain" && strings.Contains(said, "the ledger's files are older than the attestor's")
	if !older && !strings.Contains(said, filepath.Base(rel)) && !strings.Contains(said, filepath.Join(p.dir, part)) {
		t.Errorf("the refusal does not say that %s is damaged: %s", rel, line)
	}
	t.Log(strings.TrimSpace(line))
}

func restoreModes(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		return os.Chmod(filepath.Join(to, rel), fi.Mode().Perm())
	})
	if err != nil {
		t.Fatal(fmt.Errorf("restore permissions: %w", err))
	}
}
