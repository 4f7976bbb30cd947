package state

import (
	"context"
	"strconv"
	"strings"

	"concord"
)

// collect deletes the blobs that the manifest which was just put does not name any more. Only this owner's saves add names to the
// manifest while it stands, and a later owner names new blobs of its own fence only, which are never touched here; see the package's
// invariants. What cannot be deleted now is deleted later: it costs space only. The caller holds o.mu.
func (o *Owner) collect(ctx context.Context) {
	if err := o.sweep(ctx); err != nil {
		o.s.log.Warn("blobs of former owners not looked through, it is tried again", "partition", o.partition, "error", err)
	}
	named := o.named(o.m)
	deleted := uint64(0)
	for name := range o.blobs {
		if named[name] {
			continue
		}
		if err := o.s.cfg.Blobs.Delete(ctx, name); err != nil {
			o.s.log.Warn("blob not deleted, it is tried again", "blob", name, "error", err)
			break
		}
		delete(o.blobs, name)
		delete(o.bad, name)
		deleted++
	}
	o.s.mu.Lock()
	o.s.stats.Deleted += deleted
	o.s.mu.Unlock()
}

// sweep finds, once for each owner, what earlier owners uploaded and never named, or named and did not get to delete.
func (o *Owner) sweep(ctx context.Context) error {
	if o.swept {
		return nil
	}
	prefix := blobPrefix(o.partition)
	err := o.s.cfg.Blobs.List(ctx, prefix, func(b concord.BlobInfo) bool {
		by, _, _ := strings.Cut(strings.TrimPrefix(b.Name, prefix), "-")
		fence, err := strconv.ParseUint(by, 16, 64)
		if _, known := o.blobs[b.Name]; err == nil && fence <= o.fence && !known {
			o.blobs[b.Name] = false
		}
		return true
	})
	o.swept = err == nil
	return err
}
