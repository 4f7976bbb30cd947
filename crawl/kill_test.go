package crawl

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"concord"
	"concord/warc"
)

// fileLog is a memLog whose appends are lines of a file, one line an append: what a kill leaves is a whole number of
// appends and perhaps the beginning of one more.
func openFileLog(path string) (*memLog, error) {
	l := newMemLog()
	data, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	whole := int64(strings.LastIndexByte(string(data), '\n') + 1)
	sc := bufio.NewScanner(strings.NewReader(string(data[:whole])))
	sc.Buffer(nil, 64<<20)
	for sc.Scan() {
		var msgs []concord.Message
		if err := json.Unmarshal(sc.Bytes(), &msgs); err != nil {
			return nil, err
		}
		if _, err := l.Append(context.Background(), msgs...); err != nil {
			return nil, err
		}
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Truncate(whole); err != nil {
		return nil, err
	}
	if _, err := f.Seek(whole, 0); err != nil {
		return nil, err
	}
	l.fail = func(msgs []concord.Message) error {
		line, err := json.Marshal(msgs)
		if err == nil {
			_, err = f.Write(append(line, '\n'))
		}
		return err
	}
	return l, nil
}

const (
	killEnv   = "CONCORD_CRAWL_KILL_DIR"
	killDelay = 25 * time.Millisecond
	killWidth = 8 // concurrency, and so the most that is in flight at a kill
)

func killConfig(dir string) (Config, error) {
	frontier, err := openFileLog(filepath.Join(dir, "frontier.log"))
	if err != nil {
		return Config{}, err
	}
	captures, err := openFileLog(filepath.Join(dir, "captures.log"))
	if err != nil {
		return Config{}, err
	}
	arc, err := warc.Open(warc.Config{Dir: filepath.Join(dir, "archive")})
	if err != nil {
		return Config{}, err
	}
	p := quick()
	p.MinDelay, p.MaxDelay = killDelay, killDelay
	return Config{Dir: filepath.Join(dir, "state"), Partitions: 3, Shards: 2, Frontier: frontier, Captures: captures, Archive: arc,
		Politeness: p, Recrawl: Recrawl{Off: true}, FreeSpaceFloor: -1, Concurrency: killWidth}, nil
}

// killChild is the process that TestKill kills.
func killChild(t *testing.T, dir string) {
	cfg, err := killConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, cfg: cfg}
	r.start()
	crawls, err := r.c.Crawls(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	id := ""
	if len(crawls) == 0 {
		until(t, "the log", func() bool { // a crawl that was acknowledged is in the log, if not yet in the state
			crawls, _ = r.c.Crawls(t.Context())
			last, _ := cfg.Frontier.Last(t.Context(), "frontier.*")
			return last == 0 || len(crawls) > 0
		})
	}
	if len(crawls) > 0 {
		id = crawls[0].ID
	} else {
		seeds, err := os.ReadFile(filepath.Join(dir, "seeds"))
		if err != nil {
			t.Fatal(err)
		}
		id = r.begin(concord.CrawlSpec{Seeds: strings.Fields(string(seeds))})
	}
	crawl := r.wait(id)
	r.close()
	fmt.Printf("CHILD DONE %d %d %d\n", crawl.Fetched, crawl.Indexed, crawl.Queued)
}

// TestKill kills a crawl at random moments and lets it go on: in the end there is every page, once, and what was fetched
// twice was in flight at a kill. No host is asked again before its delay is over, not even across a kill.
func TestKill(t *testing.T) {
	if dir := os.Getenv(killEnv); dir != "" {
		killChild(t, dir)
		return
	}
	t.Parallel()
	const kills, hosts, pages = 6, 8, 24
	dir := t.TempDir()
	var seeds []string
	var sites []*site
	for range hosts {
		s := mesh(t, pages)
		sites, seeds = append(sites, s), append(seeds, s.host+"/p0")
	}
	if err := os.WriteFile(filepath.Join(dir, "seeds"), []byte(strings.Join(seeds, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
	out := ""
	for round := range kills + 1 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKill$", "-test.v")
		cmd.Env = append(os.Environ(), killEnv+"="+dir)
		if round < kills {
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(150*time.Millisecond + time.Duration(rng.IntN(250))*time.Millisecond)
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			continue
		}
		b, err := cmd.CombinedOutput()
		if out = string(b); err != nil {
			t.Fatalf("last run: %v\n%s", err, b)
		}
	}
	want := fmt.Sprintf("CHILD DONE %d %d 0\n", hosts*pages, hosts*pages)
	if !strings.Contains(out, want) {
		t.Errorf("last run: %s, want %s", out, want)
	}
	extra := 0
	for _, s := range sites {
		s.gaps(t, killDelay)
		for i := range pages {
			n := s.count(fmt.Sprintf("/p%d", i))
			if n == 0 {
				t.Errorf("%s/p%d was never fetched", s.host, i)
			}
			extra += max(n-1, 0)
		}
	}
	// In flight: asked for and not yet on record. That is more than the fetchers, by what waits to be committed.
	if most := kills * (killWidth + hosts*2); extra > most {
		t.Errorf("%d pages were fetched again, at most %d were in flight", extra, most)
	}
	t.Logf("%d kills, %d pages, %d fetched again", kills, hosts*pages, extra)
	checkRecord(t, dir, hosts*pages)
}

// checkRecord checks that every capture that was announced can be read from the archive, and counts the pages.
func checkRecord(t *testing.T, dir string, pages int) {
	t.Helper()
	cfg, err := killConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	arc := cfg.Archive.(*warc.Archive)
	defer arc.Close()
	indexed := map[string]bool{}
	for _, e := range cfg.Captures.(*memLog).events() {
		if e.Capture == nil {
			continue
		}
		rec, err := arc.Read(e.Capture.Location)
		if err != nil {
			t.Fatalf("capture %s of %s is announced and cannot be read: %v", e.Capture.ID, e.Capture.URL, err)
		}
		if rec.ID() != e.Capture.ID {
			t.Errorf("at the place of capture %s lies %s", e.Capture.ID, rec.ID())
		}
		if e.Capture.Skip == "" {
			indexed[e.Capture.URL] = true
		}
	}
	if len(indexed) != pages {
		t.Errorf("%d pages are announced, want %d", len(indexed), pages)
	}
}
