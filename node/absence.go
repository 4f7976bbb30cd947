package node

import (
	"context"
	"log/slog"
	"time"

	"concord"
)

// absencePause is the time between two looks whether the ledger is back.
const absencePause = time.Second

// acrossAbsence runs an attestor, and runs it again after it ended because the ledger was away: the attestor waits for the ledger with a
// batch in hand, but not before it has one, and its error would end a node that has nothing wrong. It returns what run returned last.
func acrossAbsence(ctx context.Context, l ledgerReader, operator string, log *slog.Logger, run func(context.Context) error) error {
	for {
		err := run(ctx)
		if err == nil || ctx.Err() != nil || concord.KindOf(err) != concord.Unavailable {
			return err
		}
		log.Warn("attesting waits until the ledger is back", "reason", err)
		for away := true; away; {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(absencePause):
			}
			_, _, err := l.Next(operator)
			away = concord.KindOf(err) == concord.Unavailable
		}
	}
}
