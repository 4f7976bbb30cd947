package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	api "concord/web"

	"golang.org/x/sync/errgroup"
)

// quantiles sums measurements up, in milliseconds.
type quantiles struct {
	Median float64 `json:"median"`
	P95    float64 `json:"p95"`
	P99    float64 `json:"p99"`
	Max    float64 `json:"max"`
	Count  int     `json:"count"`
}

func quantilesOf(ms []float64) quantiles {
	if len(ms) == 0 {
		return quantiles{}
	}
	ms = slices.Sorted(slices.Values(ms))
	at := func(q float64) float64 { return ms[min(int(math.Ceil(q*float64(len(ms))))-1, len(ms)-1)] }
	return quantiles{at(0.5), at(0.95), at(0.99), ms[len(ms)-1], len(ms)}
}

// queryResult is what questions cost that are asked one after the other at one node, and many at a time at all nodes.
type queryResult struct {
	Asked     int       `json:"asked"`
	Here      int       `json:"shardsHere"` // shards that the asked node has itself
	Shards    int       `json:"shards"`
	Partial   int       `json:"partial"` // answers from fewer than all shards
	Latency   quantiles `json:"latencyMilliseconds"`
	CPU       float64   `json:"cpuMilliseconds"` // of a question, on all nodes together, without what they use at rest
	PerSecond float64   `json:"perSecond"`       // with parallelAsks at a time, over all nodes
	BusyCPU   float64   `json:"busyCPUMilliseconds"`
}

// parallelAsks is how many questions are open at a time when the rate is measured.
const parallelAsks = 8

// querySeed makes the questions the same in every run.
const querySeed = 7

// questions are one to three words of the made-up pages: the short words, each of which is on a good part of them.
func questions(n int) []string {
	syllables := []string{"ba", "co", "di", "fu", "ge", "hi", "jo", "ka", "lu", "me", "no", "pa", "qui", "ro", "se", "ti", "vu", "wa", "xe", "zo"}
	rng := rand.New(rand.NewPCG(querySeed, querySeed))
	list := make([]string, n)
	for i := range list {
		var words []string
		for range 1 + rng.IntN(3) {
			words = append(words, syllables[rng.IntN(len(syllables))]+syllables[rng.IntN(len(syllables))])
		}
		list[i] = strings.Join(words, " ")
	}
	return list
}

// ask asks one question, and returns how many shards were asked and how many answered.
func (n *process) ask(q string) (took time.Duration, shards api.ShardCount, err error) {
	began := time.Now()
	var a struct{ Shards api.ShardCount }
	code, err := n.get("/api/v1/search", url.Values{"q": {q}}, &a)
	took = time.Since(began)
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("search for %q: status %d", q, code)
	}
	return took, a.Shards, err
}

// measureQueries asks at the node that has the fewest shards itself. idle is what the nodes use at rest, in processors.
func measureQueries(ctx context.Context, l nodes, count int, idle float64) (*queryResult, error) {
	asked, r, err := l.poorest()
	if err != nil {
		return nil, err
	}
	list := questions(count)
	const warmUp = 10 // one in so many questions is asked before, unmeasured
	for _, q := range list[:len(list)/warmUp] {
		if _, _, err := asked.ask(q); err != nil {
			return nil, err
		}
	}
	var ms []float64
	r.CPU, _, err = l.costOf(idle, len(list), func() error {
		for _, q := range list {
			took, shards, err := asked.ask(q)
			if err != nil {
				return err
			}
			if r.Shards = shards.Asked; shards.Answered < shards.Asked {
				r.Partial++
			}
			ms = append(ms, took.Seconds()*1000)
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(l) == 1 {
		r.Here = r.Shards
	}
	r.Asked, r.Latency = len(list), quantilesOf(ms)
	var seconds float64
	r.BusyCPU, seconds, err = l.costOf(idle, len(list), func() error { return l.askAtOnce(ctx, list) })
	r.PerSecond = float64(len(list)) / seconds
	return r, err
}

// poorest returns the node with the fewest copies of shards.
func (l nodes) poorest() (*process, *queryResult, error) {
	type choice struct {
		p *process
		r queryResult
	}
	var all []choice
	for _, n := range l {
		st, err := n.status()
		if err != nil {
			return nil, nil, err
		}
		var r queryResult
		for _, p := range st.Partitions {
			if !strings.HasPrefix(p.Name, "shard.") {
				continue
			}
			for _, c := range p.Replicas {
				if c.Node == st.Self {
					r.Here++
				}
			}
		}
		all = append(all, choice{n, r})
	}
	best := slices.MinFunc(all, func(a, b choice) int { return cmp.Compare(a.r.Here, b.r.Here) })
	return best.p, &best.r, nil
}

// costOf returns the milliseconds of processor time that each of count things took on all nodes, without what they use at rest.
func (l nodes) costOf(idle float64, count int, do func() error) (ms, seconds float64, err error) {
	before, err := l.use()
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	if err := do(); err != nil {
		return 0, 0, err
	}
	seconds = time.Since(began).Seconds()
	after, err := l.use()
	if err != nil {
		return 0, 0, err
	}
	return max(cpuBetween(before, after)-idle*seconds, 0) * 1000 / float64(max(count, 1)), seconds, nil
}

// cpuBetween is the processor time of all nodes between two looks, seconds.
func cpuBetween(before, after []nodeUse) (seconds float64) {
	for i := range after {
		seconds += (after[i].CPU - before[i].CPU).Seconds()
	}
	return seconds
}

// askAtOnce asks all questions, parallelAsks at a time, at every node in turn.
func (l nodes) askAtOnce(ctx context.Context, list []string) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelAsks)
	for i, q := range list {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			_, _, err := l[i%len(l)].ask(q)
			return err
		})
	}
	return g.Wait()
}
