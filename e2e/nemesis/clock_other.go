//go:build linux && !amd64

package nemesis

import (
	"fmt"
	"time"
)

// SkewClock is there for x86-64 only. Errors: ErrMissing.
func (h *Host) SkewClock(time.Duration) error {
	return fmt.Errorf("%w: the clock of a process can be made wrong on x86-64 only", ErrMissing)
}
