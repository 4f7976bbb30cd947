package vault

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"concord"
	"concord/trace"
	"concord/warc"
)

const (
	// uploadsAtOnce is how many blobs of new records are under way: what hides the round trips of a store without filling memory.
	uploadsAtOnce = 4
	// defaultBackgroundRate leaves most of a gigabit link to the crawl.
	defaultBackgroundRate = 32 << 20
	// retryFirst and retryLast bound the pause before a store that failed is tried again.
	retryFirst, retryLast = 50 * time.Millisecond, 5 * time.Second
)

// Asker puts questions to other nodes; a *bus.Bus is one.
type Asker interface {
	Ask(ctx context.Context, node, service string, data []byte) ([]byte, error)
}

// Config says what a Vault is made of.
type Config struct {
	Archive        *warc.Archive   // of this node; the Vault closes it
	Blobs          concord.Blobs   // of the cluster
	Asker          Asker           // nil: no node is asked, records of others come from the blobs
	Others         func() []string // live nodes beside this one; nil: none
	BackgroundRate int64           // bytes a second of what goes up in the background; 0: 32 MiB
	Trace          *trace.Tracer   // of the lives of pages; nil: nothing is recorded
	Log            *slog.Logger    // nil: discarded
}

// Vault is a node's archive with its copy in the cluster's blobs. Run does the copying: without it Append waits. All methods are safe for
// concurrent use.
type Vault struct {
	cfg   Config
	local *warc.Archive
	log   *slog.Logger
	lists *listCache
	homes *homes
	reads chan struct{}
	kick  chan struct{} // wakes the uploads
	tidy  chan struct{} // wakes the background

	repairing sync.Mutex // one repair at a time

	mu      sync.Mutex
	changed chan struct{}      // closed and replaced when anything below changes
	checked bool               // the open file is known to be no shorter than its copy
	stopped error              // Run has ended: nothing is copied any more
	busy    bool               // uploads are under way that Append waits for
	waiting string             // why the blobs take nothing now; empty: they do
	wanted  map[string]int64   // file -> up to where an Append waits for it
	files   map[string]*upload // local ones
}

// upload is how far the copy of a local file is.
type upload struct {
	base    int64 // bytes that were here when the Vault was made; what is behind them goes up as it is appended
	live    int64 // from base to here is in the blobs; base at first
	have    int64 // bytes below base that are known to be in the blobs
	settled int64 // up to here of an open file the blobs are whole pieces, or few enough
	listed  bool  // have is known
	done    bool  // sealed, all of it is in the blobs, and there is nothing to tidy
	damaged bool  // a record of it could not be read here

	mended    time.Time // when putting it right was tried
	notBefore time.Time // the background leaves it alone until then
	problem   string    // why it could not be finished
}

