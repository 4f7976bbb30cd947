package state

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"concord"
)

// Source is a running partition.
type Source interface {
	// Position returns up to which message the log is in its state.
	Position() uint64
	// Checkpoint makes a directory that does not exist yet hold a state of the partition that does not change any more, while the partition
	// goes on, and returns up to which message it reaches.
	Checkpoint(ctx context.Context, dir string) (position uint64, err error)
}

// checkpointPath is where a partition's checkpoint lies while it is saved: beside its directory, so that hard links can be made.
func checkpointPath(dir string) string { return filepath.Clean(dir) + ".checkpoint" }

// SaveFrom takes a checkpoint of a running partition and saves it. The partition's directory must have been loaded. Errors: as Save.
func (o *Owner) SaveFrom(ctx context.Context, src Source) (Saved, error) {
	o.taking.Lock()
	defer o.taking.Unlock()
	o.mu.Lock()
	dir := o.dir
	o.mu.Unlock()
	if dir == "" {
		return Saved{}, concord.Errorf(concord.Invalid, "save %s: it was not loaded", o.partition)
	}
	checkpoint := checkpointPath(dir)
	if err := os.RemoveAll(checkpoint); err != nil {
		return Saved{}, fmt.Errorf("save %s: %w", o.partition, err)
	}
	defer os.RemoveAll(checkpoint) // what is left is removed by the next save or load
	position, err := src.Checkpoint(ctx, checkpoint)
	if err != nil {
		return Saved{}, fmt.Errorf("save %s: checkpoint: %w", o.partition, err)
	}
	return o.Save(ctx, checkpoint, position)
}

// Keep saves a running partition whenever it has moved on, every so often, until ctx ends (it then returns nil) or saving is no use any
// more: a Conflict says that another owner has claimed the partition. While the stores are unavailable it goes on trying. saved, when set,
// is called after each save.
func (o *Owner) Keep(ctx context.Context, src Source, every time.Duration, saved func(Saved)) error {
	var last *uint64
	if m := o.Manifest(); len(m.States) > 0 && m.States[0].Fence == o.fence {
		last = &m.States[0].Position
	}
	for {
		if pause(ctx, every) != nil {
			return nil
		}
		if last != nil && *last == src.Position() {
			continue
		}
		out, err := o.SaveFrom(ctx, src)
		switch {
		case err == nil:
			last = &out.Position
			if saved != nil {
				saved(out)
			}
		case ctx.Err() != nil:
			return nil
		case concord.KindOf(err) == concord.Unavailable:
			o.s.log.Warn("state not saved, it is tried again", "partition", o.partition, "error", err)
		default:
			return err
		}
	}
}
