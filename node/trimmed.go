package node

import (
	"errors"
	"fmt"
	"io/fs"

	"concord"
	"concord/durable"
)

// trimmed says, for each shard, up to which message the captures log was given back. Who follows the log and stands
// before that has lost what it had committed, and would miss the messages in between without knowing.
type trimmed []uint64

// loadTrimmed reads what save wrote; a node that never trimmed has no file.
func loadTrimmed(path string) (trimmed, error) {
	var t trimmed
	err := durable.ReadJSON(path, &t)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case concord.KindOf(err) == concord.Corrupt:
		return nil, fmt.Errorf("%w; %s", err, makeAgain)
	}
	return t, err
}

func (t trimmed) save(path string) error {
	return durable.WriteJSON(path, 0o600, t)
}

func (t trimmed) upTo(shard int) uint64 {
	if shard >= len(t) {
		return 0
	}
	return t[shard]
}

// covered refuses a shard whose state is older than what the log still has.
func (t trimmed) covered(shard int, position uint64) error {
	if position >= t.upTo(shard) {
		return nil
	}
	return concord.Errorf(concord.Corrupt, "the state of shard %d ends at message %d, but its log begins after %d: files of the shard are lost, damaged or old: put them back, or %s",
		shard, position, t.upTo(shard), makeAgain)
}

// covers refuses an attestor whose state is older than what the logs of the shards still have.
func (t trimmed) covers(position uint64, shards int) error {
	for i := range shards {
		if position < t.upTo(i) {
			return concord.Errorf(concord.Corrupt, "the attestor's state ends at message %d, but the log begins after %d: its files are lost, damaged or old: put them back, or %s",
				position, t.upTo(i), makeAgain)
		}
	}
	return nil
}
