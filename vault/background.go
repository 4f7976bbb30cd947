package vault

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"slices"
	"time"

	"concord"
	"concord/warc"
)

const (
	// tidyEvery is how often the background looks for work that nobody told it of: files that could not be finished before.
	tidyEvery = 10 * time.Second
	// mendEvery is how often a file is put right at most.
	mendEvery = time.Hour
	// precedence is how long a piece of the background waits for new records to go up first. Not for ever: a crawl never rests.
	precedence = time.Second
	// fewEnough small blobs in the place of a whole one are left as they are.
	fewEnough = 2
)

// runBackground copies what was here before, makes whole pieces of small ones, and mends damaged files.
func (v *Vault) runBackground(ctx context.Context) error {
	for {
		for _, file := range v.unfinished() {
			err := v.finish(ctx, file)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				v.log.Error("copying an archive file is put off", "file", file, "error", err)
			}
			v.putOff(file, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-v.tidy:
		case <-time.After(tidyEvery):
		}
	}
}

// unfinished returns the files that have work for the background, the newest first: what is in one place only is safest soon.
func (v *Vault) unfinished() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var names []string
	for file, u := range v.files {
		if (!u.done || u.toMend()) && time.Now().After(u.notBefore) {
			names = append(names, file)
		}
	}
	slices.Sort(names)
	slices.Reverse(names)
	return names
}

// putOff notes how work on a file went: one that failed is left alone for a while.
func (v *Vault) putOff(file string, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	u := v.files[file]
	if u.problem = ""; err != nil {
		u.problem, u.notBefore = file+": "+err.Error(), time.Now().Add(tidyEvery)
	}
}

// toMend reports whether a damaged file is to be put right, which is tried now and then: it reads all of it.
func (u *upload) toMend() bool {
	return u.damaged && (u.mended.IsZero() || time.Since(u.mended) > mendEvery)
}

// job is the work on one file: what is known of it while it is done.
type job struct {
	v      *Vault
	file   string
	size   int64 // durable bytes here
	sealed bool
	full   int64 // up to here there are to be whole pieces
	base   int64
	ps     pieces
	sums   map[int64][sha256.Size]byte // of the local bytes of each whole piece, when they were read through
	read   bool                        // local bytes are known to be records from first to last
	spoilt bool                        // they are not, and cannot be mended
}

// finish does what is to be done for one file, as far as it goes now.
func (v *Vault) finish(ctx context.Context, file string) error {
	j, work := v.newJob(file)
	if !work {
		return nil
	}
	var err error
	if j.ps, err = v.list(ctx, file); err != nil {
		return err
	}
	v.mu.Lock()
	u := v.files[file]
	damaged := u.toMend()
	u.listed, u.have = true, j.base-bytesOf(j.ps.gaps(0, j.base))
	v.mu.Unlock()
	if damaged || j.sealed && j.ps.end() > j.size {
		j.mend(ctx)
	}
	if err := j.copy(ctx); err != nil {
		return err
	}
	v.change(func() {
		u.have, u.settled = u.base, j.full
		u.done = j.sealed
	})
	return nil
}

// newJob says what there is to do; work is false when that is nothing.
func (v *Vault) newJob(file string) (j *job, work bool) {
	info, ok := v.local.File(file)
	v.mu.Lock()
	defer v.mu.Unlock()
	u := v.files[file]
	if !ok { // it was removed under the archive's hands; Files tells
		u.done = true
		return nil, false
	}
	j = &job{v: v, file: file, size: info.Bytes, sealed: info.Sealed && u.live >= info.Bytes, base: u.base, full: u.live / pieceBytes * pieceBytes,
		read: !info.Sealed && len(info.Damages) == 0}
	if j.sealed {
		j.full = info.Bytes
	}
	return j, j.sealed || !u.listed || j.full > u.settled || u.toMend()
}

// mend puts the local file right, unless that was tried lately.
func (j *job) mend(ctx context.Context) bool {
	v := j.v
	v.mu.Lock()
	u := v.files[j.file]
	lately := time.Since(u.mended) < mendEvery
	if !lately {
		u.mended = time.Now()
	}
	v.mu.Unlock()
	if lately {
		return false
	}
	if err := v.Repair(ctx, j.file); err != nil {
		v.log.Error("a damaged archive file stays as it is here", "file", j.file, "error", err)
		return false
	}
	if again, ok := v.newJob(j.file); ok {
		again.ps = j.ps
		*j = *again
	}
	return true
}

// copy makes whole pieces up to j.full, and small ones of what else was here before.
func (j *job) copy(ctx context.Context) error {
	for off := int64(0); off < j.full; off += pieceBytes {
		if err := j.makeWhole(ctx, off, min(off+pieceBytes, j.full)); err != nil {
			return err
		}
	}
	return j.fill(ctx, j.full, j.base)
}

// fill puts what no blob has of a range as small blobs.
func (j *job) fill(ctx context.Context, from, to int64) error {
	for _, gap := range j.ps.gaps(from, to) {
		for _, p := range gap.cut() {
			if err := j.paced(ctx, p.size, func() error { return j.v.putLocal(ctx, j.file, p) }); err != nil {
				return err
			}
			j.gained(p.size)
		}
	}
	return nil
}

