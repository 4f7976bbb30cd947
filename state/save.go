package state

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"concord"

	"golang.org/x/sync/errgroup"
)

// Saved says what a Save did.
type Saved struct {
	Position      uint64
	TrimTo        uint64 // up to here the partition does not need its log any more
	Files         int
	Bytes         int64 // of the whole state
	UploadedFiles int
	UploadedBytes int64 // what the blobs did not have
	Took          time.Duration
}

// Save makes the state in dir, which reaches up to position, the one that the next owner loads. dir must not change meanwhile: it is a
// checkpoint, made of hard links to files that never change and of copies of those that do. Only files that the last states do not
// have are uploaded, and only files that were not seen before are read at all.
//
// Errors: Conflict when another owner has claimed the partition - stop at once, nothing was saved and nothing ever will be;
// Unavailable when a retry may help, also when dir is still behind what is saved; Corrupt when a file changed while it was read.
func (o *Owner) Save(ctx context.Context, dir string, position uint64) (Saved, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	t := o.s.begin(o.partition, false)
	out, err := o.save(ctx, t, dir, position)
	out.Took = time.Since(t.started)
	o.s.end(t, func(s *Stats) {
		s.UploadedBytes += uint64(t.over.Load())
		s.UploadedFiles += uint64(t.filesOver.Load())
		s.SaveTime += out.Took
		switch {
		case err == nil:
			s.Saves++
			s.SavedBytes += uint64(out.Bytes)
			s.LastSave = time.Now()
		case concord.KindOf(err) != concord.Conflict && ctx.Err() == nil:
			s.SaveErrors++
		}
	})
	if err != nil {
		return out, fmt.Errorf("save %s at %d: %w", o.partition, position, err)
	}
	return out, nil
}

func (o *Owner) save(ctx context.Context, t *transfer, dir string, position uint64) (Saved, error) {
	out := Saved{Position: position}
	if o.lost != nil {
		return out, o.lost
	}
	if len(o.m.States) > o.base && position < o.m.States[o.base].Position {
		return out, concord.Errorf(concord.Unavailable, "what is saved reaches up to %d: apply the log first", o.m.States[o.base].Position)
	}
	files, err := o.list(dir)
	if err != nil {
		return out, err
	}
	t.expect(files)
	if err := o.upload(ctx, t, dir, files); err != nil {
		return out, err
	}
	if err := o.put(ctx, o.next(files, position)); err != nil {
		return out, err
	}
	o.base = 0
	o.collect(ctx)
	if o.dir != "" {
		if err := o.digests.save(o.dir, files); err != nil {
			o.s.log.Warn("digests not kept, files will be read again", "partition", o.partition, "error", err)
		}
	}
	out.TrimTo, out.Files, out.Bytes = o.m.TrimTo(), len(files), o.m.States[0].Bytes()
	out.UploadedFiles, out.UploadedBytes = int(t.filesOver.Load()), t.over.Load()
	return out, nil
}

// list returns the files below dir with their digests, in order of their names. Those that the blobs have bear the fence they were
// uploaded under, the others that of this owner.
func (o *Owner) list(dir string) ([]File, error) {
	have := map[[2]any]uint64{} // by size and digest
	for _, s := range o.m.States {
		for _, f := range s.Files {
			if !o.bad[f.blob(o.partition)] {
				have[[2]any{f.Size, f.Sum}] = f.By
			}
		}
	}
	var files []File
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		f := File{Name: filepath.ToSlash(rel), By: o.fence}
		if !d.Type().IsRegular() || concord.CheckBlobName(f.Name) != nil || len(f.Name) > maxFileName {
			return concord.Errorf(concord.Invalid, "%s is no file that a state may have", path)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		f.Size = info.Size()
		if f.Sum, err = o.digests.of(path, f.Name, info); err != nil {
			return err
		}
		if by, ok := have[[2]any{f.Size, f.Sum}]; ok {
			f.By = by
		}
		files = append(files, f)
		return nil
	})
	return files, err
}

// upload puts the files whose blobs are not there.
func (o *Owner) upload(ctx context.Context, t *transfer, dir string, files []File) error {
	var there sync.Mutex // guards o.blobs and o.bad while uploads run
	g, groupCtx := errgroup.WithContext(ctx)
	g.SetLimit(o.s.cfg.Streams)
	begun := map[string]bool{}
	for _, f := range files {
		name := f.blob(o.partition)
		there.Lock()
		whole, bad := o.blobs[name], o.bad[name]
		if f.Size > 0 && (!whole || bad) {
			o.blobs[name] = false // from now on it may be there
		}
		there.Unlock()
		if whole && !bad || begun[name] || f.Size == 0 {
			t.done(&f)
			continue
		}
		begun[name] = true
		g.Go(func() error {
			if err := o.uploadFile(groupCtx, t, filepath.Join(dir, filepath.FromSlash(f.Name)), &f, bad); err != nil {
				return fmt.Errorf("upload %s: %w", f.Name, err)
			}
			there.Lock()
			defer there.Unlock()
			o.blobs[name] = true
			delete(o.bad, name)
			return nil
		})
	}
	return g.Wait()
}

func (o *Owner) uploadFile(ctx context.Context, t *transfer, path string, f *File, bad bool) error {
	if bad { // a store may take a name that it has for the same bytes
		if err := o.s.cfg.Blobs.Delete(ctx, f.blob(o.partition)); err != nil {
			return err
		}
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	r := &checkedReader{r: file, left: f.Size, sum: f.Sum, hash: sha256.New(), count: func(n int) { t.over.Add(int64(n)) }}
	if err := o.s.cfg.Blobs.Put(ctx, f.blob(o.partition), r, f.Size); err != nil {
		if r.err != nil && r.err != io.EOF { // at its end the store failed, not the file
			return r.err
		}
		return err
	}
	t.filesOver.Add(1)
	t.done(f)
	return nil
}

// next returns the manifest with the new state in front. A state with the same files takes the place of the last one: what there is to
// go back to stays the one before.
func (o *Owner) next(files []File, position uint64) *Manifest {
	m := &Manifest{Partition: o.partition, Fence: o.fence, Node: o.s.cfg.Node}
	m.States = []State{{Position: position, Fence: o.fence, Node: o.s.cfg.Node, Time: time.Now().UTC(), Files: files}}
	before := o.m.States[min(o.base, len(o.m.States)):]
	if len(before) > 1 && slices.Equal(before[0].Files, files) {
		before = before[1:]
	}
	m.States = append(m.States, before[:min(len(before), keptStates-1)]...)
	return m
}

// named returns the blobs that a manifest names.
func (o *Owner) named(m *Manifest) map[string]bool {
	names := map[string]bool{}
	for _, s := range m.States {
		for _, f := range s.Files {
			names[f.blob(o.partition)] = true
		}
	}
	return names
}

// checkedReader reads exactly left bytes that have a known digest, else it fails with Corrupt before it says that it has come to the end.
type checkedReader struct {
	r     io.Reader
	left  int64
	sum   concord.Digest
	hash  hash.Hash
	count func(n int)
	err   error
}

func (c *checkedReader) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.r.Read(p)
	c.left -= int64(n)
	c.hash.Write(p[:n])
	c.count(n)
	switch {
	case c.left < 0 || err == io.EOF && (c.left > 0 || concord.Digest(c.hash.Sum(nil)) != c.sum):
		c.err = concord.Errorf(concord.Corrupt, "the bytes do not match their digest")
		return 0, c.err
	case err != nil:
		c.err = err
	}
	return n, err
}
