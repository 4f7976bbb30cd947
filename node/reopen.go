package node

import (
	"context"
	"errors"

	"concord"
)

// Serve opens the node, runs it and closes it, again when it grows into a cluster, until ctx ends or a part fails. ready is called each time
// the node serves. Errors: those of Open and of the parts.
func Serve(ctx context.Context, cfg Config, ready func(addr string)) error {
	for {
		n, err := Open(ctx, cfg)
		if err != nil {
			if ctx.Err() != nil && (errors.Is(err, context.Canceled) || concord.KindOf(err) == concord.Unavailable) {
				return nil // it was told to stop while it waited, for others say
			}
			return err
		}
		err = n.Run(ctx, ready)
		closeErr := n.Close()
		if !errors.Is(err, errReopen) || closeErr != nil || ctx.Err() != nil {
			return errors.Join(err, closeErr)
		}
	}
}