// makeWhole sees to it that a range is in the blobs as one whole piece, or as few small ones.
func (j *job) makeWhole(ctx context.Context, from, to int64) error {
	small := j.ps.within(from, to)
	if !j.ps.hasWhole(from, to) {
		covered := len(j.ps.gaps(from, to)) == 0
		if covered && len(small) <= fewEnough {
			return nil
		}
		if !covered && !j.readable(ctx) {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return j.fill(ctx, from, to) // damaged as it is, it is better than nothing
		}
		done, err := j.putWhole(ctx, piece{from, to - from, true}, covered)
		if err != nil {
			return err
		}
		if !done { // another node has put less under that name: it has a copy of the file from before it was full
			return j.fill(ctx, from, to)
		}
		j.gained(bytesOf(j.ps.gaps(from, to)))
	}
	for _, p := range small {
		err := j.v.patiently(ctx, "delete blob", func() error { return j.v.cfg.Blobs.Delete(ctx, p.name(j.file)) })
		if err != nil {
			return err
		}
	}
	if len(small) > 0 {
		j.v.lists.drop(j.file)
	}
	return nil
}

// putWhole puts a whole piece, made of blobs when they cover it, else of the local file. It reports whether it is there.
func (j *job) putWhole(ctx context.Context, p piece, covered bool) (done bool, err error) {
	err = j.paced(ctx, p.size, func() error {
		data, err := j.bytes(ctx, p, covered)
		if err != nil {
			return err
		}
		err = j.v.put(ctx, p.name(j.file), data)
		done = err == nil
		if concord.KindOf(err) != concord.Conflict {
			return err
		}
		n, err := j.v.compare(ctx, p.name(j.file), data)
		if err != nil {
			return err
		}
		if done = n == p.size; !done {
			j.ps, err = listFile(ctx, j.v.cfg.Blobs, j.file)
		}
		return err
	})
	return done, err
}

// bytes returns what a whole piece is to hold.
func (j *job) bytes(ctx context.Context, p piece, covered bool) ([]byte, error) {
	if covered {
		var buf bytes.Buffer
		err := j.v.patiently(ctx, "read small blobs", func() error {
			buf.Reset()
			buf.Grow(int(p.size))
			return compose(ctx, j.v.cfg.Blobs, j.file, j.ps, span{p.off, p.end()}, nil, &buf)
		})
		if concord.KindOf(err) != concord.Corrupt || !j.readable(ctx) {
			return buf.Bytes(), err
		}
		j.v.log.Error("a blob of the archive is damaged; its bytes are put again", "file", j.file, "error", err)
	}
	data := make([]byte, p.size)
	if err := j.v.local.ReadAt(j.file, data, p.off); err != nil {
		return nil, err
	}
	if want, ok := j.sums[p.off]; ok && sha256.Sum256(data) != want {
		return nil, concord.Errorf(concord.Corrupt, "archive file %s reads differently the second time, at offset %d", j.file, p.off)
	}
	return data, nil
}

// readable reports whether the local file is whole records, after it was mended if need be.
func (j *job) readable(ctx context.Context) bool {
	if j.read || j.spoilt {
		return j.read
	}
	j.read = j.examine(ctx) || ctx.Err() == nil && j.mend(ctx) && j.examine(ctx)
	j.spoilt = !j.read
	return j.read
}

// examine reads the local file through and notes the digest of each whole piece.
func (j *job) examine(ctx context.Context) bool {
	j.sums = map[int64][sha256.Size]byte{}
	src := &localReader{ctx: ctx, v: j.v, file: j.file, end: j.full, sums: j.sums}
	damages, err := warc.Examine(j.file, src)
	if err == nil && len(damages) == 0 {
		return true
	}
	if ctx.Err() == nil {
		j.v.log.Error("an archive file is damaged here", "file", j.file, "damages", damages, "error", err)
	}
	j.sums = nil
	return false
}

// localReader reads a local file whole piece by whole piece.
type localReader struct {
	ctx  context.Context
	v    *Vault
	file string
	off  int64
	end  int64
	sums map[int64][sha256.Size]byte
	buf  []byte
	left []byte
}

func (r *localReader) Read(p []byte) (int, error) {
	if len(r.left) == 0 {
		if err := r.ctx.Err(); err != nil {
			return 0, err
		}
		n := min(pieceBytes, r.end-r.off)
		if n == 0 {
			return 0, io.EOF
		}
		if r.buf == nil {
			r.buf = make([]byte, min(pieceBytes, r.end))
		}
		r.left = r.buf[:n]
		if err := r.v.local.ReadAt(r.file, r.left, r.off); err != nil {
			r.left = nil
			return 0, err
		}
		r.sums[r.off] = sha256.Sum256(r.left)
		r.off += n
	}
	n := copy(p, r.left)
	r.left = r.left[n:]
	return n, nil
}

// gained counts n more bytes that are in the blobs now.
func (j *job) gained(n int64) {
	j.v.mu.Lock()
	defer j.v.mu.Unlock()
	u := j.v.files[j.file]
	u.have = min(u.base, u.have+n)
}

// paced does the work on n bytes behind what Append waits for, and not faster than the configured rate.
func (j *job) paced(ctx context.Context, n int64, work func() error) error {
	v := j.v
	for end := time.Now().Add(precedence); ; {
		v.mu.Lock()
		busy, changed := v.busy || len(v.wanted) > 0, v.changed
		v.mu.Unlock()
		if !busy || time.Now().After(end) {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		case <-time.After(time.Until(end)):
		}
	}
	start := time.Now()
	err := work()
	if err != nil {
		return err
	}
	return sleep(ctx, time.Duration(float64(n)/float64(v.cfg.BackgroundRate)*float64(time.Second))-time.Since(start))
}
