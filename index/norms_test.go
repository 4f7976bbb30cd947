package index

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// naiveImpact is the formula of Scoring, written down once more.
func naiveImpact(s *Segment, sc Scoring, f Field, doc DocID, positions []uint32) float64 {
	avg := func(p Part) float64 { return float64(s.meta.Norms.Words[p]) / float64(s.meta.Norms.Docs) }
	norm := func(p Part) float64 { return 1 - sc.B[p] + sc.B[p]*float64(s.cols.length(p, int(doc)))/avg(p) }
	sat := func(x float64) float64 { return x / (x + sc.K1) }
	switch f {
	case FieldTitle:
		return sat(float64(len(positions)) / norm(PartTitle))
	case FieldURL:
		return sat(float64(len(positions)) / norm(PartURL))
	}
	var x, y float64
	for _, at := range positions {
		p, start := PartTitle, uint32(0)
		for p < PartBody && at >= start+s.cols.length(p, int(doc))+partGap {
			start += s.cols.length(p, int(doc)) + partGap
			p++
		}
		x += sc.Weight[p] / norm(p)
		if p == PartTitle {
			y += 1 / norm(p)
		}
	}
	return (sat(x) + sc.TitleBoost*sat(y)) / (1 + sc.TitleBoost)
}

// variedSegment has documents whose words stand in all parts.
func variedSegment(t *testing.T) *Segment {
	r := rand.New(rand.NewPCG(3, 4))
	words := func(n int) string {
		var b strings.Builder
		for range n {
			fmt.Fprintf(&b, "w%d ", r.IntN(1+r.IntN(30)))
		}
		return b.String()
	}
	var docs []*Document
	for i := range 300 {
		docs = append(docs, &Document{URL: fmt.Sprintf("https://x.example/%s/%d", strings.ReplaceAll(words(2), " ", "/"), i), Site: "x.example",
			Title: words(r.IntN(6)), Headings: []string{words(r.IntN(4)), words(2)}, Anchors: []string{words(r.IntN(3))}, Body: words(r.IntN(200))})
	}
	return build(t, filepath.Join(t.TempDir(), "s"), docs...)
}

// TestImpactsAreTheFormula holds impacts in the file, ImpactOf and ExactOf equal to the formula, for every posting.
func TestImpactsAreTheFormula(t *testing.T) {
	s := variedSegment(t)
	sc := s.Scoring()
	if sc.TitleBoost != DefaultScoring().TitleBoost || sc.TitleBoost == 0 {
		t.Fatal("title boost is lost:", sc.TitleBoost)
	}
	codes := map[byte]int{}
	for f := range NumFields {
		err := s.Words(f, "", func(word []byte, term Term) bool {
			var p Postings
			if err := p.Reset(s, term); err != nil {
				t.Fatal(err)
			}
			for d := p.Next(); d != NoDoc; d = p.Next() {
				positions := p.Positions(nil)
				want := naiveImpact(s, sc, f, d, positions)
				code := byte(max(1, min(255, math.Round(want*287)-32)))
				if got := s.ExactOf(f, d, positions); math.Abs(got-want) > 1e-6 {
					t.Fatalf("%s:%s in %d: impact %v, want %v", f, word, d, got, want)
				}
				if near := math.Abs(want*287-math.Floor(want*287)-0.5) < 1e-4; p.Impact() != code && !near {
					t.Fatalf("%s:%s in %d: code %d, want %d", f, word, d, p.Impact(), code)
				}
				if got := s.ImpactOf(f, d, positions); got != p.Impact() {
					t.Fatalf("%s:%s in %d: ImpactOf %d, in the list %d", f, word, d, got, p.Impact())
				}
				codes[p.Impact()]++
			}
			return p.Err() == nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(codes) < 40 {
		t.Errorf("only %d different codes were seen", len(codes))
	}
	if s.ImpactOf(FieldAll, 0, nil) != 0 || s.ExactOf(FieldAll, 0, nil) != 0 {
		t.Error("no positions have an impact")
	}
}

// TestImpactsAreMonotone takes positions away from postings: that never adds to the impact, so a word bounds the phrases it is in.
func TestImpactsAreMonotone(t *testing.T) {
	s := variedSegment(t)
	r := rand.New(rand.NewPCG(5, 6))
	for f := range NumFields {
		var p Postings
		err := s.Words(f, "", func(word []byte, term Term) bool {
			if err := p.Reset(s, term); err != nil {
				t.Fatal(err)
			}
			for d := p.Next(); d != NoDoc; d = p.Next() {
				positions := p.Positions(nil)
				exact, code := s.ExactOf(f, d, positions), p.Impact()
				for len(positions) > 1 {
					i := r.IntN(len(positions))
					positions = slices.Delete(positions, i, i+1)
					e, c := s.ExactOf(f, d, positions), s.ImpactOf(f, d, positions)
					if e > exact || c > code || c == 0 {
						t.Fatalf("%s:%s in %d: fewer positions weigh %v (%d), more %v (%d)", f, word, d, e, c, exact, code)
					}
					exact, code = e, c
				}
			}
			return p.Err() == nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestQuantise(t *testing.T) {
	for _, c := range []struct {
		w    float64
		want byte
	}{{0, 1}, {1.0 / 9, 1}, {33.4 / ImpactLevels, 1}, {33.6 / ImpactLevels, 2}, {0.5, 112}, {1, 255}} {
		if got := quantise(c.w); got != c.want {
			t.Errorf("quantise(%v) = %d, want %d", c.w, got, c.want)
		}
	}
}

// TestPartCountsAreTheImpact holds PartCounts equal to what impacts are computed from: the formula over them gives ExactOf.
func TestPartCountsAreTheImpact(t *testing.T) {
	s := variedSegment(t)
	sc := s.Scoring()
	sat := func(x float64) float64 { return x / (x + sc.K1) }
	seen := 0
	for f := range NumFields {
		err := s.Words(f, "", func(_ []byte, term Term) bool {
			var p Postings
			if err := p.Reset(s, term); err != nil {
				t.Fatal(err)
			}
			for doc := p.Next(); doc != NoDoc; doc = p.Next() {
				at := p.Positions(nil)
				var x, y, own float64
				n := 0
				for _, c := range s.PartCounts(f, doc, at) {
					one := float64(c.Count) / (1 - sc.B[c.Part] + sc.B[c.Part]*float64(c.Length)/c.Average)
					x, own, n = x+sc.Weight[c.Part]*one, own+one, n+c.Count
					if c.Part == PartTitle {
						y = one
					}
				}
				want := (sat(x) + sc.TitleBoost*sat(y)) / (1 + sc.TitleBoost)
				if f != FieldAll {
					want = sat(own)
				}
				if got := s.ExactOf(f, doc, at); n != len(at) || math.Abs(got-want) > 1e-6 {
					t.Fatalf("%s, document %d, positions %v: %d counted, impact %v, want %v", f, doc, at, n, want, got)
				}
				seen++
			}
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if seen < 1000 {
		t.Errorf("only %d postings", seen)
	}
}

func BenchmarkImpactOf(b *testing.B) {
	s := build(b, filepath.Join(b.TempDir(), "s"), topicDocs(1000)...)
	positions := []uint32{1000, 1010}
	for n := 0; b.Loop(); n++ {
		s.ImpactOf(FieldAll, DocID(n*37%1000), positions)
	}
}
