package text

import (
	"bytes"
	"compress/flate"
	_ "embed"
	"encoding/binary"
	"errors"
	"io"
	"math/bits"
	"sync"
	"unicode"
)

// languages.bin is the language model: how much more frequent a group of letters is in a language than a rare one. It was
// counted by us in the Universal Declaration of Human Rights, which the United Nations publish in each of these languages;
// TestGenerateModel makes it. Compressed by DEFLATE it holds, integers as uvarint:
//
//	number of languages, then each code as its length and bytes; a language with two standards is there twice
//	number of groups, then for each, in increasing order:
//	    difference of its gram to the one before
//	    number of languages, then for each the difference of its place to the one before and one byte of weight
//
//go:embed languages.bin
var languagesBin []byte

// gram is a group of one to four letters in lower case, 16 bits a letter, the last one lowest. The borders of words
// are spaces.
type gram uint64

// gramLetters is the length of the longest group.
const gramLetters = 4

// weightsPerNat is the unit of weights: one byte reaches 255/24, about e^10.6.
const weightsPerNat = 24

type weight struct {
	lang   uint8 // place in model.langs
	weight uint8 // log(frequency in lang / frequency of a group that is not listed), in 1/weightsPerNat
}

// model is the language model in memory. The weights of a gram lie side by side in pool; slots finds them, a hash table
// with linear probing that is at most half full: a text asks for thousands of grams, and half of them are not in it.
type model struct {
	langs []string
	slots []slot
	shift uint // of a gram's hash, to a place in slots
	pool  []weight
}

// slot is a gram and where its weights are. A slot without weights is free.
type slot struct {
	gram     gram
	from, to uint32
}

// row returns the weights of a gram; none when the model does not list it.
func (m *model) row(g gram) []weight {
	for i := m.place(g); ; i = (i + 1) & (len(m.slots) - 1) {
		if s := &m.slots[i]; s.gram == g || s.to == s.from {
			return m.pool[s.from:s.to]
		}
	}
}

// place is where the search for a gram begins: multiplication by 2^64 divided by the golden ratio spreads the few bits
// in which grams differ over the upper ones.
func (m *model) place(g gram) int { return int(uint64(g) * 0x9E3779B97F4A7C15 >> m.shift) }

// put takes a gram up whose weights are the last of pool.
func (m *model) put(g gram, from int) {
	if from == len(m.pool) {
		return
	}
	i := m.place(g)
	for m.slots[i].to != m.slots[i].from {
		i = (i + 1) & (len(m.slots) - 1)
	}
	m.slots[i] = slot{g, uint32(from), uint32(len(m.pool))}
}

// languageModel reads the model when it is first needed: about 20 ms and 5 MB that many commands do without.
var languageModel = sync.OnceValue(func() *model {
	m, err := readModel(languagesBin)
	if err != nil {
		panic("text: embedded language model: " + err.Error())
	}
	return m
})

// readModel reads what languages.bin holds.
func readModel(compressed []byte) (*model, error) {
	r := flate.NewReader(bytes.NewReader(compressed))
	raw, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	d := modelReader{b: raw}
	m := &model{}
	for range d.uvarint() {
		m.langs = append(m.langs, string(d.bytes(d.uvarint())))
	}
	var g gram
	groups := d.uvarint()
	bits := bits.Len64(2 * min(groups, uint64(len(d.b)))) // each group takes more than a byte
	m.slots, m.shift = make([]slot, 1<<bits), uint(64-bits)
	for range groups {
		g += gram(d.uvarint())
		start, lang := len(m.pool), uint64(0)
		for range d.uvarint() {
			lang += d.uvarint()
			w := d.bytes(1)
			if d.bad || lang >= uint64(len(m.langs)) {
				return nil, errors.New("damaged")
			}
			m.pool = append(m.pool, weight{uint8(lang), w[0]})
		}
		m.put(g, start)
	}
	if d.bad || len(d.b) > 0 {
		return nil, errors.New("damaged")
	}
	return m, nil
}

// modelReader takes values off the front of b; bad is set when there are too few.
type modelReader struct {
	b   []byte
	bad bool
}

func (r *modelReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *modelReader) bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

// eachGram calls f with each group of letters of the words of s that are written in script: all groups of one to gramLetters
// letters, a space before and after the word counted among them, but no lone space.
func eachGram(s string, script *unicode.RangeTable, f func(g gram, letters int)) {
	const space = ' '
	window, length := gram(space), 1 // the letters of the word so far, from the space before it, as far as they fit
	push := func(r rune) {
		window = window<<16 | gram(r)
		length = min(length+1, gramLetters)
		for n := 1; n <= length; n++ {
			if n > 1 || r != space {
				f(window&(1<<(16*n)-1), n) // a shift by 64 gives 0, less 1 is all ones
			}
		}
	}
	for _, r := range s {
		switch {
		case r <= 0xFFFF && (unicode.Is(script, r) && unicode.IsLetter(r) || unicode.Is(unicode.Mn, r) && window != space):
			push(unicode.ToLower(r))
		case window != space:
			push(space)
			window, length = space, 1
		}
	}
	if window != space {
		push(space)
	}
}
