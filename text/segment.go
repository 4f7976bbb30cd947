package text

import (
	"unicode"
	"unicode/utf8"

	"github.com/clipperhouse/uax29/v2/words"
)

// slow handles what begins at the word boundary i by the full rules and returns the next boundary.
func (w *walk) slow(i int) int {
	r, _ := utf8.DecodeRuneInString(w.s[i:])
	if s := scriptRun(r); s != noRun {
		return w.pairs(i, s)
	}
	if w.t.segments == nil {
		w.t.segments = words.FromString("")
	}
	w.t.segments.SetText(w.s[i:])
	w.t.segments.Next()
	end := i + w.t.segments.End()
	for start := i; start < end; {
		cut, next := nextCut(w.s, start, end)
		from, to := trimWord(w.s, start, cut)
		if from < to {
			if r, _ := utf8.DecodeRuneInString(w.s[from:]); scriptRun(r) != noRun {
				return from
			}
			w.emit(from, to, w.t.term(w.s[from:to]))
		}
		start = next
	}
	return end
}

// nextCut returns the place of the first rune of s[start:end] that separates words by our tailoring, and the place after
// it; end twice when there is none.
func nextCut(s string, start, end int) (cut, next int) {
	for i := start; i < end; {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch r {
		case '.', 0x2024, 0xFE52, 0xFF0E:
			before, _ := utf8.DecodeLastRuneInString(s[start:i])
			after, _ := utf8.DecodeRuneInString(s[i+size : end])
			if !unicode.IsDigit(before) || !unicode.IsDigit(after) {
				return i, i + size
			}
		case ':', 0xFE13, 0xFE55, 0xFF1A, // colons
			'_', 0x203F, 0x2040, 0x2054, 0xFE33, 0xFE34, 0xFE4D, 0xFE4E, 0xFE4F, 0xFF3F, // low lines and ties
			0x202F,         // the narrow no-break space, which UAX #29 counts among them
			utf8.RuneError: // damage
			return i, i + size
		}
		i += size
	}
	return end, end
}

// trimWord narrows s[start:end] to begin with a letter or number and to end with one or with its marks. Without any, start
// equals end.
func trimWord(s string, start, end int) (int, int) {
	for start < end {
		r, size := utf8.DecodeRuneInString(s[start:end])
		if unicode.IsLetter(r) || unicode.IsNumber(r) {
			break
		}
		start += size
	}
	for start < end {
		r, size := utf8.DecodeLastRuneInString(s[start:end])
		if unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r) {
			break
		}
		end -= size
	}
	return start, end
}

// The scripts whose runs become pairs of characters.
const (
	noRun  = iota
	cjk    // Han, Hiragana, Katakana: no spaces between words
	hangul // spaces, but particles and endings grow onto words
)

// scriptRun returns the kind of run r begins or continues.
func scriptRun(r rune) int {
	switch {
	case r < 0x1100:
		return noRun
	case r <= 0x115F: // leading jamo; vowels and finals extend it
		return hangul
	case r < 0x3005:
		return noRun
	case r <= 0x3007, 0x3021 <= r && r <= 0x3029, 0x3038 <= r && r <= 0x303B,
		0x3041 <= r && r <= 0x3096, 0x309D <= r && r <= 0x309F,
		0x30A1 <= r && r <= 0x30FA, 0x30FC <= r && r <= 0x30FF, 0x31F0 <= r && r <= 0x31FF:
		return cjkUnlessMark(r)
	case 0x3131 <= r && r <= 0x318E, 0xAC00 <= r && r <= 0xD7A3:
		return hangul
	case 0x3400 <= r && r <= 0x4DBF, 0x4E00 <= r && r <= 0x9FFF, 0xF900 <= r && r <= 0xFAFF,
		0xFF66 <= r && r <= 0xFF9D, 0x1AFF0 <= r && r <= 0x1B16F, 0x20000 <= r && r <= 0x323AF:
		return cjkUnlessMark(r)
	}
	return noRun
}

// cjkUnlessMark leaves out the few symbols and unassigned places between the letters.
func cjkUnlessMark(r rune) int {
	if unicode.IsLetter(r) || unicode.IsNumber(r) {
		return cjk
	}
	return noRun
}

// extends reports whether r belongs to the character before it: marks, joiners, voicing marks, jamo after a leading one.
func extends(r rune) bool {
	return unicode.IsMark(r) || r == 0xFF9E || r == 0xFF9F || r == 0x200C || r == 0x200D || 0x1160 <= r && r <= 0x11FF
}

// pairs emits the run of one kind of script that begins at i as overlapping pairs of characters, a single one as itself,
// and returns its end.
func (w *walk) pairs(i, kind int) int {
	first, second := i, character(w.s, i)
	for {
		r, _ := utf8.DecodeRuneInString(w.s[second:])
		if second == len(w.s) || scriptRun(r) != kind {
			break
		}
		end := character(w.s, second)
		w.emit(first, end, w.t.term(w.s[first:end]))
		first, second = second, end
	}
	if first == i {
		w.emit(i, second, w.t.term(w.s[i:second]))
	}
	return second
}

// character returns the end of the character at i: a rune and what extends it.
func character(s string, i int) int {
	_, size := utf8.DecodeRuneInString(s[i:])
	for i += size; i < len(s); i += size {
		var r rune
		if r, size = utf8.DecodeRuneInString(s[i:]); !extends(r) {
			break
		}
	}
	return i
}
