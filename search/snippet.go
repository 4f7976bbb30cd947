package search

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"concord"
	"concord/index"
	"concord/text"
)

// Sizes of a snippet, in characters but where noted.
const (
	snippetLen   = 240       // about two lines on a result page
	fragmentLen  = 110       // each of two fragments
	maxScanBytes = 128 << 10 // of the body; words beyond it make no snippet
	scanStep     = 4 << 10   // bytes read at a time, until all words of the query were met
	scanOn       = 8 << 10   // bytes read on after the first match for words still missing
	ellipsis     = " … "
	ellipses     = 3 * 3 // room for three of them: in front, between two fragments, at the end
	maxAnalyzers = 32    // analysers kept, one a language; each has a cache of stems
	maxAlike     = 16384 // terms remembered that were compared with prefixes and fuzzy words: the vocabulary of some long pages
)

// snippets makes the snippets of one answer. Not safe for concurrent use.
type snippets struct {
	terms     map[string]int // index term -> number of the query's word
	words     int
	patterns  []shownPattern
	alike     map[string]int // terms that were compared with the patterns: as in terms, -1: none
	analyzers map[string]*text.Analyzer
	buf       []text.Term
}

// span is a stretch of a text in bytes.
type span struct{ from, to int }

// match is an occurrence of a word of the query.
type match struct {
	span
	word int
}

// of returns the snippet of a document, nil where the page asks for none.
func (s *snippets) of(d *index.Document) []concord.Fragment {
	if d.NoSnippet {
		return nil
	}
	limit, most := snippetLen, snippetLen+ellipses
	if d.MaxSnippet > 0 && d.MaxSnippet < most {
		limit, most = d.MaxSnippet, d.MaxSnippet
		if most > 4*ellipses {
			limit -= ellipses
		}
	}
	body := d.Body
	matches := s.scan(d.Language, body)
	if len(matches) == 0 && d.Description != "" {
		body = d.Description
		matches = s.matches(d.Language, body)
	}
	var out []concord.Fragment
	cut := false
	for i, win := range windows(body, matches, limit) {
		if i > 0 || win.from > 0 && limit > 2*len(ellipsis) && !sentenceStart(body, win.from) {
			out = appendText(out, ellipsis, false)
		}
		at := win.from
		for _, m := range matches {
			if m.from >= at && m.to <= win.to {
				out = appendText(out, flat(body[at:m.from]), false)
				out = appendText(out, flat(body[m.from:m.to]), true)
				at = m.to
			}
		}
		out = appendText(out, flat(body[at:win.to]), false)
		cut = win.to < len(body) && !sentenceEnd(body[:win.to])
	}
	if cut && limit > 2*ellipses {
		out = appendText(out, strings.TrimRight(ellipsis, " "), false)
	}
	return clip(out, most)
}

// sentenceEnd reports whether a text ends with a sentence.
func sentenceEnd(s string) bool {
	return strings.ContainsRune(".!?…。！？", lastRune(strings.TrimRightFunc(s, unicode.IsSpace)))
}

// scan finds the words of the query in the part of a body that has all of them, or in all that may be read of it.
func (s *snippets) scan(lang, body string) []match {
	var out []match
	var seen uint64
	all := uint64(1)<<min(s.words, 63) - 1
	for at := 0; at < min(len(body), maxScanBytes) && seen&all != all; {
		if len(out) > 0 && at-out[0].from > scanOn {
			break
		}
		end := stepEnd(body, at)
		for _, m := range s.matches(lang, body[at:end]) {
			out = append(out, match{span{m.from + at, m.to + at}, m.word})
			seen |= 1 << (m.word % 64)
		}
		at = end
	}
	return out
}

// stepEnd returns where a step of scan from at ends: after white space when there is any in the second half.
func stepEnd(body string, at int) int {
	if len(body)-at <= scanStep {
		return len(body)
	}
	end := at + scanStep
	if i := strings.LastIndexAny(body[at+scanStep/2:end], " \n"); i >= 0 {
		return at + scanStep/2 + i + 1
	}
	return max(runeStart(body, end), at+1)
}

// matches finds the words of the query in a text.
func (s *snippets) matches(lang, body string) []match {
	a := s.analyzers[lang]
	if a == nil {
		if len(s.analyzers) >= maxAnalyzers {
			clear(s.analyzers)
		}
		a = text.NewAnalyzer(lang)
		s.analyzers[lang] = a
	}
	s.buf = a.Append(s.buf[:0], body)
	var out []match
	for _, t := range s.buf {
		if w, ok := s.wordOf(t.Text); ok && (len(out) == 0 || t.Start >= out[len(out)-1].to) {
			out = append(out, match{span{t.Start, t.End}, w})
		}
	}
	return out
}

