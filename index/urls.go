package index

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"

	"concord"
	"concord/pack"
)

// URL returns the URL of a document. Errors: Corrupt.
func (s *Segment) URL(doc DocID) (string, error) {
	r, err := s.urlReader(int(doc) / urlBlock)
	if err != nil {
		return "", err
	}
	var url []byte
	for range int(doc)%urlBlock + 1 {
		if url, err = nextURL(&r, url); err != nil {
			return "", err
		}
	}
	return string(url), nil
}

// urlReader returns a reader of the block's URLs.
func (s *Segment) urlReader(block int) (pack.Reader, error) {
	index, urls := s.sections[secURLIndex].data, s.sections[secURLs]
	from, to := binary.LittleEndian.Uint64(index[8*block:]), uint64(len(urls.data))
	if 8*(block+1) < len(index) {
		to = binary.LittleEndian.Uint64(index[8*(block+1):])
	}
	if to < from {
		return pack.Reader{}, concord.Errorf(concord.Corrupt, "section %q: offsets descend", secURLIndex)
	}
	b, err := urls.bytes(from, to-from)
	return pack.NewReader(b), err
}

// nextURL reads the URL after url, whose memory it reuses.
func nextURL(r *pack.Reader, url []byte) ([]byte, error) {
	shared := r.Uvarint()
	suffix := r.Bytes(r.Uvarint())
	if !r.OK() || shared > uint64(len(url)) {
		return nil, concord.Errorf(concord.Corrupt, "section %q: malformed", secURLs)
	}
	return append(url[:shared], suffix...), nil
}

// Lookup returns the live document with the URL. Errors: Corrupt.
func (s *Segment) Lookup(url string) (doc DocID, found bool, err error) {
	n := s.Docs()
	b := s.sections[secURLHash].data
	h := xxhash.Sum64String(url)
	lo, hi := 0, n
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		if binary.LittleEndian.Uint64(b[8*mid:]) < h {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	for ; lo < n && binary.LittleEndian.Uint64(b[8*lo:]) == h; lo++ {
		d := binary.LittleEndian.Uint32(b[8*n+4*lo:])
		if int(d) >= n {
			return 0, false, concord.Errorf(concord.Corrupt, "section %q: document %d out of range", secURLHash, d)
		}
		if s.Deleted(DocID(d)) {
			continue
		}
		u, err := s.URL(DocID(d))
		if err != nil {
			return 0, false, err
		}
		if u == url {
			return DocID(d), true, nil
		}
	}
	return 0, false, nil
}

// urlCursor reads URLs in order without walking a block anew for each.
type urlCursor struct {
	next int // document that r stands before
	r    pack.Reader
	last []byte
}

// url returns the URL of a document; calls come in ascending order.
func (c *urlCursor) url(s *Segment, doc int) (string, error) {
	var err error
	if c.last == nil || doc/urlBlock != (c.next-1)/urlBlock {
		if c.r, err = s.urlReader(doc / urlBlock); err != nil {
			return "", err
		}
		c.next, c.last = doc/urlBlock*urlBlock, []byte{}
	}
	for ; c.next <= doc; c.next++ {
		if c.last, err = nextURL(&c.r, c.last); err != nil {
			return "", err
		}
	}
	return string(c.last), nil
}
