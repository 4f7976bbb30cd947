package query

import (
	"concord/text"
)

// NearTerm is a text and how many letters index terms may differ from it; with 0 it is the term itself.
type NearTerm struct {
	Text     string
	Distance int // 0 to MaxFuzzyDistance
}

// Terms returns which index terms n stands for in an index whose documents are in langs, as text.QueryForms takes them: all that
// begin with start, and the others.
func (n Prefix) Terms(langs []string) (start string, others []string) {
	start = folded(n.Text)
	return start, text.QueryForms(n.Text, langs)
}

// Terms returns the texts of which n stands for the near index terms, in an index whose documents are in langs, as text.QueryForms
// takes them. The folded word comes first, and no text twice.
func (n Fuzzy) Terms(langs []string) []NearTerm {
	whole := folded(n.Text)
	near := []NearTerm{{whole, n.Distance}}
	for _, form := range text.QueryForms(n.Text, langs) {
		if form == whole {
			continue
		}
		distance := min(n.Distance, FuzzyDistance(form))
		if len(form) > MaxFuzzyBytes {
			distance = 0
		}
		near = append(near, NearTerm{form, distance})
	}
	return near
}

// folded returns the term that the index has for a word of a text without a language.
func folded(word string) string {
	if forms := text.QueryForms(word, nil); len(forms) > 0 {
		return forms[0]
	}
	return word
}
