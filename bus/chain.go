package bus

import (
	"crypto/rand"
	"strconv"
	"strings"
	"sync"
)

const (
	// chainHeader carries a message's link, "<lane>-<n>", for example "K3TQ5WZJ7XH2M-118": it is the lane's 118th message on its subject.
	// A reader that gets 118 after 116 knows that 117 is lost, which the engine leaves out without a word when it finds it damaged.
	chainHeader = "Concord-Chain"
	// laneDigits is the length of a lane's id in base 32: 65 random bits, so that no two lanes a reader remembers are taken for one.
	laneDigits = 13
	// maxFreeLanes bounds how many lanes wait for their next append: more appends than that are rarely under way in one process, and
	// a lane that is not kept costs no more than a new id.
	maxFreeLanes = 16
	// maxLaneSubjects bounds what a lane remembers.
	maxLaneSubjects = 4096
	// maxChains bounds what a reader remembers, about 2 MB: more than the lanes of ten nodes on each of 100 subjects. Of one that was
	// forgotten the next message is accepted as if it were the first.
	maxChains = 1 << 14
)

// link is a message's place in its chain: among the messages of its subject that were appended in one lane.
type link struct {
	lane string
	n    uint64 // from 1
}

func (k link) String() string {
	var buf [laneDigits + len("-18446744073709551615")]byte
	return string(strconv.AppendUint(append(append(buf[:0], k.lane...), '-'), k.n, 10))
}

// parseLink reads what String wrote, and nothing else.
func parseLink(s string) (link, bool) {
	lane, digits, _ := strings.Cut(s, "-")
	n, err := strconv.ParseUint(digits, 10, 64)
	if len(lane) != laneDigits || strings.Trim(lane, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "" || err != nil || n == 0 || digits[0] == '0' {
		return link{}, false
	}
	return link{lane, n}, true
}

// lane numbers the messages of one append after another, so that they are stored in the order of their numbers.
type lane struct {
	id     string
	counts map[string]uint64 // by subject
}

func (l *lane) next(subject string) link {
	l.counts[subject]++
	return link{l.id, l.counts[subject]}
}

// lanes are those of a log in this process that no append uses now. Safe for concurrent use.
type lanes struct {
	mu   sync.Mutex
	free []*lane
}

// take gives a lane to one try of an append.
func (s *lanes) take() *lane {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.free); n > 0 {
		l := s.free[n-1]
		s.free = s.free[:n-1]
		return l
	}
	return &lane{id: rand.Text()[:laneDigits], counts: map[string]uint64{}}
}

// give takes a lane back of which every number is known to be stored. Any other is left to itself: when the try failed, when its outcome
// is not known, and when the engine had a message's ID already, a number may be one that was never stored, and its successor would look
// like the end of a gap.
func (s *lanes) give(l *lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.free) < maxFreeLanes && len(l.counts) <= maxLaneSubjects {
		s.free = append(s.free, l)
	}
}

// chains is what a reader remembers: of each chain the newest link. When there are too many, the half that was not used for the longest
// time is forgotten. Another copy that the reader turns to delivers nothing of it once more: what is added is applied before that, or the
// reader ends.
type chains struct {
	recent, older map[chain]seen
}

type chain struct{ subject, lane string }

// seen is the newest message of a chain: its number in the chain and in the log.
type seen struct{ n, seq uint64 }

func newChains() *chains {
	return &chains{recent: map[chain]seen{}}
}

// add notes a message and returns the one before it in its chain. whole is false when some between the two are missing. One that is not
// newer is no damage: it was stored twice.
func (c *chains) add(subject string, k link, seq uint64) (before seen, whole bool) {
	key := chain{subject, k.lane}
	before, recent := c.recent[key]
	known := recent
	if !recent {
		before, known = c.older[key]
	}
	if known && k.n > before.n+1 {
		return before, false
	}
	if !recent && len(c.recent) >= maxChains/2 {
		c.recent, c.older = map[chain]seen{}, c.recent
	}
	c.recent[key] = seen{max(k.n, before.n), seq}
	return before, true
}