// windows chooses the stretches of body to be shown: the one in which most different words of the query occur, and a second
// one when it has words that the first lacks. Without matches it is the beginning.
func windows(body string, matches []match, limit int) []span {
	if len(matches) == 0 {
		return []span{{0, fit(body, 0, limit)}}
	}
	whole := best(matches, limit*3/4, 0)
	first := best(matches, min(limit, fragmentLen)*3/4, 0)
	if second := best(matches, fragmentLen*3/4, first.words); limit >= 2*fragmentLen && bitsIn(first.words|second.words) > bitsIn(whole.words) {
		a, b := widen(body, first.span, fragmentLen), widen(body, second.span, fragmentLen)
		if a.from > b.from {
			a, b = b, a
		}
		if a.to < b.from {
			return []span{a, b}
		}
	}
	return []span{widen(body, whole.span, limit)}
}

// candidate is a run of matches and which words it holds.
type candidate struct {
	span
	words uint64
}

// best returns the run of matches of at most size bytes that holds most different words other than those in without, then most matches,
// then comes first.
func best(matches []match, size int, without uint64) candidate {
	var top candidate
	topScore := -1
	var count [64]int
	var words uint64
	lo := 0
	for hi, m := range matches {
		count[m.word%64]++
		words |= 1 << (m.word % 64)
		for ; lo < hi && m.to-matches[lo].from > size; lo++ {
			if w := matches[lo].word % 64; count[w] == 1 {
				count[w], words = 0, words&^(1<<w)
			} else {
				count[w]--
			}
		}
		if score := bitsIn(words&^without)*1000 + min(hi-lo, 10); score > topScore {
			topScore, top = score, candidate{span{matches[lo].from, m.to}, words}
		}
	}
	return top
}

func bitsIn(w uint64) (n int) {
	for ; w != 0; w &= w - 1 {
		n++
	}
	return n
}

// widen grows a stretch to about size characters: to the beginning of its sentence when that is near, else to the border of a word.
func widen(body string, s span, size int) span {
	room := max(0, size-utf8.RuneCountInString(body[s.from:s.to]))
	from := s.from
	for back := room; back > 0 && from > 0 && !sentenceStart(body, from); back-- {
		_, n := utf8.DecodeLastRuneInString(body[:from])
		from -= n
	}
	if from > 0 && !sentenceStart(body, from) { // the sentence begins too far back: show a third of the room before the match
		from = s.from
		for back := room / 3; back > 0 && from > 0; back-- {
			_, n := utf8.DecodeLastRuneInString(body[:from])
			from -= n
		}
		if i := strings.IndexFunc(body[from:s.from], unicode.IsSpace); from > 0 && i >= 0 {
			from += i + 1
		}
	}
	return span{from, max(s.to, fit(body, from, size))}
}

// sentenceStart reports whether a sentence or paragraph begins at i.
func sentenceStart(body string, i int) bool {
	if i == 0 {
		return true
	}
	before := strings.TrimRightFunc(body[max(0, i-8):i], unicode.IsSpace)
	gap := body[max(0, i-8):i]
	if strings.Contains(gap[min(len(before), len(gap)):], "\n") {
		return true
	}
	return len(before) < len(gap) && before != "" && strings.ContainsRune(".!?…:。！？", lastRune(before)) || strings.HasSuffix(before, "。")
}

func lastRune(s string) rune { r, _ := utf8.DecodeLastRuneInString(s); return r }

// fit returns the end of a stretch from from of at most n characters that ends with a word.
func fit(body string, from, n int) int {
	end := from
	for i := range body[from:] {
		if n == 0 {
			cut := strings.TrimRightFunc(body[from:from+i], func(r rune) bool { return !unicode.IsSpace(r) })
			if len(cut) > i/2 {
				return from + len(strings.TrimRightFunc(cut, unicode.IsSpace))
			}
			return from + i
		}
		n--
		end = from + i
	}
	if n >= 0 {
		return len(body)
	}
	return end
}

// runeStart returns the last border of a character at or before i.
func runeStart(s string, i int) int {
	for i > 0 && !utf8.RuneStart(s[i]) {
		i--
	}
	return i
}

// flat makes one line of a text: runs of white space become one space, control characters go.
func flat(s string) string {
	var b strings.Builder
	space := false
	for _, r := range s {
		switch {
		case unicode.IsSpace(r):
			if !space {
				b.WriteByte(' ')
			}
			space = true
		case unicode.IsControl(r) || r == utf8.RuneError:
		default:
			b.WriteRune(r)
			space = false
		}
	}
	return b.String()
}

func appendText(out []concord.Fragment, s string, match bool) []concord.Fragment {
	if s == "" {
		return out
	}
	if n := len(out); n > 0 && out[n-1].Match == match && !match {
		out[n-1].Text += s
		return out
	}
	return append(out, concord.Fragment{Text: s, Match: match})
}

// clip cuts fragments to a number of characters in all: what a page asks for with max-snippet.
func clip(out []concord.Fragment, limit int) []concord.Fragment {
	for i := range out {
		n := utf8.RuneCountInString(out[i].Text)
		if n > limit {
			cut := 0
			for range limit {
				_, size := utf8.DecodeRuneInString(out[i].Text[cut:])
				cut += size
			}
			if out[i].Text = out[i].Text[:cut]; cut == 0 {
				return out[:i]
			}
			return out[:i+1]
		}
		limit -= n
	}
	return out
}
