package chain

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"

	"concord"
	"concord/ledger"
)

// BenchmarkFederation measures four operators in this process on loopback: the time until a transaction is under a head that its
// node signed (ns/op) and under one that a quorum cosigned, and what they cost while idle.
func BenchmarkFederation(b *testing.B) {
	f := newFederation(b, 4)
	f.promote()
	f.attest(f.list[0])
	f.agree()
	time.Sleep(2 * time.Second) // the block after the last has come
	const idle = 5 * time.Second
	before, height := processorTime(b), f.list[0].Status().Height
	time.Sleep(idle)
	cost := processorTime(b) - before
	if h := f.list[0].Status().Height; h != height {
		b.Errorf("%d blocks while idle", h-height)
	}
	var agreed time.Duration
	b.ResetTimer()
	for i := range b.N {
		p := f.list[i%4]
		begin := time.Now()
		_, index := f.attest(p)
		for p.agreed.Load().Size <= index {
			time.Sleep(100 * time.Microsecond)
		}
		agreed += time.Since(begin)
	}
	b.StopTimer()
	b.ReportMetric(float64(agreed.Milliseconds())/float64(b.N), "ms-cosigned/op")
	b.ReportMetric(100*float64(cost)/float64(idle)/4, "%cpu-idle/node")
}

// BenchmarkFederationBurst keeps 32 transactions of each of four operators waiting, and counts how often one that could still be executed left a
// mempool.
func BenchmarkFederationBurst(b *testing.B) {
	const atOnce = 32
	f := newFederation(b, 4)
	f.promote()
	var dropped atomic.Int64
	for _, p := range f.list {
		if err := p.stop(); err != nil {
			b.Fatal(err)
		}
		p.running = startWith(b, p.cfg, func(app abci.Application) abci.Application { return &dropCounter{app, &dropped} })
	}
	f.attest(f.list[0])
	f.agree()
	var mu sync.Mutex
	var took []float64
	b.ResetTimer()
	var wg sync.WaitGroup
	for n, p := range f.list {
		seq, _, err := p.Next(p.name)
		if err != nil {
			b.Fatal(err)
		}
		slots := make(chan struct{}, atOnce)
		wg.Go(func() {
			for range (b.N + 3 - n) / 4 {
				d := concord.Sum(fmt.Appendf(nil, "%s %d", p.name, seq))
				tx, err := ledger.Sign(&ledger.DocTx{Head: ledger.Head{Chain: p.ID(), From: p.name, Seq: seq}, Digests: []concord.Digest{d}}, p.cfg.Keys.Op)
				if err != nil {
					b.Error(err)
					return
				}
				seq++
				slots <- struct{}{}
				wg.Go(func() {
					defer func() { <-slots }()
					begin := time.Now()
					if _, err := p.Submit(context.Background(), tx); err != nil {
						b.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					took = append(took, float64(time.Since(begin).Milliseconds()))
				})
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	slices.Sort(took)
	if len(took) > 0 {
		b.ReportMetric(took[len(took)*99/100], "ms-p99")
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tx/s")
	b.ReportMetric(float64(dropped.Load())/float64(b.N), "dropped/op")
}

// dropCounter counts transactions that leave the mempool and were not executed.
type dropCounter struct {
	abci.Application
	n *atomic.Int64
}

func (d *dropCounter) CheckTx(ctx context.Context, req *abci.RequestCheckTx) (*abci.ResponseCheckTx, error) {
	r, err := d.Application.CheckTx(ctx, req)
	if req.Type == abci.CheckTxType_Recheck && r != nil && r.Code != codeOK {
		d.n.Add(1)
	}
	return r, err
}

func processorTime(t testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
