//go:build linux

package nemesis

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestProcess(t *testing.T) {
	n := newNet(t, 1, 0)
	h := n.Hosts()[0]
	log := filepath.Join(t.TempDir(), "log")
	count := h.Path(log)
	first, err := h.Start(context.Background(), log, "sh", "-c", "echo ready $0; trap 'exit 0' TERM; while :; do echo x >&2; sleep 0.01; done", "now")
	if err != nil || first != "ready now" {
		t.Fatalf("first line %q, %v", first, err)
	}
	if _, err := h.Start(context.Background(), log, "true"); err == nil {
		t.Error("a second process starts beside the first")
	}
	must(t, h.Pause())
	before := len(Tail(count, 1e6))
	time.Sleep(50 * time.Millisecond)
	if after := len(Tail(count, 1e6)); after != before {
		t.Error("a paused process writes on")
	}
	must(t, h.Resume())
	for deadline := time.Now().Add(5 * time.Second); len(Tail(count, 1e6)) == before; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a resumed process does nothing")
		}
	}
	if took, err := h.Terminate(); err != nil || took > time.Second {
		t.Errorf("SIGTERM: %v after %v", err, took)
	}
	if h.Running() || h.PID() != 0 {
		t.Error("it runs after its end")
	}
	if _, err := h.Start(context.Background(), log, "sh", "-c", "echo broken >&2; exit 3"); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("a program that ends at once: %v", err)
	}
	sleeper(t, h)
	must(t, h.Kill())
	if h.Running() {
		t.Error("it runs after a kill")
	}
}
