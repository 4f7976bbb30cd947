package state

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"concord"
	"concord/durable"

	"golang.org/x/sync/errgroup"
)

const (
	// fetchTries is how often a blob is asked for: a store with copies may give another one, a network a better moment.
	// The pause before the second try is waitUnit, then twice as long each time.
	fetchTries = 4
)

// fetch builds the state beside the directory and puts it in its place.
func (l *loader) fetch(ctx context.Context, st *State) error {
	l.t.files.Store(0)
	l.t.bytes.Store(0)
	l.t.filesDone.Store(0)
	l.t.bytesDone.Store(0)
	l.t.expect(st.Files)
	building := buildingPath(l.dir)
	if err := prepare(building, st.Files); err != nil {
		return err
	}
	g, groupCtx := errgroup.WithContext(ctx)
	g.SetLimit(l.s.cfg.Streams)
	for i := range st.Files {
		g.Go(func() error { return l.fetchFile(groupCtx, building, &st.Files[i]) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if err := syncTree(building); err != nil {
		return err
	}
	if err := replace(l.dir, building); err != nil {
		return err
	}
	l.digests = digests{}
	for _, f := range st.Files {
		if err := l.digests.learn(filepath.Join(l.dir, filepath.FromSlash(f.Name)), f.Name, f.Sum); err != nil {
			return err
		}
	}
	return l.digests.save(l.dir, st.Files)
}

// fetchFile makes one file of the state: from what an earlier try left, from the directory that is to be replaced, or from its blob.
func (l *loader) fetchFile(ctx context.Context, building string, f *File) error {
	name := filepath.FromSlash(f.Name)
	path := filepath.Join(building, name)
	if matches(path, f) {
		l.t.done(f)
		return syncFile(path) // the try that wrote it may have been killed before it synced it
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if old := filepath.Join(l.dir, name); f.Size > 0 && matches(old, f) && os.Link(old, path) == nil {
		l.t.done(f)
		return nil
	}
	for try := 0; ; try++ {
		err := l.download(ctx, path, f)
		if err == nil {
			l.t.done(f)
			return nil
		}
		kind := concord.KindOf(err)
		if kind != concord.Corrupt && kind != concord.Unavailable || try == fetchTries-1 || ctx.Err() != nil {
			if kind == concord.Corrupt || kind == concord.NotFound {
				l.s.mu.Lock()
				l.bad[f.blob(l.partition)] = true
				l.s.mu.Unlock()
				return concord.Errorf(concord.Corrupt, "%s: file %s, blob %s: %w", l.partition, f.Name, f.blob(l.partition), err)
			}
			return fmt.Errorf("file %s: %w", f.Name, err)
		}
		if err := pause(ctx, l.s.cfg.wait<<try); err != nil {
			return err
		}
	}
}

// download writes the bytes of a blob to path, checked and synced.
func (l *loader) download(ctx context.Context, path string, f *File) (err error) {
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if f.Size == 0 {
		if f.Sum != concord.Sum(nil) {
			return concord.Errorf(concord.Corrupt, "an empty file with the digest of another")
		}
		return out.Sync()
	}
	r, err := l.s.cfg.Blobs.Get(ctx, f.blob(l.partition))
	if err != nil {
		return err
	}
	defer r.Close()
	checked := &checkedReader{r: r, left: f.Size, sum: f.Sum, hash: sha256.New(), count: func(n int) { l.t.over.Add(int64(n)) }}
	if _, err := io.Copy(out, checked); err != nil {
		return err
	}
	l.t.filesOver.Add(1)
	return out.Sync()
}

// matches reports whether the file at path has the size and, read anew, the digest of f.
func matches(path string, f *File) bool {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() != f.Size {
		return false
	}
	sum, err := sumFile(path)
	return err == nil && sum == f.Sum
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// prepare makes the directories that the files need, and removes everything in the way: what an earlier try left of another state.
func prepare(building string, files []File) error {
	want := map[string]bool{building: true}
	names := map[string]bool{}
	for _, f := range files {
		path := filepath.Join(building, filepath.FromSlash(f.Name))
		names[path] = true
		for dir := filepath.Dir(path); dir != building; dir = filepath.Dir(dir) {
			want[dir] = true
		}
	}
	err := filepath.WalkDir(building, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && want[path] || !d.IsDir() && names[path] {
			return nil
		}
		if err := os.RemoveAll(path); err != nil || !d.IsDir() {
			return err
		}
		return filepath.SkipDir
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for dir := range want {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	return nil
}

// syncTree makes the entries of all directories below dir permanent; the files are already.
func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		return durable.SyncDir(path)
	})
}
