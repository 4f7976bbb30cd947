//go:build unix

package durable

import (
	"os"

	"golang.org/x/sys/unix"
)

func mapFile(f *os.File, size int) ([]byte, func([]byte) error, error) {
	b, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	return b, unix.Munmap, err
}

func advise(b []byte, scattered bool) {
	advice := unix.MADV_NORMAL
	if scattered {
		advice = unix.MADV_RANDOM
	}
	_ = unix.Madvise(b, advice) // a system that does not take it is slower, no more
}

func ahead(b []byte) { _ = unix.Madvise(b, unix.MADV_WILLNEED) }
