package warc

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"
)

// mergeAhead is how long before its name says a file may have records: the name is the time at which the file was begun, and its first
// records are of requests that began earlier, maybe by another clock.
const mergeAhead = 5 * time.Minute

// WalkMerged is Walk of an archive whose files come from several machines that wrote at the same time: it hands out what they hold in the
// order of time, and what one file holds in the order of that file. Where the clocks of the machines differ, so does the order.
func (a *Archive) WalkMerged(ctx context.Context, fn func(Entry) error, read func(bytes int64), damaged func(problem string)) error {
	if read == nil {
		read = func(int64) {}
	}
	m := merge{a: a, ctx: ctx, damaged: damaged, waiting: a.Files()}
	slices.SortStableFunc(m.waiting, func(x, y FileInfo) int { return begunAt(x.Name).Compare(begunAt(y.Name)) })
	defer func() {
		for _, f := range m.open {
			f.stop()
		}
	}()
	for {
		f := m.next()
		if f == nil || m.err != nil {
			return m.err
		}
		if err := fn(f.head); err != nil {
			return err
		}
		m.advance(f)
		read(m.read())
	}
}

// merge is the walk of several files at a time.
type merge struct {
	a       *Archive
	ctx     context.Context
	damaged func(string)
	waiting []FileInfo // by their time
	open    []*mergedFile
	ended   int64 // bytes of files that were read to their end
	err     error
}

// mergedFile is one that is being read.
type mergedFile struct {
	info FileInfo
	head Entry     // next to be handed out
	at   time.Time // of head, no earlier than that of what came before it in the file
	done int64     // bytes
	pull func() (Entry, bool)
	stop func()
}

// next returns the file whose next entry is the earliest; nil: all are read.
func (m *merge) next() *mergedFile {
	for m.err == nil {
		var first *mergedFile
		for _, f := range m.open {
			if first == nil || f.at.Before(first.at) {
				first = f
			}
		}
		if len(m.waiting) == 0 || first != nil && begunAt(m.waiting[0].Name).Add(-mergeAhead).After(first.at) {
			return first
		}
		m.begin(m.waiting[0])
		m.waiting = m.waiting[1:]
	}
	return nil
}

func (m *merge) begin(info FileInfo) {
	f := &mergedFile{info: info}
	f.pull, f.stop = iter.Pull(func(yield func(Entry) bool) {
		err := m.a.walkFile(m.ctx, info, func(e Entry) error {
			if !yield(e) {
				return errStopped
			}
			return nil
		}, func(n int64) { f.done = n }, m.damaged)
		if err != nil && !errors.Is(err, errStopped) && m.err == nil {
			m.err = err
		}
	})
	m.open = append(m.open, f)
	m.advance(f)
}

// advance reads the next entry of a file, or closes it.
func (m *merge) advance(f *mergedFile) {
	e, ok := f.pull()
	if !ok {
		f.stop()
		m.ended += f.info.Bytes
		m.open = slices.DeleteFunc(m.open, func(x *mergedFile) bool { return x == f })
		return
	}
	f.head = e
	if at := e.time(); at.After(f.at) {
		f.at = at
	}
}

func (m *merge) read() int64 {
	n := m.ended
	for _, f := range m.open {
		n += f.done
	}
	return n
}

// errStopped ends the reading of a file whose rest nobody wants.
var errStopped = errors.New("stopped")

// time returns when an entry was written, as far as it says so: a capture that was imported is older than the records beside it.
func (e *Entry) time() (at time.Time) {
	later := func(r *Record) {
		if t, err := r.Date(); err == nil && t.After(at) {
			at = t
		}
	}
	if e.Note != nil {
		later(e.Note)
		return at
	}
	later(&e.Item.Record)
	for i := range e.Item.Related {
		later(&e.Item.Related[i])
	}
	return at
}

// begunAt returns the time in the name of an archive file.
func begunAt(name string) time.Time {
	const begin = len("concord-")
	if len(name) < begin+len(stampLayout) {
		return time.Time{}
	}
	t, err := time.Parse(stampLayout, name[begin:begin+len(stampLayout)])
	if err != nil {
		return time.Time{}
	}
	return t
}
