package search

import (
	"cmp"
	"slices"
	"time"
)

const (
	// hedgePercentile of the questions are answered before a hedge is sent: the rest costs a twentieth more work.
	hedgePercentile = 95
	// recentAnswers is over how many answers that is measured: few enough to follow a change within seconds of load, enough for six above it.
	recentAnswers = 128
	// firstAnswers are needed before it counts; until then firstHedge does.
	firstAnswers = 16
	firstHedge   = 50 * time.Millisecond
	// minHedge is the least wait: a question between two nodes takes about half a millisecond, and one less is won by chance alone.
	minHedge = 2 * time.Millisecond
	// maxHedge leaves the hedge most of DefaultTimeout.
	maxHedge = time.Second
	// minSilence is how long nothing at all comes from a copy, at least, until it counts as failed: longer than a busy process stands still.
	minSilence = 100 * time.Millisecond

	// hedgeShare of the calls may be hedged in the long run, and hedgeBurst at once: what one node has in hand when it dies.
	hedgeShare = 0.1
	hedgeBurst = 20

	// minPenalty is how long a copy that failed is asked after the others, at first. Each trouble that follows without an answer between
	// doubles it.
	minPenalty = 250 * time.Millisecond
	// slowPenalty times the wait for a hedge is that of a copy that lost to one: no further round of the same query waits for it, and one
	// that was slow by chance, as one in twenty is, is soon back.
	slowPenalty = 4
	// maxPenalty bounds it: so often one question finds out whether the copy is well again, and waits for a hedge if it is not.
	maxPenalty = 30 * time.Second

	// maxKnownCopies bounds the nodes remembered that no longer have a copy.
	maxKnownCopies = 64
)

// latencies are how long the last answers took.
type latencies struct {
	ring  [recentAnswers]time.Duration
	count int // added in all
	after time.Duration
}

func (l *latencies) add(d time.Duration) {
	l.ring[l.count%recentAnswers] = d
	l.count++
	if l.count < firstAnswers || l.count > recentAnswers && l.count%8 != 0 { // sorting takes microseconds, still not each time
		return
	}
	sorted := l.ring
	recent := sorted[:min(l.count, recentAnswers)]
	slices.Sort(recent)
	l.after = min(max(recent[len(recent)*hedgePercentile/100], minHedge), maxHedge)
}

// hedgeAfter returns how long to wait for an answer before another copy is asked.
func (l *latencies) hedgeAfter() time.Duration { return cmp.Or(l.after, firstHedge) }

// budget says how many hedges may still be sent. Each call earns a part of one.
type budget struct{ left float64 }

func (b *budget) earn() { b.left = min(b.left+hedgeShare, hedgeBurst) }

func (b *budget) spend() bool {
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}

// health is how a copy behaved. One that failed, or was slower than a hedge sent after it, is asked after the others for a while. Then
// one call asks it in its place again, while others still do not: it has its place back when it answers that, or else waits twice as
// long.
type health struct {
	counts   CopyCounts
	heard    time.Time     // last sign of life
	troubled time.Time     // when it was last found to be in trouble
	until    time.Time     // asked after the others before this
	penalty  time.Duration // for the last trouble; 0: it has answered since
}

// answered notes an answer to a question of that time. One from before the trouble was found does not show that it is over.
func (h *health) answered(asked, now time.Time) {
	h.heard = now
	h.counts.Answered++
	if h.penalty > 0 && asked.After(h.troubled) {
		h.penalty, h.until = 0, time.Time{}
	}
}

// trouble notes a failure or a lost race, for which the first penalty is least. Of those that many calls find at once the first counts.
func (h *health) trouble(now time.Time, probe bool, least time.Duration) {
	if now.Before(h.until) && !probe {
		return
	}
	h.penalty = min(max(2*h.penalty, least), maxPenalty)
	h.troubled, h.until = now, now.Add(h.penalty)
}

// order puts copies in trouble behind the others, the one that is to be tried again soonest first.
func (c *Copies) order(copies []Copy, now time.Time) []asking {
	line := make([]asking, len(copies))
	for i, cp := range copies {
		h := c.known[cp.Node]
		if h == nil {
			h = &health{counts: CopyCounts{Node: cp.Node}}
			c.known[cp.Node] = h
		}
		line[i] = asking{Copy: cp, health: h}
	}
	behind := func(a *asking) int64 {
		if now.Before(a.health.until) {
			return a.health.until.UnixNano()
		}
		return 0
	}
	slices.SortStableFunc(line, func(a, b asking) int { return cmp.Compare(behind(&a), behind(&b)) })
	if len(line) > 1 {
		if h := line[0].health; h.penalty > 0 && !now.Before(h.until) {
			line[0].probe = true
			h.until = now.Add(h.penalty) // for the others
		}
	}
	return line
}

// forget bounds what is remembered of nodes that have no copy any more.
func (c *Copies) forget(copies []Copy) {
	if len(c.known) <= maxKnownCopies {
		return
	}
	for node := range c.known {
		if !slices.ContainsFunc(copies, func(cp Copy) bool { return cp.Node == node }) {
			delete(c.known, node)
		}
	}
}

// CopiesCounts say how the copies of a shard were asked since the start.
type CopiesCounts struct {
	Calls      uint64                   // questions put to the shard
	Refused    uint64                   // times that a hedge was due and the budget had none left
	HedgeAfter map[string]time.Duration // how long a copy has now, by kind of question: stats, bare, only, explain, whole
	Copies     []CopyCounts             // in order of Node
}

// CopyCounts are those of one copy.
type CopyCounts struct {
	Node      string
	Asked     uint64 // questions put to it
	Hedges    uint64 // of these: because another was slow
	Failovers uint64 // of these: because another had failed or was silent
	Answered  uint64 // answers taken from it
	Won       uint64 // of these: to hedges and failovers
	Failed    uint64 // errors
	Lost      uint64 // a copy asked later answered first, or none did in time
	Behind    bool   // it is asked after the others now
}

// Counts returns what was counted so far.
func (c *Copies) Counts() CopiesCounts {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	out := CopiesCounts{Calls: c.calls, Refused: c.refused, HedgeAfter: map[string]time.Duration{}}
	for k := range kinds {
		out.HedgeAfter[k.String()] = c.waits[k].hedgeAfter()
	}
	for _, h := range c.known {
		n := h.counts
		n.Behind = now.Before(h.until)
		out.Copies = append(out.Copies, n)
	}
	slices.SortFunc(out.Copies, func(a, b CopyCounts) int { return cmp.Compare(a.Node, b.Node) })
	return out
}
