package warc

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
	"syscall"
	"time"

	"concord"
	"concord/durable"

	"github.com/google/uuid"
)

// batch is what one call of Append brings: its members one behind the other, ready to be written.
type batch struct {
	data    bytes.Buffer
	members []member
	file    string // set by write
	base    int64  // where data begins in it
	done    bool
	err     error
}

type member struct {
	offset, length int64 // within data
	line           CDXLine
	indexed        bool
}

// compress makes the gzip members of all records, before any lock is taken.
func (a *Archive) compress(groups [][]Record) (*batch, error) {
	c := a.pool.get()
	defer a.pool.put(c)
	b := new(batch)
	for _, group := range groups {
		for i := range group {
			r := &group[i]
			if err := r.check(); err != nil {
				return nil, err
			}
			if int64(len(r.Block)) > a.cfg.MaxBlock {
				return nil, concord.Errorf(concord.Invalid, "block of %d bytes exceeds the limit of %d", len(r.Block), a.cfg.MaxBlock)
			}
			if err := b.add(c, r); err != nil {
				return nil, err
			}
		}
	}
	return b, nil
}

func (b *batch) add(c *compressor, r *Record) error {
	m := member{offset: int64(b.data.Len())}
	if err := c.appendMember(&b.data, r); err != nil {
		return err
	}
	m.length = int64(b.data.Len()) - m.offset
	m.line, m.indexed = indexLine(r)
	b.members = append(b.members, m)
	return nil
}

// locations returns where the records lie, in the shape of groups.
func (b *batch) locations(groups [][]Record) [][]concord.Location {
	out := make([][]concord.Location, len(groups))
	all := make([]concord.Location, len(b.members))
	for i, m := range b.members {
		all[i] = concord.Location{File: b.file, Offset: b.base + m.offset, Length: m.length}
	}
	for i := range groups {
		n := len(groups[i])
		out[i], all = all[:n:n], all[n:]
	}
	return out
}

// maxIndexLines bounds the index lines of the open file, which are in memory: about 25 MB.
const maxIndexLines = 100_000

// output is the file that is appended to.
type output struct {
	f     durable.File
	name  string
	size  int64    // durable bytes
	lines []string // its CDXJ lines so far
}

// write makes the batches durable in the open file, with one fsync. Called with commit held.
func (a *Archive) write(batches []*batch) error {
	if a.failed != nil {
		return a.failed
	}
	if err := a.ensureOutput(); err != nil {
		return err
	}
	out := a.out
	end, began := out.size, time.Now()
	for _, b := range batches {
		if _, err := out.f.Write(b.data.Bytes()); err != nil {
			return a.undo(fmt.Errorf("append to %s: %w", out.name, err))
		}
		b.file, b.base = out.name, end
		end += int64(b.data.Len())
	}
	if err := out.f.Sync(); err != nil {
		return a.fail(fmt.Errorf("sync %s: %w", out.name, err))
	}
	a.committed(batches, end, time.Since(began))
	if end >= a.cfg.MaxFile || len(out.lines) >= maxIndexLines {
		if err := a.seal(); err != nil {
			// The records are durable; the index is written with a later commit, or when the archive is opened again.
			a.cfg.Log.Error("seal archive file", "file", out.name, "err", err)
		}
	}
	return nil
}

