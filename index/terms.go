package index

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"slices"
)

// wordPage is the unit in which the words of a table grow; no word crosses a page.
const wordPage = 1 << 16

// termTable numbers the words that a builder has met, from 1: an open-addressing table with linear probing over words that
// lie one after the other in pages. It is not safe for concurrent use.
type termTable struct {
	seed  maphash.Seed // so that nobody can write a page whose words all meet in one place
	slots []uint32     // number of a word, 0: free; a power of two
	words []tableWord  // word n is words[n-1]
	pages [][]byte
}

// tableWord is where a word lies and what its slot follows from.
type tableWord struct {
	at   uint32 // page and offset
	hash uint32
	len  uint8
}

const (
	tableWordBytes = 12
	minTableSlots  = 1 << 12
)

func newTermTable() *termTable {
	return &termTable{seed: maphash.MakeSeed(), slots: make([]uint32, minTableSlots)}
}

// bytes is the memory in use.
func (t *termTable) bytes() int64 {
	return int64(len(t.pages))*wordPage + int64(len(t.slots))*4 + int64(cap(t.words))*tableWordBytes
}

// reset forgets all words but keeps the memory, except for that of their bytes.
func (t *termTable) reset() {
	clear(t.slots)
	t.words, t.pages = t.words[:0], nil
}

// word returns the word of a number.
func (t *termTable) word(n uint32) []byte {
	w := &t.words[n-1]
	at := w.at % wordPage
	return t.pages[w.at/wordPage][at : at+uint32(w.len) : at+uint32(w.len)]
}

// number returns the number of a word, which it adds when it is new. Words have at most text.MaxTermBytes bytes.
func (t *termTable) number(word string) uint32 {
	h := uint32(maphash.String(t.seed, word))
	mask := uint32(len(t.slots) - 1)
	i := h & mask
	for ; t.slots[i] != 0; i = (i + 1) & mask {
		if n := t.slots[i]; t.words[n-1].hash == h && string(t.word(n)) == word {
			return n
		}
	}
	last := len(t.pages) - 1
	if last < 0 || len(t.pages[last])+len(word) > wordPage {
		last++
		t.pages = append(t.pages, make([]byte, 0, wordPage))
	}
	at := uint32(last)*wordPage + uint32(len(t.pages[last]))
	t.pages[last] = append(t.pages[last], word...)
	t.words = append(t.words, tableWord{at: at, hash: h, len: uint8(len(word))})
	n := uint32(len(t.words))
	t.slots[i] = n
	if len(t.words)*3 > len(t.slots)*2 {
		t.grow()
	}
	return n
}

func (t *termTable) grow() {
	t.slots = make([]uint32, 2*len(t.slots))
	mask := uint32(len(t.slots) - 1)
	for n := range t.words {
		i := t.words[n].hash & mask
		for t.slots[i] != 0 {
			i = (i + 1) & mask
		}
		t.slots[i] = uint32(n + 1)
	}
}

// sorted returns the numbers of all words in the order of their bytes. Most are told apart by their first eight bytes,
// compared as one integer; padding with zeros keeps the order because no word has a zero byte.
func (t *termTable) sorted() []uint32 {
	type key struct {
		prefix uint64
		number uint32
	}
	keys := make([]key, len(t.words))
	for i := range keys {
		var first [8]byte
		n := uint32(i + 1)
		copy(first[:], t.word(n))
		keys[i] = key{binary.BigEndian.Uint64(first[:]), n}
	}
	slices.SortFunc(keys, func(a, b key) int {
		switch {
		case a.prefix < b.prefix:
			return -1
		case a.prefix > b.prefix:
			return 1
		}
		return bytes.Compare(t.word(a.number), t.word(b.number))
	})
	order := make([]uint32, len(keys))
	for i, k := range keys {
		order[i] = k.number
	}
	return order
}

// maxTerms keeps word addresses within 32 bits and numbers within those of a token log.
const maxTerms = 1 << 25

// full reports whether the table could overflow within the next document.
func (t *termTable) full() bool {
	return len(t.words) > maxTerms || len(t.pages) > (1<<32-2*MaxDocumentBytes)/wordPage
}
