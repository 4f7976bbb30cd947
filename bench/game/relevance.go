package game

import (
	"concord/query"
	"concord/text"
)

// AnyWord returns the query that any word of a text may match, as published baselines of judged collections have it; a word that
// occurs twice counts twice. It is nil for a text without words.
func AnyWord(s string) query.Node {
	var words []query.Node
	for tok := range text.Tokens(s) {
		words = append(words, query.Word{Text: tok.Term})
	}
	if len(words) == 0 {
		return nil
	}
	return one(words, func(n []query.Node) query.Node { return query.Or{Nodes: n} })
}
