package crawl

import (
	"encoding/binary"
	"slices"
	"time"

	"concord"
	"concord/text"
	"concord/weburl"

	"github.com/cespare/xxhash/v2"
)

// Duplicates are looked for within a site, by whoever owns its partition, before a page is announced. One page stands
// for all that say the same: the one they claim as canonical, else the oldest capture, else the shortest URL.
//
// "The same" is an equal text digest, or a simhash that differs in at most nearBits bits together with an equal set of
// numbers. The numbers are what a simhash cannot see: a table of prices, a changelog or a copy with its figures altered
// shares nearly all its words with the original and says something else.
const (
	nearBits    = 3    // Manku et al., "Detecting near-duplicates for web crawling", WWW 2007: 3 of 64 bits
	bandCount   = 4    // of 16 bits: two hashes that differ in at most 3 bits agree in one of them
	maxBand     = 2000 // entries of one band that are compared; a site with more has pages nobody tells apart
	maxGiveWay  = 100  // pages that give way to one canonical page at a time
	maxNumbers  = 4096 // distinct numbers of a text that count
	pendingWait = 5 * time.Second
)

// doc is what comparing needs of a page.
type doc struct {
	url, site string
	text      concord.Digest
	simhash   uint64
	numbers   uint64
	time      int64 // unix seconds of its capture
	indexed   bool
	waitsFor  string
}

// pending are pages that were decided on and are not on record yet: a few for each fetcher.
type pending struct{ docs map[string]*doc }

func (p *pending) init()           { p.docs = map[string]*doc{} }
func (p *pending) drop(url string) { delete(p.docs, url) }

// decide says whether a page is to be indexed or another stands for it, and which pages it takes the place of.
func (f *Frontier) decide(j *job, p *concord.Page, m *fetchedMsg, c *concord.Capture, res *result) {
	me := &doc{url: m.URL, site: j.url.Site(), text: m.Text, simhash: m.Simhash, numbers: m.Numbers, time: m.Start / 1000}
	canonical := f.canonical(j, p)
	deadline := time.Now().Add(pendingWait)
	f.mu.Lock()
	defer f.mu.Unlock()
	target := false // canonical is to be fetched
	if canonical != nil {
		rec, good := f.good(canonical.String())
		switch {
		case good:
			m.Skip, m.Duplicate = skipCanonical, canonical.String()
			c.Skip, c.Duplicate = m.Skip, m.Duplicate
			return
		case rec == nil || rec.Fetched == 0:
			me.waitsFor, target = canonical.String(), true
		}
	}
	var other *doc
	for {
		var near bool
		other, near = f.same(me)
		wait := false
		if other != nil {
			if !me.better(other) {
				m.Skip = skipExact
				if near {
					m.Skip = skipNear
				}
				m.Duplicate = other.url
				c.Skip, c.Duplicate = m.Skip, m.Duplicate
				return
			}
			wait = f.pending.docs[other.url] != nil
		}
		if canonical == nil {
			m.Replaces, near = f.givingWay(me.url)
			wait = wait || near
		}
		if !wait || f.stopping || time.Now().After(deadline) {
			break
		}
		f.awaitBatch() // what gives way must be on record before
	}
	if other != nil && !slices.Contains(m.Replaces, other.url) {
		m.Replaces = append(m.Replaces, other.url)
	}
	for _, url := range m.Replaces {
		reason := skipCanonical
		if other != nil && url == other.url && other.waitsFor != me.url {
			reason = skipExact
		}
		res.removals = append(res.removals, concord.Removal{URL: url, Reason: reason, Duplicate: me.url})
	}
	me.indexed, m.Indexed, m.WaitsFor = true, true, me.waitsFor
	f.pending.docs[me.url] = me
	if target && j.plan != nil {
		f.addLinks(res, linksMsg{Crawl: j.plan.id, Depth: j.fl.e.Depth, Via: viaCanonical, From: m.URL}, []weburl.URL{*canonical})
	}
}

// awaitBatch waits, without the lock, until the fold has written something.
func (f *Frontier) awaitBatch() {
	next := f.applied
	f.mu.Unlock()
	defer f.mu.Lock()
	select {
	case <-next:
	case <-time.After(pendingWait / 10):
	}
}

// canonical returns the other page of the same site and crawl that a page names as its canonical one; nil: none.
func (f *Frontier) canonical(j *job, p *concord.Page) *weburl.URL {
	if p.Canonical == "" {
		return nil
	}
	u, err := weburl.Parse(p.Canonical)
	if err != nil || u == j.url || u.Site() != j.url.Site() || j.plan != nil && j.plan.refuse(u) != "" {
		return nil
	}
	return &u
}

// good returns what is on record of a URL, and whether its page is in the index or about to be.
func (f *Frontier) good(url string) (*urlRecord, bool) {
	if d := f.pending.docs[url]; d != nil {
		return nil, d.indexed
	}
	r, err := f.lookup(url)
	if err != nil || r == nil {
		return nil, false
	}
	return r, r.Indexed
}

// better reports whether d is to stand for both, rather than o, which is there already.
func (d *doc) better(o *doc) bool {
	switch {
	case o.waitsFor == d.url:
		return true
	case d.waitsFor == o.url:
		return false
	case d.time != o.time:
		return d.time < o.time
	case len(d.url) != len(o.url):
		return len(d.url) < len(o.url)
	}
	return d.url < o.url
}

