package attest

import "time"

// ampleBatch is how many captures are worth a transaction of their own: each then costs the ledger 45 to 90 bytes.
const ampleBatch = 100

// window says how long a batch stays open. Each batch takes as much of the ledger as any other, however few captures are in it, so:
//
//   - A batch closes least after its first capture when it is ample by then, when somebody asks for a receipt of one of its captures, and
//     when it is the first after a pause of more than most.
//   - Otherwise it stays open until one of the two happens, and at most twice as long as the batch before could, up to most.
//
// It has no clock: it is told what time it is.
type window struct {
	least, most time.Duration
	ample       int

	long   time.Duration // how long the open batch may stay open; before it opens: the next one
	opened time.Time     // first capture of the open batch
	newest time.Time     // last capture of all
	asked  bool          // somebody waits for the open batch
}

func newWindow(cfg *Config) window {
	return window{least: cfg.Window, most: max(cfg.Window, cfg.MaxWindow), ample: min(ampleBatch, cfg.MaxBatch), long: cfg.Window}
}

// take counts in a capture. With first set it opens a batch.
func (w *window) take(now time.Time, first bool) {
	if first {
		if now.Sub(w.newest) > w.most {
			w.long = w.least
		}
		w.opened, w.asked = now, false
	}
	w.newest = now
}

// left is for how long the open batch, of count captures, stays open as things are; not positive: it is to be closed.
func (w *window) left(now time.Time, count int) time.Duration {
	long := w.long
	if w.asked || count >= w.ample {
		long = w.least
	}
	return long - now.Sub(w.opened)
}

// close ends a batch of count captures.
func (w *window) close(count int) {
	if count < w.ample {
		w.long = min(2*w.long, w.most)
	}
}
