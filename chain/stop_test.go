package chain

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cometbft/cometbft/p2p"

	"concord"
)

// The tests of this file look at the goroutines of the whole process, so they are none of those that run side by side.

// engineGoroutines returns the stacks of consensus and of its write-ahead log.
func engineGoroutines() (list []string) {
	buf := make([]byte, 16<<20)
	for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		for _, f := range []string{"autofile.(*Group).processTicks", "consensus.(*BaseWAL).", "consensus.(*State).", "consensus.(*timeoutTicker)."} {
			if strings.Contains(g, f) {
				list = append(list, g)
				break
			}
		}
	}
	return list
}

// noEngineLeft fails if one goes on. Goroutines that have said that they are done may take a moment to be gone.
func noEngineLeft(t *testing.T) {
	t.Helper()
	end := time.Now().Add(2 * time.Second)
	for len(engineGoroutines()) > 0 && time.Now().Before(end) {
		time.Sleep(time.Millisecond)
	}
	for _, g := range engineGoroutines() {
		t.Errorf("goes on after the stop:\n%s", g)
	}
}

// TestStopEndsTheEngine stops chains at different moments.
func TestStopEndsTheEngine(t *testing.T) {
	cfg := testConfig(t, t.TempDir())
	for i := range 30 {
		c, err := Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		switch i % 3 {
		case 0:
			time.Sleep(time.Duration(i) * 5 * time.Millisecond)
		case 1:
			<-c.started
		case 2:
			submitNext(t, c, cfg.Keys)
		}
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		noEngineLeft(t)
	}
}

// TestStopWaitsForASlowEngine holds consensus up while it signs, as a disk does that has too much to do.
func TestStopWaitsForASlowEngine(t *testing.T) {
	cfg := testConfig(t, t.TempDir())
	c, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	submitNext(t, c, cfg.Keys)
	v := c.validator.Load()
	v.mu.Lock()
	seq, prev, err := c.Next(testOperator)
	if err != nil {
		t.Fatal(err)
	}
	tx, _ := attestation(t, c, cfg.Keys, seq, prev)
	submitted := make(chan struct{})
	go func() {
		defer close(submitted)
		_, _ = c.Submit(t.Context(), tx) // the stop cuts it short
	}()
	for end := time.Now().Add(10 * time.Second); !strings.Contains(strings.Join(engineGoroutines(), "\n"), "(*validator).sign"); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("consensus does not come to sign")
		}
	}
	time.AfterFunc(5*time.Second, v.mu.Unlock)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	<-submitted
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	noEngineLeft(t)
}

// unstartable is a reactor whose start fails.
type unstartable struct{ *p2p.BaseReactor }

func (unstartable) OnStart() error { return concord.Errorf(concord.Internal, "not today") }

// TestFailedStartLeavesNothing makes the start fail: at the write-ahead log, and at a reactor beside consensus, which by then runs or does not:
// reactors are started in no order.
func TestFailedStartLeavesNothing(t *testing.T) {
	t.Run("log", func(t *testing.T) {
		cfg := testConfig(t, t.TempDir())
		c, err := Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := os.MkdirAll(filepath.Join(filesOf(cfg.Dir).home, "data", "cs.wal", "wal"), 0o700); err != nil {
			t.Fatal(err)
		}
		if e, err := startEngine(c); err == nil {
			t.Error("started without a log", e.stop())
		}
		noEngineLeft(t)
	})
	t.Run("reactor", func(t *testing.T) {
		c, err := Open(testConfig(t, t.TempDir()))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ran := false
		for i := 0; i < 20 && !ran; i++ {
			e, err := newEngine(c)
			if err != nil {
				t.Fatal(err)
			}
			r := unstartable{}
			r.BaseReactor = p2p.NewBaseReactor("UNSTARTABLE", &r)
			e.node.Switch().AddReactor("UNSTARTABLE", r)
			if err := e.start(); err == nil {
				t.Error("started without a reactor")
			}
			ran = e.node.ConsensusReactor().IsRunning()
			if err := e.stop(); err != nil {
				t.Error(err)
			}
			noEngineLeft(t)
		}
		if !ran {
			t.Error("consensus was never started before the reactor that fails")
		}
	})
}

// A peer that the switch admits while it stops is not greeted: what greets it reads the store, which is closed by then.
func TestNoGreetingAfterStop(t *testing.T) {
	t.Parallel()
	c := start(t, testConfig(t, t.TempDir()))
	g := newGossip(c.Chain)
	if err := g.Start(); err != nil {
		t.Fatal(err)
	}
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := c.stop(); err != nil {
		t.Fatal(err)
	}
	g.AddPeer(nil) // it would be asked for its name, and the store for the newest heads
}
