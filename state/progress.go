package state

import (
	"slices"
	"sync/atomic"
	"time"
)

// Transfer is a save or a load that is under way.
type Transfer struct {
	Partition  string
	Load       bool // from the blobs to this node; else the other way
	Started    time.Time
	Files      int64 // of the state
	FilesDone  int64 // of them, those that need nothing more
	Bytes      int64
	BytesDone  int64
	BytesMoved int64 // read from or written to the blobs
}

// Stats are what this node has saved and loaded since it started.
type Stats struct {
	Saves, SaveErrors   uint64 // a Conflict, which ends an owner, and being told to stop are no errors
	SavedBytes          uint64 // size of the states that were saved
	UploadedBytes       uint64 // of them, what was not in the blobs before
	UploadedFiles       uint64
	SaveTime            time.Duration
	Loads, LoadErrors   uint64
	Kept                uint64 // loads that found the local directory as new
	LoadedBytes         uint64
	DownloadedBytes     uint64
	DownloadedFiles     uint64
	LoadTime            time.Duration
	DamagedBlobs        uint64 // blobs that did not match their digest however often they were read
	WentBack            uint64 // loads that took the state before the last
	Deleted             uint64 // blobs deleted because no manifest names them
	LastSave, LastLoads time.Time
}

// transfer is a Transfer while it changes.
type transfer struct {
	partition                                string
	load                                     bool
	started                                  time.Time
	files, filesDone, bytes, bytesDone, over atomic.Int64 // over the network
	filesOver                                atomic.Int64
}

func (s *Store) begin(partition string, load bool) *transfer {
	t := &transfer{partition: partition, load: load, started: time.Now()}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moving[t] = struct{}{}
	return t
}

// end takes a transfer off the list and counts it.
func (s *Store) end(t *transfer, count func(*Stats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.moving, t)
	count(&s.stats)
}

func (t *transfer) expect(files []File) {
	t.files.Store(int64(len(files)))
	for _, f := range files {
		t.bytes.Add(f.Size)
	}
}

// done notes a file that needed no transfer.
func (t *transfer) done(f *File) {
	t.filesDone.Add(1)
	t.bytesDone.Add(f.Size)
}

// Moving returns the saves and loads that are under way, oldest first.
func (s *Store) Moving() []Transfer {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Transfer, 0, len(s.moving))
	for t := range s.moving {
		list = append(list, Transfer{t.partition, t.load, t.started, t.files.Load(), t.filesDone.Load(), t.bytes.Load(), t.bytesDone.Load(), t.over.Load()})
	}
	slices.SortFunc(list, func(a, b Transfer) int { return a.Started.Compare(b.Started) })
	return list
}

// Stats returns what was saved and loaded so far.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}
