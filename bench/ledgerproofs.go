package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"path/filepath"
	"time"

	"concord"
	"concord/attest"
	"concord/bus"
	"concord/receipt"
)

// fullBatch is how many captures an attestation covers at most.
const fullBatch = attest.DefaultMaxBatch

// captureResult is how fast one operator's captures are attested, from the log of captures on.
type captureResult struct {
	Captures  int     `json:"captures"`
	Batches   uint64  `json:"batches"`
	Seconds   float64 `json:"seconds"` // until the last was in the ledger
	PerSecond float64 `json:"perSecond"`
	Receipt   []byte  `json:"receipt,omitempty"` // of a capture in a full batch, with a quorum
}

// captures puts made-up captures into a captures log, attests them, and returns the receipt of one.
func (n *ledgerNode) captures(ctx context.Context, dir string, count int) (r *captureResult, err error) {
	log := slog.New(slog.DiscardHandler)
	b, err := bus.Open(ctx, bus.Config{Dir: filepath.Join(dir, "bus"), NodeName: "n1", Logger: log})
	if err != nil {
		return nil, err
	}
	defer b.Close()
	captured, err := b.Log(ctx, "captures", "capture.*")
	if err != nil {
		return nil, err
	}
	for first := 0; first < count; first += batchSize {
		var msgs []concord.Message
		for i := first; i < min(first+batchSize, count); i++ {
			m, err := n.capture(i)
			if err != nil {
				return nil, err
			}
			msgs = append(msgs, m)
		}
		if _, err := captured.Append(ctx, msgs...); err != nil {
			return nil, err
		}
	}
	a, err := attest.Open(attest.Config{Dir: filepath.Join(dir, "attest"), Log: captured, Ledger: n.chain, Keys: n.cfg.Keys, Operator: n.cfg.Operator, Logger: log})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	done := make(chan error, 1)
	began := time.Now()
	go func() { done <- a.Run(ctx) }()
	defer func() {
		cancel()
		err = errors.Join(err, <-done, a.Close())
	}()
	for a.Stats().Attested < uint64(count) {
		if err := pause(ctx, time.Millisecond); err != nil {
			return nil, fmt.Errorf("%+v: %w", a.Stats(), err)
		}
	}
	r = &captureResult{Captures: count, Batches: a.Stats().Batches, Seconds: time.Since(began).Seconds()}
	r.PerSecond = float64(count) / r.Seconds
	if err := n.agreed(ctx, a.Stats().LastIndex); err != nil {
		return nil, err
	}
	r.Receipt, err = a.Receipt(ctx, n.captureID(count/2))
	return r, err
}

func (n *ledgerNode) captureID(i int) string {
	return fmt.Sprintf("0f6f4c1e-7d0a-4c57-9a3e-%012d", i)
}

// capture is a made-up capture of a page with a URL of usual length.
func (n *ledgerNode) capture(i int) (concord.Message, error) {
	sum := func(what string) concord.Digest {
		return concord.Sum(fmt.Appendf(nil, "%s %s %d", n.cfg.Operator, what, i))
	}
	c := concord.Capture{ID: n.captureID(i), URL: fmt.Sprintf("https://site%d.example/articles/2026/11/page-%d.html", i%100, i), Time: time.Now().UTC().Truncate(time.Second),
		Status: 200, Mime: "text/html", Size: 30_000, Raw: sum("raw"), Text: sum("text"), Profile: "text-1", Record: sum("record"),
		Location: concord.Location{File: "bench.warc.gz", Offset: int64(i) * 10_000, Length: 9_000}}
	e := concord.Event{Capture: &c}
	data, err := e.Encode()
	return concord.Message{Subject: concord.CaptureSubject(i % 4), ID: c.ID, Data: data}, err
}

// document notarises one and returns its receipt under a head that a quorum has cosigned.
func (n *ledgerNode) document(ctx context.Context) ([]byte, error) {
	seq, _, err := n.next(ctx)
	if err != nil {
		return nil, err
	}
	d := receipt.Document{File: n.unique()}
	if d.Note, err = n.note(seq, d.File); err != nil {
		return nil, err
	}
	if d.Index, err = n.chain.Submit(ctx, d.Note); err != nil {
		return nil, err
	}
	e, err := n.chain.Entry(d.Index)
	if err != nil {
		return nil, err
	}
	block, err := n.chain.Block(e.Height)
	if err != nil {
		return nil, err
	}
	d.RecordIndex = block.First + block.Count - 1
	if err := n.agreed(ctx, d.RecordIndex); err != nil {
		return nil, err
	}
	record, err := n.chain.Entry(d.RecordIndex)
	if err != nil {
		return nil, err
	}
	d.Record = []byte(record.Text)
	if d.Admit, err = n.chain.Admission(n.cfg.Operator, d.Index); err != nil {
		return nil, err
	}
	head, err := n.chain.Covering(d.RecordIndex)
	if err != nil {
		return nil, err
	}
	if d.Path, err = n.chain.Proof(d.Index, head.Size); err != nil {
		return nil, err
	}
	if d.RecordPath, err = n.chain.Proof(d.RecordIndex, head.Size); err != nil {
		return nil, err
	}
	d.Checkpoint = []byte(head.Note)
	return receipt.BuildDocument(d)
}

