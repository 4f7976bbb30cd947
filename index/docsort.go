package index

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
)

// sortKey places a document among the others without looking at it, but for URLs that have much in common.
type sortKey struct {
	prefix uint64 // eight bytes of the URL, those after what all URLs of the site begin with, as a number
	site   uint32 // by rank
	doc    uint32
}

const sortKeyBytes = 16

// sorted returns the live documents in order of site and URL.
func (s *docStore) sorted() []uint32 {
	keys, common := s.sortKeys()
	for i := range keys {
		k := &keys[i]
		var next [8]byte // the zeros at a URL's end may be part of another, which is told by a look at both
		copy(next[:], s.url(k.doc)[common[k.site]:])
		k.prefix = binary.BigEndian.Uint64(next[:])
	}
	slices.SortFunc(keys, func(a, b sortKey) int {
		if a.site != b.site {
			return cmp.Compare(a.site, b.site)
		}
		if a.prefix != b.prefix {
			return cmp.Compare(a.prefix, b.prefix)
		}
		return bytes.Compare(s.url(a.doc), s.url(b.doc))
	})
	order := make([]uint32, len(keys))
	for i := range keys {
		order[i] = keys[i].doc
	}
	return order
}

// sortKeys returns the keys of the live documents without prefixes, and by site the number of bytes that its URLs have in common.
func (s *docStore) sortKeys() (keys []sortKey, common []int) {
	ranks, sites := s.rankValues()
	keys = make([]sortKey, 0, s.n-s.dead)
	first := make([][]byte, sites) // what the URLs of a site so far begin with
	for doc := range uint32(s.n) {
		d := s.at(doc)
		if d.dead {
			continue
		}
		url, number := s.urlAndSite(doc)
		site := ranks[d.source][number]
		if first[site] == nil {
			first[site] = url
		}
		first[site] = first[site][:commonPrefix(first[site], url)]
		keys = append(keys, sortKey{site: site, doc: doc})
	}
	common = make([]int, sites)
	for i := range first {
		common[i] = len(first[i])
	}
	return keys, common
}

// rankValues numbers the strings of all sources in order: by source and number, from 0 to n-1.
func (s *docStore) rankValues() (ranks [][]uint32, n int) {
	type value struct {
		s              string
		source, number uint32
	}
	var all []value
	ranks = make([][]uint32, len(s.sources))
	for i, source := range s.sources {
		ranks[i] = make([]uint32, len(source.values))
		for number, v := range source.values {
			all = append(all, value{v, uint32(i), uint32(number)})
		}
	}
	slices.SortFunc(all, func(a, b value) int { return strings.Compare(a.s, b.s) })
	for i, v := range all {
		if i == 0 || v.s != all[i-1].s {
			n++
		}
		ranks[v.source][v.number] = uint32(n - 1)
	}
	return ranks, n
}

func commonPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
