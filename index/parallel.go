package index

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"os"
	"path/filepath"
	"sync"

	"concord"
)

const (
	// DefaultWriterMemory is enough for a quarter of a gigabyte of text whose documents are not stored.
	DefaultWriterMemory = 256 << 20
	// MinWriterMemory is what each builder needs to be more than a beginning.
	MinWriterMemory = 64 << 20
	// maxWriterThreads bounds the builders of a Writer.
	maxWriterThreads = 256
	// writerBatch is how many bytes of documents go to a builder at a time; three batches a builder are under way.
	writerBatch = 256 << 10
)

// WriterConfig says what a Writer makes.
type WriterConfig struct {
	Config
	Path string // of the segment; it must not exist
	// Threads is how many builders work side by side; 0: one, in the goroutine that adds.
	Threads int
	// MemoryBytes bounds what builders and writing take together, but for one document each; 0: DefaultWriterMemory. At
	// least MinWriterMemory for each thread. Go's garbage comes on top. When parts are merged the builders are gone, and what Merge takes
	// is in their place: it goes by the number of documents.
	MemoryBytes int64
}

// Validate refuses what cannot work. Errors: Invalid.
func (c *WriterConfig) Validate() error {
	if c.Path == "" || c.Threads < 0 || c.Threads > maxWriterThreads {
		return concord.Errorf(concord.Invalid, "write segment: path %q and %d threads, want a path and at most %d", c.Path, c.Threads, maxWriterThreads)
	}
	if least := int64(max(c.Threads, 1)) * MinWriterMemory; c.MemoryBytes != 0 && c.MemoryBytes < least {
		return concord.Errorf(concord.Invalid, "write segment: %d bytes of memory, want %d for %d threads", c.MemoryBytes, least, max(c.Threads, 1))
	}
	_, err := c.scoring()
	return err
}

// Writer makes one segment of any number of documents within a stated memory: builders work side by side, those that are full are
// written as parts, and the parts are merged in the end. The segment is the one that a single Builder would have written,
// byte for byte, whatever the number of threads. What fits the memory is written at once, without parts.
//
// Parts lie in the directory Path + ".parts", which is gone when Finish or Close return. After a crash it is all that is left, and the
// next Writer with the same Path removes it.
//
// One goroutine at a time may use a Writer.
type Writer struct {
	cfg     WriterConfig
	share   int64 // of memory for each worker
	seed    maphash.Seed
	workers []*writerWorker
	running sync.WaitGroup
	ended   bool

	mu    sync.Mutex
	parts int   // numbered so far
	err   error // first of a worker
}

// writerWorker owns one builder. All versions of a URL come to the same worker, in order.
type writerWorker struct {
	w       *Writer
	in      chan []*Document // nil: the work is done in Add
	pending []*Document      // next batch
	size    int              // its bytes
	builder *Builder
	parts   []string // in the order they were written
	written int64    // bytes of parts
}

// WriterInfo describes what a Writer did.
type WriterInfo struct {
	SegmentInfo
	Parts        int   `json:"parts"`         // written before the segment, those merged on the way included
	WrittenBytes int64 `json:"written_bytes"` // of all parts and the segment
}

// NewWriter prepares to write a segment and removes what a crash has left of an earlier one. Close must be called in the end. Errors:
// Invalid; Conflict when the path exists.
func NewWriter(cfg WriterConfig) (*Writer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.MemoryBytes == 0 {
		cfg.MemoryBytes = max(DefaultWriterMemory, int64(cfg.Threads)*MinWriterMemory)
	}
	if _, err := os.Lstat(cfg.Path); err == nil {
		return nil, concord.Errorf(concord.Conflict, "write segment: %s exists, segments are immutable", cfg.Path)
	}
	w := &Writer{cfg: cfg, seed: maphash.MakeSeed(), share: cfg.MemoryBytes/int64(max(cfg.Threads, 1)) - 3*writerBatch}
	if err := os.RemoveAll(w.partsDir()); err != nil {
		return nil, fmt.Errorf("write segment: remove parts of an earlier one: %w", err)
	}
	for range max(cfg.Threads, 1) {
		w.workers = append(w.workers, &writerWorker{w: w, builder: NewBuilder(cfg.Config)})
	}
	return w, nil
}

func (w *Writer) partsDir() string { return w.cfg.Path + ".parts" }

