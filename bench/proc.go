package main

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"concord/bench/game"
)

// usage is what a process and its children used.
type usage struct {
	CPU  time.Duration // user and system
	Peak int64         // largest sum of their resident sets, bytes
}

// sampleEvery is how often memory is looked at. A peak that is shorter may be missed.
const sampleEvery = 50 * time.Millisecond

// meter follows a process and its children.
type meter struct {
	cmd  *exec.Cmd
	stop chan struct{}
	peak chan int64
}

// follow begins to watch a process that was just started.
func follow(cmd *exec.Cmd) *meter {
	m := &meter{cmd, make(chan struct{}), make(chan int64)}
	go func() {
		var peak int64
		tick := time.NewTicker(sampleEvery)
		defer tick.Stop()
		for {
			select {
			case <-m.stop:
				m.peak <- peak
				return
			case <-tick.C:
				peak = max(peak, treeResident(cmd.Process.Pid))
			}
		}
	}()
	return m
}

// wait waits for the process to end. The peak is not rusage's, which also counts the process that it was forked from.
func (m *meter) wait() (usage, error) {
	err := m.cmd.Wait()
	close(m.stop)
	s := m.cmd.ProcessState
	return usage{CPU: s.UserTime() + s.SystemTime(), Peak: <-m.peak}, err
}

// treeResident sums the resident sets of a process and its descendants.
func treeResident(pid int) int64 {
	r, err := residentOf(pid)
	if err != nil {
		return 0 // it ended
	}
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	sum := r.RSS
	for _, f := range strings.Fields(string(children)) {
		if child, err := strconv.Atoi(f); err == nil {
			sum += treeResident(child)
		}
	}
	return sum
}

// resident is how much memory a process has now, bytes.
type resident struct {
	RSS  int64 `json:"rss"`
	Anon int64 `json:"anon"` // its own
	File int64 `json:"file"` // mapped files: the kernel takes these pages back when it needs them
}

func residentOf(pid int) (r resident, err error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return r, err
	}
	defer f.Close()
	fields := map[string]*int64{"VmRSS:": &r.RSS, "RssAnon:": &r.Anon, "RssFile:": &r.File}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		w := strings.Fields(lines.Text())
		if len(w) == 3 && fields[w[0]] != nil {
			kb, err := strconv.ParseInt(w[1], 10, 64)
			if err != nil {
				return r, err
			}
			*fields[w[0]] = kb << 10
		}
	}
	return r, lines.Err()
}

// clockTick is the unit of times in /proc: 1/100 s on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

// cpuOf returns the user and system time of a process so far.
func cpuOf(pid int) (time.Duration, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The second field is a name in parentheses that may hold anything; user and system time are the 14th and 15th.
	f := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	if len(f) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat: %q", pid, data)
	}
	user, err := strconv.ParseInt(f[11], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * clockTick, err
}

// diskUse returns the bytes of files under each directory of dir, by name.
func diskUse(dir string) map[string]int64 {
	use := map[string]int64{}
	_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // files come and go while a node runs
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		rel, _ := filepath.Rel(dir, p)
		top, _, nested := strings.Cut(filepath.ToSlash(rel), "/")
		if !nested {
			top = "other"
		}
		use[top] += info.Size()
		return nil
	})
	return use
}

// machine is what the numbers were measured on, and with which versions.
type machine struct {
	CPU      string            `json:"cpu"`
	Cores    int               `json:"cores"`
	Memory   int64             `json:"memory"`
	Kernel   string            `json:"kernel"`
	Versions map[string]string `json:"versions"`
}

func thisMachine(c config) machine {
	m := machine{Cores: runtime.NumCPU(), Versions: map[string]string{"go": runtime.Version()}}
	m.CPU = game.Field("/proc/cpuinfo", "model name")
	if kb, err := strconv.ParseInt(strings.TrimSuffix(game.Field("/proc/meminfo", "MemTotal"), " kB"), 10, 64); err == nil {
		m.Memory = kb << 10
	}
	m.Kernel = output("uname", "-sr")
	m.Versions["concord"] = output(c.bin, "version") + ", revision " + revision()
	return m
}

func output(name string, args ...string) string {
	out, _ := exec.Command(name, args...).Output()
	first, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(first)
}

func revision() string { return output("git", "rev-parse", "--short", "HEAD") }
