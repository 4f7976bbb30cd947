package main

import (
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"concord/e2e/loopweb"
)

// The test program serves the web, and is a node of a ledger, as the benchmark does: by running itself.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == serveCommand {
		exit(serve(os.Stdin, os.Stdout))
		return
	}
	if len(os.Args) > 1 && os.Args[1] == serveLedger {
		exit(serveOrders(os.Stdin, os.Stdout))
		return
	}
	os.Exit(m.Run())
}

func TestWebTellsWhatItSaw(t *testing.T) {
	w, err := startWeb(webSpec{Hosts: 2, Pages: 10, Sample: 3, Subnet: 92})
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	for _, path := range []string{"/robots.txt", "/", "/p/1", "/p/1", "/p/9", "/p/77"} {
		resp, err := http.Get(strings.TrimSuffix(w.seeds[0], "/") + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	s := <-w.served
	if s.Title != "site0 page 1" || !strings.HasSuffix(s.URL, "/p/1") || time.Since(s.At) > time.Minute {
		t.Errorf("sampled %+v, want the third page", s)
	}
	got, err := w.seen()
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"site0 /", "site0 /p/1", "site0 /p/9"}; !reflect.DeepEqual(got.Pages, want) {
		t.Errorf("pages %q, want %q", got.Pages, want)
	}
	if got.Requests != 6 || got.Repeats != 1 || got.Forbidden != 1 || got.Robots != 1 || got.Overlaps != 0 || !got.First.Before(got.Last) {
		t.Errorf("the web saw %+v", got)
	}
}

func TestOverlapsAreSeen(t *testing.T) {
	h := loopweb.Slow(loopweb.Generated("slow", 3), 50*time.Millisecond)
	w, err := loopweb.Start(93, h)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	done := make(chan error)
	for range 2 {
		go func() {
			resp, err := http.Get(h.URL("/"))
			if err == nil {
				resp.Body.Close()
			}
			done <- err
		}()
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if s := statsOf(w, webSpec{}); s.Overlaps != 1 {
		t.Errorf("two requests at once count as %d overlaps", s.Overlaps)
	}
}

func TestWithout(t *testing.T) {
	n, example := without([]string{"a", "b", "c", "d"}, []string{"a", "d", "e"})
	if n != 2 || example != "b" {
		t.Errorf("%d, %q", n, example)
	}
}

func TestSpread(t *testing.T) {
	var v []time.Duration
	for i := range 100 {
		v = append(v, time.Duration(100-i)*time.Second)
	}
	if got, want := spreadOf(v), (spread{51, 96, 100}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestSamplesHaveOwners(t *testing.T) {
	value, stack := parseTrace("----\n     10ms   runtime.mallocgc\n            encoding/json.Marshal (inline)\n            concord/shard.(*Shard).apply\n")
	if value != 10*time.Millisecond || len(stack) != 3 || stack[2] != "concord/shard.(*Shard).apply" {
		t.Fatalf("%v %q", value, stack)
	}
	for want, f := range map[string]string{
		"concord/shard": "concord/shard.(*Shard).apply", "concord": "concord.DecodeEvent", "NATS (bus)": "github.com/nats-io/nats-server/v2/server.x",
		"garbage collection": "runtime.gcBgMarkWorker.func2", "other": "os.Open",
	} {
		if got := ownerOf([]string{"runtime.memmove", f}); got != want {
			t.Errorf("%s is %q, want %q", f, got, want)
		}
	}
}

func TestReportKeepsWhatIsWrittenByHand(t *testing.T) {
	path := filepath.Join(t.TempDir(), "doc.md")
	old := "# Title\n" + tablesBegin + "\nold\n" + tablesEnd + "\nreading\n"
	if err := os.WriteFile(path, []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &results{Freshness: []freshness{{Name: "steady", Samples: 3}}, Ran: map[string]stamp{}}
	for range 2 {
		if err := replaceTables(path, tablesBegin, tables(r)); err != nil {
			t.Fatal(err)
		}
	}
	got, _ := os.ReadFile(path)
	if s := string(got); !strings.HasPrefix(s, "# Title\n"+tablesBegin) || !strings.HasSuffix(s, tablesEnd+"\nreading\n") ||
		strings.Contains(s, "old") || strings.Count(s, "| steady |") != 1 {
		t.Errorf("report:\n%s", s)
	}
	if err := os.WriteFile(path, []byte("no marks"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := replaceTables(path, tablesBegin, tables(r)); err == nil {
		t.Error("a report without marks was overwritten")
	}
}
