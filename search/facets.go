package search

import (
	"cmp"
	"context"
	"iter"
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
	var total uint64
	all := make([][]facetCounter, len(req.Facets)) // of each, one a segment
	x := s.scratch(ctx)
	for i, seg := range s.segments {
		x.begin()
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
			all[k] = append(all[k], counters[k])
		}
	}
	s.scratches.Put(x)
	out := make([]concord.Facet, len(req.Facets))
	for i, field := range req.Facets {
		out[i] = concord.Facet{Field: field, Values: frequent(together(all[i]), facetMost(field, req.Bare))}
	}
	return out, total, nil
}

// facetCounter counts the values of one property in one segment.
type facetCounter interface {
	// add counts the marked documents of a window.
	add(w *window, matching *pack.Bitmap)
	// each calls yield with each value that was met and its count.
	each(yield func(string, uint64) bool)
	// most is an upper bound of the number of values.
	most() int
}

// together returns what counters of several segments have counted.
func together(counters []facetCounter) iter.Seq2[string, uint64] {
	switch len(counters) {
	case 0:
		return func(func(string, uint64) bool) {}
	case 1:
		return counters[0].each
	}
	most := 0
	for _, c := range counters {
		most = max(most, c.most())
	}
	sum := make(map[string]uint64, most)
	for _, c := range counters {
		for value, n := range c.each {
			sum[value] += n
		}
	}
	return maps.All(sum)
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

func (c *columnCounter) each(yield func(string, uint64) bool) {
	for code, n := range c.counts {
		if n > 0 && !yield(c.Value(uint32(code)), uint64(n)) {
			return
		}
	}
}

func (c *columnCounter) most() int { return len(c.counts) }

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

func (c *yearCounter) each(yield func(string, uint64) bool) {
	for i, n := range c.near {
		if n > 0 && !yield(strconv.Itoa(firstYear+i), n) {
			return
		}
	}
	for year, n := range c.others {
		if !yield(year, n) {
			return
		}
	}
}

func (c *yearCounter) most() int { return len(c.near) + len(c.others) }

// facetMost returns how many values of a facet an answer has.
func facetMost(field string, bare bool) int {
	switch {
	case !bare:
		return concord.MaxFacetValues
	case field == concord.FacetSite || field == concord.FacetHost:
		return concord.MaxBareSites
	}
	return concord.MaxBareFacetValues
}

// frequent returns the highest counts, at most so many, the highest first. They are gathered until there are twice as many as
// wanted, of which the better half stays: there may be as many values as there are sites.
func frequent(counts iter.Seq2[string, uint64], most int) []concord.FacetValue {
	compare := func(a, b concord.FacetValue) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Value, b.Value))
	}
	out := []concord.FacetValue{}
	var last *concord.FacetValue // none after it matters
	for value, n := range counts {
		v := concord.FacetValue{Value: value, Count: n}
		if last != nil && compare(v, *last) > 0 {
			continue
		}
		if out = append(out, v); len(out) == 2*most {
			slices.SortFunc(out, compare)
			out = out[:most]
			last = &concord.FacetValue{Value: out[most-1].Value, Count: out[most-1].Count}
		}
	}
	slices.SortFunc(out, compare)
	return slices.Clip(out[:min(most, len(out))])
}

// combineFacets adds up the facets of answers to the same request.
func combineFacets(answers []*concord.Answer, bare bool) (out []concord.Facet) {
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
		out = append(out, concord.Facet{Field: field, Values: frequent(maps.All(counts[field]), facetMost(field, bare))})
	}
	return out
}
