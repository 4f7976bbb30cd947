package game

import (
	"strings"

	"concord/query"
	"concord/text"
)

// stopWords are the 33 words that the published baselines leave out of English texts and queries.
var stopWords = func() map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(`a an and are as at be but by for if in into is it no not of on or such that the their then
		there these they this to was will with`) {
		m[w] = true
	}
	return m
}()

// AnyWord returns the query that any word of a text may match, as published baselines of judged collections have it; a word that
// occurs twice counts twice. With stops, stop words count as well. It is nil for a text without words.
func AnyWord(s string, stops bool) query.Node {
	var words []query.Node
	for tok := range text.Tokens(s) {
		if stops || !stopWords[tok.Term] {
			words = append(words, query.Word{Text: tok.Term})
		}
	}
	if len(words) == 0 {
		return nil
	}
	return one(words, func(n []query.Node) query.Node { return query.Or{Nodes: n} })
}

// WithoutStops returns a text without its stop words.
func WithoutStops(s string) string {
	var b strings.Builder
	last := 0
	for tok := range text.Tokens(s) {
		if stopWords[tok.Term] {
			b.WriteString(s[last:tok.Start])
			last = tok.End
		}
	}
	b.WriteString(s[last:])
	return b.String()
}
