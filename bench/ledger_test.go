package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestLoad(t *testing.T) {
	for _, c := range []struct {
		spec loadSpec
		fail int // the call that fails; 0: none
		want int
	}{
		{spec: loadSpec{Count: 50, AtOnce: 7}, want: 50},
		{spec: loadSpec{Count: 50, AtOnce: 7, Agreed: true}, want: 50},
		{spec: loadSpec{Count: 1 << 40, AtOnce: 3, For: 20 * time.Millisecond}, want: -1},
		{spec: loadSpec{Count: 50, AtOnce: 1}, fail: 5, want: 4},
	} {
		made := 0
		to := target{submit: func(_ context.Context, tx []byte) (uint64, error) {
			time.Sleep(time.Millisecond)
			if string(tx) == fmt.Sprint(c.fail) {
				return 0, errors.New("refused")
			}
			return 1, nil
		}, agreed: func(context.Context, uint64) error { time.Sleep(time.Millisecond); return nil }}
		r, err := load(t.Context(), to, c.spec, func() ([]byte, error) { made++; return fmt.Append(nil, made), nil })
		if (err != nil) != (c.fail > 0) {
			t.Errorf("%+v: %v", c, err)
		}
		if c.want >= 0 && r.Done != c.want || r.Done < 1 || len(r.Final) != r.Done || c.spec.Agreed != (len(r.Agreed) == r.Done) {
			t.Errorf("%+v: %d done, %d final, %d agreed", c, r.Done, len(r.Final), len(r.Agreed))
		}
	}
}

func TestSumLoads(t *testing.T) {
	at := time.Unix(1000, 0)
	s := sumLoads([]*loadResult{
		{Done: 2, Bytes: 200, Began: at, Ended: at.Add(2 * time.Second), Final: []float64{1, 2}},
		{Done: 4, Bytes: 400, Began: at.Add(time.Second), Ended: at.Add(3 * time.Second), Final: []float64{3, 4, 5, 6}},
	}, 12*time.Second)
	if s.Done != 6 || s.TxBytes != 100 || s.PerSecond != 2 || s.CPU != 2000 || s.Final.Count != 6 || s.Final.Max != 6 {
		t.Errorf("%+v", s)
	}
	if got := middle([]loadSum{{PerSecond: 3}, {PerSecond: 1}, {PerSecond: 2}}).PerSecond; got != 2 {
		t.Errorf("the middle of 1, 2 and 3 is %v", got)
	}
}

// The peer is worth comparing with only as long as its consensus has the settings of ours.
func TestPeerHasOurSettings(t *testing.T) {
	ours, err := os.ReadFile("../chain/engine.go")
	if err != nil {
		t.Fatal(err)
	}
	peer, err := os.ReadFile("ledgerkvstore.go")
	if err != nil {
		t.Fatal(err)
	}
	constants := map[string]string{"proposeWithin": "2 * time.Second", "voteWithin": "500 * time.Millisecond", "gossipPause": "25 * time.Millisecond", "note.MaxBytes": "65_535", "maxPeers": "200"}
	for name, value := range constants {
		if pattern := regexp.MustCompile(`(?m)^\t` + name + ` += (.*)$`); name != "note.MaxBytes" && name != "maxPeers" {
			if m := pattern.FindSubmatch(ours); m == nil || string(m[1]) != value {
				t.Errorf("chain has %s = %s, this test %s", name, m, value)
			}
		}
	}
	other := []string{"Moniker", "FilterPeers", "P2P.ListenAddress", "P2P.ExternalAddress"} // which cannot be the same
	set := regexp.MustCompile(`(?m)^\tcfg\.([A-Z][A-Za-z0-9.]+(?:, cfg\.[A-Za-z0-9.]+)?) = ([^/\n]*)`)
	count := 0
	for _, m := range set.FindAllStringSubmatch(string(ours), -1) {
		field, value := m[1], strings.TrimSpace(m[2])
		if slices.Contains(other, field) {
			continue
		}
		for name, v := range constants {
			value = strings.ReplaceAll(value, name, v)
		}
		squeeze := func(s string) string { return strings.ReplaceAll(s, " ", "") }
		if !strings.Contains(squeeze(string(peer)), squeeze("cfg."+field+"="+value)) {
			t.Errorf("chain/engine.go sets %s to %s, the peer does not", field, value)
		}
		count++
	}
	if count < 15 {
		t.Errorf("%d settings found in chain/engine.go", count)
	}
}

// testRun is a configuration with a scratch directory of the test's.
func testRun(t *testing.T) config { return config{work: t.TempDir(), small: true, repeats: 1} }

// Both ledgers take transactions of the same size from the same load, and say when they were final.
func TestLedgersTakeTheSameLoad(t *testing.T) {
	c := testRun(t)
	z := ledgerSizes{rest: 3, full: 300 * time.Millisecond, most: 2000}
	r, err := measureRate(t.Context(), c, z, 1)
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]ratePair{"ours": r.Ours, "the kvstore": r.Peer} {
		if p.Rest.Done != 3 || p.Full.Done == 0 || p.Full.Final.Count != p.Full.Done || p.Rest.Final.Median <= 0 {
			t.Errorf("%s: %+v", name, p)
		}
	}
	if r.Ours.Rest.Agreed.Count != 3 || r.Peer.Rest.Agreed.Count != 0 {
		t.Errorf("cosigned: %+v, %+v", r.Ours.Rest.Agreed, r.Peer.Rest.Agreed)
	}
	if d := r.Ours.Full.TxBytes - r.Peer.Full.TxBytes; d < -8 || d > 8 {
		t.Errorf("transactions of %d bytes and of %d", r.Ours.Full.TxBytes, r.Peer.Full.TxBytes)
	}
}

