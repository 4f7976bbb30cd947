package node

import (
	"context"
	"os"
	"sync"
	"time"

	"concord"

	"github.com/cockroachdb/pebble/v2"
)

// mendAgain is how soon a state that was made anew may be found damaged again without ending the node: a disk that spoils what was just written
// is not to be worked with.
const mendAgain = 10 * time.Minute

// mended runs a partition whose state is in dir. When that proves damaged, it is deleted and the partition begins with what is saved, as the
// next owner would.
func (n *Node) mended(ctx context.Context, name, dir string, run func() error) error {
	if !n.clustered() {
		return run()
	}
	for {
		err := run()
		if ctx.Err() != nil || !damagedState(err) || !n.mends.allow(name) {
			return err
		}
		n.cfg.Logger.Error("the state of a partition is damaged here, it is loaded anew", "partition", name, "dir", dir, "error", err)
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
}

// damagedState says whether an error means damaged files.
func damagedState(err error) bool {
	return err != nil && (concord.KindOf(err) == concord.Corrupt || pebble.IsCorruptionError(err))
}

// mends remembers when states were made anew.
type mends struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// allow says whether a state may be made anew, and remembers that it is.
func (m *mends) allow(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if last, before := m.last[name]; before && time.Since(last) < mendAgain {
		return false
	}
	if m.last == nil {
		m.last = map[string]time.Time{}
	}
	m.last[name] = time.Now()
	return true
}
