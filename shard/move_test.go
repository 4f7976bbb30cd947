package shard

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"concord"
)

// TestCheckpoint: checkpoints taken while captures come and segments are merged are whole, and a shard that begins with one on another
// machine ends where the first one does.
func TestCheckpoint(t *testing.T) {
	f := newFixture(t)
	var last uint64
	var dirs []string
	for round := range 8 {
		var events []*concord.Event
		for i := range 60 {
			events = append(events, event(fmt.Sprintf("http://a.example/%d", (round*40+i)%200), fmt.Sprintf("round %d", round), "", 200, int64(round)))
		}
		last = f.send(events...)
		if round%3 == 0 {
			f.wait(last)
		}
		dir := filepath.Join(filepath.Dir(f.dir), fmt.Sprintf("checkpoint-%s-%d", filepath.Base(f.dir), round))
		t.Cleanup(func() { os.RemoveAll(dir) })
		position, err := f.s.Checkpoint(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		if local, err := Peek(dir); err != nil || local.Position != position || !local.Pure {
			t.Fatalf("peek: %+v, %v; the checkpoint is at %d", local, err, position)
		}
		dirs = append(dirs, dir)
	}
	f.wait(last)
	want := f.pages()
	f.stop()
	for _, dir := range dirs[len(dirs)-3:] {
		g := &fixture{t: t, dir: dir, log: f.log, cfg: f.cfg}
		g.cfg.Dir = dir
		g.open()
		g.wait(last)
		if got := g.pages(); !slices.Equal(got, want) {
			t.Errorf("from the checkpoint came\n%q\nthe shard has\n%q", got, want)
		}
		if a, b := g.s.Status(), f.s.Status(); a.Captures != b.Captures || a.Documents != b.Documents {
			t.Errorf("from the checkpoint came %+v, the shard has %+v", a, b)
		}
		g.stop()
		if err := g.s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Peek(t.TempDir()); concord.KindOf(err) != concord.NotFound {
		t.Errorf("peek at nothing: %v", err)
	}
}
