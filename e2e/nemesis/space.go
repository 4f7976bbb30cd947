//go:build linux

package nemesis

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// space is a network and a mount namespace, held by a process that does nothing and ends with this one.
type space struct {
	starter *starter
	holder  *exec.Cmd
	stdin   io.Closer // the holder ends when it is closed
	net     *os.File
}

// newSpace makes the namespaces. Mounts made in them are seen nowhere else.
func newSpace(s *starter) (*space, error) {
	cmd := exec.Command("unshare", "--net", "--mount", "--propagation", "private", "--", "sh", "-c", "echo ready; exec cat")
	var says strings.Builder
	cmd.Stderr = &says
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.start(cmd); err != nil {
		return nil, err
	}
	sp := &space{starter: s, holder: cmd, stdin: stdin}
	if line, _ := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		sp.close()
		return nil, fmt.Errorf("unshare: %s", strings.TrimSpace(says.String()))
	}
	if sp.net, err = os.Open(sp.proc("ns/net")); err != nil {
		sp.close()
		return nil, err
	}
	return sp, nil
}

func (s *space) pid() string { return strconv.Itoa(s.holder.Process.Pid) }

// proc is a path under the holder's /proc directory; proc("root/…") is a file as the space sees it.
func (s *space) proc(path string) string { return "/proc/" + s.pid() + "/" + path }

// command is a command to run in the space.
func (s *space) command(name string, args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"--target", s.pid(), "--net", "--mount", "--", name}, args...)...)
}

// run executes a command in the space, with input on its standard input.
func (s *space) run(input, name string, args ...string) error {
	cmd := s.command(name, args...)
	cmd.Stdin = strings.NewReader(input)
	out, err := s.starter.output(cmd)
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(out))
	}
	return nil
}

// ip runs one line for each of the ip program's commands, all in the space.
func (s *space) ip(lines ...string) error {
	return s.run(strings.Join(lines, "\n")+"\n", "ip", "-batch", "-")
}

// enter calls f on a thread that is in the space's network, so that the sockets f makes belong there for good.
func (s *space) enter(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // a thread that cannot go home is not unlocked, and ends with this goroutine
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			done <- err
			return
		}
		defer home.Close()
		if err := unix.Setns(int(s.net.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("enter a network namespace: %w", err)
			return
		}
		err = f()
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// close lets the holder go. What runs in the space must have ended.
func (s *space) close() {
	if s.net != nil {
		_ = s.net.Close()
	}
	_ = s.stdin.Close()
	_ = s.holder.Wait()
}

// starter starts processes that are killed when this one dies. The kernel sends that signal when the thread dies that started them, so there
// is one thread for it, which lives as long as the Net.
type starter struct {
	work chan func()
	done chan struct{}
}

func newStarter() *starter {
	s := &starter{make(chan func()), make(chan struct{})}
	go func() {
		runtime.LockOSThread()
		defer close(s.done)
		for f := range s.work {
			f()
		}
		runtime.UnlockOSThread()
	}()
	return s
}

func (s *starter) start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	started := make(chan error)
	s.work <- func() { started <- cmd.Start() }
	return <-started
}

// output runs a command to its end and returns what it printed.
func (s *starter) output(cmd *exec.Cmd) (string, error) {
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	err := s.start(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	return out.String(), err
}

func (s *starter) close() {
	close(s.work)
	<-s.done
}
