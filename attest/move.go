package attest

import (
	"context"
	"fmt"

	"concord/state"

	"github.com/cockroachdb/pebble/v2"
)

// Checkpoint makes dir, which must not exist, hold the attestor's store as it is now, batches that are on their way to the ledger included,
// and returns a position that it reaches at least. The attestor goes on. It implements state.Source.
func (a *Attestor) Checkpoint(ctx context.Context, dir string) (position uint64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if position, err = a.store.position(); err == nil {
		err = state.CheckpointPebble(a.store.db, dir)
	}
	if err != nil {
		return 0, fmt.Errorf("checkpoint of the attestor: %w", err)
	}
	return position, nil
}

// Peek says where the attestor's state in a directory stands that nobody has open. It implements state.Peek. The state is not a pure fold
// of the log: salts are drawn and attestations signed, so only the line that was saved last may go on. Errors: NotFound when there is
// none, Corrupt.
func Peek(dir string) (state.Local, error) {
	return state.PeekPebble(dir, func(db *pebble.DB) (state.Local, error) {
		s := &store{db}
		position, err := s.position()
		if err != nil {
			return state.Local{}, err
		}
		fence, err := s.fence()
		return state.Local{Position: position, Fence: fence}, err
	})
}
