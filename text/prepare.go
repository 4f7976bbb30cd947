package text

import (
	"slices"
	"strings"
)

// prepare brings a term into the spelling that the stemmer of a language expects, and takes off what UAX #29 leaves on it.
func prepare(lang, term string) string {
	switch lang {
	case "fr", "it", "ca":
		return elide(lang, term)
	case "ro": // both the comma and the cedilla below are in use; the algorithm knows the cedilla
		return replace(term, "ș", "ş", "ț", "ţ")
	case "ru": // ё is mostly written е
		return replace(term, "ё", "е")
	case "tr": // endings of names stand after an apostrophe
		if i := strings.IndexByte(term, '\''); i > 1 {
			return term[:i]
		}
	}
	return term
}

// replace replaces pairs of letters; terms that have none of them, nearly all, are not copied.
func replace(term string, pairs ...string) string {
	for i := 0; i < len(pairs); i += 2 {
		term = strings.ReplaceAll(term, pairs[i], pairs[i+1])
	}
	return term
}

// elide removes an article or pronoun that lost its vowel: l'homme -> homme. UAX #29 keeps them in one word.
func elide(lang, term string) string {
	i := strings.IndexByte(term, '\'')
	if i <= 0 || i+1 == len(term) {
		return term
	}
	if slices.Contains(elisions(lang), term[:i]) {
		return term[i+1:]
	}
	return term
}

// elisions lists what stands before the apostrophe in a language that elides.
func elisions(lang string) []string {
	switch lang {
	case "fr":
		return []string{"l", "d", "c", "j", "m", "n", "s", "t", "qu", "jusqu", "lorsqu", "puisqu", "quoiqu"}
	case "it":
		return []string{"l", "d", "c", "m", "n", "s", "t", "v", "un", "all", "dall", "dell", "nell", "sull", "coll", "pell",
			"gl", "agl", "dagl", "degl", "negl", "sugl", "quell", "quest", "sant", "anch", "dov", "com"}
	case "ca":
		return []string{"l", "d", "m", "n", "s", "t"}
	}
	return nil
}
