package search

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"concord"
	"concord/index"
	"concord/pack"
)

// facets counts the values of properties over all live documents that match, and how many these are.
func (s *Snapshot) facets(ctx context.Context, p *plan, req concord.Request) ([]concord.Facet, uint64, error) {
	counts := make([]map[string]uint64, len(req.Facets))
	for i := range counts {
		counts[i] = map[string]uint64{}
	}
	var total uint64
	x := s.scratch(ctx)
	for i, seg := range s.segments {
		x.used = 0
		c, err := p.compile(i, seg, x)
		if err != nil {
			return nil, 0, err
		}
		counters := make([]facetCounter, len(req.Facets))
		for k, field := range req.Facets {
			counters[k] = newFacetCounter(seg, field)
		}
		err = eachMatching(x, seg, c, func(w *window, matching *pack.Bitmap) {
			total += uint64(matching.Count())
			for _, k := range counters {
				k.add(w, matching)
			}
		})
		if err == nil {
			err = x.damage()
		}
		if err != nil {
			return nil, 0, err
		}
		for k := range counters {
			counters[k].addTo(counts[k])
		}
	}
	s.scratches.Put(x)
	out := make([]concord.Facet, len(req.Facets))
	for i, field := range req.Facets {
		out[i] = concord.Facet{Field: field, Values: frequent(counts[i], facetMost(req))}
	}
	return out, total, nil
}

// facetCounter counts the values of one property in one segment.
type facetCounter interface {
	// add counts the marked documents of a window.
	add(w *window, matching *pack.Bitmap)
	// addTo adds what was counted.
	addTo(counts map[string]uint64)
}

var facetColumns = map[string]index.FacetColumn{concord.FacetSite: index.FacetSite, concord.FacetHost: index.FacetHost,
	concord.FacetLang: index.FacetLanguage, concord.FacetType: index.FacetFileType}

func newFacetCounter(seg *index.Segment, field string) facetCounter {
	column, ok := facetColumns[field]
	if !ok {
		return &yearCounter{seg: seg}
	}
	f := seg.Facet(column)
	return &columnCounter{f, make([]uint32, f.Len())}
}

type columnCounter struct {
	index.Facet
	counts []uint32
}

func (c *columnCounter) add(w *window, matching *pack.Bitmap) { c.Count(c.counts, matching, w.base) }

func (c *columnCounter) addTo(counts map[string]uint64) {
	for code, n := range c.counts {
		if n > 0 {
			counts[c.Value(uint32(code))] += uint64(n)
		}
	}
}

// Years that are found by a few comparisons: those of the web. Pages claim others too.
const (
	firstYear = 1970
	lastYear  = 2069
)

// yearStarts has the first second of each of these years, and of the one after.
var yearStarts = func() (starts [lastYear - firstYear + 2]int64) {
	for i := range starts {
		starts[i] = time.Date(firstYear+i, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	}
	return starts
}()

// yearCounter counts the years (UTC) in which documents were published or, where that is not known, fetched.
type yearCounter struct {
	seg    *index.Segment
	near   [lastYear - firstYear + 1]uint64
	others map[string]uint64
}

func (c *yearCounter) add(w *window, matching *pack.Bitmap) {
	w.each(matching, func(doc index.DocID) {
		t, ok := c.seg.Date(index.DateKnown, doc)
		if ok && t >= yearStarts[0] && t < yearStarts[len(yearStarts)-1] {
			const longest = 366 * 24 * 3600
			i := int(t / longest) // never too large
			for yearStarts[i+1] <= t {
				i++
			}
			c.near[i]++
			return
		}
		year := ""
		if ok {
			year = strconv.Itoa(time.Unix(t, 0).UTC().Year())
		}
		if c.others == nil {
			c.others = map[string]uint64{}
		}
		c.others[year]++
	})
}

func (c *yearCounter) addTo(counts map[string]uint64) {
	for i, n := range c.near {
		if n > 0 {
			counts[strconv.Itoa(firstYear+i)] += n
		}
	}
	for year, n := range c.others {
		counts[year] += n
	}
}

// eachMatching calls f with every window of a segment in which live documents may match, and a bitmap of those that do.
func eachMatching(x *scratch, seg *index.Segment, c clause, f func(w *window, matching *pack.Bitmap)) error {
	mark := c.mark
	if a, ok := c.(*and); ok {
		mark = a.markAlone
	}
	w, docs := &x.window, index.DocID(seg.Docs())
	w.docs = docs
	for base := c.next(0); base < docs; base = c.next(w.end) {
		if err := x.tick(); err != nil {
			return err
		}
		w.base, w.end = base, min(base+pack.BitmapLen, docs)
		x.matching.Clear()
		mark(w, &x.matching)
		seg.Deletes().Unmark(&x.matching, w.base, w.end)
		f(w, &x.matching)
	}
	return nil
}

// facetMost returns how many values of a facet the answer to a request has.
func facetMost(req concord.Request) int {
	if req.Bare {
		return concord.MaxBareFacetValues
	}
	return concord.MaxFacetValues
}

// frequent returns the highest counts, at most so many, the highest first. Only these are put in order: there may be as many
// values as there are sites.
func frequent(counts map[string]uint64, most int) []concord.FacetValue {
	least := uint64(0)
	if len(counts) > most {
		all := slices.Sorted(maps.Values(counts))
		least = all[len(all)-most]
	}
	out := make([]concord.FacetValue, 0, most)
	for value, n := range counts {
		if n >= least {
			out = append(out, concord.FacetValue{Value: value, Count: n})
		}
	}
	slices.SortFunc(out, func(a, b concord.FacetValue) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Value, b.Value))
	})
	return slices.Clip(out[:min(most, len(out))])
}

// combineFacets adds up the facets of answers to the same request.
func combineFacets(answers []*concord.Answer, most int) (out []concord.Facet) {
	var fields []string
	counts := map[string]map[string]uint64{}
	for _, a := range answers {
		if a == nil {
			continue
		}
		for _, f := range a.Facets {
			if counts[f.Field] == nil {
				fields = append(fields, f.Field)
				counts[f.Field] = map[string]uint64{}
			}
			for _, v := range f.Values {
				counts[f.Field][v.Value] += v.Count
			}
		}
	}
	for _, field := range fields {
		out = append(out, concord.Facet{Field: field, Values: frequent(counts[field], most)})
	}
	return out
}
