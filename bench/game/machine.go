package game

import (
	"cmp"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Machine describes where a run was made.
func Machine() string {
	cpu := cmp.Or(Field("/proc/cpuinfo", "model name"), runtime.GOARCH)
	var info unix.Sysinfo_t
	var u unix.Utsname
	if unix.Sysinfo(&info) != nil || unix.Uname(&u) != nil {
		return cpu
	}
	const gib = 1 << 30
	memory := (uint64(info.Totalram)*uint64(info.Unit) + gib/2) / gib
	return fmt.Sprintf("%s, %d cores, %d GiB, Linux %s", cpu, runtime.NumCPU(), memory, unix.ByteSliceToString(u.Release[:]))
}

// Field returns the value of the first "key : value" line of a file, as those of /proc are; nothing where there is none.
func Field(file, key string) string {
	data, _ := os.ReadFile(file)
	for l := range strings.Lines(string(data)) {
		if k, v, ok := strings.Cut(l, ":"); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// BusyTime is how long all processors together have worked since the machine started, for whomever; 0 where it is not known.
func BusyTime() time.Duration {
	data, _ := os.ReadFile("/proc/stat")
	first, _, _ := strings.Cut(string(data), "\n")
	var busy int64
	for i, f := range strings.Fields(first) {
		const idle, wait, guest = 4, 5, 9 // fields that are no work, or counted before
		if n, err := strconv.ParseInt(f, 10, 64); err == nil && i != idle && i != wait && i < guest {
			busy += n
		}
	}
	const tick = 10 * time.Millisecond // the unit on every Linux that Go runs on
	return time.Duration(busy) * tick
}

// BusyBefore waits for two seconds and returns how many processors worked meanwhile.
func BusyBefore() float64 {
	const look = 2 * time.Second
	busy := BusyTime()
	time.Sleep(look)
	return (BusyTime() - busy).Seconds() / look.Seconds()
}
