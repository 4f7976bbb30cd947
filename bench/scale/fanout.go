package scale

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Fanout is a simulation of questions that go to many shards.
type Fanout struct {
	Base      float64 // seconds besides the shards
	Shard     float64 // median seconds of a shard for a round
	Spread    float64 // standard deviation of its logarithm
	Straggle  float64 // part of answers that are late: a collection of garbage, a read from a busy disk
	Late      float64 // by what factor
	Hedge     float64 // quantile of a shard's time after which another copy is asked; 0: never
	Pages     int     // shards that the page of results comes from, in the last round
	Questions int
	Seed      uint64
}

// Latency is what a simulation found, in seconds.
type Latency struct {
	Median, P99 float64
	Asked       float64 // questions to copies for each that is needed: 1 without hedging
}

// Simulate asks Questions questions of so many shards: a round for statistics and one for places, each as long as the slowest shard, and one
// for the page of results.
func (f Fanout) Simulate(shards int) Latency {
	r := rand.New(rand.NewPCG(f.Seed, uint64(shards)))
	after := math.Inf(1)
	if f.Hedge > 0 {
		after = f.quantile(r, f.Hedge)
	}
	var asked, needed float64
	times := make([]float64, f.Questions)
	for i := range times {
		times[i] = f.Base
		for _, n := range []int{shards, shards, min(f.Pages, shards)} {
			var slowest float64
			for range n {
				t := f.one(r)
				needed++
				asked++
				if t > after {
					asked++
					t = min(t, after+f.one(r))
				}
				slowest = max(slowest, t)
			}
			times[i] += slowest
		}
	}
	slices.Sort(times)
	return Latency{at(times, 0.5), at(times, 0.99), asked / needed}
}

// one is the time of one answer.
func (f Fanout) one(r *rand.Rand) float64 {
	t := f.Shard * math.Exp(f.Spread*r.NormFloat64())
	if r.Float64() < f.Straggle {
		t *= f.Late
	}
	return t
}

// quantile is that of one answer's time, as a node that keeps count of them would know it.
func (f Fanout) quantile(r *rand.Rand, q float64) float64 {
	const samples = 10_000
	times := make([]float64, samples)
	for i := range times {
		times[i] = f.one(r)
	}
	slices.Sort(times)
	return at(times, q)
}

func at(sorted []float64, q float64) float64 {
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
