package game

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Machine describes where a run was made.
func Machine() string {
	cpu := runtime.GOARCH
	if data, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(data)) {
			if rest, ok := strings.CutPrefix(line, "model name"); ok {
				cpu = strings.TrimSpace(strings.TrimLeft(rest, "\t :"))
				break
			}
		}
	}
	var info unix.Sysinfo_t
	var u unix.Utsname
	if unix.Sysinfo(&info) != nil || unix.Uname(&u) != nil {
		return cpu
	}
	const gib = 1 << 30
	memory := (uint64(info.Totalram)*uint64(info.Unit) + gib/2) / gib
	return fmt.Sprintf("%s, %d cores, %d GiB, Linux %s", cpu, runtime.NumCPU(), memory, unix.ByteSliceToString(u.Release[:]))
}

// loadAverage is the number of processes that wanted a processor during the last minute, 0 where it is not known.
func loadAverage() (load float64) {
	if data, err := os.ReadFile("/proc/loadavg"); err == nil {
		fmt.Sscan(string(data), &load)
	}
	return load
}
