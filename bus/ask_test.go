package bus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"concord"
)

func serve(t testing.TB, b *Bus, service string, handle func(context.Context, []byte) ([]byte, error)) (stop func()) {
	t.Helper()
	stop, err := b.Serve(context.WithoutCancel(t.Context()), service, handle)
	if err != nil {
		t.Fatal(err)
	}
	return stop
}

func TestAsk(t *testing.T) {
	onBuses(t, func(t *testing.T, open func(*testing.T) []*Bus) {
		buses := open(t)
		ctx := t.Context()
		for _, b := range buses {
			name := b.cfg.NodeName
			stop := serve(t, b, "echo", func(_ context.Context, data []byte) ([]byte, error) { return append([]byte(name+":"), data...), nil })
			defer stop()
			stopFail := serve(t, b, "fail", func(_ context.Context, data []byte) ([]byte, error) {
				return []byte("not to be seen"), concord.Errorf(concord.Kind(data[0]), "because of\n%s", data[1:])
			})
			defer stopFail()
		}
		eventually(t, 5*time.Second, "everybody knows everybody", func() bool {
			for _, from := range buses {
				for _, to := range buses {
					if _, err := from.Ask(ctx, to.cfg.NodeName, "fail", []byte{0}); !strings.Contains(err.Error(), "because") {
						return false
					}
				}
			}
			return true
		})
		payload := bytes.Repeat([]byte{0, 1, 2, '\r', '\n', 255}, 1000)
		for _, from := range buses {
			for _, to := range buses {
				want := append([]byte(to.cfg.NodeName+":"), payload...)
				if got, err := from.Ask(ctx, to.cfg.NodeName, "echo", payload); err != nil || !bytes.Equal(got, want) {
					t.Fatalf("%s asks %s: %d bytes, %v", from.cfg.NodeName, to.cfg.NodeName, len(got), err)
				}
				for k := concord.Internal; k <= concord.Corrupt; k++ {
					got, err := from.Ask(ctx, to.cfg.NodeName, "fail", append([]byte{byte(k)}, "reason"...))
					if got != nil || concord.KindOf(err) != k || !strings.HasSuffix(err.Error(), "because of\nreason") {
						t.Errorf("an error of kind %v came as %v: %v", k, concord.KindOf(err), err)
					}
				}
			}
			answered := map[string]bool{}
			for range 100 {
				got, err := from.AskAny(ctx, "echo", nil)
				if err != nil {
					t.Fatalf("%s asks any: %v", from.cfg.NodeName, err)
				}
				answered[string(got)] = true
			}
			for _, to := range buses {
				delete(answered, to.cfg.NodeName+":")
			}
			if len(answered) != 0 {
				t.Errorf("%s asked any, and %v answered", from.cfg.NodeName, answered)
			}
			start := time.Now()
			for _, err := range []error{errOf(from.Ask(ctx, "nobody", "echo", nil)), errOf(from.Ask(ctx, buses[0].cfg.NodeName, "nothing", nil)), errOf(from.AskAny(ctx, "nothing", nil))} {
				if concord.KindOf(err) != concord.Unavailable {
					t.Errorf("who is not there: %v", err)
				}
			}
			if took := time.Since(start); took > time.Second {
				t.Errorf("it took %v to learn that nobody is there", took)
			}
		}
	})
}

func errOf(_ []byte, err error) error { return err }

