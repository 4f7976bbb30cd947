package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"concord/bench/game"
)

// ledgerResults is everything that `bench -ledger` measures.
type ledgerResults struct {
	Machine  machine          `json:"machine"`
	Rates    []rateResult     `json:"rates,omitempty"`
	Tessera  *tesseraResult   `json:"tessera,omitempty"`
	Captures []captureRate    `json:"captures,omitempty"`
	Crawl    *attestedCrawl   `json:"crawl,omitempty"`
	Receipts []verified       `json:"receipts,omitempty"`
	Disk     []ledgerDisk     `json:"disk,omitempty"`
	Long     *longLog         `json:"long,omitempty"`
	Ran      map[string]stamp `json:"ran"`
}

// rateResult is one number of operators, against as many nodes of the peer.
type rateResult struct {
	Operators int       `json:"operators"`
	AtOnce    int       `json:"atOnce"`           // transactions on their way at a time, all nodes together
	Ours      ratePair  `json:"concord"`          //
	Peer      ratePair  `json:"kvstore,omitzero"` // zero: it could not be had
	All       []float64 `json:"concordPerSecond"` // of every repeat
	AllPeer   []float64 `json:"kvstorePerSecond,omitempty"`
}

// ratePair is a ledger at rest, where one transaction comes at a time, and under full load.
type ratePair struct {
	Rest loadSum `json:"rest"`
	Full loadSum `json:"full"`
}

// tesseraResult is Tessera's log alone, on the same disk: nothing is ordered between operators there, and no signature is checked.
type tesseraResult struct {
	Version string       `json:"version"`
	Runs    []tesseraRun `json:"runs"`
}

type tesseraRun struct {
	AtOnce    int       `json:"atOnce"`
	Size      int       `json:"bytesEach"`
	Entries   int       `json:"entries"`
	PerSecond float64   `json:"perSecond"`
	CPU       float64   `json:"cpuMillisecondsEach"`
	Latency   quantiles `json:"milliseconds"`
}

func (t tesseraRun) rate() float64 { return t.PerSecond }

// captureRate is one operator's attestor on a ledger of several.
type captureRate struct {
	Operators int     `json:"operators"`
	Captures  int     `json:"captures"`
	Batches   uint64  `json:"batches"`
	PerSecond float64 `json:"perSecond"`
	CPU       float64 `json:"cpuMicrosecondsEach"` // of all nodes together
}

