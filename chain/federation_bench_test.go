package chain

import (
	"syscall"
	"testing"
	"time"
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

func processorTime(t testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
