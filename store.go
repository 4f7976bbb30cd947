package concord

import (
	"context"
	"io"
	"time"
)

// Blobs keeps whole files under names where every node of a cluster can read them: pieces of the archive, and the states of
// partitions. Package blob provides it on a directory and on S3, package bus on the cluster's own machines. It is safe for
// concurrent use.
//
// A name is like a path, "archive/alice-00000.warc.gz": parts of letters, digits, '.', '_' and '-', none of them "." or "..", at most
// MaxBlobName bytes in all. What is under a name never changes: who puts a name again puts the same bytes.
type Blobs interface {
	// Put makes the size bytes of r durable, on as many machines as the store keeps copies, all or nothing: after an error, a kill or a
	// power cut the name has all of the bytes or is not there. Errors: Invalid for a name; Unavailable when a retry may help.
	Put(ctx context.Context, name string, r io.Reader, size int64) error
	// Get opens a blob. Bytes are checked while they are read: who has come to io.EOF has read what was put, damage that no copy can mend
	// ends the reading with Corrupt. Errors: NotFound, Unavailable.
	Get(ctx context.Context, name string) (io.ReadCloser, error)
	// List calls yield with the blobs whose names begin with prefix, in order of their names, until it returns false.
	List(ctx context.Context, prefix string, yield func(BlobInfo) bool) error
	// Delete removes a blob; one that is not there is no error.
	Delete(ctx context.Context, name string) error
}

// BlobInfo is what List tells of a blob.
type BlobInfo struct {
	Name   string
	Size   int64
	Stored time.Time
}

// MaxBlobName bounds the name of a blob, in bytes.
const MaxBlobName = 200

// CheckBlobName says what is wrong with the name of a blob. Errors: Invalid.
func CheckBlobName(name string) error {
	if name == "" || len(name) > MaxBlobName {
		return Errorf(Invalid, "blob name %q: want 1 to %d bytes", Clip(name, 40), MaxBlobName)
	}
	dots := true // the part so far is dots only, or empty
	for i := 0; i <= len(name); i++ {
		if i == len(name) || name[i] == '/' {
			if dots {
				return Errorf(Invalid, "blob name %q has an empty part or one of dots", Clip(name, 40))
			}
			dots = true
			continue
		}
		c := name[i]
		if c != '.' && c != '_' && c != '-' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return Errorf(Invalid, "blob name %q: use letters, digits, '.', '_', '-' and '/'", Clip(name, 40))
		}
		dots = dots && c == '.'
	}
	return nil
}

// Manifests keeps small values under names, each changed by compare-and-set only: the one place where a cluster decides. Package bus
// provides it. It is safe for concurrent use.
type Manifests interface {
	// Get returns the value of a name, as new as the last Put that returned before Get was called, except while the store has just
	// lost its leader: decide by Put, never by what Get says. Errors: NotFound, Unavailable, Corrupt.
	Get(ctx context.Context, name string) (Manifest, error)
	// Put replaces the value of a name that has revision, or makes one that is not there if revision is 0, and returns the new revision,
	// which is larger than any before. Errors: Conflict when the value has another revision, Unavailable when it is not known whether the
	// value was replaced.
	Put(ctx context.Context, name string, data []byte, revision uint64) (uint64, error)
	// Delete removes the value of a name that has revision. Errors: as Put.
	Delete(ctx context.Context, name string, revision uint64) error
	// Watch calls f with the value of every name that begins with prefix, and then with each change, until ctx ends, whose error it
	// returns, or f fails. Of several changes in a short time it may tell only the last. A value that was deleted comes with revision 0.
	Watch(ctx context.Context, prefix string, f func(name string, m Manifest) error) error
}

// Manifest is a value of Manifests.
type Manifest struct {
	Data     []byte
	Revision uint64
}

// MaxManifestBytes bounds a value of Manifests.
const MaxManifestBytes = 1 << 20