// same returns the page of the site that says the same as d, and whether it does so only nearly. Pages that are decided
// on but not on record come first: one of them may just have taken the place of a page on record.
func (f *Frontier) same(d *doc) (*doc, bool) {
	var near *doc
	for _, o := range f.pending.docs {
		if o.url == d.url || o.site != d.site || !o.indexed {
			continue
		}
		if o.text == d.text {
			return o, false
		}
		if d.near(o) {
			near = o
		}
	}
	if near != nil {
		return near, true
	}
	if url, err := load(f.db, exactKey(d.site, d.text)); err == nil && url != nil && string(url) != d.url {
		if o := f.recorded(string(url), d.site); o != nil {
			return o, false
		}
	}
	if d.simhash != 0 {
		near = f.nearRecorded(d)
	}
	return near, near != nil
}

func (d *doc) near(o *doc) bool {
	return d.simhash != 0 && o.simhash != 0 && d.numbers == o.numbers && text.Distance(d.simhash, o.simhash) <= nearBits
}

// recorded returns an indexed page as it is on record.
func (f *Frontier) recorded(url, site string) *doc {
	r, err := f.lookup(url)
	if err != nil || r == nil || !r.Indexed {
		return nil
	}
	return &doc{url: url, site: site, text: r.Text, simhash: r.Simhash, numbers: r.Numbers, time: r.CapTime, indexed: true, waitsFor: r.WaitsFor}
}

func (f *Frontier) nearRecorded(d *doc) *doc {
	for band := range bandCount {
		prefix := bandPrefix(d.site, band, d.simhash)
		n := 0
		found := ""
		err := scan(f.db, prefix, nil, func(k, _ []byte) (bool, error) {
			rest := k[len(prefix):]
			if n++; len(rest) < 16 || n > maxBand {
				return false, nil
			}
			hash, numbers := binary.BigEndian.Uint64(rest), binary.BigEndian.Uint64(rest[8:])
			if numbers == d.numbers && text.Distance(hash, d.simhash) <= nearBits && string(rest[16:]) != d.url {
				found = string(rest[16:])
			}
			return found == "", nil
		})
		if err != nil || found == "" {
			continue
		}
		if o := f.recorded(found, d.site); o != nil {
			return o
		}
	}
	return nil
}

// givingWay returns the pages that wait for url to take their place, and whether some of them are not on record yet.
func (f *Frontier) givingWay(url string) (list []string, wait bool) {
	prefix := key(keyWaits, url, "\x00")
	_ = scan(f.db, prefix, nil, func(k, _ []byte) (bool, error) { // an error costs a duplicate in the index
		list = append(list, string(k[len(prefix):]))
		return len(list) < maxGiveWay, nil
	})
	for _, d := range f.pending.docs {
		wait = wait || d.waitsFor == url
	}
	return list, wait
}

func exactKey(site string, d concord.Digest) []byte {
	return key(keyExact, site, "\x00", string(d[:16]))
}

func bandPrefix(site string, band int, hash uint64) []byte {
	k := append(key(keyBand, site, "\x00"), byte(band))
	return binary.BigEndian.AppendUint16(k, uint16(hash>>(16*band)))
}

// index puts a page into the duplicate index; unindex takes it out.
func (a *applier) index(u weburl.URL, r *urlRecord) {
	if !r.Indexed || r.Text.IsZero() {
		return
	}
	site, url := u.Site(), u.String()
	a.t.set(exactKey(site, r.Text), []byte(url))
	if r.WaitsFor != "" {
		a.t.put(key(keyWaits, r.WaitsFor, "\x00", url), nil)
	}
	if r.Simhash == 0 {
		return
	}
	for band := range bandCount {
		a.t.put(bandKey(site, band, r, url), nil)
	}
}

func bandKey(site string, band int, r *urlRecord, url string) []byte {
	k := bandPrefix(site, band, r.Simhash)
	k = binary.BigEndian.AppendUint64(k, r.Simhash)
	k = binary.BigEndian.AppendUint64(k, r.Numbers)
	return append(k, url...)
}

func (a *applier) unindex(u weburl.URL, r *urlRecord) {
	if !r.Indexed || r.Text.IsZero() {
		return
	}
	site, url := u.Site(), u.String()
	if v, err := a.t.get(exactKey(site, r.Text)); err == nil && string(v) == url {
		a.t.del(exactKey(site, r.Text))
	}
	if r.WaitsFor != "" {
		a.t.del(key(keyWaits, r.WaitsFor, "\x00", url))
	}
	if r.Simhash == 0 {
		return
	}
	for band := range bandCount {
		a.t.del(bandKey(site, band, r, url))
	}
}

// numbersOf is a digest of the set of numbers in a text, 0 when there are none.
func numbersOf(s string) uint64 {
	seen := make(map[uint64]struct{}, 16)
	var sum uint64
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			continue
		}
		from := i
		for i < len(s) && s[i] >= '0' && s[i] <= '9' {
			i++
		}
		h := xxhash.Sum64String(s[from:i])
		if _, ok := seen[h]; !ok && len(seen) < maxNumbers {
			seen[h] = struct{}{}
			sum += h
		}
	}
	return sum
}
