package game

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"concord"
)

// Child is a server of the game in a process of its own. It is for one goroutine, which should be locked to its thread.
//
// Its pipes are read and written with plain blocking system calls: going through the runtime's poller would add to each
// round trip as much as the fastest queries take.
type Child struct {
	cmd    *exec.Cmd
	in     *os.File
	out    *os.File
	buf    []byte
	unread []byte
	errors tail
}

// closeGrace is how long a server may take to end after its input has.
const closeGrace = 10 * time.Second

// StartChild starts argv, whose process ends at the latest when ctx does.
func StartChild(ctx context.Context, argv ...string) (*Child, error) {
	c := &Child{cmd: exec.CommandContext(ctx, argv[0], argv[1:]...), buf: make([]byte, 1<<20)}
	stdin, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	out, stdout, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, stdin.Close(), in.Close())
	}
	c.in, c.out = in, out
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = stdin, stdout, &c.errors
	c.cmd.WaitDelay = closeGrace
	err = c.cmd.Start()
	stdin.Close()
	stdout.Close()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", argv[0], err), in.Close(), out.Close())
	}
	return c, nil
}

// Ask sends a line and returns the answer and the time from before the write to after the read.
func (c *Child) Ask(line string) (answer string, took time.Duration, err error) {
	msg := append([]byte(line), '\n')
	in, out := int(c.in.Fd()), int(c.out.Fd()) // makes them blocking
	c.unread = c.unread[:0]
	began := time.Now()
	if _, err := unix.Write(in, msg); err != nil {
		return "", 0, c.failed(err)
	}
	for {
		n, err := unix.Read(out, c.buf)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return "", 0, c.failed(err)
		case n == 0:
			return "", 0, c.failed(io.ErrUnexpectedEOF)
		}
		if len(c.unread) == 0 && c.buf[n-1] == '\n' { // the common case
			took = time.Since(began)
			return string(c.buf[:n-1]), took, nil
		}
		if c.unread = append(c.unread, c.buf[:n]...); c.buf[n-1] == '\n' {
			took = time.Since(began)
			return string(c.unread[:len(c.unread)-1]), took, nil
		}
	}
}

func (c *Child) failed(err error) error {
	return concord.Errorf(concord.Unavailable, "%s does not answer: %w; it said: %s", c.cmd.Path, err, c.errors.String())
}

// Close ends the server and returns the largest resident set it had, in bytes.
func (c *Child) Close() (peak int64, err error) {
	peak = Peak(c.cmd.Process.Pid)
	err = errors.Join(c.in.Close(), c.cmd.Wait(), c.out.Close())
	if err != nil {
		err = c.failed(err)
	}
	return peakOf(peak, c.cmd.ProcessState), err
}

// tail keeps the end of what a process says on its error output. It is safe for concurrent use.
type tail struct {
	mu   sync.Mutex
	said []byte
}

const tailBytes = 4 << 10

// Write implements io.Writer.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.said = append(t.said, b...); len(t.said) > 2*tailBytes {
		t.said = append(t.said[:0], t.said[len(t.said)-tailBytes:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.said))
}

// ResetPeak makes the largest resident set of this process begin anew, where the system can.
func ResetPeak() { _ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }

// Peak returns the largest resident set of a process that runs, in bytes; 0 where it is not known. What the system says of a child that has ended is at
// least what its parent had when it was started (exec_mmap in Linux' fs/exec.c).
func Peak(pid int) int64 {
	kb, _ := strconv.ParseInt(strings.TrimSuffix(Field(fmt.Sprintf("/proc/%d/status", pid), "VmHWM"), " kB"), 10, 64)
	return kb << 10
}

// peakOf is the peak that was seen of a process that ended, or what the system says where none was.
func peakOf(seen int64, ended *os.ProcessState) int64 {
	if u, ok := ended.SysUsage().(*syscall.Rusage); ok && seen == 0 {
		return u.Maxrss << 10
	}
	return seen
}

// peakEvery is how often a job's memory is looked at. Its end is not seen: what it grew by since the last look is missing.
const peakEvery = 5 * time.Millisecond

// watchPeak looks at a process's memory until it is told that it ended, and returns the last that it saw, if any, or what the system says.
func watchPeak(cmd *exec.Cmd) (ended func() int64) {
	done, peak := make(chan struct{}), make(chan int64)
	go func() {
		tick := time.NewTicker(peakEvery)
		defer tick.Stop()
		var seen int64
		for {
			select {
			case <-tick.C:
				seen = max(seen, Peak(cmd.Process.Pid))
			case <-done:
				peak <- seen
				return
			}
		}
	}()
	return func() int64 {
		close(done)
		return peakOf(<-peak, cmd.ProcessState)
	}
}

// Job runs a process to its end with a file as its input and returns its output, its user and system time and its largest resident set.
func Job(ctx context.Context, stdin string, argv ...string) (out []byte, cpu time.Duration, peak int64, err error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	if stdin != "" {
		f, err := os.Open(stdin)
		if err != nil {
			return nil, 0, 0, err
		}
		defer f.Close()
		cmd.Stdin = f
	}
	var said tail
	cmd.Stderr = &said
	var answer bytes.Buffer
	cmd.Stdout = &answer
	if err := cmd.Start(); err != nil {
		return nil, 0, 0, err
	}
	ended := watchPeak(cmd)
	err = cmd.Wait()
	peak = ended()
	if err != nil {
		return nil, 0, 0, fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, said.String())
	}
	return answer.Bytes(), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), peak, nil
}

// pinned returns the command line that runs argv on one processor, where the system has a way to say so.
func pinned(cpu int, argv []string) []string {
	path, err := exec.LookPath("taskset")
	if err != nil || cpu < 0 || cpu >= runtime.NumCPU() {
		return argv
	}
	return append([]string{path, "-c", fmt.Sprint(cpu)}, argv...)
}

// pin keeps the calling thread, which must be locked, on one processor until the returned function is called. Who asks runs on the
// same processor as who answers: only one of them has something to do, and no processor falls asleep in between, from which it
// would take longer to wake than most queries take.
func pin(cpu int) (unpin func()) {
	var before, only unix.CPUSet
	if cpu < 0 || cpu >= runtime.NumCPU() || unix.SchedGetaffinity(0, &before) != nil {
		return func() {}
	}
	only.Set(cpu)
	if unix.SchedSetaffinity(0, &only) != nil {
		return func() {}
	}
	return func() { _ = unix.SchedSetaffinity(0, &before) }
}
