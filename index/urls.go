package index

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"

	"concord"
	"concord/pack"
)

// URL returns the URL of a document. Errors: Corrupt.
func (s *Segment) URL(doc DocID) (string, error) {
	rank, err := s.rank(doc)
	if err != nil {
		return "", err
	}
	r, err := s.urlReader(rank / urlBlock)
	if err != nil {
		return "", err
	}
	var url []byte
	for range rank%urlBlock + 1 {
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
	b, err := s.sections[secURLHash].bytes(0, uint64(4*n+pack.Size(n, s.rankWidth)))
	if err != nil {
		return 0, false, err
	}
	h := urlHash(url)
	lo, hi := 0, n
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		if u32(b, mid) < h {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	for ; lo < n && u32(b, lo) == h; lo++ {
		d := pack.At(b[4*n:], s.rankWidth, lo)
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

// urlHash is the hash that documents are found by, urlHashBytes the same of a URL in bytes.
func urlHash(url string) uint32      { return uint32(xxhash.Sum64String(url) >> 32) }
func urlHashBytes(url []byte) uint32 { return uint32(xxhash.Sum64(url) >> 32) }

// urlCursor reads URLs in order of ranks without walking a block anew for each.
type urlCursor struct {
	next int // rank that r stands before
	r    pack.Reader
	last []byte
}

// url returns the URL of the document with a rank, valid until the next call; calls come in ascending order.
func (c *urlCursor) url(s *Segment, rank int) ([]byte, error) {
	var err error
	if c.last == nil || rank/urlBlock != (c.next-1)/urlBlock {
		if c.r, err = s.urlReader(rank / urlBlock); err != nil {
			return nil, err
		}
		if c.last == nil {
			c.last = []byte{}
		}
		c.next, c.last = rank/urlBlock*urlBlock, c.last[:0]
	}
	for ; c.next <= rank; c.next++ {
		if c.last, err = nextURL(&c.r, c.last); err != nil {
			return nil, err
		}
	}
	return c.last, nil
}
