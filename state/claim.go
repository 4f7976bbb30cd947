package state

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"concord"
)

const (
	// putTries and putWaits bound how long a manifest is tried for: longer than the store takes to elect a leader (5.8 s).
	putTries = 12
	putWaits = 5 // times waitUnit between two tries
)

// Owner is the right to save one partition's state, until another node claims it. It is safe for concurrent use; saves and loads
// take turns.
type Owner struct {
	s         *Store
	partition string
	fence     uint64

	taking sync.Mutex // held while a checkpoint is there

	mu       sync.Mutex
	m        *Manifest // as last put
	revision uint64
	lost     error           // set for good once another owner has claimed
	base     int             // the state of m that the local directory continues
	bad      map[string]bool // blobs that are damaged: their files are uploaded anew
	blobs    map[string]bool // blobs that may be there, named by m or not; true: they are, as a whole
	swept    bool            // what earlier owners left was looked through
	digests  digests
	dir      string // the directory that was loaded; empty: none was
}

// Claim takes over a partition's saved state under the fence of its lease, before anything else is done with it: a former owner
// can save nothing from then on. Errors: Conflict when an owner with this fence or a larger one was there; Unavailable.
func (s *Store) Claim(ctx context.Context, partition string, fence uint64) (*Owner, error) {
	o := &Owner{s: s, partition: partition, fence: fence, bad: map[string]bool{}, blobs: map[string]bool{}, digests: digests{}}
	for try := 0; ; try++ {
		err := o.claim(ctx)
		if err == nil {
			return o, nil
		}
		if o.lost != nil || concord.KindOf(err) != concord.Conflict && concord.KindOf(err) != concord.Unavailable || try == putTries {
			return nil, fmt.Errorf("claim %s under fence %d: %w", partition, fence, err)
		}
		if err := pause(ctx, putWaits*o.s.cfg.wait); err != nil {
			return nil, err
		}
	}
}

// claim reads the manifest and puts it again under the new fence.
func (o *Owner) claim(ctx context.Context) error {
	found, revision, err := o.s.get(ctx, o.partition)
	if concord.KindOf(err) == concord.NotFound {
		found, revision, err = &Manifest{Partition: o.partition}, 0, nil
	}
	if err != nil {
		return err
	}
	if found.Fence > o.fence || found.Fence == o.fence && revision != 0 && found.Node != o.s.cfg.Node {
		o.lost = taken(o.partition, found)
		return o.lost
	}
	next := *found
	next.Fence, next.Node = o.fence, o.s.cfg.Node
	data, err := next.Encode()
	if err != nil {
		return err
	}
	if o.revision, err = o.s.cfg.Manifests.Put(ctx, manifestName(o.partition), data, revision); err != nil {
		return err
	}
	o.m = &next
	for name := range o.named(o.m) {
		o.blobs[name] = true
	}
	return nil
}

func taken(partition string, m *Manifest) error {
	return concord.Errorf(concord.Conflict, "%s belongs to %s under fence %d now", partition, concord.Clip(m.Node, 60), m.Fence)
}

// put replaces the manifest. The caller holds o.mu. After an error that is not a Conflict it is not known which one is there; the next
// put finds out.
func (o *Owner) put(ctx context.Context, next *Manifest) error {
	data, err := next.Encode()
	if err != nil {
		return err
	}
	for try := 0; ; try++ {
		revision, err := o.s.cfg.Manifests.Put(ctx, manifestName(o.partition), data, o.revision)
		if err == nil {
			o.m, o.revision = next, revision
			return nil
		}
		switch kind := concord.KindOf(err); {
		case kind == concord.Conflict:
			if done, findErr := o.find(ctx, data); findErr != nil || done {
				if done {
					o.m = next
				}
				return findErr
			}
		case kind != concord.Unavailable:
			return err
		}
		if try == putTries {
			return concord.Errorf(concord.Unavailable, "the manifest cannot be put: %w", err)
		}
		if err := pause(ctx, putWaits*o.s.cfg.wait); err != nil {
			return err
		}
	}
}

// find looks why a manifest was refused: because another owner claimed it (Conflict, for good), because an earlier put of this owner
// arrived whose answer was lost (then that one's revision counts; done when it was this very one), or for no reason that holds.
func (o *Owner) find(ctx context.Context, data []byte) (done bool, err error) {
	v, err := o.s.cfg.Manifests.Get(ctx, manifestName(o.partition))
	if err != nil {
		if concord.KindOf(err) == concord.Unavailable {
			return false, nil
		}
		return false, err
	}
	found, err := DecodeManifest(v.Data)
	switch {
	case err != nil:
		return false, err
	case found.Fence > o.fence || found.Fence == o.fence && found.Node != o.s.cfg.Node:
		o.lost = taken(o.partition, found)
		return false, o.lost
	case found.Fence == o.fence && v.Revision > o.revision:
		o.revision = v.Revision
		return bytes.Equal(v.Data, data), nil
	}
	return false, nil // an old answer, or a refusal without reason: try again
}

// Fence returns the fence under which the partition was claimed.
func (o *Owner) Fence() uint64 { return o.fence }

// Manifest returns the manifest that this owner last put.
func (o *Owner) Manifest() *Manifest {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.m
}

// TrimTo returns the message up to which the partition does not need its log any more.
func (o *Owner) TrimTo() uint64 { return o.Manifest().TrimTo() }

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
