package text

import (
	"math"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// detectBytes is how much of a text Detect looks at: languages are told apart within a few lines, and a page costs the
// same however long it is.
const detectBytes = 4096

// Detect returns the language s is written in, an ISO 639-1 code, and how sure that is, 0 to 1; "" and 0 when it has no
// letters. Only the first 4 KiB count. A text of a few words gets a low confidence; below 0.5 the answer is a guess.
//
// Scripts that one language has to itself decide at once. For Latin, Cyrillic, Arabic and Devanagari the language is the
// most probable one by the frequencies of its letters in groups of one to four (model.go). It is safe for concurrent use.
func Detect(s string) (lang string, confidence float64) {
	s = norm.NFC.String(clip(s, detectBytes))
	script, letters := mainScript(s)
	if script == nil {
		return "", 0
	}
	if script.lang != "" {
		return script.lang, sureness(letters, 4)
	}
	return languageModel().detect(s, script)
}

// sureness grows from 0 to 1 with the number of letters seen; it is one half at half of them.
func sureness(letters, half int) float64 { return float64(letters) / float64(letters+half) }

// clip cuts s to at most n bytes, on a rune border.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// script is one of the writing systems that Detect tells apart.
type script struct {
	table  *unicode.RangeTable
	lang   string // the language that it stands for; "": the model decides
	weight int    // how much a letter says, a Latin one being 1: names and code in Latin letters are everywhere
}

// scripts in the order in which letters are looked up. Kana come before Han: together they are Japanese.
var scripts = []script{
	{unicode.Latin, "", 1},
	{unicode.Cyrillic, "", 2},
	{unicode.Han, "zh", 4},
	{unicode.Hiragana, "ja", 4},
	{unicode.Katakana, "ja", 4},
	{unicode.Hangul, "ko", 4},
	{unicode.Arabic, "", 2},
	{unicode.Greek, "el", 2},
	{unicode.Hebrew, "he", 2},
	{unicode.Devanagari, "", 2},
	{unicode.Thai, "th", 2},
	{unicode.Bengali, "bn", 2},
	{unicode.Tamil, "ta", 2},
	{unicode.Telugu, "te", 2},
	{unicode.Gujarati, "gu", 2},
	{unicode.Kannada, "kn", 2},
	{unicode.Malayalam, "ml", 2},
	{unicode.Gurmukhi, "pa", 2},
	{unicode.Sinhala, "si", 2},
	{unicode.Georgian, "ka", 2},
	{unicode.Armenian, "hy", 2},
	{unicode.Ethiopic, "am", 2},
	{unicode.Khmer, "km", 2},
	{unicode.Lao, "lo", 2},
	{unicode.Myanmar, "my", 2},
	{unicode.Tibetan, "bo", 2},
}

// Places in scripts that mainScript treats apart.
const (
	latinScript    = 0
	hanScript      = 2
	hiraganaScript = 3
	katakanaScript = 4
)

// japaneseShare is the least share of kana among kana and Han letters in Japanese text; ordinary Japanese has half,
// Chinese has a name at most.
const japaneseShare = 0.1

// mainScript returns the script that most of s is written in, and the number of its letters; nil when there are none.
func mainScript(s string) (main *script, letters int) {
	var counts [32]int
	last := 0 // neighbours mostly share their script
	for _, r := range s {
		switch {
		case r < utf8.RuneSelf:
			if 'a' <= r|0x20 && r|0x20 <= 'z' {
				counts[latinScript]++
			}
		case !unicode.IsLetter(r):
		case unicode.Is(scripts[last].table, r):
			counts[last]++
		default:
			for i := range scripts {
				if unicode.Is(scripts[i].table, r) {
					counts[i]++
					last = i
					break
				}
			}
		}
	}
	kana := counts[hiraganaScript] + counts[katakanaScript]
	if float64(kana) > japaneseShare*float64(kana+counts[hanScript]) {
		counts[hiraganaScript] = kana + counts[hanScript]
		counts[hanScript], counts[katakanaScript] = 0, 0
	}
	best := 0
	for i := range scripts {
		if counts[i]*scripts[i].weight > counts[best]*scripts[best].weight {
			best = i
		}
	}
	if counts[best] == 0 {
		return nil, 0
	}
	return &scripts[best], counts[best]
}

// How scores become confidence.
const (
	// gramsPerFact: letters are counted in overlapping groups, so that this many groups say one thing.
	gramsPerFact = 6
	// halfSure is the number of letters at which an answer of the model is half as sure as its probability: two or three
	// words.
	halfSure = 24
)

// detect returns the most probable language of those written in script.
func (m *model) detect(s string, script *script) (lang string, confidence float64) {
	scores, letters := m.scores(s, script.table)
	best := -1
	for i := range scores {
		if scores[i] > 0 && (best < 0 || scores[i] > scores[best]) {
			best = i
		}
	}
	if best < 0 {
		return "", 0
	}
	total := 0.0
	for i, score := range scores {
		if i != best && m.langs[i] == m.langs[best] {
			continue // another standard of the same language is no rival
		}
		total += math.Exp(float64(score-scores[best]) / weightsPerNat / gramsPerFact)
	}
	return m.langs[best], sureness(letters, halfSure) / total
}

// scores adds up, for each language, the weights of all groups of letters of s, and counts the letters.
func (m *model) scores(s string, script *unicode.RangeTable) (scores []int64, letters int) {
	scores = make([]int64, len(m.langs))
	add := func(g gram, times int64) {
		for _, w := range m.row(g) {
			scores[w.lang] += times * int64(w.weight)
		}
	}
	var f frequent
	eachGram(s, script, func(g gram, size int) {
		if size == 1 {
			letters++
		}
		if size > 2 || !f.count(g) {
			add(g, 1)
		}
	})
	f.each(add)
	return scores, letters
}

// frequent counts the groups of one and two letters from a to z. They are few and come again and again, and nearly every
// language has a weight for them: their weights are added up once for all, not once for each time.
type frequent struct {
	one [alphabet]uint16 // a text has at most two groups of each size for every byte of detectBytes
	two [alphabet * alphabet]uint16
}

const alphabet = 27 // space and a to z

// count takes a group of one or two letters, if they are among those counted.
func (f *frequent) count(g gram) bool {
	first, second := letterPlace(g>>16), letterPlace(g&0xFFFF)
	switch {
	case second >= alphabet:
		return false
	case g <= 0xFFFF:
		f.one[second]++
	case first < alphabet:
		f.two[first*alphabet+second]++
	default:
		return false
	}
	return true
}

// letterPlace is 0 for a space, 1 to 26 for a letter, more for all others.
func letterPlace(c gram) gram {
	if c == ' ' {
		return 0
	}
	if c < 'a' {
		return alphabet
	}
	return c - 'a' + 1
}

// each calls add with every group that was counted.
func (f *frequent) each(add func(g gram, times int64)) {
	letter := func(place int) gram {
		if place == 0 {
			return ' '
		}
		return gram('a' + place - 1)
	}
	for i, n := range f.one {
		if n > 0 {
			add(letter(i), int64(n))
		}
	}
	for i, n := range f.two {
		if n > 0 {
			add(letter(i/alphabet)<<16|letter(i%alphabet), int64(n))
		}
	}
}
