package index

import (
	"cmp"
	"math"
	"slices"
	"sync"
)

// This file orders documents by recursive graph bisection (Dhulipala, Kabiljo, Karrer, Ottaviano, Pupyrev and Shalita, "Compressing
// graphs and indexes with recursive graph bisection", KDD 2016; Mackenzie, Mallia, Petri, Culpepper and Suel, "Compressing inverted indexes with
// recursive graph bisection", ECIR 2019): the documents are cut into halves, and documents of one half are exchanged for documents of the other
// as long as the lists' gaps get smaller by it, counted in bits as if each list were spread evenly within each half; then the same
// within each half.

const (
	// bisectLeaf is the number of documents that are not divided further: a fraction of a block.
	bisectLeaf = 32
	// bisectRounds bounds the exchanges at one level. Most that is to be had is had in half of them.
	bisectRounds = 20
	// bisectParallel is the least number of documents worth a goroutine.
	bisectParallel = 1 << 10
	// gainUnit is one bit in the fixed-point numbers of gains, so that sums do not depend on their order or on the machine.
	gainUnit = 1 << 12
)

// forwardIndex has the terms of each document: those of document d are terms[starts[d]:starts[d+1]], each once.
type forwardIndex struct {
	starts    []uint32
	terms     []uint32
	termCount int
}

func (f *forwardIndex) docs() int { return len(f.starts) - 1 }

func (f *forwardIndex) of(doc uint32) []uint32 { return f.terms[f.starts[doc]:f.starts[doc+1]] }

// bisect returns the documents in their new order. It is deterministic and uses memory for workers+1 times 16 bytes a term and 24 a
// document. stop is asked now and then; when it says so the result is worth nothing.
func bisect(f *forwardIndex, workers int, stop func() bool) []uint32 {
	b := &bisector{f: f, steps: costSteps(f.docs()), workers: make(chan *bisectState, max(1, workers)), stop: stop}
	for range cap(b.workers) {
		b.workers <- &bisectState{left: make([]uint32, f.termCount), right: make([]uint32, f.termCount),
			gainLeft: make([]int32, f.termCount), gainRight: make([]int32, f.termCount)}
	}
	order := make([]uint32, f.docs())
	for i := range order {
		order[i] = uint32(i)
	}
	s := <-b.workers
	b.divide(s, order)
	return order
}

// costSteps returns by how much the cost of a list in one half grows with its posting number x, for x up to n: x·log2(n/x) but for what
// is the same in both halves. Negative: the cost is what x postings save.
func costSteps(n int) []int32 {
	steps := make([]int32, n+2)
	for x := range steps {
		f := float64(x)
		steps[x] = int32(math.Round(gainUnit * ((f+1)*math.Log2(f+2) - f*math.Log2(f+1))))
	}
	return steps
}

type bisector struct {
	f       *forwardIndex
	steps   []int32
	workers chan *bisectState
	stop    func() bool
}

// bisectState is the memory of one worker; all zero between uses but for the gains.
type bisectState struct {
	left, right         []uint32 // by term: documents in each half that have it
	gainLeft, gainRight []int32  // by term: what moving such a document out of the half saves
	touched             []uint32 // terms that are not zero
	moves               [2][]bisectMove
}

// bisectMove is a document that may change halves.
type bisectMove struct {
	gain int64
	at   uint32 // index into the documents
	doc  uint32
}

// divide orders a range of documents.
func (b *bisector) divide(s *bisectState, docs []uint32) {
	if len(docs) <= bisectLeaf || b.stop() {
		slices.Sort(docs)
		return
	}
	half := len(docs) / 2
	b.exchange(s, docs, half)
	if len(docs) >= bisectParallel {
		select {
		case other := <-b.workers:
			var wg sync.WaitGroup
			wg.Go(func() {
				b.divide(other, docs[:half])
				b.workers <- other
			})
			b.divide(s, docs[half:])
			wg.Wait()
			return
		default:
		}
	}
	b.divide(s, docs[:half])
	b.divide(s, docs[half:])
}

// exchange improves the halves of docs, which meet at half.
func (b *bisector) exchange(s *bisectState, docs []uint32, half int) {
	for i, d := range docs {
		side := s.left
		if i >= half {
			side = s.right
		}
		for _, t := range b.f.of(d) {
			if s.left[t]|s.right[t] == 0 {
				s.touched = append(s.touched, t)
			}
			side[t]++
		}
	}
	for round := range bisectRounds {
		if b.stop() || !b.round(s, docs, half, int64(round)) {
			break
		}
	}
	for _, t := range s.touched {
		s.left[t], s.right[t] = 0, 0
	}
	s.touched = s.touched[:0]
}

// round exchanges documents once and reports whether there were any. Each round asks for more gain than the one before, which keeps documents
// from going to and fro.
func (b *bisector) round(s *bisectState, docs []uint32, half int, round int64) bool {
	for _, t := range s.touched {
		l, r := s.left[t], s.right[t]
		if l > 0 {
			s.gainLeft[t] = b.steps[r] - b.steps[l-1]
		}
		if r > 0 {
			s.gainRight[t] = b.steps[l] - b.steps[r-1]
		}
	}
	b.moves(s, docs, half)
	exchanged := false
	for i := range min(len(s.moves[0]), len(s.moves[1])) {
		l, r := s.moves[0][i], s.moves[1][i]
		if l.gain+r.gain <= round*gainUnit {
			break
		}
		docs[l.at], docs[r.at] = r.doc, l.doc
		for _, t := range b.f.of(l.doc) {
			s.left[t]--
			s.right[t]++
		}
		for _, t := range b.f.of(r.doc) {
			s.right[t]--
			s.left[t]++
		}
		exchanged = true
	}
	return exchanged
}

// moves lists the documents of each half that may gain by changing it, best first.
func (b *bisector) moves(s *bisectState, docs []uint32, half int) {
	var best [2]int64
	for side := range s.moves {
		s.moves[side] = s.moves[side][:0]
		best[side] = math.MinInt64
	}
	for i, d := range docs {
		side, gains := 0, s.gainLeft
		if i >= half {
			side, gains = 1, s.gainRight
		}
		var gain int64
		for _, t := range b.f.of(d) {
			gain += int64(gains[t])
		}
		best[side] = max(best[side], gain)
		s.moves[side] = append(s.moves[side], bisectMove{gain, uint32(i), d})
	}
	for side := range s.moves {
		s.moves[side] = slices.DeleteFunc(s.moves[side], func(m bisectMove) bool { return m.gain+best[1-side] <= 0 })
		slices.SortFunc(s.moves[side], func(a, b bisectMove) int { return cmp.Or(cmp.Compare(b.gain, a.gain), cmp.Compare(a.doc, b.doc)) })
	}
}
