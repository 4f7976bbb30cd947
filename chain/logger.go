package chain

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/cometbft/cometbft/libs/log"
	"github.com/cometbft/cometbft/p2p"

	"concord"
)

type nodeKey = p2p.NodeKey

// consensusFailure is what CometBFT logs when consensus has ended by a panic; the process lives on without it, and nothing
// else tells.
const consensusFailure = "CONSENSUS FAILURE!!!"

// fetchFailure is what CometBFT logs of a block that it fetched, with the commit that decided it, and does not take.
const fetchFailure = "Error in validation"

// logger passes CometBFT's messages on, two levels quieter: what it calls information is for debugging, and most of its
// errors are about peers that went away.
type logger struct {
	c  *Chain
	to *slog.Logger
}

var _ log.Logger = logger{}

func (l logger) Debug(string, ...any)       { /* several for each message between peers */ }
func (l logger) Info(msg string, kv ...any) { l.log(slog.LevelDebug, msg, kv) }
func (l logger) Warn(msg string, kv ...any) { l.log(slog.LevelDebug, msg, kv) }
func (l logger) With(kv ...any) log.Logger  { return logger{l.c, l.to.With(kv...)} }
func (l logger) log(at slog.Level, m string, kv []any) {
	if l.to.Enabled(context.Background(), at) {
		l.to.Log(context.Background(), at, m, kv...)
	}
}

func (l logger) Error(msg string, kv ...any) {
	ended := strings.Contains(msg, consensusFailure)
	if ended || msg == fetchFailure {
		reason := failureReason(kv)
		if at, ok := aheadOfClock(reason); ok {
			select {
			case l.c.late <- at:
			default:
			}
			return
		}
		if ended {
			l.c.fail(concord.Errorf(concord.Internal, "consensus failed: %s", reason))
			return
		}
	}
	l.log(slog.LevelDebug, msg, kv)
}

func failureReason(kv []any) string {
	for i := 0; i+1 < len(kv); i += 2 {
		if kv[i] == "err" {
			return concord.Clip(fmt.Sprint(kv[i+1]), 500)
		}
	}
	return "no reason given"
}
