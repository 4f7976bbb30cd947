package node

import (
	"context"
	"errors"
	"time"

	"concord"
)

// endTime bounds the end of a node that was told to stop, which has promised 5 s.
const endTime = 4500 * time.Millisecond

// Serve opens the node, runs it and closes it, again when it grows into a cluster, until ctx ends or a part fails. ready is called each time
// the node serves. When ctx has ended Serve returns within 5 s, even if other nodes do not answer that parts of this one wait for: then the
// process must end, and the next start makes good what was left, as after a kill. Errors: those of Open and of the parts.
func Serve(ctx context.Context, cfg Config, ready func(addr string)) error {
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, cfg, ready) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(endTime):
		cfg.Logger.Warn("not all could be handed over in time; the next start makes it good")
		return nil
	}
}

// errTooFew ends the opening of a member while too few other nodes answer for the cluster to work.
var errTooFew = errors.New("too few nodes of the cluster answer")

// openPause is the wait before what did not open is tried again.
const openPause = time.Second

// whileTooFew opens something of a member's, which may be tried again, until enough other nodes answer. The engine stays open: others may wait
// for this one.
func (n *Node) whileTooFew(ctx context.Context, open func(context.Context) error) error {
	for {
		err := open(ctx)
		if err == nil || !n.clustered() || concord.KindOf(err) != concord.Unavailable || ctx.Err() != nil {
			return err
		}
		n.cfg.Logger.Warn("too few nodes of the cluster answer: trying again", "error", err)
		if sleep(ctx, openPause) != nil {
			return err
		}
	}
}

func serve(ctx context.Context, cfg Config, ready func(addr string)) error {
	for {
		n, err := Open(ctx, cfg)
		if errors.Is(err, errTooFew) && ctx.Err() == nil {
			cfg.Logger.Warn("too few nodes of the cluster answer: trying again", "error", err)
			if sleep(ctx, openPause) == nil {
				continue
			}
		}
		if err != nil {
			if ctx.Err() != nil && (errors.Is(err, context.Canceled) || concord.KindOf(err) == concord.Unavailable) {
				return nil // it was told to stop while it waited, for others say
			}
			return err
		}
		err = n.Run(ctx, ready)
		closeErr := n.Close()
		if !errors.Is(err, errReopen) || closeErr != nil || ctx.Err() != nil {
			if errors.Is(err, errReopen) {
				err = nil
			}
			return errors.Join(err, closeErr)
		}
	}
}
