//go:build linux

package nemesis

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// process is what runs on a host.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
	err   error // valid after ended
}

// errNotRunning is the error of what needs a running process.
var errNotRunning = errors.New("no process runs on the host")

// stopLimit is how long SIGTERM may take before it is an error, and how long a stopped process may stay in the kernel.
const stopLimit = 30 * time.Second

// Start runs a program on the host and waits for its first line of standard output, which it returns. Standard error is appended to the file
// log. Errors: that of ctx, the program's end before its first line, and when one runs already.
func (h *Host) Start(ctx context.Context, log, program string, args ...string) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.running() {
		return "", fmt.Errorf("%s runs a process already", h.Name)
	}
	f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return "", err
	}
	p := &process{cmd: h.space.command(program, args...), ended: make(chan struct{})}
	p.cmd.Stderr = f
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		f.Close()
		return "", err
	}
	if err := h.net.starter.start(p.cmd); err != nil {
		f.Close()
		return "", err
	}
	first := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n')
		first <- strings.TrimSpace(line)
		_, _ = io.Copy(io.Discard, out)
		p.err = p.cmd.Wait()
		f.Close()
		close(p.ended)
	}()
	h.proc = p
	select {
	case line := <-first:
		if line == "" {
			<-p.ended
			return "", fmt.Errorf("%s on %s ended (%v) before it was ready; its log ends:\n%s", filepath.Base(program), h.Name, p.err, Tail(log, 20))
		}
		return line, nil
	case <-ctx.Done():
		return "", errors.Join(fmt.Errorf("%s on %s is not ready: %w; its log ends:\n%s", filepath.Base(program), h.Name, ctx.Err(), Tail(log, 20)), h.kill())
	}
}

// Tail returns the last lines of a text file.
func Tail(file string, lines int) string {
	b, _ := os.ReadFile(file)
	l := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(l[max(0, len(l)-lines):], "\n")
}

// Running says whether the host has a process that has not ended.
func (h *Host) Running() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.running()
}

func (h *Host) running() bool {
	if h.proc == nil {
		return false
	}
	select {
	case <-h.proc.ended:
		return false
	default:
		return true
	}
}

// Ended returns a channel that is closed when the host's process ends, for who must notice that it did so by itself.
func (h *Host) Ended() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.proc == nil {
		closed := make(chan struct{})
		close(closed)
		return closed
	}
	return h.proc.ended
}

// PID returns the number of the host's process, 0 when none runs.
func (h *Host) PID() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.running() {
		return 0
	}
	return h.proc.cmd.Process.Pid
}

// Kill ends the process with SIGKILL, whatever it does, and waits for its end. Without a process it does nothing.
func (h *Host) Kill() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.kill()
}

func (h *Host) kill() error {
	if !h.running() {
		return nil
	}
	if err := h.signal(syscall.SIGKILL); err != nil && !errors.Is(err, errNotRunning) {
		return err
	}
	<-h.proc.ended
	return nil
}

func (h *Host) signal(s syscall.Signal) error {
	if !h.running() {
		return errNotRunning
	}
	err := h.proc.cmd.Process.Signal(s)
	if errors.Is(err, os.ErrProcessDone) {
		return errNotRunning
	}
	return err
}

// Terminate ends the process with SIGTERM and returns how long it took. Errors: an exit code other than 0, and a process that does not end.
func (h *Host) Terminate() (time.Duration, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.signal(syscall.SIGTERM); err != nil {
		return 0, err
	}
	start := time.Now()
	select {
	case <-h.proc.ended:
	case <-time.After(stopLimit):
		return time.Since(start), errors.Join(fmt.Errorf("SIGTERM has not ended the process on %s after %v", h.Name, stopLimit), h.kill())
	}
	return time.Since(start), h.proc.err
}

// Pause stops the process (SIGSTOP) until Resume: it keeps its connections and its leases and does nothing. It returns when every thread stands.
func (h *Host) Pause() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.pause()
}

func (h *Host) pause() error {
	if err := h.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	for deadline := time.Now().Add(stopLimit); !standsStill(h.proc.cmd.Process.Pid); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("the process on %s does not stand still", h.Name)
		}
	}
	return nil
}

// standsStill says whether all threads of a process are stopped, or the process is gone.
func standsStill(pid int) bool {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, t := range tasks {
		b, err := os.ReadFile(t)
		if err != nil {
			continue
		}
		// The state follows the name, which is in parentheses and may hold anything.
		_, rest, _ := strings.Cut(string(b[strings.LastIndexByte(string(b), ')')+1:]), " ")
		if !strings.HasPrefix(rest, "T") && !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X") {
			return false
		}
	}
	return true
}

// Resume lets a paused process go on.
func (h *Host) Resume() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.signal(syscall.SIGCONT)
}
