//go:build linux

package nemesis

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// clockVar makes the test's own program one that tells the time.
const clockVar = "CONCORD_NEMESIS_CLOCK"

// A Go program whose clock is made wrong while it runs has the wrong date and measures durations well.
func TestSkewClock(t *testing.T) {
	if os.Getenv(clockVar) != "" {
		tellTime(t)
		return
	}
	n := newNet(t, 1, 0)
	h := n.Hosts()[0]
	line, err := h.Start(context.Background(), filepath.Join(t.TempDir(), "log"), "env", clockVar+"=1", os.Args[0], "-test.run=^TestSkewClock$")
	if err != nil || line != "ready" {
		t.Fatalf("%q, %v", line, err)
	}
	for _, by := range []time.Duration{0, time.Hour, -30 * time.Minute, 0} {
		err := h.SkewClock(by)
		if errors.Is(err, ErrMissing) {
			t.Skipf("SKIPPED: %v; a wrong clock was not tried: run this test on x86-64", err)
		}
		must(t, err)
		day, took := ask(t, h)
		if off := time.Until(day) - by; off.Abs() > 2*time.Second {
			t.Errorf("a clock wrong by %v says %v at %v", by, day, time.Now())
		}
		if took < 50*time.Millisecond || took > time.Second {
			t.Errorf("a clock wrong by %v: 50 ms took %v", by, took)
		}
	}
}

// tellTime says the time and how long 50 ms take, whenever it is asked.
func tellTime(t *testing.T) {
	fmt.Println("ready")
	err := http.ListenAndServe(":80", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		start := time.Now()
		time.Sleep(50 * time.Millisecond)
		fmt.Fprintf(w, "%d %d", time.Now().UnixMilli(), time.Since(start))
	}))
	t.Fatal(err)
}

func ask(t *testing.T, h *Host) (time.Time, time.Duration) {
	t.Helper()
	var resp *http.Response
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) { // it says "ready" a moment before it listens
		var err error
		if resp, err = h.Client().Get("http://" + h.Addr.String() + "/"); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	defer resp.Body.Close()
	b := make([]byte, 100)
	size, _ := resp.Body.Read(b)
	f := strings.Fields(string(b[:size]))
	if len(f) != 2 {
		t.Fatalf("it says %q", b[:size])
	}
	day, _ := strconv.ParseInt(f[0], 10, 64)
	took, _ := strconv.ParseInt(f[1], 10, 64)
	return time.UnixMilli(day), time.Duration(took)
}
