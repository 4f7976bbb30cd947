package index

import "hash/maphash"

// urlTable finds the documents of a builder by URL: open addressing with linear probing over document numbers. Entries are
// replaced, never removed: a dead document stays in its place until its URL comes again. It is not safe for concurrent use.
type urlTable struct {
	seed  maphash.Seed
	slots []uint32 // number of a document + 1, 0: free; a power of two
	used  int
}

const minURLSlots = 1 << 8

func newURLTable() urlTable {
	return urlTable{seed: maphash.MakeSeed(), slots: make([]uint32, minURLSlots)}
}

func (t *urlTable) bytes() int64 { return int64(len(t.slots)) * 4 }

// find returns the slot of a URL: it holds the last document with that URL, or is free.
func (t *urlTable) find(docs []builderDoc, url string) *uint32 {
	mask := uint32(len(t.slots) - 1)
	for i := uint32(maphash.String(t.seed, url)); ; i++ {
		s := &t.slots[i&mask]
		if *s == 0 || docs[*s-1].url == url {
			return s
		}
	}
}

// set enters the last of docs.
func (t *urlTable) set(docs []builderDoc) {
	if 4*(t.used+1) > 3*len(t.slots) {
		old := t.slots
		t.slots = make([]uint32, 2*len(old))
		for _, n := range old {
			if n != 0 {
				*t.find(docs, docs[n-1].url) = n
			}
		}
	}
	s := t.find(docs, docs[len(docs)-1].url)
	if *s == 0 {
		t.used++
	}
	*s = uint32(len(docs))
}
