package query

import "slices"

// Words returns the distinct words a matching document shows, in order of the query: for highlighting and suggestions.
// Those under a Not and those of the URL are left out, and so are prefixes and fuzzy words: what they stand for is in the index.
func Words(n Node) []string {
	var words []string
	add := func(w string) {
		if !slices.Contains(words, w) {
			words = append(words, w)
		}
	}
	Walk(n, func(n Node) bool {
		switch n := n.(type) {
		case Not:
			return false
		case Word:
			if n.Field != URL {
				add(n.Text)
			}
		case Phrase:
			if n.Field == URL {
				break
			}
			for _, w := range n.Words {
				add(w)
			}
		}
		return true
	})
	return words
}

// Replace returns the tree with words replaced, in words and phrases, those under a Not and of the URL left as they are. Each
// replacement must be one word, as Word.Text is. Replace shares with n what it does not change.
func Replace(n Node, replacements map[string]string) Node {
	replace := func(w string) string {
		if r, ok := replacements[w]; ok {
			return r
		}
		return w
	}
	switch n := n.(type) {
	case And:
		return And{replaceAll(n.Nodes, replacements)}
	case Or:
		return Or{replaceAll(n.Nodes, replacements)}
	case Maybe:
		return Maybe{Replace(n.Node, replacements)}
	case Word:
		if n.Field != URL {
			n.Text = replace(n.Text)
		}
		return n
	case Phrase:
		if n.Field != URL {
			words := make([]string, len(n.Words))
			for i, w := range n.Words {
				words[i] = replace(w)
			}
			n.Words = words
		}
		return n
	}
	return n
}

func replaceAll(nodes []Node, replacements map[string]string) []Node {
	out := make([]Node, len(nodes))
	for i, c := range nodes {
		out[i] = Replace(c, replacements)
	}
	return out
}
