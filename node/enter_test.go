package node

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"concord/bus"
)

// The old engine's directory goes only when it says that its streams were moved, and all of it goes, also after a kill in the middle.
func TestRemoveOld(t *testing.T) {
	n := &Node{cfg: Config{Data: t.TempDir(), Logger: slog.New(slog.DiscardHandler)}}
	if err := os.MkdirAll(n.path("bus", "jetstream"), 0o700); err != nil {
		t.Fatal(err)
	}
	n.removeOld()
	if !exists(n.path("bus", "jetstream")) {
		t.Fatal("streams that were not moved are deleted")
	}
	if err := os.WriteFile(filepath.Join(n.path("bus"), bus.MovedFile), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	n.removeOld()
	if exists(n.path("bus")) || exists(n.path(movedDir)) {
		t.Error("the moved directory is still there")
	}
	if err := os.MkdirAll(n.path(movedDir, "rest"), 0o700); err != nil { // what a kill leaves
		t.Fatal(err)
	}
	n.removeOld()
	if exists(n.path(movedDir)) {
		t.Error("the rest of the moved directory is still there")
	}
}
