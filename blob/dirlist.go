package blob

import (
	"context"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"concord"
)

// sumSuffix marks the file that holds the checksum of the one beside it.
const sumSuffix = "+sha256"

// sumLine is the content of a checksum file.
func sumLine(sum concord.Digest, base string) string {
	return hex.EncodeToString(sum[:]) + "  " + base + "\n"
}

// readSum returns the digest that the file at path was put with. Errors: Corrupt when there is none.
func readSum(path string) (concord.Digest, error) {
	data, err := os.ReadFile(path + sumSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return concord.Digest{}, concord.Errorf(concord.Corrupt, "%s lacks its checksum in %s: it was not put by concord, or the checksum was lost",
			path, filepath.Base(path)+sumSuffix)
	}
	if err != nil {
		return concord.Digest{}, err
	}
	sum, err := parseSum(string(data), filepath.Base(path))
	if err != nil {
		return concord.Digest{}, concord.Errorf(concord.Corrupt, "%s: %w", path+sumSuffix, err)
	}
	return sum, nil
}

// parseSum reads what sumLine wrote for the file, and nothing else.
func parseSum(line, base string) (d concord.Digest, err error) {
	digits, rest, _ := strings.Cut(line, "  ")
	b, err := hex.DecodeString(digits)
	if err != nil || len(b) != len(d) || strings.ToLower(digits) != digits || rest != base+"\n" {
		return concord.Digest{}, concord.Errorf(concord.Corrupt, "want a SHA-256 in hex, two spaces and %q", base)
	}
	return concord.Digest(b), nil
}

// List implements concord.Blobs. It holds the names of one directory at a time, and of those above it.
func (d *Directory) List(ctx context.Context, prefix string, yield func(concord.BlobInfo) bool) error {
	_, err := d.list(ctx, "", prefix, yield)
	return fsError("list blobs", err)
}

// list walks what lies below dir, which is "" or ends in '/'. It reports whether to go on.
func (d *Directory) list(ctx context.Context, dir, prefix string, yield func(concord.BlobInfo) bool) (bool, error) {
	entries, err := os.ReadDir(d.file(dir))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	// A directory counts with its '/', since "a-b" comes before "a/b" and "a" before both.
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(entryName(a), entryName(b)) })
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		name := dir + entryName(e)
		if n := min(len(name), len(prefix)); name[:n] != prefix[:n] {
			continue
		}
		if concord.CheckBlobName(dir+e.Name()) != nil {
			continue // a checksum, +tmp, or somebody else's
		}
		if e.IsDir() {
			if more, err := d.list(ctx, name, prefix, yield); err != nil || !more {
				return false, err
			}
			continue
		}
		if !e.Type().IsRegular() || len(name) < len(prefix) {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted since
		}
		if err != nil {
			return false, err
		}
		if !yield(concord.BlobInfo{Name: name, Size: info.Size(), Stored: info.ModTime()}) {
			return false, nil
		}
	}
	return true, nil
}

func entryName(e fs.DirEntry) string {
	if e.IsDir() {
		return e.Name() + "/"
	}
	return e.Name()
}