// Add hands a document over: neither it nor its slices may be changed afterwards. A later document replaces an earlier one with the same
// URL. It waits while the builder that the document belongs to is busy. Errors: Invalid for a document beyond a bound, which
// leaves the Writer usable; anything else, also of documents added before, ends it.
func (w *Writer) Add(d *Document) error {
	if w.ended {
		return concord.Errorf(concord.Invalid, "add document: the segment was finished")
	}
	if err := d.validate(); err != nil {
		return err
	}
	if err := w.failure(); err != nil {
		return err
	}
	if len(w.workers) == 1 {
		if err := w.workers[0].add(d); err != nil {
			w.fail(err)
			return err
		}
		return nil
	}
	x := w.workers[maphash.String(w.seed, d.URL)%uint64(len(w.workers))]
	if x.in == nil {
		x.start()
	}
	x.pending = append(x.pending, d)
	if x.size += d.textBytes(); x.size >= writerBatch {
		x.send()
	}
	return nil
}

func (w *Writer) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

func (w *Writer) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
}

// start begins a worker's goroutine, which ends when its channel is closed.
func (x *writerWorker) start() {
	x.in = make(chan []*Document, 1)
	x.w.running.Go(func() {
		for batch := range x.in {
			for _, d := range batch {
				if x.w.failure() != nil {
					break // what comes is taken, so that nobody waits
				}
				if err := x.add(d); err != nil {
					x.w.fail(err)
				}
			}
		}
	})
}

// send hands the pending batch to the worker.
func (x *writerWorker) send() {
	x.in <- x.pending
	x.pending, x.size = nil, 0
}

// add indexes a document and writes the builder out when it is full.
func (x *writerWorker) add(d *Document) error {
	err := x.builder.Add(d)
	if concord.KindOf(err) == concord.Unavailable {
		if err = x.flush(); err == nil {
			err = x.builder.Add(d)
		}
	}
	if err != nil {
		return err
	}
	switch memory := x.builder.memory(); {
	case memory > x.w.share:
		return x.flush()
	case memory+x.builder.docs.kept() > x.w.share: // these documents are unlike those before
		x.builder.docs.release()
	}
	return nil
}

// flush writes the builder's documents as the next part and begins another.
func (x *writerWorker) flush() error {
	if x.builder.Docs() > 0 {
		path, err := x.w.nextPart()
		if err != nil {
			return err
		}
		x.builder.spare = x.w.share - x.builder.Bytes()
		info, err := x.builder.Write(path)
		if err != nil {
			return err
		}
		x.parts = append(x.parts, path)
		x.written += info.Bytes
	}
	x.builder.reset()
	if x.builder.memory() > x.w.share/2 { // one document was large
		x.builder = NewBuilder(x.w.cfg.Config)
	}
	return nil
}

func (w *Writer) nextPart() (string, error) {
	if err := os.MkdirAll(w.partsDir(), 0o700); err != nil {
		return "", fmt.Errorf("write part: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.parts++
	return filepath.Join(w.partsDir(), fmt.Sprintf("%06d.seg", w.parts)), nil
}

// drain hands over what is pending and waits for the workers.
func (w *Writer) drain() {
	w.ended = true
	for _, x := range w.workers {
		if x.in != nil {
			x.send()
			close(x.in)
		}
	}
	w.running.Wait()
}

// Close gives up what is not finished and removes the parts. After Finish it does nothing.
func (w *Writer) Close() error {
	if !w.ended {
		w.fail(concord.Errorf(concord.Invalid, "add document: the writer was closed"))
		w.drain()
	}
	w.workers = nil
	return os.RemoveAll(w.partsDir())
}

// Finish writes the segment of all documents added. When it returns without error the segment is durable. Errors: what Add
// may return of documents still on their way; those of ctx, Builder.Write and Merge.
func (w *Writer) Finish(ctx context.Context) (info WriterInfo, err error) {
	if w.ended {
		return WriterInfo{}, concord.Errorf(concord.Invalid, "write segment: it was finished before")
	}
	w.drain()
	defer func() {
		err = errors.Join(err, w.Close())
	}()
	if err := errors.Join(w.failure(), ctx.Err()); err != nil {
		return WriterInfo{}, err
	}
	if b := w.whole(); b != nil {
		err = w.publish(func(path string) (err error) {
			info.SegmentInfo, err = b.Write(path)
			return err
		})
	} else {
		info, err = w.mergeParts(ctx)
	}
	info.Path = w.cfg.Path
	info.WrittenBytes += info.Bytes
	return info, err
}
