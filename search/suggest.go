package search

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"concord"
	"concord/index"
	"concord/query"
	"concord/text"
)

// Bounds of the search for a suggestion: what "did you mean" may cost on top of a query that found nothing.
const (
	suggestTime  = 150 * time.Millisecond
	maxCorrected = 4    // words of a query that are looked at
	maxFuzzyHits = 4096 // dictionary words considered for each form and segment
	maxTries     = 8    // corrected queries that are tried
	perWord      = 3    // corrections kept for each word
	surfaceDocs  = 3    // documents read to find how a corrected word is written
	surfaceBytes = 64 << 10
)

// correction is a word that one of the query may have been meant to be.
type correction struct {
	form     string // index term
	distance int
	docs     uint64
	surface  string // as written in a document
}

// suggest returns a corrected query that has results, "" when there is none within the bounds. Without statistics the snapshot is the whole
// collection.
func (s *Snapshot) suggest(ctx context.Context, root query.Node, stats *concord.Stats) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, suggestTime)
	defer cancel()
	if stats == nil {
		own, err := s.stats(ctx, root)
		if err != nil {
			return "", notDeadline(err)
		}
		stats = &own
	}
	langs := byCount(stats.Langs)
	options := map[string][]correction{}
	var words []string
	for _, w := range query.Words(root) {
		if len(words) == maxCorrected {
			break
		}
		known := false
		for _, form := range text.QueryForms(w, langs) {
			known = known || stats.Terms[statsKey(index.FieldAll, form)] > 0
		}
		if known {
			continue
		}
		list, err := s.corrections(ctx, w, langs)
		if err != nil {
			return "", notDeadline(err)
		}
		if len(list) == 0 {
			return "", nil // this word occurs nowhere, nor does anything like it
		}
		words = append(words, w)
		options[w] = list
	}
	if len(words) == 0 {
		return "", nil
	}
	for try := range maxTries {
		replace, ok := choice(words, options, try)
		if !ok {
			break
		}
		corrected := query.Replace(root, replace)
		p, err := s.plan(corrected)
		if err != nil {
			return "", err
		}
		_, total, err := s.top(ctx, p, 1, false)
		if err != nil {
			return "", notDeadline(err)
		}
		if total > 0 {
			return corrected.String(), nil
		}
	}
	return "", nil
}

// notDeadline hides that the time for suggestions ran out: the answer is complete without one.
func notDeadline(err error) error {
	if err == context.DeadlineExceeded {
		return nil
	}
	return err
}

// choice returns the n-th combination of corrections, each word's best first.
func choice(words []string, options map[string][]correction, n int) (map[string]string, bool) {
	replace := map[string]string{}
	for _, w := range words {
		list := options[w]
		replace[w] = list[n%len(list)].surface
		n /= len(list)
	}
	return replace, n == 0
}

// corrections returns words of the dictionaries near a word, best first: by edit distance, then by number of documents.
func (s *Snapshot) corrections(ctx context.Context, w string, langs []string) ([]correction, error) {
	found := map[string]*correction{}
	for _, form := range text.QueryForms(w, langs) {
		if len(form) > index.MaxFuzzyWord || len(form) < 3 {
			continue
		}
		distance := 1
		if len(form) > 4 {
			distance = index.MaxFuzzyDistance
		}
		f, err := index.NewFuzzy(form, distance)
		if err != nil {
			return nil, err
		}
		for _, seg := range s.segments {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			n := 0
			err := seg.Fuzzy(index.FieldAll, f, func(word []byte, t index.Term) bool {
				d, _ := f.Distance(string(word))
				c := found[string(word)]
				if c == nil {
					c = &correction{form: string(word), distance: d}
					found[c.form] = c
				}
				c.distance = min(c.distance, d)
				c.docs += uint64(t.DocCount)
				n++
				return n < maxFuzzyHits && ctx.Err() == nil
			})
			if err != nil {
				return nil, err
			}
		}
	}
	list := make([]correction, 0, len(found))
	for _, c := range found {
		list = append(list, *c)
	}
	slices.SortFunc(list, func(a, b correction) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(b.docs, a.docs), strings.Compare(a.form, b.form))
	})
	var out []correction
	for _, c := range list {
		var err error
		if c.surface, err = s.surface(c.form, w); err != nil {
			return nil, err
		}
		if c.surface != "" && c.surface != w {
			out = append(out, c)
		}
		if len(out) == perWord {
			break
		}
	}
	return out, nil
}

// surface returns how an index term is written in a document: dictionaries hold stems. Of the spellings in the first documents that
// have it, the one nearest to what was typed wins, then the most frequent.
func (s *Snapshot) surface(form, typed string) (string, error) {
	count := map[string]int{}
	docs := 0
	for _, seg := range s.segments {
		t, ok, err := seg.Term(index.FieldAll, form)
		if err != nil {
			return "", err
		}
		if !ok {
			continue
		}
		var p index.Postings
		if err := p.Reset(seg, t); err != nil {
			return "", err
		}
		for d := p.Next(); d != index.NoDoc && docs < surfaceDocs; d = p.Next() {
			if seg.Deleted(d) {
				continue
			}
			doc, err := seg.Document(d)
			if err != nil {
				return "", err
			}
			countSpellings(count, doc, form)
			docs++
		}
		if err := p.Err(); err != nil {
			return "", err
		}
	}
	best := ""
	for w, n := range count {
		if best == "" || cmp.Or(cmp.Compare(editDistance(w, typed), editDistance(best, typed)), cmp.Compare(count[best], n), strings.Compare(w, best)) < 0 {
			best = w
		}
	}
	return best, nil
}

// countSpellings counts the spellings of an index term in the beginning of a document.
func countSpellings(count map[string]int, doc *index.Document, form string) {
	body := doc.Body
	if len(body) > surfaceBytes {
		body = body[:runeStart(body, surfaceBytes)]
	}
	a := text.NewAnalyzer(doc.Language)
	for _, part := range append([]string{doc.Title, body}, doc.Headings...) {
		for _, t := range a.Append(nil, part) {
			if t.Text == form {
				for tok := range text.Tokens(part[t.Start:t.End]) {
					count[tok.Term]++
					break
				}
			}
		}
	}
}

// editDistance is the number of insertions, deletions, substitutions and transpositions of neighbours between two words.
func editDistance(a, b string) int {
	x, y := []rune(a), []rune(b)
	prev2, prev, cur := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := range x {
		cur[0] = i + 1
		for j := range y {
			c := 1
			if x[i] == y[j] {
				c = 0
			}
			cur[j+1] = min(prev[j]+c, prev[j+1]+1, cur[j]+1)
			if i > 0 && j > 0 && x[i] == y[j-1] && x[i-1] == y[j] {
				cur[j+1] = min(cur[j+1], prev2[j-1]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(y)]
}
