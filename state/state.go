// Package state answers "how does a partition's state move to another machine?". A partition's directory is saved into the
// blobs that all nodes share, file by file, and a manifest, put by compare-and-set, says which files make up the state, up to
// which message of its log it reaches, and under which fence it was saved. The next owner makes its own directory hold exactly
// that, unless what it has already is as new, and applies the log from there.
//
// It does not decide who owns a partition (package cluster), nor what a state means (packages crawl, shard and attest).
//
// # The life of an owner
//
//	o, err := store.Claim(ctx, "shard.3", fence)  // first: nobody before saves anything more
//	in, err := o.Load(ctx, dir, shard.Peek)       // nobody has dir open
//	s, err := shard.Open(ctx, shard.Config{Dir: dir, …})
//	go o.Keep(ctx, s, 30*time.Second, …)          // beside s.Run; a Conflict ends both
//	…
//	o.SaveFrom(ctx, s)                            // once more when the partition is given up: the next owner has less to apply
//
// The partition's log may be trimmed up to Saved.TrimTo after each save, and not before. (A frontier keeps its newest message: TrimTo-1.)
//
// # Invariants
//
//   - A manifest names only blobs that were durable before it was put. A kill during Save leaves the manifest before or the one
//     after; what was uploaded in vain is swept up by the next owner.
//   - Owning is decided by the manifest alone: Claim puts it under the new fence, and from then on nothing that an owner with a
//     smaller fence tries to save is taken (Conflict).
//   - A blob bears the fence under which it was uploaded in its name. An owner names blobs of its own fence and blobs that the
//     manifest it claimed names; it deletes blobs of its own or a smaller fence that its manifest does not name. So an owner that
//     was paused for hours in the middle of deleting can hit nothing that its successors need, and no grace period is needed.
//   - A directory holds one state as a whole, the old or the new, whenever the machine stops: Load builds the new one beside it,
//     syncs it and renames. Recover, which whoever opens such a directory calls first, finishes a change that was cut short.
//   - No byte is used that does not match the manifest's digest. A damaged blob is read again; when it stays damaged the state
//     before the last is loaded, which the log reaches back to, and when that is damaged too nothing is: the error says what is.
//
// # When a directory may be kept
//
// A state saved at position P under fence F is the fold of the log up to P. A local directory stands at its own position p, and
// the last owner that ran on it had fence f; both are stored in its own commits.
//
//   - A pure state (frontier, shard) is the same whoever folded it. It may be kept if the log still has all after p. The log is
//     trimmed only up to the position of the older of the two states that the manifest names (TrimTo), so p must not be below that.
//   - Any other state (the attestor draws salts and signs) has one true line: what was saved last. It may be kept if f >= F - then
//     nobody else saved since, so the directory continues what was saved - and p >= P.
//   - A directory with f above the claimed fence belongs to a later owner; who finds that has lost its lease: Conflict.
package state

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"concord"
)

// Config says where states are kept, and on whose behalf.
type Config struct {
	Blobs     concord.Blobs
	Manifests concord.Manifests
	Node      string // name of this node, noted in manifests
	Logger    *slog.Logger
	// Streams is how many files are transferred at a time; default DefaultStreams.
	Streams int

	wait time.Duration // unit of pauses between tries; tests wait less
}

// DefaultStreams hides the latency of a blob store while most files are small, and leaves the network to the crawl.
const DefaultStreams = 4

// waitUnit is the shortest pause before something is tried again; what fails more often waits a multiple of it.
const waitUnit = 150 * time.Millisecond

// Store keeps the states of a cluster's partitions. It is safe for concurrent use.
type Store struct {
	cfg Config
	log *slog.Logger

	mu     sync.Mutex
	moving map[*transfer]struct{}
	stats  Stats
}

// New returns a store. It starts nothing. Errors: Invalid.
func New(cfg Config) (*Store, error) {
	if cfg.Streams == 0 {
		cfg.Streams = DefaultStreams
	}
	if cfg.wait == 0 {
		cfg.wait = waitUnit
	}
	if cfg.Blobs == nil || cfg.Manifests == nil || cfg.Logger == nil || cfg.Node == "" || cfg.Streams < 1 {
		return nil, concord.Errorf(concord.Invalid, "state store: blobs, manifests, node and logger must be set, streams must be positive")
	}
	return &Store{cfg: cfg, log: cfg.Logger, moving: map[*transfer]struct{}{}}, nil
}

// Local is where the state in a directory stands, as its own last commit says.
type Local struct {
	Position uint64 // number of the last message of the log that it has applied
	Fence    uint64 // of the last owner that ran on it
	// Pure is set for a state that depends on nothing but the log: any directory that the log still reaches back to may be kept.
	Pure bool
}

// Peek opens the state in a directory, says where it stands, and closes it again. A state that is damaged is a Corrupt error: it
// is then replaced.
type Peek func(dir string) (Local, error)

// Manifest returns what the manifest of a partition says now. While the cluster's store has just lost its leader it may be a little
// old: good enough to show, and to trim a log by (TrimTo never goes back). Errors: NotFound, Unavailable, Corrupt.
func (s *Store) Manifest(ctx context.Context, partition string) (*Manifest, error) {
	m, _, err := s.get(ctx, partition)
	return m, err
}

// get reads a manifest and its revision.
func (s *Store) get(ctx context.Context, partition string) (*Manifest, uint64, error) {
	if err := checkPartition(partition); err != nil {
		return nil, 0, err
	}
	v, err := s.cfg.Manifests.Get(ctx, manifestName(partition))
	if err != nil {
		return nil, 0, fmt.Errorf("state of %s: %w", partition, err)
	}
	m, err := DecodeManifest(v.Data)
	if err != nil {
		return nil, 0, fmt.Errorf("state of %s: %w", partition, err)
	}
	if m.Partition != partition {
		return nil, 0, concord.Errorf(concord.Corrupt, "state of %s: the manifest is that of %s", partition, concord.Clip(m.Partition, 60))
	}
	return m, v.Revision, nil
}

// ManifestPrefix begins the names of all manifests of this package, for Manifests.Watch.
const ManifestPrefix = "state/"

func manifestName(partition string) string { return ManifestPrefix + partition }

// maxPartitionName leaves room for a fence and a digest in the name of a blob.
const maxPartitionName = 60

func checkPartition(name string) error {
	if len(name) > maxPartitionName || strings.Contains(name, "/") {
		return concord.Errorf(concord.Invalid, "partition %q: want at most %d bytes and no '/'", concord.Clip(name, 60), maxPartitionName)
	}
	return concord.CheckBlobName(name)
}
