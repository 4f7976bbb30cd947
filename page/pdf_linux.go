package page

import (
	"bytes"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// isolate puts the child into a process group of its own, and has the end of its context kill the whole group.
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}

// limitProcess bounds this process: address space beyond what is mapped already (a Go program reserves hundreds of
// megabytes it never touches), processor time, and no files, core dumps or writes to disk.
func limitProcess(memoryBytes, cpuSeconds uint64) error {
	mapped, err := mappedBytes()
	if err != nil {
		return err
	}
	for _, l := range []struct {
		resource int
		max      uint64
	}{
		{unix.RLIMIT_AS, mapped + memoryBytes + threadBytes},
		{unix.RLIMIT_CPU, cpuSeconds},
		{unix.RLIMIT_CORE, 0},
		{unix.RLIMIT_FSIZE, 0},
	} {
		if err := unix.Setrlimit(l.resource, &unix.Rlimit{Cur: l.max, Max: l.max}); err != nil {
			return err
		}
	}
	return nil
}

// threadBytes is room for the heap arena being filled when the limit is set, and for stacks of late threads.
const threadBytes = 128 << 20

// mappedBytes returns the address space this process has mapped.
func mappedBytes() (uint64, error) {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	first, _, _ := bytes.Cut(b, []byte(" "))
	pages, err := strconv.ParseUint(string(first), 10, 64)
	if err != nil {
		return 0, err
	}
	return pages * uint64(os.Getpagesize()), nil
}
