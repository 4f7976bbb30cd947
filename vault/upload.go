package vault

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"concord"

	"golang.org/x/sync/errgroup"
)

// Run copies until ctx ends, whose error it returns: what Append waits for first, the rest in the background. It fails with Corrupt when
// the blobs have other bytes of a file than this node, which no retry heals. It may be called once.
func (v *Vault) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return v.runUploads(ctx) })
	g.Go(func() error { return v.runBackground(ctx) })
	err := g.Wait()
	v.change(func() {
		v.stopped = concord.Errorf(concord.Unavailable, "the archive takes no more records: copying has ended: %w", err)
	})
	return err
}

// runUploads checks the open file and then puts what Append waits for.
func (v *Vault) runUploads(ctx context.Context) error {
	if err := v.checkOpen(ctx); err != nil {
		return err
	}
	v.change(func() { v.checked = true })
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-v.kick:
		}
		if err := v.uploadWanted(ctx); err != nil {
			return err
		}
	}
}

// checkOpen compares the file that would be appended to with its copy. When the copy is longer, the end of the local file was lost: damaged,
// and cut when the archive was opened, or the directory was put back from an old backup. Other bytes must not come in its place.
func (v *Vault) checkOpen(ctx context.Context) error {
	for _, f := range v.local.Files() {
		if f.Sealed {
			continue
		}
		ps, err := v.list(ctx, f.Name)
		if err != nil {
			return err
		}
		if ps.end() <= f.Bytes {
			continue
		}
		v.log.Error("the archive file has lost its end here; it is put back from the blobs", "file", f.Name, "bytes", f.Bytes, "copied", ps.end())
		if err := v.Repair(ctx, f.Name); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			v.log.Error("the archive file stays as it is; a new one is begun", "file", f.Name, "error", err)
			if err := v.local.Seal(); err != nil {
				return err
			}
		}
	}
	return nil
}

// uploadWanted puts all that is durable here of the files that an Append waits for, in one round.
func (v *Vault) uploadWanted(ctx context.Context) error {
	v.mu.Lock()
	from := map[string]int64{}
	for file := range v.wanted {
		from[file] = v.files[file].live
	}
	clear(v.wanted)
	v.busy = true
	v.mu.Unlock()

	to := map[string]int64{}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(uploadsAtOnce)
	for file, start := range from {
		info, _ := v.local.File(file)
		to[file] = info.Bytes
		for _, p := range (span{start, info.Bytes}).cut() {
			g.Go(func() error { return v.putLocal(gctx, file, p) })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	v.change(func() {
		v.busy = false
		for file, end := range to {
			v.files[file].live = max(v.files[file].live, end)
		}
	})
	wake(v.tidy)
	return nil
}

// putLocal puts a small piece of a local file. The piece stays the same until it is there, since the store may have taken it although it
// answered with an error.
func (v *Vault) putLocal(ctx context.Context, file string, p piece) error {
	data := make([]byte, p.size)
	if err := v.local.ReadAt(file, data, p.off); err != nil {
		return fmt.Errorf("copy archive: %w", err)
	}
	return v.putSmall(ctx, file, p.off, data)
}

func (v *Vault) putSmall(ctx context.Context, file string, off int64, data []byte) error {
	for len(data) > 0 {
		p := piece{off: off, size: int64(len(data))}
		err := v.put(ctx, p.name(file), data)
		if concord.KindOf(err) != concord.Conflict {
			return err
		}
		// A process that was killed here put more or less of the same bytes.
		n, err := v.compare(ctx, p.name(file), data)
		if err != nil {
			return err
		}
		off, data = off+n, data[n:]
	}
	return nil
}

// list lists the blobs of a file, patiently.
func (v *Vault) list(ctx context.Context, file string) (ps pieces, err error) {
	err = v.patiently(ctx, "list archive file "+file, func() (err error) {
		ps, err = listFile(ctx, v.cfg.Blobs, file)
		return err
	})
	return ps, err
}

// put puts a blob, patiently. A Conflict is returned, and so is the end of ctx.
func (v *Vault) put(ctx context.Context, name string, data []byte) error {
	return v.patiently(ctx, "put blob "+name, func() error {
		return v.cfg.Blobs.Put(ctx, name, bytes.NewReader(data), int64(len(data)))
	})
}

// compare returns how many of data a blob has that is there under the name already: 0 when it is gone. Errors: Corrupt when it has other bytes.
func (v *Vault) compare(ctx context.Context, name string, data []byte) (n int64, err error) {
	var stored []byte
	err = v.patiently(ctx, "compare blob "+name, func() error {
		stored = nil
		rc, err := v.cfg.Blobs.Get(ctx, name)
		if concord.KindOf(err) == concord.NotFound {
			return nil
		}
		if err != nil {
			return err
		}
		defer rc.Close()
		stored, err = io.ReadAll(io.LimitReader(rc, pieceBytes))
		return err
	})
	if err != nil {
		return 0, err
	}
	same := min(len(stored), len(data))
	if !bytes.Equal(stored[:same], data[:same]) {
		return 0, concord.Errorf(concord.Corrupt, "blob %s has other bytes than the archive of this node: was its directory put back from a backup, or is it in use twice? "+
			"Move the newest file out of the archive directory and start again", name)
	}
	return int64(same), nil
}

// patiently does something with the blobs until it succeeds, or ctx ends, whose error is returned then. NotFound, Conflict, Corrupt and
// Invalid are returned at once: no wait heals them.
func (v *Vault) patiently(ctx context.Context, what string, fn func() error) error {
	for pause := retryFirst; ; pause = min(2*pause, retryLast) {
		err := fn()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			v.waitsFor("")
			return nil
		}
		switch concord.KindOf(err) {
		case concord.NotFound, concord.Conflict, concord.Corrupt, concord.Invalid:
			return err
		}
		v.waitsFor(err.Error())
		v.log.Warn("copying the archive waits", "for", what, "pause", pause, "error", err)
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

func (v *Vault) waitsFor(reason string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.waiting = reason
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
