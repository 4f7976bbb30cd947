package federation

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// operators counts what became of asking each operator, and lets those rest that fail again and again. Safe for concurrent use.
type operators struct {
	now func() time.Time

	mu     sync.Mutex
	byName map[string]*operator // of the ledger's members: it does not grow beyond them
}

// operator is the record of one. After tolerated failures in a row it rests, for firstRest and twice as long after each further failure, up
// to longestRest; then one question is let through, and its answer decides. An answer of which any result fails to verify for a
// reason that is the operator's fault counts as a failure.
type operator struct {
	Counters
	failures int // in a row
	until    time.Time
}

const (
	tolerated   = 3
	firstRest   = 5 * time.Second
	longestRest = 5 * time.Minute
)

// Counters are what became of asking one operator since the node started.
type Counters struct {
	Operator string            `json:"operator"`
	Asked    uint64            `json:"asked"`
	Answered uint64            `json:"answered"`
	Verified uint64            `json:"verified"`          // results that held
	Dropped  map[string]uint64 `json:"dropped,omitempty"` // results that did not, by reason
	Failed   map[string]uint64 `json:"failed,omitempty"`  // questions without an answer, by reason
	Rested   uint64            `json:"rested"`            // times it was not asked because it had failed too often
	Until    time.Time         `json:"until,omitzero"`    // it rests until then
	Last     string            `json:"last,omitempty"`    // its last failure, in plain words
}

func (o *operators) of(name string) *operator {
	p := o.byName[name]
	if p == nil {
		p = &operator{Counters: Counters{Operator: name, Dropped: map[string]uint64{}, Failed: map[string]uint64{}}}
		o.byName[name] = p
	}
	return p
}

// mayAsk says why an operator is not asked now; nil: it is. Of one that has rested it lets one question through in the time that an answer takes.
func (o *operators) mayAsk(name string, answerTime time.Duration) *failure {
	o.mu.Lock()
	defer o.mu.Unlock()
	p, now := o.of(name), o.now()
	if now.Before(p.until) {
		p.Rested++
		return &failure{reason: Unreachable, words: fmt.Sprintf("it failed %d times in a row and is not asked for %s: %s", p.failures, p.until.Sub(now).Round(time.Second), p.Last)}
	}
	if p.failures >= tolerated {
		p.until = now.Add(answerTime)
	}
	p.Asked++
	return nil
}

// count records what became of asking. One that was given up by our own caller says nothing about the operator.
func (o *operators) count(name string, out *outcome, canceled bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := o.of(name)
	if canceled {
		p.Asked--
		return
	}
	words := ""
	switch {
	case out.failure != nil:
		p.Failed[string(out.failure.reason)]++
		words = out.failure.words
	default:
		p.Answered++
		p.Verified += uint64(len(out.captures))
		for r, n := range out.dropped {
			p.Dropped[string(r)] += uint64(n)
			if !r.blameless() {
				words = "a result was dropped: " + r.Words()
			}
		}
	}
	if words == "" {
		p.failures, p.until = 0, time.Time{}
		return
	}
	p.Last = words
	if p.failures++; p.failures >= tolerated {
		rest := longestRest
		if n := p.failures - tolerated; n < 16 {
			rest = min(rest, firstRest<<n)
		}
		p.until = o.now().Add(rest)
	}
}

// Counters returns the record of every operator that was asked, in the order of their names.
func (o *operators) Counters() []Counters {
	o.mu.Lock()
	defer o.mu.Unlock()
	list := make([]Counters, 0, len(o.byName))
	for _, p := range o.byName {
		c := p.Counters
		c.Dropped, c.Failed = maps.Clone(c.Dropped), maps.Clone(c.Failed)
		if c.Until = p.until; p.failures < tolerated || !o.now().Before(p.until) {
			c.Until = time.Time{}
		}
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b Counters) int { return strings.Compare(a.Operator, b.Operator) })
	return list
}
