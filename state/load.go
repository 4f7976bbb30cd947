package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"concord"
)

// Loaded says what a Load did.
type Loaded struct {
	How             How
	Position        uint64 // where the directory stands; 0 when it is empty
	Files           int    // the rest is 0 when nothing was loaded
	Bytes           int64
	DownloadedFiles int
	DownloadedBytes int64 // the rest of Bytes was in the directory before
	Took            time.Duration
}

// How says where a loaded state comes from.
type How uint8

const (
	Empty    How = iota // nothing was ever saved and there is nothing here: the partition begins with its log
	Kept                // the directory is as new as what is saved
	Newest              // the newest saved state was put in its place
	Previous            // the one before was: a blob of the newest is damaged
)

func (h How) String() string { return [...]string{"empty", "kept", "newest", "previous"}[h] }

const (
	// maxRereads bounds how often a copy that is not the owner begins again because the owner saved meanwhile.
	maxRereads = 5
)

// Load makes dir hold the saved state, unless it is as new itself: see the package comment. peek is asked where the state in dir stands;
// nobody may have it open. Afterwards the partition applies its log from Loaded.Position.
//
// Errors: Conflict when dir belongs to a later owner; Corrupt, naming partition and file, when every saved state is damaged; Unavailable.
// After any error dir holds what it held.
func (o *Owner) Load(ctx context.Context, dir string, peek Peek) (Loaded, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	l := &loader{s: o.s, partition: o.partition, fence: o.fence, m: o.m, dir: dir, peek: peek, bad: o.bad, digests: digests{}}
	out, err := l.run(ctx)
	if err != nil {
		return out, err
	}
	o.dir, o.digests = dir, l.digests
	if out.How == Previous {
		o.base = 1
	}
	return out, nil
}

// Adopt makes dir, where the state is open and applies the log already, the partition's: nothing is loaded. While it is older than what is saved,
// as after its node stood still, SaveFrom is Unavailable.
func (o *Owner) Adopt(dir string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.dir, o.digests = dir, loadDigests(dir)
}

// Load is Owner.Load for a copy on a node that does not own the partition: it claims nothing. It returns NotFound when the partition was
// never claimed.
func (s *Store) Load(ctx context.Context, partition, dir string, peek Peek) (Loaded, error) {
	for try, last := 0, uint64(0); ; try++ {
		m, revision, err := s.get(ctx, partition)
		if err != nil {
			return Loaded{}, err
		}
		l := &loader{s: s, partition: partition, fence: m.Fence, m: m, dir: dir, peek: peek, bad: map[string]bool{}, digests: digests{}}
		out, err := l.run(ctx)
		// The owner may have saved meanwhile, and deleted what is not needed since.
		if concord.KindOf(err) != concord.Corrupt || revision == last || try == maxRereads {
			return out, err
		}
		last = revision
	}
}

// loader is one load.
type loader struct {
	s         *Store
	partition string
	fence     uint64
	m         *Manifest
	dir       string
	peek      Peek
	bad       map[string]bool // blobs found damaged
	digests   digests         // of what is in dir in the end
	t         *transfer
}

func (l *loader) run(ctx context.Context) (out Loaded, err error) {
	l.t = l.s.begin(l.partition, true)
	damaged := len(l.bad)
	out, err = l.load(ctx)
	out.Took = time.Since(l.t.started)
	out.DownloadedFiles, out.DownloadedBytes = int(l.t.filesOver.Load()), l.t.over.Load()
	l.s.end(l.t, func(s *Stats) {
		s.DownloadedBytes += uint64(out.DownloadedBytes)
		s.DownloadedFiles += uint64(out.DownloadedFiles)
		s.DamagedBlobs += uint64(len(l.bad) - damaged)
		s.LoadTime += out.Took
		s.LastLoads = time.Now()
		switch {
		case err != nil:
			s.LoadErrors++
			return
		case out.How == Kept:
			s.Kept++
		case out.How == Previous:
			s.WentBack++
		}
		s.Loads++
		s.LoadedBytes += uint64(out.Bytes)
	})
	if err != nil {
		return out, fmt.Errorf("load %s into %s: %w", l.partition, l.dir, err)
	}
	return out, nil
}

func (l *loader) load(ctx context.Context) (Loaded, error) {
	if err := errors.Join(Recover(l.dir), os.RemoveAll(checkpointPath(l.dir))); err != nil {
		return Loaded{}, err
	}
	local, there, err := l.local()
	if err != nil {
		return Loaded{}, err
	}
	if there && l.mayKeep(local) {
		l.digests = loadDigests(l.dir)
		return Loaded{How: Kept, Position: local.Position}, nil
	}
	if len(l.m.States) == 0 {
		return Loaded{How: Empty}, nil
	}
	var damage error
	for i := range l.m.States {
		st := &l.m.States[i]
		err := l.fetch(ctx, st)
		if err == nil {
			return Loaded{How: Newest + How(i), Position: st.Position, Files: len(st.Files), Bytes: st.Bytes()}, nil
		}
		if concord.KindOf(err) != concord.Corrupt {
			return Loaded{}, err
		}
		l.s.log.Error("a saved state is damaged", "partition", l.partition, "position", st.Position, "error", err)
		damage = errors.Join(damage, err)
	}
	return Loaded{}, concord.Errorf(concord.Corrupt, "no saved state of %s is whole: %w; restore the blobs from a copy, or rebuild from the archive", l.partition, damage)
}

// local says where the state in the directory stands, and whether there is one that can be used.
func (l *loader) local() (Local, bool, error) {
	if _, err := os.Stat(l.dir); errors.Is(err, os.ErrNotExist) {
		return Local{}, false, nil
	}
	local, err := l.peek(l.dir)
	switch {
	case err == nil:
	case errors.Is(err, os.ErrNotExist), concord.KindOf(err) == concord.NotFound:
		return Local{}, false, nil
	case concord.KindOf(err) == concord.Corrupt && len(l.m.States) > 0:
		l.s.log.Error("the state on this machine is damaged, the saved one takes its place", "partition", l.partition, "error", err)
		return Local{}, false, nil
	default:
		return Local{}, false, err
	}
	if local.Fence > l.fence {
		return Local{}, false, concord.Errorf(concord.Conflict, "the directory was owned under fence %d, %d is too old", local.Fence, l.fence)
	}
	return local, true, nil
}

// mayKeep is the rule of the package comment.
func (l *loader) mayKeep(local Local) bool {
	switch {
	case len(l.m.States) == 0:
		return true
	case local.Pure:
		return local.Position >= l.m.oldest()
	}
	newest := &l.m.States[0]
	return local.Fence >= newest.Fence && local.Position >= newest.Position
}
