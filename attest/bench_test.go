package attest

import (
	"testing"
	"time"

	"concord/receipt"
)

// BenchmarkAttest measures captures attested a second, from the log to receipts that can be had.
func BenchmarkAttest(b *testing.B) {
	dir := b.TempDir()
	c, log := startChain(b, dir), newMemoryLog()
	a := startAttestor(b, dir, log, c, 10*time.Millisecond, 0)
	appendCaptures(b, log, 0, 1)
	await(b, a.Attestor, capture(0).ID)
	b.ResetTimer()
	appendCaptures(b, log, 1, b.N+1)
	for a.Stats().Attested < uint64(b.N+1) {
		time.Sleep(time.Millisecond)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "captures/s")
}

// BenchmarkReceipt measures building and verifying one receipt from a full batch of 4,096.
func BenchmarkReceipt(b *testing.B) {
	dir := b.TempDir()
	c, log := startChain(b, dir), newMemoryLog()
	a := startAttestor(b, dir, log, c, 200*time.Millisecond, 0)
	appendCaptures(b, log, 0, DefaultMaxBatch)
	proof := await(b, a.Attestor, capture(77).ID)
	policy := []byte(c.Policy())
	b.Run("build", func(b *testing.B) {
		for b.Loop() {
			if _, err := a.Receipt(b.Context(), capture(77).ID); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(len(proof)), "bytes")
	})
	b.Run("verify", func(b *testing.B) {
		for b.Loop() {
			if _, err := receipt.Verify(proof, policy, receipt.Options{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkLatency measures from Append to a receipt, with the default window.
func BenchmarkLatency(b *testing.B) {
	dir := b.TempDir()
	c, log := startChain(b, dir), newMemoryLog()
	a := startAttestor(b, dir, log, c, DefaultWindow, 0)
	i := 0
	for b.Loop() {
		appendCaptures(b, log, i, i+1)
		await(b, a.Attestor, capture(i).ID)
		i++
	}
}
