package text

import (
	"slices"
	"strings"

	"github.com/blevesearch/snowballstem"
)

// Term is one word of a document as the index stores it.
type Term struct {
	Text       string // stem, diacritics folded; never empty; shares no memory with the document
	Position   uint32 // as in Token
	Start, End int    // byte offsets of the word in the document
}

// Analyzer makes index terms of text in one language. It is not safe for concurrent use; indexing workers keep one each.
type Analyzer struct {
	lang      string
	run       func(*snowballstem.Env) bool
	tokenizer Tokenizer
	tokens    []Token
	forms     cache
}

// NewAnalyzer returns the analyzer of a language, an ISO 639-1 code. For "" and languages without a stemmer words are only
// folded.
func NewAnalyzer(lang string) *Analyzer { return &Analyzer{lang: lang, run: algorithm(lang)} }

// Append appends the terms of s to dst and returns the longer slice.
func (a *Analyzer) Append(dst []Term, s string) []Term {
	a.tokens = a.tokenizer.AppendTokens(a.tokens[:0], s)
	dst = slices.Grow(dst, len(a.tokens))
	for _, t := range a.tokens {
		form, ok := a.forms.get(t.Term)
		if !ok {
			form = a.forms.put(t.Term, indexForm(a.lang, a.run, t.Term))
		}
		dst = append(dst, Term{form, t.Position, t.Start, t.End})
	}
	clear(a.tokens) // lets go of the text
	return dst
}

// QueryForms returns the distinct index terms that a word of a query may stand for in an index whose documents are in
// langs, most frequent language first: documents are stemmed in their own language. "" stands for documents without a
// known language. The word is one token, as query.Parse delivers it; of a text of several tokens the first one counts.
// Without langs the word is only folded. The result is empty when the word has no letter or number or is too long.
func QueryForms(word string, langs []string) []string { return AppendQueryForms(nil, word, langs) }

// AppendQueryForms is QueryForms, appended to dst.
func AppendQueryForms(dst []string, word string, langs []string) []string {
	term := word
	if !plainWord(word) {
		tokens := new(Tokenizer).AppendTokens(nil, word)
		if len(tokens) == 0 {
			return dst
		}
		term = tokens[0].Term
	}
	if len(langs) == 0 {
		return append(dst, indexForm("", nil, term))
	}
	before := len(dst)
	for _, lang := range langs {
		if form := indexForm(lang, algorithm(lang), term); !slices.Contains(dst[before:], form) {
			dst = append(dst, form)
		}
	}
	return dst
}

// plainWord reports whether a word is of the letters a to z alone and not too long: such a word is one token, and its term.
func plainWord(word string) bool {
	for i := range len(word) {
		if word[i] < 'a' || word[i] > 'z' {
			return false
		}
	}
	return word != "" && len(word) <= MaxTermBytes
}

// indexForm is the second half of the pipeline: what the index keeps of a token's term. Stems come before folding, because
// the algorithms know the letters of their language. Terms with a digit are names and numbers, not words: no stem.
func indexForm(lang string, run func(*snowballstem.Env) bool, term string) string {
	if strings.ContainsAny(term, "0123456789") {
		run = nil
	}
	term = stem(lang, run, term)
	if folded := foldMarks(term); folded != "" && len(folded) <= MaxTermBytes {
		return folded
	}
	return term
}
