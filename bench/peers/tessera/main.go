// Command tessera appends made-up entries to a log of Tessera on a POSIX file system, as fast as it takes them, and says in JSON how fast
// that was: the peer of `bench -ledger`. An entry counts when Tessera has given it its index, which is when its bundle, the tiles and the
// tree's state are synced to disk.
package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
)

// result is what one run measured.
type result struct {
	Entries   int       `json:"entries"`
	Seconds   float64   `json:"seconds"`
	CPU       float64   `json:"cpuSeconds"`
	Latencies []float64 `json:"milliseconds"`
}

func main() {
	dir := flag.String("dir", "", "where to make the log: an empty directory")
	size := flag.Int("size", 250, "bytes of an entry")
	at := flag.Int("at-once", 64, "entries on their way at a time")
	seconds := flag.Float64("seconds", 5, "how long to append")
	flag.Parse()
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	r, err := run(context.Background(), *dir, *size, *at, time.Duration(*seconds*float64(time.Second)))
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(r)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "tessera:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir string, size, atOnce int, d time.Duration) (*result, error) {
	secret, _, err := note.GenerateKey(rand.Reader, "bench.example/log")
	if err != nil {
		return nil, err
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		return nil, err
	}
	driver, err := posix.New(ctx, posix.Config{Path: dir})
	if err != nil {
		return nil, err
	}
	// A batch is what is on its way, and is written as soon as all of it has come: with Tessera's own defaults, 256 entries and 250 ms,
	// those who have few on their way would wait for nothing.
	options := tessera.NewAppendOptions().WithCheckpointSigner(signer).WithBatching(uint(atOnce), 5*time.Millisecond).
		WithCheckpointInterval(time.Second).WithPushback(uint(2 * atOnce))
	log, shutdown, _, err := tessera.NewAppender(ctx, driver, options)
	if err != nil {
		return nil, err
	}
	r, err := load(ctx, log, size, atOnce, d)
	if err != nil {
		return nil, err
	}
	return r, shutdown(ctx)
}

func load(ctx context.Context, log *tessera.Appender, size, atOnce int, d time.Duration) (*result, error) {
	var next atomic.Uint64
	var mu sync.Mutex
	var all []float64
	var failed error
	var wg sync.WaitGroup
	before, began := cpu(), time.Now()
	for range atOnce {
		wg.Go(func() {
			var own []float64
			for time.Since(began) < d {
				entry := make([]byte, max(size, 8))
				binary.BigEndian.PutUint64(entry, next.Add(1)) // each its own
				asked := time.Now()
				if _, err := log.Add(ctx, tessera.NewEntry(entry))(); err != nil {
					mu.Lock()
					failed = err
					mu.Unlock()
					return
				}
				own = append(own, time.Since(asked).Seconds()*1000)
			}
			mu.Lock()
			all = append(all, own...)
			mu.Unlock()
		})
	}
	wg.Wait()
	r := &result{Entries: len(all), Seconds: time.Since(began).Seconds(), CPU: (cpu() - before).Seconds()}
	slices.Sort(all)
	r.Latencies = all
	return r, failed
}

// cpu is the user and system time of this process so far.
func cpu() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
