package cluster

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
)

// Candidate is a node that may own partitions. Capacity says how much it takes beside the others: a node of 2 gets twice
// what a node of 1 gets, a node of 0 nothing. Values above MaxCapacity count as MaxCapacity.
type Candidate struct {
	Name     string
	Capacity int
}

// MaxCapacity bounds a capacity, and with it the work of one score.
const MaxCapacity = 64

// Assign says which candidate should own each partition: rendezvous hashing with bounded loads. Everybody who knows the
// same partitions and candidates gets the same answer, whatever their order, with no memory of earlier answers.
//
// Every pair of a partition and a candidate has a score (Thaler and Ravishankar, "Using name-based mappings to increase hit
// rates", 1998), and pairs are taken in the order of their scores as long as the candidate has room: n partitions over
// candidates of equal capacity give each at most ceil(n/m) of them (the bound of Mirrokni, Thorup and Zadimoghaddam,
// "Consistent hashing with bounded loads", 2018, without slack, since partitions are few). The kinds of partition ("shard"
// of "shard.3") are bounded likewise, so that no node has all shards and another all frontiers; where both bounds
// cannot be kept, the first is.
//
// When a node leaves, its partitions move, and when one comes, its share moves to it; besides, bounds that shift displace a
// few others (measured in TestAssignMovesLittle).
func Assign(partitions []string, candidates []Candidate) map[string]string {
	r := newRound(partitions, candidates)
	r.fill(nil)
	return r.owner
}

// Replicas says where copies of each partition should be readable: r nodes each, its owner by Assign first, the others
// chosen in the same way and likewise bounded. With fewer than r candidates it is all of them.
func Replicas(partitions []string, candidates []Candidate, r int) map[string][]string {
	places := map[string][]string{}
	for range min(r, len(candidates)) {
		layer := newRound(partitions, candidates)
		layer.fill(places)
		for p, node := range layer.owner {
			places[p] = append(places[p], node)
		}
	}
	return places
}

// round is one assignment being made.
type round struct {
	pairs    []pair
	owner    map[string]string
	load     map[string]int // of a candidate, and of a kind at a candidate: "shard@node-1"
	room     map[string]int // likewise
	capacity int            // of all candidates together
}

type pair struct {
	score           uint64
	partition, node string
}

func newRound(partitions []string, candidates []Candidate) *round {
	r := &round{owner: map[string]string{}, load: map[string]int{}, room: map[string]int{}}
	kinds := map[string]int{}
	for _, p := range partitions {
		kinds[kindOf(p)]++
	}
	for _, c := range candidates {
		r.capacity += capacityOf(c)
	}
	for _, c := range candidates {
		weight := capacityOf(c)
		if weight == 0 {
			continue
		}
		r.room[c.Name] = ceilDiv(len(partitions)*weight, r.capacity)
		for kind, n := range kinds {
			r.room[kind+"@"+c.Name] = ceilDiv(n*weight, r.capacity)
		}
		for _, p := range partitions {
			r.pairs = append(r.pairs, pair{score(p, c.Name, weight), p, c.Name})
		}
	}
	slices.SortFunc(r.pairs, func(a, b pair) int {
		return cmp.Or(cmp.Compare(b.score, a.score), strings.Compare(a.partition, b.partition), strings.Compare(a.node, b.node))
	})
	return r
}

// fill gives every partition to a candidate that has no copy of it already: within both bounds, then within that of
// the candidate, and at last, which only copies may need, within none.
func (r *round) fill(taken map[string][]string) {
	for pass := range 3 {
		for _, x := range r.pairs {
			kind := kindOf(x.partition) + "@" + x.node
			switch {
			case r.owner[x.partition] != "", slices.Contains(taken[x.partition], x.node):
			case pass < 2 && r.load[x.node] >= r.room[x.node], pass < 1 && r.load[kind] >= r.room[kind]:
			default:
				r.owner[x.partition] = x.node
				r.load[x.node]++
				r.load[kind]++
			}
		}
	}
}

// ranking returns the candidates in the order in which the partition prefers them, whatever their load.
func ranking(partition string, candidates []Candidate) []string {
	r := newRound([]string{partition}, candidates)
	names := make([]string, len(r.pairs))
	for i, x := range r.pairs {
		names[i] = x.node
	}
	return names
}

// score is the largest of weight numbers drawn from the hash of the pair: a node of weight w wins w times as often as one
// of weight 1. Integers only, so that every machine gets the same order.
func score(partition, node string, weight int) uint64 {
	h := sha256.Sum256([]byte(partition + "\x00" + node))
	state := binary.BigEndian.Uint64(h[:8])
	best := state
	for range weight - 1 { // SplitMix64 (Steele, Lea and Flood, 2014)
		state += 0x9e3779b97f4a7c15
		z := state
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		best = max(best, z^z>>31)
	}
	return best
}

// kindOf is the name of a partition without its number.
func kindOf(partition string) string {
	kind, _, _ := strings.Cut(partition, ".")
	return kind
}

func capacityOf(c Candidate) int { return min(max(c.Capacity, 0), MaxCapacity) }

func ceilDiv(a, b int) int { return (a + b - 1) / b }