func TestAskBounds(t *testing.T) {
	b := open(t, t.TempDir())
	ctx := t.Context()
	defer serve(t, b, "size", func(_ context.Context, data []byte) ([]byte, error) {
		var n int
		fmt.Sscan(string(data), &n)
		return make([]byte, n), nil
	})()
	if got, err := b.Ask(ctx, "node-1", "size", []byte(fmt.Sprint(MaxMessageBytes))); err != nil || len(got) != MaxMessageBytes {
		t.Errorf("the largest answer: %d bytes, %v", len(got), err)
	}
	if _, err := b.Ask(ctx, "node-1", "size", []byte(fmt.Sprint(MaxMessageBytes+1))); concord.KindOf(err) != concord.Invalid || !strings.Contains(err.Error(), "ask for less") {
		t.Errorf("a larger one: %v", err)
	}
	if _, err := b.Ask(ctx, "node-1", "size", make([]byte, MaxMessageBytes+1)); concord.KindOf(err) != concord.Invalid {
		t.Errorf("too large a request: %v", err)
	}
	for _, bad := range []string{"", "a.b", "a b", "*", ">", "a/b", strings.Repeat("s", 65)} {
		if _, err := b.Ask(ctx, "node-1", bad, nil); concord.KindOf(err) != concord.Invalid {
			t.Errorf("service %q: %v", bad, err)
		}
		if _, err := b.Serve(ctx, bad, nil); concord.KindOf(err) != concord.Invalid {
			t.Errorf("serve %q: %v", bad, err)
		}
	}
	for _, bad := range []string{"", "a b", "*", ">", "a/b"} {
		if _, err := b.Ask(ctx, bad, "size", nil); concord.KindOf(err) != concord.Invalid {
			t.Errorf("node %q: %v", bad, err)
		}
	}
}

func TestAskDeadlineTravels(t *testing.T) {
	b := open(t, t.TempDir())
	left := make(chan time.Duration, 2)
	ended := make(chan error, 1)
	defer serve(t, b, "slow", func(ctx context.Context, _ []byte) ([]byte, error) {
		deadline, _ := ctx.Deadline()
		left <- time.Until(deadline)
		<-ctx.Done()
		ended <- ctx.Err()
		return nil, ctx.Err()
	})()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := b.Ask(ctx, "node-1", "slow", nil); concord.KindOf(err) != concord.Unavailable {
		t.Errorf("an answer that does not come: %v", err)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("waited %v", took)
	}
	if l := <-left; l > 300*time.Millisecond || l < 100*time.Millisecond {
		t.Errorf("the service had %v", l)
	}
	if err := <-ended; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the service's context: %v", err)
	}
	gone, cancelGone := context.WithCancel(t.Context())
	cancelGone()
	if _, err := b.Ask(gone, "node-1", "slow", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("asking after the context: %v", err)
	}
}

func TestServeIsBoundedAndStops(t *testing.T) {
	b := open(t, t.TempDir())
	ctx := t.Context()
	release := make(chan struct{})
	var running atomic.Int64
	stop := serve(t, b, "hold", func(context.Context, []byte) ([]byte, error) {
		running.Add(1)
		<-release
		return []byte("done"), nil
	})
	var answered atomic.Int64
	var g sync.WaitGroup
	for range maxServing {
		g.Go(func() {
			if got, err := b.Ask(ctx, "node-1", "hold", nil); err == nil && string(got) == "done" {
				answered.Add(1)
			}
		})
	}
	eventually(t, 5*time.Second, "all slots are taken", func() bool { return running.Load() == maxServing })
	if _, err := b.Ask(ctx, "node-1", "hold", nil); concord.KindOf(err) != concord.Unavailable || !strings.Contains(err.Error(), "busy") {
		t.Errorf("one more: %v", err)
	}
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	eventually(t, 5*time.Second, "no new request is taken", func() bool {
		_, err := b.Ask(ctx, "node-1", "hold", nil)
		return strings.Contains(err.Error(), "nobody")
	})
	select {
	case <-stopped:
		t.Error("stop did not wait for those that run")
	default:
	}
	close(release)
	<-stopped
	g.Wait()
	if answered.Load() != maxServing {
		t.Errorf("%d answers, want %d: those that ran when the service stopped as well", answered.Load(), maxServing)
	}
	if _, err := b.Ask(ctx, "node-1", "hold", nil); concord.KindOf(err) != concord.Unavailable {
		t.Errorf("after the stop: %v", err)
	}
}

func BenchmarkAsk(b *testing.B) {
	bus := open(b, b.TempDir())
	defer serve(b, bus, "echo", func(_ context.Context, data []byte) ([]byte, error) { return data, nil })()
	data := make([]byte, 4<<10)
	for b.Loop() {
		if _, err := bus.Ask(b.Context(), "node-1", "echo", data); err != nil {
			b.Fatal(err)
		}
	}
}
