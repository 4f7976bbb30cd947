package text

import (
	"github.com/blevesearch/snowballstem"
	"github.com/blevesearch/snowballstem/danish"
	"github.com/blevesearch/snowballstem/dutch"
	"github.com/blevesearch/snowballstem/english"
	"github.com/blevesearch/snowballstem/finnish"
	"github.com/blevesearch/snowballstem/french"
	"github.com/blevesearch/snowballstem/german"
	"github.com/blevesearch/snowballstem/hungarian"
	"github.com/blevesearch/snowballstem/italian"
	"github.com/blevesearch/snowballstem/norwegian"
	"github.com/blevesearch/snowballstem/portuguese"
	"github.com/blevesearch/snowballstem/romanian"
	"github.com/blevesearch/snowballstem/russian"
	"github.com/blevesearch/snowballstem/spanish"
	"github.com/blevesearch/snowballstem/swedish"
	"github.com/blevesearch/snowballstem/turkish"
)

// Languages returns the ISO 639-1 codes of the languages that have a stemmer, sorted. Terms of all others are indexed as
// they are.
func Languages() []string {
	return []string{"da", "de", "en", "es", "fi", "fr", "hu", "it", "nl", "no", "pt", "ro", "ru", "sv", "tr"}
}

// algorithm returns the Snowball algorithm of a language, nil for languages without.
func algorithm(lang string) func(*snowballstem.Env) bool {
	switch lang {
	case "da":
		return danish.Stem
	case "de":
		return german.Stem
	case "en":
		return english.Stem
	case "es":
		return spanish.Stem
	case "fi":
		return finnish.Stem
	case "fr":
		return french.Stem
	case "hu":
		return hungarian.Stem
	case "it":
		return italian.Stem
	case "nl":
		return dutch.Stem
	case "no", "nb", "nn":
		return norwegian.Stem
	case "pt":
		return portuguese.Stem
	case "ro":
		return romanian.Stem
	case "ru":
		return russian.Stem
	case "sv":
		return swedish.Stem
	case "tr":
		return turkish.Stem
	}
	return nil
}

// Stem returns the stem of a term by the Snowball algorithm of a language, after what prepare does; for languages without
// an algorithm prepare is all. A Stemmer does the same faster for many terms.
//
// The algorithms are those of Snowball 2.0. TestStemVocabularies lists where later versions decide otherwise.
func Stem(lang, term string) string { return stem(lang, algorithm(lang), term) }

func stem(lang string, run func(*snowballstem.Env) bool, term string) string {
	term = prepare(lang, term)
	if run == nil {
		return term
	}
	env := snowballstem.NewEnv(term)
	run(env)
	if env.Current() == "" {
		return term
	}
	return env.Current()
}

// Stemmer stems terms of one language and remembers them, within a bound. It is not safe for concurrent use.
type Stemmer struct {
	lang  string
	run   func(*snowballstem.Env) bool
	stems cache
}

// NewStemmer returns a stemmer for a language; one that changes nothing where the language has no algorithm.
func NewStemmer(lang string) *Stemmer { return &Stemmer{lang: lang, run: algorithm(lang)} }

// Stem returns the stem of term.
func (s *Stemmer) Stem(term string) string {
	if v, ok := s.stems.get(term); ok {
		return v
	}
	return s.stems.put(term, stem(s.lang, s.run, term))
}
