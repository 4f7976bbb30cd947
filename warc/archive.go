package warc

import (
	"log/slog"
	"sync"
	"time"

	"concord"
	"concord/durable"
)

// Defaults of an Archive.
const (
	DefaultMaxFile = 256 << 20 // small enough to copy and to rescan in a second or two, large enough to be few
	// DefaultReads is how many records are read at a time: each holds a file handle and the record's bytes.
	DefaultReads = 64
)

// Config says where an archive is and what it writes about itself.
type Config struct {
	Dir      string           // made when missing
	FS       durable.FS       // nil: the machine's, durable.OS
	Operator string           // for the warcinfo records; empty: left out
	Software string           // default "concord/<version>"
	MaxFile  int64            // bytes after which a file is sealed and the next one begun; 0: DefaultMaxFile
	MaxBlock int64            // bytes of the largest block; 0: DefaultMaxBlock
	Reads    int              // reads at a time; 0: DefaultReads
	Log      *slog.Logger     // nil: discarded
	Now      func() time.Time // for file names and warcinfo records; nil: time.Now
}

func (c Config) withDefaults() Config {
	if c.Software == "" {
		c.Software = "concord/" + concord.Version
	}
	if c.FS == nil {
		c.FS = durable.OS
	}
	if c.MaxFile <= 0 {
		c.MaxFile = DefaultMaxFile
	}
	if c.MaxBlock <= 0 {
		c.MaxBlock = DefaultMaxBlock
	}
	if c.Reads <= 0 {
		c.Reads = DefaultReads
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// FileInfo describes one file of an archive.
type FileInfo struct {
	Name    string
	Bytes   int64    // durable bytes
	Sealed  bool     // full, with its CDXJ index beside it; nothing is appended any more
	Damages []string // places that could not be read when the archive was opened, in plain words
}

// Stats counts what an archive holds.
type Stats struct {
	Files   int
	Bytes   int64
	Damages int
	Appends int64 // records appended since it was opened
	Commits int64 // fsyncs that took
	// CommitTime is what they took, with the writing before them.
	CommitTime time.Duration
}

// Archive is a directory of .warc.gz files. One process has it open at a time. All methods are safe for concurrent use.
//
// Records are appended to one file; when it is full its CDXJ index is written beside it, which seals it, and the next one
// is begun. A file without an index was open when the process ended: Open reads it through, cuts what a crash left behind
// the last whole record, and goes on with it.
type Archive struct {
	cfg    Config
	pool   pool
	reads  chan struct{} // bounds concurrent reads
	disk   disk
	unlock func() error

	commit sync.Mutex // held by the caller that writes; guards the fields below it
	out    *output    // the file that is appended to; nil: none was begun
	serial int        // of the newest file
	failed error      // set when durable state is unknown: nothing is appended any more

	mu     sync.Mutex // guards the fields below; held shortly, never during I/O
	queue  []*batch   // appends that wait for the next commit
	files  map[string]*FileInfo
	closed bool
	stats  Stats
}

// Files returns the files in the order they were begun.
func (a *Archive) Files() []FileInfo {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make([]FileInfo, 0, len(a.files))
	for _, name := range a.namesLocked() {
		out = append(out, *a.files[name])
	}
	return out
}

// Stats returns what the archive holds and did.
func (a *Archive) Stats() Stats {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.stats
	s.Files = len(a.files)
	for _, f := range a.files {
		s.Bytes += f.Bytes
		s.Damages += len(f.Damages)
	}
	return s
}

// Append makes the records of each group durable and returns where each one lies, in the same shape. It returns after
// fsync: all of them are there, or, with an error, none of them is to be relied on. Calls that come at the same time
// share one fsync. Records of one group lie in one file, one behind the other. The records are not written to.
//
// A record that could not be read back is an Invalid error. A full disk is Unavailable, and the archive stays usable.
// After a failed fsync nothing is known about the file any more: that call and all later ones fail with Internal, until
// the archive is opened again.
func (a *Archive) Append(groups [][]Record) ([][]concord.Location, error) {
	b, err := a.compress(groups)
	if err != nil {
		return nil, err
	}
	if len(b.members) == 0 {
		return b.locations(groups), nil
	}
	a.mu.Lock()
	a.queue = append(a.queue, b)
	a.mu.Unlock()

	// Whoever gets the lock first writes for all that wait; the others find their batch done.
	a.commit.Lock()
	defer a.commit.Unlock()
	if !b.done {
		a.mu.Lock()
		batches := a.queue
		a.queue = nil
		a.mu.Unlock()
		err := a.write(batches)
		for _, other := range batches {
			other.done, other.err = true, err
		}
	}
	if b.err != nil {
		return nil, b.err
	}
	return b.locations(groups), nil
}

// Close seals the open file when it is worth it and releases the directory. Calls after it fail.
func (a *Archive) Close() error {
	a.commit.Lock()
	defer a.commit.Unlock()
	a.mu.Lock()
	was := a.closed
	a.closed = true
	a.mu.Unlock()
	if was {
		return nil
	}
	var err error
	if a.out != nil && a.failed == nil && a.out.size >= a.cfg.MaxFile/resumeFraction {
		err = a.seal()
	}
	if a.out != nil {
		if cerr := a.out.f.Close(); err == nil {
			err = cerr
		}
		a.out = nil
	}
	a.failed = concord.Errorf(concord.Unavailable, "archive is closed")
	if lerr := a.unlock(); err == nil {
		err = lerr
	}
	return err
}

// resumeFraction: a file that is at least this part of full is sealed on Close, so that the next Open need not read it.
const resumeFraction = 4
