package replica

import (
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"concord"
)

// Standing is what is kept of one operator's batches, and what became of asking it, since the node started.
type Standing struct {
	Operator string `json:"operator"`
	Batches  int    `json:"batches"` // of its batches, those that are kept here
	Bytes    int64  `json:"bytes"`   // of the disk that they take
	Missing  int    `json:"missing"` // of its batches, those that are asked for, and nobody gave yet

	Fetched uint64            `json:"fetched"`           // batches that it sent, of whichever author
	Refused map[string]uint64 `json:"refused,omitempty"` // batches and votes that it sent and that were not used, by reason

	Asked   uint64 `json:"asked"`   // for votes
	Agreed  uint64 `json:"agreed"`  // votes that only the attested batch can give
	Wrong   uint64 `json:"wrong"`   // votes that it cannot give
	Damaged uint64 `json:"damaged"` // times it said that its copy is damaged
	Absent  uint64 `json:"absent"`  // times it said that it keeps no copy
	Lost    uint64 `json:"lost"`    // the same of a batch of its own
	Failed  uint64 `json:"failed"`  // questions, for votes and batches, without an answer
	Last    string `json:"last,omitempty"`
}

// Reasons for which what an operator sent is not used.
const (
	BadRoot   = "root"      // a batch that does not give the attested root
	Malformed = "malformed" // an answer that cannot be read, or is longer than agreed
)

// Summary is what is kept of all operators' batches.
type Summary struct {
	Limit     int64      `json:"limit" doc:"Bytes of the disk that copies of other operators' batches may take; 0: none are kept."`
	Bytes     int64      `json:"bytes" doc:"That they take."`
	Batches   int        `json:"batches" doc:"Batches that are kept."`
	Missing   int        `json:"missing" doc:"Batches that are asked for, and nobody gave yet."`
	Alone     int        `json:"alone" doc:"Batches that nobody else had when others were last asked about them."`
	Own       int        `json:"own" doc:"This operator's own batches that others are asked about: all, or some thousands drawn from them."`
	OwnAlone  int        `json:"ownAlone" doc:"Of them, those that no other operator had when it was last asked about them."`
	Broken    int        `json:"broken" doc:"Batches whose copy is damaged and not mended yet."`
	Polls     uint64     `json:"polls" doc:"Polls held since this node started."`
	Damaged   uint64     `json:"damaged" doc:"Copies found damaged since then."`
	Repaired  uint64     `json:"repaired" doc:"Of them, those that were mended."`
	Paused    string     `json:"paused,omitempty" doc:"Why nothing new is kept at the moment."`
	Operators []Standing `json:"operators" nullable:"false" doc:"By operator: what is kept of its batches, and what became of asking it."`
}

// Status returns the counts now.
func (k *Keeper) Status() Summary {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := Summary{Own: len(k.own), Limit: k.cfg.Bytes, Batches: len(k.held), Polls: k.totals.polls, Damaged: k.totals.damaged, Repaired: k.totals.repaired, Paused: k.totals.paused,
		Operators: []Standing{}}
	for _, h := range k.own {
		if h.alone {
			s.OwnAlone++
		}
	}
	for _, h := range k.held {
		if h.alone {
			s.Alone++
		}
		if h.damaged {
			s.Broken++
		}
	}
	missing := map[string]int{}
	for i, w := range k.wants {
		if k.held[i] == nil {
			missing[w.author]++
			s.Missing++
		}
	}
	for name, p := range k.peers {
		c := p.Standing
		c.Missing, c.Refused = missing[name], maps.Clone(p.Refused)
		s.Bytes += p.Bytes
		s.Operators = append(s.Operators, c)
	}
	slices.SortFunc(s.Operators, func(a, b Standing) int { return strings.Compare(a.Operator, b.Operator) })
	return s
}

// peer is another operator. After tolerated failures in a row it rests, for firstRest and twice as long after each further one, up to longestRest.
type peer struct {
	Standing
	wants    int    // of its batches, those that are asked for, damaged ones too
	bar      uint64 // of its batches those with a smaller score are kept: that of the best that was given up
	failures int    // in a row
	until    time.Time
}

const (
	tolerated   = 3
	firstRest   = 5 * time.Second
	longestRest = 5 * time.Minute
)

// of returns what is known of an operator. The mutex is held, or nobody else is there yet.
func (k *Keeper) of(name string) *peer {
	p := k.peers[name]
	if p == nil {
		p = &peer{Standing: Standing{Operator: name, Refused: map[string]uint64{}}, bar: math.MaxUint64}
		k.peers[name] = p
	}
	return p
}

// rests reports whether an operator is not asked now.
func (k *Keeper) rests(name string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.cfg.Now().Before(k.of(name).until)
}

// count counts a question with what became of it. words, when there are any, say what was wrong with the answer.
func (k *Keeper) count(name, words string, counted func(*peer)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.of(name)
	counted(p)
	if words == "" {
		p.failures, p.until = 0, time.Time{}
		return
	}
	p.Last = concord.Clip(words, maxWords)
	if p.failures++; p.failures >= tolerated {
		rest := longestRest
		if n := p.failures - tolerated; n < 16 {
			rest = min(rest, firstRest<<n)
		}
		p.until = k.cfg.Now().Add(rest)
	}
}

// maxWords bounds what an operator can make us say about it.
const maxWords = 300
