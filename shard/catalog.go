package shard

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"concord"

	"github.com/cockroachdb/pebble/v2"
)

// Keys of the catalog, beside "m" (manifest) and "d" + segment id (deletes):
//
//	c <url> 00 <complement of unix seconds, 8 bytes> <capture id>   a capture, newest first by key order
//	i <capture id>                                                 the rest of its "c" key
//	a <url> 00 <text>                                              a link text that some page uses for the URL
//	n <url>                                                        how many of these, one byte
//	r <url>                                                        the document lacks link texts that came after it
const (
	// maxAnchors bounds the link texts kept for a URL: the first distinct ones say what it is, the hundredth adds nothing.
	maxAnchors = 16
	// maxAnchorBytes bounds one link text.
	maxAnchorBytes = 200
	// MaxCaptures bounds one answer.
	MaxCaptures = 1000
)

func captureKey(c *concord.Capture) []byte {
	k := append([]byte("c"), c.URL...)
	k = append(k, 0)
	k = binary.BigEndian.AppendUint64(k, ^uint64(c.Time.Unix()))
	return append(k, c.ID...)
}

func urlKey(kind byte, url string) []byte { return append([]byte{kind}, url...) }

// putCapture adds a capture to the batch and reports whether it is new.
func (s *Shard) putCapture(b *pebble.Batch, c *concord.Capture) (fresh bool, err error) {
	key := captureKey(c)
	if _, closer, err := s.db.Get(key); err == nil {
		closer.Close()
	} else {
		fresh = true
	}
	v, err := json.Marshal(c)
	if err != nil {
		return false, err
	}
	if err := b.Set(key, v, nil); err != nil {
		return false, err
	}
	return fresh, b.Set(urlKey('i', c.ID), key[1:], nil)
}

// Captures returns at most limit captures of a URL, newest first.
func (s *Shard) Captures(url string, limit int) ([]concord.Capture, error) {
	if limit <= 0 || limit > MaxCaptures {
		limit = MaxCaptures
	}
	prefix := append(urlKey('c', url), 0)
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: upper(prefix)})
	if err != nil {
		return nil, fmt.Errorf("captures of %s: %w", url, err)
	}
	defer it.Close()
	var list []concord.Capture
	for ok := it.First(); ok && len(list) < limit; ok = it.Next() {
		var c concord.Capture
		if err := json.Unmarshal(it.Value(), &c); err != nil {
			return nil, concord.Errorf(concord.Corrupt, "captures of %s: %w", url, err)
		}
		list = append(list, c)
	}
	return list, it.Error()
}

// Capture returns the capture of an ID. NotFound when it is not one of this shard's.
func (s *Shard) Capture(id string) (*concord.Capture, error) {
	rest, closer, err := s.db.Get(urlKey('i', id))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, concord.Errorf(concord.NotFound, "no capture %s", concord.Clip(id, 60))
	}
	if err != nil {
		return nil, fmt.Errorf("capture %s: %w", id, err)
	}
	key := append([]byte("c"), rest...)
	closer.Close()
	v, closer, err := s.db.Get(key)
	if err != nil {
		return nil, fmt.Errorf("capture %s: %w", id, err)
	}
	defer closer.Close()
	c := new(concord.Capture)
	if err := json.Unmarshal(v, c); err != nil {
		return nil, concord.Errorf(concord.Corrupt, "capture %s: %w", id, err)
	}
	return c, nil
}

// EachCapture calls fn with every capture of the shard, by URL and newest first, until fn fails.
func (s *Shard) EachCapture(fn func(*concord.Capture) error) error {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte("c"), UpperBound: []byte("d")})
	if err != nil {
		return err
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		c := new(concord.Capture)
		if err := json.Unmarshal(it.Value(), c); err != nil {
			return concord.Errorf(concord.Corrupt, "catalog: %w", err)
		}
		if err := fn(c); err != nil {
			return err
		}
	}
	return it.Error()
}

// anchorTexts returns the link texts on record for a URL.
func (s *Shard) anchorTexts(url string) ([]string, error) {
	prefix := append(urlKey('a', url), 0)
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: upper(prefix)})
	if err != nil {
		return nil, err
	}
	defer it.Close()
	var texts []string
	for ok := it.First(); ok; ok = it.Next() {
		texts = append(texts, string(it.Key()[len(prefix):]))
	}
	return texts, it.Error()
}

// addAnchors stages link texts that are not on record, up to maxAnchors for each URL.
func (s *Shard) addAnchors(st *staging, anchors []concord.Anchor) error {
	for _, a := range anchors {
		text := strings.TrimSpace(concord.Clip(a.Text, maxAnchorBytes))
		if text == "" || strings.IndexByte(text, 0) >= 0 || s.anchors.full(a.URL) {
			continue
		}
		have, ok := st.anchors[a.URL]
		if !ok {
			known, err := s.anchorTexts(a.URL)
			if err != nil {
				return err
			}
			have = &anchorSet{texts: make(map[string]bool, len(known))}
			for _, t := range known {
				have.texts[t] = false
			}
			st.anchors[a.URL] = have
			st.bytes += len(a.URL) + 64
		}
		if _, known := have.texts[text]; known {
			continue
		}
		if len(have.texts) >= maxAnchors {
			s.anchors.fill(a.URL)
			continue
		}
		have.texts[text] = true
		have.grown = true
		st.bytes += len(text) + 32
	}
	return nil
}

// anchorSet is the link texts of one URL while they are staged: true marks the new ones.
type anchorSet struct {
	texts map[string]bool
	grown bool
}

func (a *anchorSet) list() []string {
	var l []string
	for t := range a.texts {
		l = append(l, t)
	}
	return l
}

// anchorCache remembers URLs that have all the link texts they may have, so that the hundredth link to a home page costs
// nothing. It forgets everything when it is full: it is only a cache.
type anchorCache struct{ m map[string]struct{} }

const maxFullAnchors = 50_000

func (c *anchorCache) full(url string) bool { _, ok := c.m[url]; return ok }
func (c *anchorCache) fill(url string) {
	if c.m == nil || len(c.m) >= maxFullAnchors {
		c.m = map[string]struct{}{}
	}
	c.m[url] = struct{}{}
}

// upper returns the first key after all that begin with prefix.
func upper(prefix []byte) []byte {
	u := bytes.Clone(prefix)
	for i := len(u) - 1; i >= 0; i-- {
		if u[i]++; u[i] != 0 {
			return u[:i+1]
		}
	}
	return nil
}
