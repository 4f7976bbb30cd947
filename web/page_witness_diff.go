package web

import "strings"

// span is a stretch of a text as it compares with another.
type span struct {
	Kind string // spanSame, spanOnly (the other lacks it), spanLacks (the other has it), spanGap (left out)
	Text string
	Size int // words of a gap
}

const (
	spanSame  = "same"
	spanOnly  = "only"
	spanLacks = "lacks"
	spanGap   = "gap"
)

const (
	// maxCells bounds the table by which two texts are compared, beyond what they begin and end with alike: 1,400 words against as
	// many. Where they differ in more, all of it is marked.
	maxCells = 2 << 20
	// Of words that are the same, and of words that are not, so many are shown beside what differs, and in all.
	sameShown   = 30
	differShown = 600
)

// compareTexts returns a text as it compares with another, word by word.
func compareTexts(text, other string) []span {
	a, b := words(text), words(other)
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	d := &differ{}
	d.add(spanSame, a[:head])
	d.middle(a[head:len(a)-tail], b[head:len(b)-tail])
	d.add(spanSame, a[len(a)-tail:])
	return d.spans()
}

// words splits a text at its white space, which normalised texts have little of.
func words(text string) []string { return strings.Fields(text) }

// differ gathers stretches of words.
type differ struct {
	kinds []string
	words [][]string
}

func (d *differ) add(kind string, list []string) {
	if len(list) == 0 {
		return
	}
	if n := len(d.kinds); n > 0 && d.kinds[n-1] == kind {
		d.words[n-1] = append(d.words[n-1][:len(d.words[n-1]):len(d.words[n-1])], list...)
		return
	}
	d.kinds, d.words = append(d.kinds, kind), append(d.words, list)
}

// middle compares what is left by the longest common subsequence.
func (d *differ) middle(a, b []string) {
	if len(a)*len(b) > maxCells || len(a) == 0 || len(b) == 0 {
		d.add(spanLacks, b)
		d.add(spanOnly, a)
		return
	}
	w := len(b) + 1
	best := make([]uint16, (len(a)+1)*w) // of a[i:] and b[j:]; both are shorter than 65,536 words, or the table would be too large
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				best[i*w+j] = best[(i+1)*w+j+1] + 1
			} else {
				best[i*w+j] = max(best[(i+1)*w+j], best[i*w+j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		switch {
		case a[i] == b[j]:
			d.add(spanSame, a[i:i+1])
			i, j = i+1, j+1
		case best[(i+1)*w+j] > best[i*w+j+1]:
			d.add(spanOnly, a[i:i+1])
			i++
		default:
			d.add(spanLacks, b[j:j+1])
			j++
		}
	}
	d.add(spanLacks, b[j:])
	d.add(spanOnly, a[i:])
}

// spans cuts long stretches short.
func (d *differ) spans() (list []span) {
	for i, kind := range d.kinds {
		w := d.words[i]
		first, last := differShown, 0
		if kind == spanSame {
			first, last = sameShown, sameShown
		}
		if len(w) <= first+last {
			list = append(list, span{Kind: kind, Text: strings.Join(w, " ")})
			continue
		}
		list = append(list, span{Kind: kind, Text: strings.Join(w[:first], " ")}, span{Kind: spanGap, Size: len(w) - first - last})
		if last > 0 {
			list = append(list, span{Kind: kind, Text: strings.Join(w[len(w)-last:], " ")})
		}
	}
	return list
}
