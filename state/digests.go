package state

import (
	"crypto/sha256"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"concord"
	"concord/durable"
)

// digests remembers the SHA-256 of files that did not change since, by their names. A file counts as the same while its size, its time
// of change and its number on the disk are: hard links of one file have all of them, a file in whose place another was put does not.
type digests map[string]digest

type digest struct {
	Size  int64          `json:"size"`
	Time  int64          `json:"time"`  // of the last change, ns
	Inode uint64         `json:"inode"` // 0 where the system has none
	Sum   concord.Digest `json:"sum"`
}

// of returns the digest of a file, from memory when it is the same file.
func (d digests) of(path, name string, info fs.FileInfo) (sum concord.Digest, err error) {
	now := digest{Size: info.Size(), Time: info.ModTime().UnixNano(), Inode: inode(info)}
	if old, ok := d[name]; ok {
		now.Sum = old.Sum
		if old == now {
			return old.Sum, nil
		}
	}
	if now.Sum, err = sumFile(path); err != nil {
		return sum, err
	}
	d[name] = now
	return now.Sum, nil
}

// learn notes the digest of a file that was just written.
func (d digests) learn(path, name string, sum concord.Digest) error {
	info, err := os.Stat(path)
	if err == nil {
		d[name] = digest{info.Size(), info.ModTime().UnixNano(), inode(info), sum}
	}
	return err
}

func sumFile(path string) (sum concord.Digest, err error) {
	f, err := os.Open(path)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return sum, err
	}
	return concord.Digest(h.Sum(nil)), nil
}

// digestsPath is where the digests of a directory's files are kept, beside it.
func digestsPath(dir string) string { return filepath.Clean(dir) + ".digests" }

// loadDigests reads what save wrote. It is a cache: what cannot be read is forgotten.
func loadDigests(dir string) digests {
	d := digests{}
	if err := durable.ReadJSON(digestsPath(dir), &d); err != nil || d == nil {
		return digests{}
	}
	return d
}

// save keeps the digests of these files, forgetting all others.
func (d digests) save(dir string, files []File) error {
	names := make(map[string]bool, len(files))
	for _, f := range files {
		names[f.Name] = true
	}
	for name := range d {
		if !names[name] {
			delete(d, name)
		}
	}
	return durable.WriteJSON(digestsPath(dir), 0o600, d)
}