// New returns a Vault over an open archive. It starts nothing.
func New(cfg Config) (*Vault, error) {
	if cfg.Archive == nil || cfg.Blobs == nil {
		return nil, concord.Errorf(concord.Invalid, "a vault needs an archive and blobs")
	}
	if cfg.BackgroundRate <= 0 {
		cfg.BackgroundRate = defaultBackgroundRate
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Others == nil {
		cfg.Others = func() []string { return nil }
	}
	v := &Vault{cfg: cfg, local: cfg.Archive, log: cfg.Log, lists: newListCache(), homes: newHomes(), reads: make(chan struct{}, readsAtOnce),
		kick: make(chan struct{}, 1), tidy: make(chan struct{}, 1), changed: make(chan struct{}), wanted: map[string]int64{}, files: map[string]*upload{}}
	for _, f := range v.local.Files() {
		v.files[f.Name] = &upload{base: f.Bytes, live: f.Bytes, damaged: len(f.Damages) > 0}
	}
	return v, nil
}

// Append makes the records durable in the local archive, as warc.Archive.Append does, and then their bytes in the blobs. While the blobs
// cannot be written it waits; Run tries again. When Run ends the error is Unavailable, and the records are in the local archive all the
// same: a later Run copies them, but nobody was told of them. Calls that come at the same time share blobs.
func (v *Vault) Append(groups [][]warc.Record) ([][]concord.Location, error) {
	if err := v.await(func() bool { return v.checked }); err != nil {
		return nil, err
	}
	places, err := v.local.Append(groups)
	if err != nil {
		return nil, err
	}
	ends := map[string]int64{}
	for _, group := range places {
		for _, loc := range group {
			ends[loc.File] = max(ends[loc.File], loc.Offset+loc.Length)
		}
	}
	kept := time.Now()
	v.want(ends)
	err = v.await(func() bool {
		for file, end := range ends {
			if u, ok := v.files[file]; ok && u.live < end {
				return false
			}
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	v.trace(groups, kept)
	return places, nil
}

// trace records for how long the captures of groups were on this machine alone, from when they were kept.
func (v *Vault) trace(groups [][]warc.Record, kept time.Time) {
	if v.cfg.Trace == nil {
		return
	}
	now := time.Now()
	for _, group := range groups {
		if len(group) > 0 && slices.Contains([]string{warc.TypeResponse, warc.TypeRevisit}, group[0].Type()) { // else it is no capture
			v.cfg.Trace.Page(group[0].ID()).Stage(trace.Copied, "", kept, now)
		}
	}
}

// want notes up to where files are to be copied.
func (v *Vault) want(ends map[string]int64) {
	v.mu.Lock()
	for file, end := range ends {
		if _, ok := v.files[file]; !ok {
			v.files[file] = new(upload)
		}
		v.wanted[file] = max(v.wanted[file], end)
	}
	v.mu.Unlock()
	wake(v.kick)
}

// await waits until done, which is called with mu held, or Run has ended.
func (v *Vault) await(done func() bool) error {
	for {
		v.mu.Lock()
		ok, err, changed := done(), v.stopped, v.changed
		v.mu.Unlock()
		if ok {
			return nil
		}
		if err != nil {
			return err
		}
		<-changed
	}
}

// change changes what mu guards and wakes who waits for it.
func (v *Vault) change(f func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	f()
	close(v.changed)
	v.changed = make(chan struct{})
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Files returns the files of this node's archive, as warc.Archive.Files does.
func (v *Vault) Files() []warc.FileInfo { return v.local.Files() }

// Stats returns what this node's archive holds.
func (v *Vault) Stats() warc.Stats { return v.local.Stats() }

// Walk reads this node's archive, as warc.Archive.Walk does.
func (v *Vault) Walk(ctx context.Context, fn func(warc.Entry) error, read func(bytes int64), damaged func(problem string)) error {
	return v.local.Walk(ctx, fn, read, damaged)
}

// Close closes the local archive. Run must have ended.
func (v *Vault) Close() error { return v.local.Close() }

// Progress is how far the copy of this node's archive is.
type Progress struct {
	Done, Total int64    // bytes
	Waiting     string   // why the blobs take nothing now; empty: they do
	Problems    []string // files that could not be finished, with the reason; at most maxProblems
}

// maxProblems is as many as anyone reads.
const maxProblems = 10

// Progress returns how much of this node's archive is in the blobs. Of a file that was here when the Vault was made nothing counts until
// its blobs were listed.
func (v *Vault) Progress() Progress {
	total := v.local.Stats().Bytes
	v.mu.Lock()
	defer v.mu.Unlock()
	p := Progress{Done: total, Total: total, Waiting: v.waiting}
	for file, u := range v.files {
		if u.done {
			continue
		}
		if u.problem != "" && len(p.Problems) < maxProblems {
			p.Problems = append(p.Problems, u.problem)
		}
		if info, ok := v.local.File(file); ok {
			p.Done -= max(0, info.Bytes-u.have-(u.live-u.base))
		}
	}
	slices.Sort(p.Problems)
	p.Done = max(0, p.Done)
	return p
}
