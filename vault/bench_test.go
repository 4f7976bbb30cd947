package vault

import (
	"context"
	"sync"
	"testing"

	"concord/blob"
	"concord/warc"
)

// BenchmarkAppend is what acknowledging one page costs, alone and with a copy in a directory on the same disk.
func BenchmarkAppend(b *testing.B) {
	groups := [][]warc.Record{{record(1, 10_000)}}
	b.Run("alone", func(b *testing.B) {
		a, err := warc.Open(warc.Config{Dir: b.TempDir()})
		if err != nil {
			b.Fatal(err)
		}
		defer a.Close()
		for b.Loop() {
			if _, err := a.Append(groups); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("copied", func(b *testing.B) {
		a, err := warc.Open(warc.Config{Dir: b.TempDir()})
		if err != nil {
			b.Fatal(err)
		}
		defer a.Close()
		s, err := blob.Dir(b.TempDir())
		if err != nil {
			b.Fatal(err)
		}
		defer s.Close()
		v, err := New(Config{Archive: a, Blobs: s})
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(b.Context())
		var running sync.WaitGroup
		running.Go(func() { v.Run(ctx) })
		defer running.Wait()
		defer cancel()
		for b.Loop() {
			if _, err := v.Append(groups); err != nil {
				b.Fatal(err)
			}
		}
	})
}
