package index

import "hash/maphash"

// urlTable finds the documents of a builder by URL: open addressing with linear probing. Entries are replaced, never removed: a dead
// document stays in its place until its URL comes again. It is not safe for concurrent use.
type urlTable struct {
	seed  maphash.Seed
	slots []urlSlot // a power of two
	used  int
}

// urlSlot has the hash of the URL beside the document, so that few others are looked at and the table grows without them.
type urlSlot struct {
	hash uint32
	doc  uint32 // its number + 1, 0: free
}

const (
	minURLSlots  = 1 << 8
	urlSlotBytes = 8
)

func newURLTable() urlTable {
	return urlTable{seed: maphash.MakeSeed(), slots: make([]urlSlot, minURLSlots)}
}

func (t *urlTable) bytes() int64 { return int64(len(t.slots)) * urlSlotBytes }

// find returns the last document with a URL.
func (t *urlTable) find(docs *docStore, url string) (doc uint32, ok bool) {
	s := t.slot(docs, url, uint32(maphash.String(t.seed, url)))
	return s.doc - 1, s.doc != 0
}

// enter makes doc the document with the URL and returns the one that was.
func (t *urlTable) enter(docs *docStore, url string, doc uint32) (before uint32, ok bool) {
	if 4*(t.used+1) > 3*len(t.slots) {
		t.grow()
	}
	h := uint32(maphash.String(t.seed, url))
	s := t.slot(docs, url, h)
	was := s.doc
	if was == 0 {
		t.used++
	}
	*s = urlSlot{h, doc + 1}
	return was - 1, was != 0
}

// slot returns the slot of a URL with a hash: it holds the last document with that URL, or is free.
func (t *urlTable) slot(docs *docStore, url string, hash uint32) *urlSlot {
	mask := uint32(len(t.slots) - 1)
	for i := hash; ; i++ {
		s := &t.slots[i&mask]
		if s.doc == 0 || s.hash == hash && string(docs.url(s.doc-1)) == url {
			return s
		}
	}
}

func (t *urlTable) grow() {
	old := t.slots
	t.slots = make([]urlSlot, 2*len(old))
	mask := uint32(len(t.slots) - 1)
	for _, s := range old {
		if s.doc == 0 {
			continue
		}
		i := s.hash & mask
		for t.slots[i].doc != 0 {
			i = (i + 1) & mask
		}
		t.slots[i] = s
	}
}