// attestedCrawl is a crawl by the whole program, from the first request to the last receipt.
type attestedCrawl struct {
	Pages     int     `json:"pages"`
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"perSecond"`
	Last      float64 `json:"lastReceiptSeconds"` // after the last request
	Batches   uint64  `json:"batches"`
	Level     int     `json:"level"`
	Bytes     int     `json:"receiptBytes"`
}

// ledgerParts are what `bench -ledger` measures, in this order.
var ledgerParts = []string{"rates", "tessera", "captures", "disk", "million"}

// reportOnly is the part that measures nothing: the report is written anew from the numbers of the last run.
const reportOnly = "report"

const ledgerBegin = "<!-- tables: written by make bench-ledger -->"

// ledgerSizes of a run.
type ledgerSizes struct {
	operators []int         // of the rates
	attesting []int         // of captures and receipts
	rest      int           // transactions one at a time, of all operators together
	full      time.Duration // of one load
	most      int           // transactions a second and node that are made beforehand
	tessera   []int         // entries on their way at a time
	captures  int
	verify    int // times a receipt is verified
	web       webSpec
	batches   map[int]int // by operators
	long      int         // entries
	proofs    int
}

func ledgerSizesOf(c config) ledgerSizes {
	s := ledgerSizes{operators: []int{1, 4, 7}, attesting: []int{1, 4, 7}, rest: 105, full: 6 * time.Second, most: 6000, tessera: []int{60, 1024}, captures: 10 * fullBatch, verify: 1000,
		web: webSpec{Hosts: 60, Pages: 100, Subnet: 96}, batches: map[int]int{1: 2000, 4: 200}, long: 1_000_000, proofs: 2000}
	if c.small {
		s.operators, s.rest, s.full, s.captures, s.verify, s.long, s.proofs = []int{1, 4}, 16, 2*time.Second, 2*fullBatch, 100, 20_000, 500
		s.web, s.batches = webSpec{Hosts: 30, Pages: 20, Subnet: 96}, map[int]int{1: 100}
	}
	return s
}

// runLedger measures, and writes the report.
func runLedger(ctx context.Context, c config) error {
	c.doc, c.raw = "docs/LEDGER-BENCHMARKS.md", "docs/ledger-benchmarks.json"
	if c.small {
		c.raw, c.repeats = filepath.Join(c.work, "ledger-small.json"), 1
	}
	res := &ledgerResults{Ran: map[string]stamp{}}
	if err := loadJSON(c.raw, res); err != nil {
		return err
	}
	if !slices.Contains(c.only, reportOnly) {
		res.Machine = thisMachine(c)
	}
	var failed error
	for _, p := range ledgerParts {
		if !slices.Contains(c.only, p) || ctx.Err() != nil {
			continue
		}
		now := begin(p)
		now.Small = c.small
		busy, began := game.BusyTime(), time.Now()
		if err := measureLedger(ctx, c, p, res); err != nil { // the other parts are worth having all the same
			logf("%s: %v", p, err)
			failed = errors.Join(failed, fmt.Errorf("%s: %w", p, err))
			continue
		}
		logf("%s took %.0f s, the machine was %.0f %% busy", p, time.Since(began).Seconds(), 100*(game.BusyTime()-busy).Seconds()/time.Since(began).Seconds()/float64(res.Machine.Cores))
		res.Ran[p] = now
		if err := saveJSON(c.raw, res); err != nil {
			return err
		}
	}
	if c.small {
		c.doc = filepath.Join(c.work, "LEDGER-BENCHMARKS.md")
		if err := os.WriteFile(c.doc, []byte(ledgerBegin+"\n"+tablesEnd+"\n"), 0o644); err != nil {
			return err
		}
	}
	text := ledgerTables(res)
	if c.small {
		fmt.Println(text)
	}
	return errors.Join(failed, replaceTables(c.doc, ledgerBegin, text))
}

func measureLedger(ctx context.Context, c config, part string, res *ledgerResults) (err error) {
	switch part {
	case "rates":
		res.Rates, err = measureRates(ctx, c)
	case "tessera":
		res.Tessera, err = measureTessera(ctx, c, res.txBytes())
	case "captures":
		res.Captures, res.Receipts, res.Crawl, err = measureCaptures(ctx, c)
	case "disk":
		res.Disk, err = measureDisk(ctx, c)
	case "million":
		res.Long, err = measureLong(ctx, c)
	}
	return err
}

// txBytes is the size of the transactions that were measured.
func (r *ledgerResults) txBytes() int {
	for i := range r.Rates {
		if n := r.Rates[i].Ours.Full.TxBytes; n > 0 {
			return n
		}
	}
	const usual = 244
	return usual
}

// atOnceOf is how many transactions of one node are on their way at a time. A member's seq may be 64 ahead of its last; where others must
// follow, it stays below what they may be behind.
func atOnceOf(operators int) int {
	if operators == 1 {
		return 60
	}
	return 32
}

// restPause is between two transactions that come one at a time, so that the block after the last one is over.
const restPause = 60 * time.Millisecond

// measureRates loads our ledger and the peer's in turn, both of them up all the time.
func measureRates(ctx context.Context, c config) (list []rateResult, err error) {
	z := ledgerSizesOf(c)
	for _, n := range z.operators {
		r, err := measureRate(ctx, c, z, n)
		if err != nil {
			return nil, fmt.Errorf("%d operators: %w", n, err)
		}
		list = append(list, *r)
		logf("%d operators: %.0f transactions/s (kvstore %.0f), CPU %.2f ms each (%.2f), final after %.1f ms at rest (%.1f), %.1f under load (%.1f)", n, r.Ours.Full.PerSecond, r.Peer.Full.PerSecond,
			r.Ours.Full.CPU, r.Peer.Full.CPU, r.Ours.Rest.Final.Median, r.Peer.Rest.Final.Median, r.Ours.Full.Final.Median, r.Peer.Full.Final.Median)
	}
	return list, nil
}

func measureRate(ctx context.Context, c config, z ledgerSizes, n int) (*rateResult, error) {
	ours, err := foundLedger(ctx, c, n)
	if err != nil {
		return nil, err
	}
	defer ours.end()
	peer, err := foundPeer(ctx, c, n)
	if err != nil {
		logf("not compared: the kvstore of %d nodes: %v", n, err)
	} else {
		defer peer.end()
	}
	r := &rateResult{Operators: n, AtOnce: n * atOnceOf(n)}
	if err := r.Ours.atRest(ours, z, 0); err != nil {
		return nil, err
	}
	if peer != nil && len(peer.list) == n {
		if err := r.Peer.atRest(peer, z, r.Ours.Rest.TxBytes); err != nil {
			return nil, err
		}
	}
	full := loadSpec{Count: int(float64(z.most)*z.full.Seconds()) / n, AtOnce: atOnceOf(n), For: z.full, TxBytes: r.Ours.Rest.TxBytes}
	var own, others []loadSum
	for range c.repeats { // in turn: what else the machine does meets both
		s, err := ours.load(ours.list, full)
		if err != nil {
			return nil, err
		}
		own, r.All = append(own, s), append(r.All, s.PerSecond)
		if peer == nil || len(peer.list) < n {
			continue
		}
		if s, err = peer.load(peer.list, full); err != nil {
			return nil, err
		}
		others, r.AllPeer = append(others, s), append(r.AllPeer, s.PerSecond)
	}
	r.Ours.Full, r.Peer.Full = middle(own), middle(others)
	acknowledged := r.Ours.Rest.Done
	for _, s := range own {
		acknowledged += s.Done
	}
	return r, ours.same(ctx, acknowledged)
}

// atRest submits one transaction at a time, at one node after the other.
func (p *ratePair) atRest(l *parties, z ledgerSizes, txBytes int) error {
	var results []*loadResult
	for _, one := range l.list {
		list, err := l.loadEach([]*party{one}, loadSpec{Count: max(z.rest/len(l.list), 3), AtOnce: 1, Pause: restPause, Agreed: true, TxBytes: txBytes})
		if err != nil {
			return err
		}
		results = append(results, list...)
	}
	p.Rest = sumLoads(results, 0)
	p.Rest.PerSecond = 0 // the pauses are no rate
	return nil
}

// measureTessera builds the peer and runs it, or says why not.
func measureTessera(ctx context.Context, c config, size int) (*tesseraResult, error) {
	z := ledgerSizesOf(c)
	out := filepath.Join(c.work, "tessera")
	if text, err := exec.CommandContext(ctx, "sh", "bench/peers/tessera/build.sh", out).CombinedOutput(); err != nil {
		logf("not compared: Tessera: %v: %s", err, tail(string(text)))
		return nil, nil
	}
	version, _ := os.ReadFile(filepath.Join(out, "version"))
	r := &tesseraResult{Version: strings.TrimSpace(string(version))}
	for _, n := range z.tessera {
		var runs []tesseraRun
		for range c.repeats {
			run, err := runTessera(ctx, c, filepath.Join(out, "run"), size, n, z.full)
			if err != nil {
				return nil, err
			}
			runs = append(runs, run)
		}
		m := middle(runs)
		r.Runs = append(r.Runs, m)
		logf("Tessera, %d at once: %.0f entries/s of %d bytes, CPU %.3f ms each, %.1f ms", n, m.PerSecond, size, m.CPU, m.Latency.Median)
	}
	return r, nil
}

func runTessera(ctx context.Context, c config, bin string, size, atOnce int, d time.Duration) (t tesseraRun, err error) {
	dir, err := os.MkdirTemp(c.work, "tessera-log-")
	if err != nil {
		return t, err
	}
	defer os.RemoveAll(dir)
	var said strings.Builder
	cmd := exec.CommandContext(ctx, bin, "-dir", filepath.Join(dir, "log"), "-size", strconv.Itoa(size), "-at-once", strconv.Itoa(atOnce), "-seconds", fmt.Sprint(d.Seconds()))
	cmd.Stderr = &said
	text, err := cmd.Output()
	if err != nil {
		return t, fmt.Errorf("tessera: %w: %s", err, tail(said.String()))
	}
	var r struct {
		Entries             int
		Seconds, CPUSeconds float64
		Milliseconds        []float64
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return t, fmt.Errorf("tessera: %w", err)
	}
	if r.Entries == 0 {
		return t, fmt.Errorf("tessera took no entries")
	}
	return tesseraRun{AtOnce: atOnce, Size: size, Entries: r.Entries, PerSecond: float64(r.Entries) / r.Seconds, CPU: r.CPUSeconds * 1000 / float64(r.Entries), Latency: quantilesOf(r.Milliseconds)}, nil
}

// measureCaptures attests captures on ledgers of several sizes, makes and verifies receipts there, and crawls with the whole program.
func measureCaptures(ctx context.Context, c config) (rates []captureRate, receipts []verified, crawl *attestedCrawl, err error) {
	z := ledgerSizesOf(c)
	for _, n := range z.attesting {
		rate, list, err := attestOn(ctx, c, z, n)
		if err != nil {
			return nil, nil, nil, fmt.Errorf("%d operators: %w", n, err)
		}
		rates, receipts = append(rates, *rate), append(receipts, list...)
	}
	crawl, v, err := crawlAttested(ctx, c, z)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("crawl: %w", err)
	}
	return rates, append(receipts, *v), crawl, nil
}

func attestOn(ctx context.Context, c config, z ledgerSizes, n int) (*captureRate, []verified, error) {
	l, err := foundLedger(ctx, c, n)
	if err != nil {
		return nil, nil, err
	}
	defer l.end()
	first := l.list[0]
	before, err := l.cpu()
	if err != nil {
		return nil, nil, err
	}
	a, err := first.tell(order{Do: "captures", Dir: first.dir, Count: z.captures})
	if err != nil {
		return nil, nil, err
	}
	after, err := l.cpu()
	if err != nil {
		return nil, nil, err
	}
	r := a.Captures
	rate := &captureRate{Operators: n, Captures: r.Captures, Batches: r.Batches, PerSecond: r.PerSecond, CPU: (after - before).Seconds() * 1e6 / float64(r.Captures)}
	capture, err := verifyReceipt("capture", n, r.Receipt, a.Policy, z.verify)
	if err != nil {
		return nil, nil, err
	}
	if a, err = first.tell(order{Do: "document"}); err != nil {
		return nil, nil, err
	}
	document, err := verifyReceipt("document", n, a.Document, a.Policy, z.verify)
	logf("%d operators: %.0f captures/s attested, CPU %.1f µs each; receipts of %d and %d bytes, verified in %.0f and %.0f µs", n, rate.PerSecond, rate.CPU, capture.Bytes, document.Bytes, capture.Verify, document.Verify)
	return rate, []verified{capture, document}, err
}

// foundingNotes are the first entries of a ledger. After them every batch of one attestor makes two: it is in a block of its own, which has a record.
const foundingNotes = 2

// crawlAttested crawls a made-up web with the whole program of one operator until every page has its receipt, and verifies one.
func crawlAttested(ctx context.Context, c config, z ledgerSizes) (*attestedCrawl, *verified, error) {
	w, err := startWeb(z.web)
	if err != nil {
		return nil, nil, err
	}
	defer w.close()
	n, err := startNode(c, 0)
	if err != nil {
		return nil, nil, err
	}
	defer n.remove()
	defer n.stop()
	id, err := n.start(w.seeds)
	if err != nil {
		return nil, nil, err
	}
	s, _, attested, err := n.await(ctx, id, nil)
	if err != nil {
		return nil, nil, err
	}
	seen, err := w.seen()
	if err != nil {
		return nil, nil, err
	}
	var st struct{ Ledger struct{ Size uint64 } }
	if _, err := n.get("/api/v1/status", nil, &st); err != nil {
		return nil, nil, err
	}
	r := &attestedCrawl{Pages: int(s.Fetched), Seconds: attested.Sub(seen.First).Seconds(), Last: attested.Sub(seen.Last).Seconds(), Batches: (st.Ledger.Size - foundingNotes) / 2}
	r.PerSecond = float64(r.Pages) / r.Seconds
	proof, policy, err := n.someReceipt(w.seeds[0])
	if err != nil {
		return nil, nil, err
	}
	v, err := verifyReceipt("capture of the crawl", 1, proof, policy, z.verify)
	r.Level, r.Bytes = v.Level, v.Bytes
	logf("crawl: %d pages attested in %.1f s, %.0f/s; the last receipt %.1f s after the last request; %d batches", r.Pages, r.Seconds, r.PerSecond, r.Last, r.Batches)
	return r, &v, err
}
