//go:build linux

package nemesis

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// sweep removes the directories of disk images whose process is gone. All else of a dead process the kernel took away.
func sweep(dir string) error {
	list, err := filepath.Glob(filepath.Join(dir, dirPrefix+"*"))
	if err != nil {
		return err
	}
	for _, path := range list {
		number, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(path), dirPrefix), "-")
		pid, err := strconv.Atoi(number)
		if err != nil || syscall.Kill(pid, 0) == nil {
			continue
		}
		if err := os.RemoveAll(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
