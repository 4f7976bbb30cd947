package durable

import (
	"errors"
	"io"
	"os"
	"strconv"
	"strings"

	"concord"
)

// errLocked is what lockFile returns when another process, or another Lock of this one, holds the lock.
var errLocked = errors.New("locked")

// Lock takes the exclusive lock whose file is at path, and returns the function that gives it back. The system gives it
// back when the process ends in any way. When it is taken, the error is of kind Conflict and names the process that
// holds it. The file stays: removing it would let two processes hold locks of the same name.
func Lock(path string) (unlock func() error, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, concord.Errorf(concord.Internal, "lock: %w", err)
	}
	if err := lockFile(f); err != nil {
		defer f.Close()
		if !errors.Is(err, errLocked) {
			return nil, concord.Errorf(concord.Internal, "lock %s: %w", path, err)
		}
		return nil, concord.Errorf(concord.Conflict, "lock %s: process %s holds it", path, holder(f))
	}
	if err := writeHolder(f); err != nil {
		f.Close()
		return nil, concord.Errorf(concord.Internal, "lock %s: %w", path, err)
	}
	return f.Close, nil
}

func writeHolder(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// holder returns the process id that the holder of the lock wrote.
func holder(f *os.File) string {
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 20))
	pid := strings.TrimSpace(string(b))
	if _, bad := strconv.Atoi(pid); err != nil || bad != nil {
		return "(not yet known)"
	}
	return pid
}