// proofResult is how long it takes to make proofs, microseconds.
type proofResult struct {
	Size        uint64    `json:"size"` // of the log
	Inclusion   quantiles `json:"inclusion"`
	Consistency quantiles `json:"consistency"`
	Find        quantiles `json:"find"` // an entry by its leaf hash
	Entry       quantiles `json:"entry"`
	Tile        quantiles `json:"tile"` // 256 hashes
	Bundle      quantiles `json:"bundle"`
}

// proofs makes proofs of entries all over the log.
func (n *ledgerNode) proofs(count int) (*proofResult, error) {
	size := n.chain.Checkpoint().Size
	r := &proofResult{Size: size}
	random := rand.New(rand.NewPCG(1, size))
	var failed error
	timed := func(f func(i uint64) error) quantiles {
		var us []float64
		for range count {
			i := random.Uint64N(size)
			began := time.Now()
			err := f(i)
			us = append(us, time.Since(began).Seconds()*1e6)
			failed = errors.Join(failed, err)
		}
		return quantilesOf(us)
	}
	r.Inclusion = timed(func(i uint64) error { _, err := n.chain.Proof(i, size); return err })
	r.Consistency = timed(func(i uint64) error { _, err := n.chain.Consistency(i+1, size); return err })
	r.Entry = timed(func(i uint64) error { _, err := n.chain.Entry(i); return err })
	leaves := make([]concord.LedgerEntry, min(count, 1000))
	for i := range leaves {
		e, err := n.chain.Entry(random.Uint64N(size))
		if err != nil {
			return nil, err
		}
		leaves[i] = e
	}
	r.Find = timed(func(i uint64) error {
		e := leaves[i%uint64(len(leaves))]
		if found, ok := n.chain.Lookup(e.Leaf); !ok || found != e.Index {
			return fmt.Errorf("entry %d is found at %d, %v", e.Index, found, ok)
		}
		return nil
	})
	if full := size / 256; full > 0 {
		r.Tile = timed(func(i uint64) error { _, err := n.chain.HashTile(0, i%full, 256); return err })
		r.Bundle = timed(func(i uint64) error { _, err := n.chain.EntryBundle(i%full, 256); return err })
	}
	return r, failed
}

// verified is the size of receipts and how long it takes to verify them.
type verified struct {
	Operators  int     `json:"operators"`
	What       string  `json:"what"`
	Bytes      int     `json:"bytes"`
	Level      int     `json:"level"`
	Cosigned   int     `json:"cosigned"`
	Verify     float64 `json:"verifyMicroseconds"`     // median
	WithPolicy float64 `json:"withPolicyMicroseconds"` // median, the policy file read each time
}

// verifyReceipt verifies a receipt again and again, as package receipt does for `concord verify` and for every result of a search across operators.
func verifyReceipt(what string, operators int, proof, policy []byte, count int) (v verified, err error) {
	pol, err := receipt.ParsePolicy(policy)
	if err != nil {
		return v, err
	}
	v = verified{Operators: operators, What: what, Bytes: len(proof)}
	var once, whole []float64
	for range count {
		began := time.Now()
		rep, err := pol.Verify(proof, receipt.Options{})
		once = append(once, time.Since(began).Seconds()*1e6)
		if err != nil {
			return v, fmt.Errorf("receipt of a %s: %w", what, err)
		}
		began = time.Now()
		if _, err = receipt.Verify(proof, policy, receipt.Options{}); err != nil {
			return v, err
		}
		whole = append(whole, time.Since(began).Seconds()*1e6)
		v.Level, v.Cosigned = rep.Level, rep.Cosigners
	}
	v.Verify, v.WithPolicy = quantilesOf(once).Median, quantilesOf(whole).Median
	return v, nil
}

// someReceipt returns the receipt of the first page that the node has one for, and the policy it is held against.
func (n *process) someReceipt(page string) (proof, policy []byte, err error) {
	if proof, err = n.body("/api/v1/receipts", url.Values{"url": {page}}); err != nil {
		return nil, nil, err
	}
	policy, err = n.body("/api/v1/policy", nil)
	return proof, policy, err
}

// body gets what is no JSON.
func (n *process) body(path string, params url.Values) ([]byte, error) {
	resp, err := n.sock.Get("http://node" + path + "?" + params.Encode())
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, resp.Status, tail(string(data)))
	}
	return data, err
}

// fileBytes is the size of the files below a directory.
func fileBytes(dir string) (sum int64) {
	for _, n := range diskUse(dir) {
		sum += n
	}
	return sum
}