// What was fed is executed by the real node, which goes on, and is back after both kinds of stop.
func TestFedLog(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: takes a few seconds; no long log was made, followed and started again: run it without -short")
	}
	c := testRun(t)
	l, err := foundLedger(t.Context(), c, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { l.end() }()
	p := l.list[0]
	tell := func(o order) {
		t.Helper()
		if _, err := p.tell(o); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.loadEach(l.list, loadSpec{Count: 1, AtOnce: 1}); err != nil {
		t.Fatal(err)
	}
	tell(order{Do: "close"})
	r := &longLog{Wanted: feedBlock + 10}
	if err := r.feed(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if r.Entries < 2*feedBlock || r.Blocks < 3 {
		t.Errorf("%d entries in %d blocks", r.Entries, r.Blocks)
	}
	tell(order{Do: "open", Dir: p.dir, Operator: p.name})
	if err := r.follow(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if n := len(r.Points); n == 0 || r.Points[n-1].Entries < r.Entries {
		t.Errorf("points %+v", r.Points)
	}
	if _, err := l.loadEach(l.list, loadSpec{Count: 2, AtOnce: 2}); err != nil {
		t.Errorf("it does not go on: %v", err)
	}
	tell(order{Do: "close"})
	if err := p.end(); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := r.restart(t.Context(), l, "a stop", 5); err != nil {
			t.Fatal(err)
		}
	}
}

// measuredLedger is a run, as numbers that are easy to reckon with.
func measuredLedger() *ledgerResults {
	sum := func(rate, cpu float64) loadSum {
		return loadSum{Done: 100, TxBytes: 236, PerSecond: rate, CPU: cpu, Final: quantiles{10, 15, 20, 30, 100}, Agreed: quantiles{12, 15, 25, 30, 100}}
	}
	pair := func(rate, cpu float64) ratePair { return ratePair{Rest: sum(0, 0), Full: sum(rate, cpu)} }
	r := &ledgerResults{
		Rates: []rateResult{{Operators: 1, AtOnce: 60, Ours: pair(1000, 0.5), Peer: pair(4000, 0.1), All: []float64{900, 1000, 1100}, AllPeer: []float64{4000}},
			{Operators: 4, AtOnce: 128, Ours: pair(500, 2), All: []float64{500}}},
		Tessera:  &tesseraResult{Version: "Tessera v1", Runs: []tesseraRun{{AtOnce: 60, PerSecond: 2000, CPU: 0.05}}},
		Captures: []captureRate{{Operators: 1, Captures: 8192, Batches: 2, PerSecond: 20_000, CPU: 50}},
		Crawl:    &attestedCrawl{Pages: 1000, Seconds: 10, PerSecond: 100, Last: 2, Batches: 5, Level: 1},
		Receipts: []verified{{Operators: 4, What: "capture", Bytes: 2900, Cosigned: 3, Verify: 200, WithPolicy: 250}},
		Disk:     []ledgerDisk{{Operators: 1, Batches: 100, Files: map[string]int64{"log": 100_000, "blocks": 400_000, "state": 50_000, "wal": 1}, Log: map[string]int64{"entries": 66_000}}},
		Long: &longLog{Wanted: 1_000_000, Entries: 1_001_000, Blocks: 1000, TxBytes: 236, Seconds: 100, Files: map[string]int64{"log": 550_000_000, "blocks": 170_000_000},
			Points: []longPoint{{Entries: 100_000, PerSecond: 10_000}}, Proofs: &proofResult{Inclusion: quantiles{100, 200, 300, 400, 5}}, Restarts: []restart{{After: "kill -9", Process: 0.1, Final: 0.3}}},
		Ran: map[string]stamp{"rates": {BusyBefore: 9, Small: true}, "tessera": {}},
	}
	r.Machine.Cores = 2
	return r
}

func TestLedgerReport(t *testing.T) {
	r := measuredLedger()
	text := ledgerTables(r)
	for _, want := range []string{"| 1 | 60 | 1000 | 4000 | 0.25 × | 900, 1000, 1100; 4000 | 0.500 | 0.100 | 5.00 × | 0.400 |", "| 4 | 128 | 500 | - | - |", "| 60 | 2000 | 0.50 × | 0.050 | 10.00 × |",
		"**100 captures a second", "| capture | 4 | 3 | 2900 | 200 | 250 |", "| 1 | 100 | 1000 | 4000 | 500 | 5500 | 1.34 MB | 27.50 MB |", "### A log of 1,001,000 entries", "| inclusion proof | 100 | 200 | 300 |",
		"| kill -9 | 0.10 | 0.30 |", "**A trial.**", "measured *rates*:", "the kvstore did not run with every number"} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q", want)
		}
	}
	r.Tessera = nil
	if !strings.Contains(ledgerTables(r), "Tessera could not be built") {
		t.Error("that Tessera is missing is not said")
	}
	for _, r := range []*ledgerResults{r, {Ran: map[string]stamp{}}} {
		if text := ledgerTables(r); strings.Contains(text, "NaN") || strings.Contains(text, "%!") || strings.Contains(text, "Inf") {
			t.Errorf("not a number:\n%s", text)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

// The page that people read has the marks that the tables go between.
func TestLedgerPageHasMarks(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "docs", "LEDGER-BENCHMARKS.md"))
	if err != nil {
		t.Fatal(err)
	}
	if s := string(data); !strings.Contains(s, ledgerBegin) || !strings.Contains(s, tablesEnd) {
		t.Error("the marks are missing")
	}
}
