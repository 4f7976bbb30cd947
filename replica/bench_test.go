package replica

import (
	"fmt"
	"testing"

	"concord"
	"concord/receipt"
)

// A batch of 4,096 captures, the most that an attestor makes by default: reading it with all checks, and voting on it.
func BenchmarkVote(b *testing.B) {
	w := newWorld(b, 2)
	var pages []string
	for i := range 4096 {
		pages = append(pages, fmt.Sprintf("https://harbour.example/archive/2026/%06d.html", i))
	}
	index := w.attest(bob, pages...)
	w.keepAll(alice)
	text, err := w.by[alice].Batch(b.Context(), index)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(len(text))/4096, "B/entry")
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if v, err := w.by[alice].Vote(b.Context(), index, concord.Sum(text[:1])); err != nil || v.Damaged {
			b.Fatal(err, v)
		}
	}
}

// The receipt of a page in one of a hundred batches of a hundred captures.
func BenchmarkReceipt(b *testing.B) {
	w := newWorld(b, 2)
	for i := range 100 {
		var pages []string
		for j := range 100 {
			pages = append(pages, fmt.Sprintf("https://harbour.example/%d/%d", i, j))
		}
		w.attest(bob, pages...)
	}
	w.keepAll(alice)
	for b.Loop() {
		proof, err := w.by[alice].Receipt(b.Context(), bob, "https://harbour.example/7/7")
		if err != nil || len(proof) > receipt.MaxBytes {
			b.Fatal(err)
		}
	}
}

// An operator joins: of 5,000 batches of each of two others a third is given up to make room for its own.
func BenchmarkEvict(b *testing.B) {
	w := newWorld(b, 4, func(c *Config) { c.Bytes = 2 * 5000 * blockBytes })
	k := w.by[alice].Keeper
	for b.Loop() {
		clear(k.held)
		clear(k.peers)
		for i := range uint64(5000) {
			k.hold(2*i, bob, blockBytes, testNow)
			k.hold(2*i+1, carol, blockBytes, testNow)
		}
		k.of(dave)
		k.evictAll()
		if s := k.Status(); s.Batches != 2*(5000*2/3) {
			b.Fatalf("%+v", s)
		}
	}
}
