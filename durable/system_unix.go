//go:build linux || darwin || freebsd

package durable

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"concord"
)

// SyncDir makes the entries of a directory permanent: files created, renamed and removed in it.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// FreeSpace returns the bytes free for this process, and in total, on the file system that holds dir.
func FreeSpace(dir string) (free, total uint64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, 0, concord.Errorf(concord.Internal, "free space of %s: %w", dir, err)
	}
	return uint64(s.Bavail) * uint64(s.Bsize), s.Blocks * uint64(s.Bsize), nil
}

func lockFile(f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EWOULDBLOCK):
			return errLocked
		}
		return err
	}
}
