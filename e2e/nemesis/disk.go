//go:build linux

package nemesis

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"concord/durable"

	"golang.org/x/sys/unix"
)

const (
	minDisk = 16 << 20
	// ext4Shutdown is EXT4_IOC_SHUTDOWN, _IOR('X', 125, __u32), and noLogFlush the flag that makes it forget what is not on the disk.
	ext4Shutdown = 0x8004587d
	noLogFlush   = 2
	unmountLimit = 10 * time.Second // the last of a killed process's files are closed a moment after its end
	fillerName   = "filler"
)

// makeDisk gives the host a file system of its own. Its image is sparse: a disk takes the room that is used of it.
func (h *Host) makeDisk(size int64) error {
	h.disk = filepath.Join(h.net.dir, h.Name+".ext4")
	f, err := os.Create(h.disk)
	if err != nil {
		return err
	}
	err = errors.Join(f.Truncate(max(size, minDisk)), f.Close())
	if err != nil {
		return err
	}
	// Nothing is reserved for root, who runs the tests; lazy initialisation would write behind their back.
	cmd := exec.Command("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0", h.disk)
	if out, err := h.net.starter.output(cmd); err != nil {
		return fmt.Errorf("mkfs.ext4: %w: %s", err, strings.TrimSpace(out))
	}
	return h.mount()
}

func (h *Host) mount() error {
	return h.space.run("", "mount", "-o", "loop,noatime", h.disk, h.net.mountPoint())
}

// Disk is the directory of the host's disk as processes on the host see it.
func (h *Host) Disk() string { return h.net.mountPoint() }

// Path is where a file of the host, given by its absolute path there, is to be found from outside. It is good while the Net is.
func (h *Host) Path(path string) string { return h.space.proc("root" + path) }

func (h *Host) filler() string { return h.Path(filepath.Join(h.Disk(), fillerName)) }

// FillDisk takes the space of the host's disk away until only so many bytes are free.
func (h *Host) FillDisk(leave int64) error {
	f, err := os.OpenFile(h.filler(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		free, err := h.FreeSpace()
		if err != nil || free <= leave {
			return err
		}
		info, err := f.Stat()
		if err != nil {
			return err
		}
		take := free - leave
		err = unix.Fallocate(int(f.Fd()), 0, info.Size(), take)
		for errors.Is(err, unix.ENOSPC) && take > 4096 { // somebody else was quicker
			take /= 2
			err = unix.Fallocate(int(f.Fd()), 0, info.Size(), take)
		}
		if errors.Is(err, unix.ENOSPC) {
			return nil
		} else if err != nil {
			return fmt.Errorf("fill the disk of %s: %w", h.Name, err)
		}
	}
}

// FreeDisk gives back what FillDisk took, for good: a power cut does not bring it back.
func (h *Host) FreeDisk() error {
	if err := os.Remove(h.filler()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return durable.SyncDir(h.Path(h.Disk()))
}

// FreeSpace is how many bytes of the host's disk are free.
func (h *Host) FreeSpace() (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(h.Path(h.Disk()), &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * s.Bsize, nil
}

// PowerCut cuts the power of hosts at one moment: what they wrote and did not sync is lost, and their processes end without another word.
// The disks are there again when it returns; Start runs the next process on each.
func PowerCut(hosts ...*Host) error {
	for _, h := range hosts {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.disk == "" {
			return fmt.Errorf("%s has no disk to forget", h.Name)
		}
	}
	// All stand still before the first disk goes, so that none sees another's end, nor an error of its own disk.
	for _, h := range hosts {
		if err := h.pause(); err != nil && !errors.Is(err, errNotRunning) {
			return err
		}
	}
	for _, h := range hosts {
		if err := h.shutDown(); err != nil {
			return fmt.Errorf("shut the disk of %s down: %w", h.Name, err)
		}
	}
	for _, h := range hosts {
		if err := errors.Join(h.kill(), h.unmount(), h.mount()); err != nil {
			return fmt.Errorf("after the power cut of %s: %w", h.Name, err)
		}
	}
	return nil
}

func (h *Host) shutDown() error {
	d, err := os.Open(h.Path(h.Disk()))
	if err != nil {
		return err
	}
	defer d.Close()
	return unix.IoctlSetPointerInt(int(d.Fd()), ext4Shutdown, noLogFlush)
}

func (h *Host) unmount() error {
	for deadline := time.Now().Add(unmountLimit); ; time.Sleep(5 * time.Millisecond) {
		err := h.space.run("", "umount", h.net.mountPoint())
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

// Flip is one bit that was changed.
type Flip struct {
	File   string // path under the directory searched
	Offset int64
	Bit    uint8
}

func (f Flip) String() string { return fmt.Sprintf("bit %d of byte %d of %s", f.Bit, f.Offset, f.File) }

// FlipBit changes one bit in one of the files under dir, a path on the host, whose path below dir matches pattern (path.Match, tried on
// the whole path and on the file's name). rng chooses file and place; empty files are left out. The page cache sees the change too, as it would
// after a restart; the file's times stay. Errors: fs.ErrNotExist when no file matches.
func (h *Host) FlipBit(rng *rand.Rand, dir, pattern string) (Flip, error) {
	root := h.Path(dir)
	var files []string
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		whole, err := filepath.Match(pattern, rel)
		if err != nil {
			return err
		}
		if name, _ := filepath.Match(pattern, d.Name()); whole || name {
			if info, err := d.Info(); err == nil && info.Size() > 0 {
				files = append(files, rel)
			}
		}
		return nil
	})
	if err != nil {
		return Flip{}, err
	}
	if len(files) == 0 {
		return Flip{}, fmt.Errorf("no file under %s of %s matches %q: %w", dir, h.Name, pattern, fs.ErrNotExist)
	}
	flip := Flip{File: files[rng.IntN(len(files))], Bit: uint8(rng.IntN(8))}
	return flip, flip.apply(root, rng)
}

func (f *Flip) apply(root string, rng *rand.Rand) error {
	file, err := os.OpenFile(filepath.Join(root, f.File), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	f.Offset = rng.Int64N(info.Size())
	b := make([]byte, 1)
	if _, err := file.ReadAt(b, f.Offset); err != nil {
		return err
	}
	b[0] ^= 1 << f.Bit
	if _, err := file.WriteAt(b, f.Offset); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	return os.Chtimes(file.Name(), time.Time{}, info.ModTime())
}
