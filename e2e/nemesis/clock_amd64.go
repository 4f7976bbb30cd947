//go:build linux

package nemesis

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

// clockCode is what replaces the vDSO's clock_gettime: the system call, and for CLOCK_REALTIME an offset added to what it gives.
//
//	mov  $228, %eax         SYS_clock_gettime; clock and place of the answer are where the caller put them
//	syscall
//	test %edi, %edi         CLOCK_REALTIME is 0
//	jne  end
//	movabs $offset, %rcx    seconds
//	add  %rcx, (%rsi)
//	end: ret
var clockCode = []byte{0xb8, 0xe4, 0, 0, 0, 0x0f, 0x05, 0x85, 0xff, 0x75, 0x0d, 0x48, 0xb9, 0, 0, 0, 0, 0, 0, 0, 0, 0x48, 0x01, 0x0e, 0xc3}

const (
	clockOffsetAt = 13        // of the offset's eight bytes in clockCode
	jumpSize      = 5         // a near jump
	maxVDSO       = 256 << 10 // it has two pages or so
)

// SkewClock makes the process's clock of the day wrong by whole seconds, from now until it ends; its monotonic clock stays right, as when a
// machine's time is set. A second call replaces the first. It works on programs that read the clock through the vDSO, as those in Go do.
func (h *Host) SkewClock(by time.Duration) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.pause(); err != nil { // no thread may be in the code that changes
		return err
	}
	return errors.Join(skew(h.proc.cmd.Process.Pid, int64(by/time.Second)), h.signal(syscall.SIGCONT))
}

func skew(pid int, seconds int64) error {
	mem, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer mem.Close()
	begin, end, err := findVDSO(pid)
	if err != nil {
		return err
	}
	image := make([]byte, end-begin)
	if _, err := mem.ReadAt(image, begin); err != nil {
		return fmt.Errorf("read the vDSO of process %d: %w", pid, err)
	}
	entry, err := clockEntry(image)
	if err != nil {
		return err
	}
	// The code goes to the end of the last page, which is empty, or has it from the last time.
	at := len(image) - len(clockCode)
	free := image[at:]
	if !bytes.Equal(free, make([]byte, len(free))) && !bytes.HasPrefix(free, clockCode[:clockOffsetAt]) {
		return fmt.Errorf("the vDSO of process %d has no room for another clock", pid)
	}
	code := bytes.Clone(clockCode)
	binary.LittleEndian.PutUint64(code[clockOffsetAt:], uint64(seconds))
	jump := binary.LittleEndian.AppendUint32([]byte{0xe9}, uint32(int32(at-entry-jumpSize)))
	if _, err := mem.WriteAt(code, begin+int64(at)); err != nil {
		return fmt.Errorf("write the vDSO of process %d: %w", pid, err)
	}
	_, err = mem.WriteAt(jump, begin+int64(entry))
	return err
}

func findVDSO(pid int) (begin, end int64, err error) {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(maps)) {
		if !strings.HasSuffix(strings.TrimSpace(line), "[vdso]") {
			continue
		}
		if _, err := fmt.Sscanf(line, "%x-%x", &begin, &end); err != nil || end <= begin || end-begin > maxVDSO {
			return 0, 0, fmt.Errorf("the vDSO of process %d: %q: %v", pid, line, err)
		}
		return begin, end, nil
	}
	return 0, 0, fmt.Errorf("process %d has no vDSO", pid)
}

// clockEntry is where clock_gettime begins in a vDSO.
func clockEntry(image []byte) (int, error) {
	f, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		return 0, fmt.Errorf("the vDSO: %w", err)
	}
	symbols, err := f.DynamicSymbols()
	if err != nil {
		return 0, fmt.Errorf("the vDSO: %w", err)
	}
	for _, s := range symbols {
		if s.Name == "__vdso_clock_gettime" && s.Value+jumpSize < uint64(len(image)) {
			return int(s.Value), nil
		}
	}
	return 0, errors.New("the vDSO has no clock_gettime")
}