// committed takes over what is durable now.
func (a *Archive) committed(batches []*batch, end int64, took time.Duration) {
	out := a.out
	out.size = end
	records := int64(0)
	for _, b := range batches {
		records += int64(len(b.members))
		for _, m := range b.members {
			if m.indexed {
				m.line.Location = concord.Location{File: out.name, Offset: b.base + m.offset, Length: m.length}
				out.lines = append(out.lines, m.line.String())
			}
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.files[out.name].Bytes = end
	a.stats.Appends += records
	a.stats.Commits++
	a.stats.CommitTime += took
}

// undo cuts off what a failed write left, so that the next append begins where the durable records end.
func (a *Archive) undo(cause error) error {
	if err := a.out.f.Truncate(a.out.size); err != nil {
		return a.fail(fmt.Errorf("%w; then truncate: %w", cause, err))
	}
	if isFull(cause) {
		return concord.Errorf(concord.Unavailable, "archive disk is full: %w", cause)
	}
	return cause
}

func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// fail remembers that durable state is unknown.
func (a *Archive) fail(cause error) error {
	a.failed = concord.Errorf(concord.Internal, "archive takes no more records until it is opened again: %w", cause)
	return a.failed
}

// ensureOutput begins a file when none is open.
func (a *Archive) ensureOutput() error {
	if a.out != nil {
		return nil
	}
	name := fileName(a.cfg.Now(), a.serial+1)
	path := a.disk.path(name)
	var buf bytes.Buffer
	c := a.pool.get()
	defer a.pool.put(c)
	info := a.warcinfo(name)
	if err := c.appendMember(&buf, &info); err != nil {
		return err
	}
	f, err := a.disk.Create(path, filePerm)
	if err != nil {
		return fmt.Errorf("begin archive file: %w", err)
	}
	_, err = f.Write(buf.Bytes())
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = a.disk.SyncDir(a.disk.dir)
	}
	if err != nil {
		return a.abandon(f, path, err)
	}
	a.serial++
	a.out = &output{f: f, name: name, size: int64(buf.Len())}
	a.mu.Lock()
	a.files[name] = &FileInfo{Name: name, Bytes: a.out.size}
	a.mu.Unlock()
	return nil
}

// abandon removes a file that could not be begun.
func (a *Archive) abandon(f durable.File, path string, cause error) error {
	f.Close()
	if err := a.disk.Remove(path); err != nil {
		return a.fail(fmt.Errorf("begin %s: %w; then remove: %w", path, cause, err))
	}
	if isFull(cause) {
		return concord.Errorf(concord.Unavailable, "archive disk is full: %w", cause)
	}
	return fmt.Errorf("begin %s: %w", path, cause)
}

// warcinfo makes the record that begins a file.
func (a *Archive) warcinfo(name string) Record {
	return warcinfoRecord(a.cfg, name, nil)
}

func warcinfoRecord(cfg Config, name string, more []Field) Record {
	body := Fields{}
	body.Add("software", cfg.Software)
	body.Add("operator", cfg.Operator)
	body.Add("format", "WARC File Format 1.1")
	body.Add("conformsTo", "http://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/")
	block := encodeFields(append(body, more...))
	return Record{Block: block, Header: Fields{
		{"WARC-Type", TypeWarcinfo},
		{"WARC-Record-ID", urn(uuid.NewString())},
		{"WARC-Date", cfg.Now().UTC().Format("2006-01-02T15:04:05Z")},
		{"WARC-Filename", name},
		{"Content-Type", "application/warc-fields"},
		{"WARC-Block-Digest", concord.Sum(block).Labelled()},
	}}
}

// seal writes the CDXJ index of the open file and closes it. When the index cannot be written the file stays open, and
// the next commit tries again. Called with commit held.
func (a *Archive) seal() error {
	out := a.out
	if err := a.writeIndex(out.name, out.lines); err != nil {
		return err
	}
	a.out = nil
	a.mu.Lock()
	a.files[out.name].Sealed = true
	a.mu.Unlock()
	return out.f.Close()
}

// writeIndex writes the sorted CDXJ lines of a file beside it, whole or not at all.
func (a *Archive) writeIndex(name string, lines []string) error {
	sort.Strings(lines)
	return durable.WriteFileTo(a.disk, a.disk.path(indexName(name)), filePerm, func(w io.Writer) error {
		return writeLines(w, lines)
	})
}

func writeLines(w io.Writer, lines []string) error {
	for _, l := range lines {
		if _, err := io.WriteString(w, l+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// filePerm: captures of public pages, but what a private crawl fetched is nobody's business on a shared machine.
const filePerm = 0o640

const (
	filePrefix  = "concord-"
	fileSuffix  = ".warc.gz"
	indexSuffix = ".cdxj"
	// damageSuffix ends the name of a text file that lists the damaged places of a sealed file, one a line.
	damageSuffix = ".damage"
)

func indexName(name string) string { return strings.TrimSuffix(name, fileSuffix) + indexSuffix }

// fileName returns concord-<utc 14 digits>-<serial 5 digits>-<6 random>.warc.gz. The random part keeps files of several
// nodes apart when they come together in one place.
func fileName(now time.Time, serial int) string {
	return fmt.Sprintf("%s%s-%05d-%s%s", filePrefix, stampOf(now), serial, strings.ToLower(rand.Text()[:6]), fileSuffix)
}
