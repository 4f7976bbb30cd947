package shard

import (
	"fmt"
	"time"

	"concord/trace"
)

// traced is a staged capture whose life is recorded.
type traced struct {
	page    *trace.Page
	arrived time.Time
}

// trace records that captures are committed here, in a commit that began then. A message that a crash lets come twice is the same span twice.
func (s *Shard) trace(list []traced, begun time.Time) {
	if len(list) == 0 {
		return
	}
	now, where := time.Now(), fmt.Sprintf("shard %d", s.cfg.Shard)
	if s.cfg.Node != "" {
		where += " on " + s.cfg.Node
	}
	for _, t := range list {
		t.page.Stage(trace.Applied, where, t.arrived, begun)
		t.page.Stage(trace.Commit, where, begun, now)
	}
}
