package search

import (
	"cmp"
	"slices"
	"strings"

	"concord"
)

// Combine merges the answers of shards that hold different documents into one page. Each answer must hold its shard's first
// offset+limit results, scored with common Stats. Facets are added up. Failed answers are nil and must be accounted for by the caller.
// Hits are not copied deeply.
func Combine(answers []*concord.Answer, offset, limit int) *concord.Answer {
	out := &concord.Answer{}
	var hits []concord.Hit
	for _, a := range answers {
		if a == nil {
			continue
		}
		hits = append(hits, a.Hits...)
		out.Total += a.Total
		out.AtLeast = out.AtLeast || a.AtLeast
		out.Shards += a.Shards
		out.Answered += a.Answered
		out.Failures = append(out.Failures, a.Failures...)
		out.Took = max(out.Took, a.Took)
	}
	slices.SortStableFunc(hits, func(a, b concord.Hit) int { return compareHits(&a, &b) })
	from := min(max(offset, 0), len(hits))
	out.Hits = slices.Clip(hits[from:min(from+max(limit, 0), len(hits))])
	out.Facets = combineFacets(answers, false)
	if out.Total == 0 {
		out.Suggestion = commonSuggestion(answers)
	}
	return out
}

// combineOnly merges answers with the hits of given URLs, which come in the order of these.
func combineOnly(answers []*concord.Answer, urls []string) *concord.Answer {
	out := Combine(answers, 0, concord.MaxLimit)
	byURL := map[string]concord.Hit{}
	for _, h := range out.Hits {
		byURL[h.URL] = h
	}
	out.Hits = make([]concord.Hit, 0, len(urls))
	for _, url := range urls {
		if h, ok := byURL[url]; ok {
			out.Hits = append(out.Hits, h)
		}
	}
	return out
}

// compareHits orders by score, then site, then URL.
func compareHits(a, b *concord.Hit) int {
	return cmp.Or(cmp.Compare(b.Score, a.Score), strings.Compare(a.Site, b.Site), strings.Compare(a.URL, b.URL))
}

// commonSuggestion returns the suggestion most answers make, the first in alphabetical order among equals.
func commonSuggestion(answers []*concord.Answer) string {
	votes := map[string]int{}
	best := ""
	for _, a := range answers {
		if a == nil || a.Suggestion == "" {
			continue
		}
		s := a.Suggestion
		votes[s]++
		if best == "" || votes[s] > votes[best] || votes[s] == votes[best] && s < best {
			best = s
		}
	}
	return best
}
