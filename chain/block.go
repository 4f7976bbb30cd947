package chain

import (
	"fmt"
	"sort"
	"time"

	"concord"
	"concord/ledger"
)

// Block returns where the entries of the block at a height lie. NotFound for a height without entries: empty blocks have none.
func (c *Chain) Block(height int64) (concord.LedgerBlock, error) {
	m := c.machine.Load()
	first, err := c.firstAt(height, m.Size())
	if err != nil {
		return concord.LedgerBlock{}, err
	}
	end, err := c.firstAt(height+1, m.Size())
	if err != nil {
		return concord.LedgerBlock{}, err
	}
	if first == end {
		return concord.LedgerBlock{}, concord.Errorf(concord.NotFound, "no entry of the log is of block %d: the chain is at height %d, and blocks without transactions have no entries", height, m.Height())
	}
	b := concord.LedgerBlock{Height: height, First: first, Count: end - first}
	raw, err := c.store.entries(first, 1)
	if err != nil {
		return b, err
	}
	b.NotBefore = raw[0].time
	b.NotAfter, err = c.nextTime(height, end, m)
	return b, err
}

// firstAt returns the index of the first entry of a block at this height or above; size when there is none. Heights grow with
// the index, so it takes as many reads as the size has bits.
func (c *Chain) firstAt(height int64, size uint64) (uint64, error) {
	var failed error
	i := sort.Search(int(size), func(i int) bool {
		raw, err := c.store.entries(uint64(i), 1)
		if err == nil && len(raw) == 0 {
			err = concord.Errorf(concord.Corrupt, "the log's store has no entry %d", i)
		}
		if err != nil {
			failed = err
			return true
		}
		return raw[0].height >= height
	})
	if failed != nil {
		return 0, fmt.Errorf("find block %d: %w", height, failed)
	}
	return uint64(i), nil
}

// nextTime returns the time of the first block after one that has entries, which the record of the next one with entries has;
// zero: none has come. end is the index after the block's own entries.
func (c *Chain) nextTime(height int64, end uint64, m *ledger.Machine) (time.Time, error) {
	if end >= m.Size() {
		if a := m.State().After; a != nil && a.Height > height {
			return time.Unix(a.Time, 0).UTC(), nil
		}
		return time.Time{}, nil
	}
	raw, err := c.store.entries(end, 1)
	if err != nil {
		return time.Time{}, err
	}
	after, err := c.firstAt(raw[0].height+1, m.Size())
	if err != nil {
		return time.Time{}, err
	}
	if raw, err = c.store.entries(after-1, 1); err != nil {
		return time.Time{}, err
	}
	r, err := ledger.ParseRecord(string(raw[0].data))
	if err != nil {
		return time.Time{}, concord.Errorf(concord.Corrupt, "entry %d: %w", after-1, err)
	}
	if r.After.Height <= height {
		return time.Time{}, nil
	}
	return time.Unix(r.After.Time, 0).UTC(), nil
}
