package node

import (
	"testing"
	"time"

	"concord"
)

// Captures are gathered for as long as batch_window says, who asks is told how long that is, and what waits when the node ends is attested by the next.
func TestBatchWindow(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.BatchWindow = 10 * time.Minute
	s := newSite(t, 2, 0)
	n := runConfigured(t, cfg)
	n.crawl(t, concord.CrawlSpec{Seeds: []string{s.URL + "/"}})
	id := captureOf(t, n, s.URL+"/")
	state, err := receipts{n.Node}.Attested(t.Context(), id)
	if err != nil || state.Done || state.Wait != cfg.BatchWindow || n.attestor.a.Stats().Attested != 0 {
		t.Fatalf("%+v, %v; %+v", state, err, n.attestor.a.Stats())
	}
	n.stop()
	cfg.BatchWindow = minBatchWindow
	n = runConfigured(t, cfg)
	until(t, "the capture has its receipt", func() bool {
		state, err := receipts{n.Node}.Attested(t.Context(), id)
		return err == nil && state.Done
	})
}

func captureOf(t *testing.T, n *running, url string) (id string) {
	t.Helper()
	for _, s := range shardsOf(n.Node) {
		if err := s.EachCapture(func(c *concord.Capture) error {
			if c.URL == url {
				id = c.ID
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if id == "" {
		t.Fatalf("%s was not captured", url)
	}
	return id
}
