//go:build windows

package durable

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"

	"concord"
)

// SyncDir does nothing: the system has no such call and journals its directories.
func SyncDir(string) error { return nil }

// FreeSpace returns the bytes free for this process, and in total, on the volume that holds dir.
func FreeSpace(dir string) (free, total uint64, err error) {
	name, err := windows.UTF16PtrFromString(dir)
	if err == nil {
		err = windows.GetDiskFreeSpaceEx(name, &free, &total, nil)
	}
	if err != nil {
		return 0, 0, concord.Errorf(concord.Internal, "free space of %s: %w", dir, err)
	}
	return free, total, nil
}

// lockFile locks one byte far behind the content, so that the holder's id can be read.
func lockFile(f *os.File) error {
	at := &windows.Overlapped{OffsetHigh: 1}
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, at)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return errLocked
	}
	return err
}
