package index

import (
	"bytes"
	"math/bits"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// This file is the builder's inverted index in memory: an open-addressing table from (field, word) to a term, and for each
// term a byte stream of its postings, kept in linked slices of one arena. A posting is
//
//	uvarint(document - previous document), then per occurrence uvarint(position - previous position + 1), then 0
//
// with the closing 0 of the last posting left out until the next begins. Nothing is allocated per posting.

// arenaPage is the unit in which the arena grows; no slice crosses a page.
const arenaPage = 1 << 20

// arena holds the linked slices. An address is a byte offset; page = address / arenaPage.
type arena struct {
	pages [][]byte
	used  uint32 // bytes used of the last page
}

// alloc returns the address of n zero bytes.
func (a *arena) alloc(n uint32) uint32 {
	if len(a.pages) == 0 || a.used+n > arenaPage {
		a.pages = append(a.pages, make([]byte, arenaPage))
		a.used = 0
	}
	at := uint32(len(a.pages)-1)*arenaPage + a.used
	a.used += n
	return at
}

// at returns the arena's bytes from an address to the end of its page.
func (a *arena) at(addr uint32) []byte { return a.pages[addr/arenaPage][addr%arenaPage:] }

func (a *arena) bytes() int64 { return int64(len(a.pages)) * arenaPage }

// Slices of a stream grow by doubling: the first is small because half of all terms occur once. The last four bytes of a
// slice become the address of the next.
const (
	firstSlice = 12
	maxSlice   = 1 << 12
	linkBytes  = 4
)

// term is one entry of the table, 40 bytes.
type term struct {
	hash    uint32
	key     uint32 // address of the key in the key arena: field byte and word, keyLen bytes
	keyLen  uint16
	slice   uint16 // size of the slice being written
	first   uint32 // first slice
	next    uint32 // where the next byte goes
	left    uint32 // bytes left in this slice before the link
	lastDoc uint32
	lastPos uint32
	docs    uint32
}

// termTable maps keys to terms.
type termTable struct {
	slots   []uint32 // index into terms + 1, 0: free
	terms   []term
	keys    arena
	streams arena
	keyBuf  []byte
	recent  []recentTerm
}

// recentTerm remembers where a word was found. The analyser hands out the same string for the same word again and again, so
// that comparing it costs a look at its address: most words of running text are found here, without hashing them whole.
type recentTerm struct {
	word  string
	field Field
	index uint32 // into terms
}

const recentTerms = 1 << 14

// recentSlot spreads words over the recent terms by length, first and last bytes.
func recentSlot(f Field, word string) uint32 {
	var h uint32
	if n := len(word); n >= 4 {
		h = uint32(word[0]) | uint32(word[1])<<8 | uint32(word[2])<<16 | uint32(word[3])<<24
		h ^= (uint32(word[n-1]) | uint32(word[n-2])<<8 | uint32(word[n-3])<<16 | uint32(word[n/2])<<24) * 0x85EBCA6B
	} else {
		for i := range n {
			h = h<<8 | uint32(word[i])
		}
	}
	h += uint32(len(word))<<24 + uint32(f)<<20
	return h * 0x9E3779B1 >> 18 // 14 bits
}

func newTermTable() *termTable {
	return &termTable{slots: make([]uint32, 1<<12), recent: make([]recentTerm, recentTerms)}
}

func (t *termTable) bytes() int64 {
	return t.keys.bytes() + t.streams.bytes() + int64(cap(t.slots))*4 + int64(cap(t.terms))*40
}

func (t *termTable) key(e *term) []byte { return t.keys.at(e.key)[:e.keyLen:e.keyLen] }

// find returns the term of a key, which it adds when it is new.
func (t *termTable) find(f Field, word string) *term {
	r := &t.recent[recentSlot(f, word)]
	if r.word == word && r.field == f && word != "" {
		return &t.terms[r.index]
	}
	i := t.lookup(f, word)
	*r = recentTerm{word, f, i}
	return &t.terms[i]
}

// lookup is find by the table; it returns the index of the term.
func (t *termTable) lookup(f Field, word string) uint32 {
	t.keyBuf = append(append(t.keyBuf[:0], byte(f)), word...)
	h := uint32(xxhash.Sum64(t.keyBuf))
	mask := uint32(len(t.slots) - 1)
	i := h & mask
	for t.slots[i] != 0 {
		e := &t.terms[t.slots[i]-1]
		if e.hash == h && bytes.Equal(t.key(e), t.keyBuf) {
			return t.slots[i] - 1
		}
		i = (i + 1) & mask
	}
	key := t.keys.alloc(uint32(len(t.keyBuf)))
	copy(t.keys.at(key), t.keyBuf)
	first := t.streams.alloc(firstSlice)
	t.terms = append(t.terms, term{hash: h, key: key, keyLen: uint16(len(t.keyBuf)), slice: firstSlice, first: first, next: first,
		left: firstSlice - linkBytes})
	t.slots[i] = uint32(len(t.terms))
	if len(t.terms)*4 > len(t.slots)*3 {
		t.grow()
	}
	return uint32(len(t.terms) - 1)
}

func (t *termTable) grow() {
	t.slots = make([]uint32, 2*len(t.slots))
	mask := uint32(len(t.slots) - 1)
	for n := range t.terms {
		i := t.terms[n].hash & mask
		for t.slots[i] != 0 {
			i = (i + 1) & mask
		}
		t.slots[i] = uint32(n + 1)
	}
}

// add records one occurrence. Documents come in ascending order, positions within a document do not descend.
func (t *termTable) add(f Field, word string, doc, pos uint32) {
	e := t.find(f, word)
	if e.docs == 0 || e.lastDoc != doc {
		if e.docs > 0 {
			t.put(e, 0)
		}
		t.uvarint(e, doc-e.lastDoc)
		e.lastDoc, e.lastPos = doc, 0
		e.docs++
	}
	t.uvarint(e, pos-e.lastPos+1)
	e.lastPos = pos
}

func (t *termTable) uvarint(e *term, v uint32) {
	for v >= 0x80 {
		t.put(e, byte(v)|0x80)
		v >>= 7
	}
	t.put(e, byte(v))
}

func (t *termTable) put(e *term, b byte) {
	if e.left == 0 {
		size := min(uint32(e.slice)*2, maxSlice)
		at := t.streams.alloc(size)
		link := t.streams.at(e.next)
		link[0], link[1], link[2], link[3] = byte(at), byte(at>>8), byte(at>>16), byte(at>>24)
		e.slice, e.next, e.left = uint16(size), at, size-linkBytes
	}
	t.streams.at(e.next)[0] = b
	e.next++
	e.left--
}

// sorted returns the terms in order of field and word.
func (t *termTable) sorted() []uint32 {
	order := make([]uint32, len(t.terms))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int { return bytes.Compare(t.key(&t.terms[a]), t.key(&t.terms[b])) })
	return order
}

// stream appends the bytes of a term's stream to dst.
func (t *termTable) stream(dst []byte, e *term) []byte {
	addr, size := e.first, uint32(firstSlice)
	for {
		if size == uint32(e.slice) && e.next >= addr && e.next <= addr+size-linkBytes {
			return append(dst, t.streams.at(addr)[:e.next-addr]...)
		}
		s := t.streams.at(addr)
		dst = append(dst, s[:size-linkBytes]...)
		l := s[size-linkBytes:]
		addr = uint32(l[0]) | uint32(l[1])<<8 | uint32(l[2])<<16 | uint32(l[3])<<24
		size = min(size*2, maxSlice)
	}
}

// maxArena bounds each arena: addresses have 32 bits, the last page is kept free.
const maxArena = 1<<32 - 2*arenaPage

// full reports whether an arena could overflow within the next document.
func (t *termTable) full() bool {
	return t.streams.bytes() > maxArena-MaxDocumentBytes*4 || t.keys.bytes() > maxArena-MaxDocumentBytes*4 ||
		bits.Len(uint(len(t.terms))) > 30
}
