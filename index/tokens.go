package index

// This file is the builder's memory of running text: for each document the numbers of its words in the order of their
// positions, sixteen bits each. Adding a document writes them one after the other, wherever the same words stood before;
// package text's Numberer gives small numbers to words met early, which the frequent ones are. Posting lists come of it when
// the segment is written (invert.go).
//
// A word with a number below tokenWide takes one unit, the number; others take two, tokenWide + the number's high bits and the
// low sixteen. tokenSkip and two units with a count, high bits first, stand for positions without a word. A log ends after
// its last word.

const (
	tokenSkip = 0
	tokenWide = 0xF000 // up to 28 bits in two units
)

// tokenLog writes the log of one document.
type tokenLog struct {
	units []uint16
	next  uint32 // position after the last word
}

func (l *tokenLog) reset() { l.units, l.next = l.units[:0], 0 }

// append adds words, whose first has position at; zero is a position without a word. Positions ascend over all calls.
func (l *tokenLog) append(at uint32, numbers []uint32) {
	units, skip := l.units, at-l.next
	for _, n := range numbers {
		if n == 0 {
			skip++
			continue
		}
		if skip > 0 {
			units = append(units, tokenSkip, uint16(skip>>16), uint16(skip))
			skip = 0
		}
		if n < tokenWide {
			units = append(units, uint16(n))
		} else {
			units = append(units, uint16(tokenWide+n>>16), uint16(n))
		}
	}
	l.units = units
	l.next = at + uint32(len(numbers)) - skip
}
