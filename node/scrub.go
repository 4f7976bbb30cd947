package node

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"concord"
	"concord/bus"
)

// Damaged bytes in a copy of a log are served, or left out, in silence once its node leads. So the owner of the attestor compares all copies of
// every stream with each other, one stream after the other, once in a while (bus.Scrub). What it finds is put where every node sees it, and
// stands in the cluster's warnings until a later look finds nothing.

const (
	scrubName = "node/scrub"
	// scrubLook is how often is looked whether it is time, and how soon what could not be compared is tried again.
	scrubLook = time.Minute
	// scrubAgain divides the interval while damage is known: whoever mended it wants to see that.
	scrubAgain = 24
	// maxScrubDamage bounds what is kept of each look.
	maxScrubDamage = 100
)

// scrubbed says when all copies were compared last, and what was found.
type scrubbed struct {
	Ended  time.Time    `json:"ended"`
	Damage []bus.Damage `json:"damage,omitempty"`
}

// due says whether it is time to look again.
func (s *scrubbed) due(every time.Duration) bool {
	if len(s.Damage) > 0 {
		every /= scrubAgain
	}
	return time.Since(s.Ended) >= every
}

// warnings tell what to do.
func (s *scrubbed) warnings() []string {
	type at struct{ node, stream string }
	count := map[at]int{}
	var order []at
	first := map[at]bus.Damage{}
	for _, d := range s.Damage {
		k := at{d.Node, d.Stream}
		if count[k]++; count[k] == 1 {
			order, first[k] = append(order, k), d
		}
	}
	var list []string
	for _, k := range order {
		d := first[k]
		what := fmt.Sprintf("message %d: %s", d.Seq, concord.Clip(d.What, 100))
		if count[k] > 1 {
			what += fmt.Sprintf(", and %d more", count[k]-1)
		}
		list = append(list, fmt.Sprintf("node %s has a damaged copy of the log %s (%s): while all others run, stop it, look at its disk, run concord rebuild --rejoin there, and start it again",
			k.node, k.stream, what))
	}
	return list
}

func (n *Node) lastScrub(ctx context.Context) (s scrubbed, revision uint64, err error) {
	m, err := n.directory.Get(ctx, scrubName)
	if concord.KindOf(err) == concord.NotFound {
		return s, 0, nil
	}
	if err == nil {
		err = json.Unmarshal(m.Data, &s)
	}
	return s, m.Revision, err
}

// scrubLoop runs beside the attestor, on one node at a time.
func (n *Node) scrubLoop(ctx context.Context) {
	every := n.cfg.Cluster.Scrub
	if every <= 0 || n.cfg.NATS != "" { // servers of the operator's own do not tell their copies apart
		return
	}
	for sleep(ctx, min(scrubLook, every)) == nil {
		if err := n.scrubDue(ctx, every); err != nil && ctx.Err() == nil {
			n.cfg.Logger.Info("copies of logs not compared, they will be later", "error", err)
		}
	}
}

func (n *Node) scrubDue(ctx context.Context, every time.Duration) error {
	last, revision, err := n.lastScrub(ctx)
	if err != nil || !last.due(every) {
		return err
	}
	logs, err := n.bus.Logs(ctx)
	if err != nil {
		return err
	}
	begin := time.Now()
	var now scrubbed
	for _, l := range logs {
		if len(l.Copies) < 2 {
			continue
		}
		damage, err := n.bus.Scrub(ctx, l.Name)
		if err != nil {
			return err
		}
		for _, d := range damage {
			n.cfg.Logger.Error("damaged copy of a log", "log", d.Stream, "node", d.Node, "message", d.Seq, "what", d.What)
		}
		now.Damage = append(now.Damage, damage...)
	}
	now.Ended, now.Damage = time.Now(), now.Damage[:min(len(now.Damage), maxScrubDamage)]
	n.cfg.Logger.Info("copies of all logs compared", "logs", len(logs), "damaged", len(now.Damage), "took", time.Since(begin).Round(time.Millisecond))
	data, err := json.Marshal(now)
	if err == nil {
		_, err = n.directory.Put(ctx, scrubName, data, revision)
	}
	return err
}
