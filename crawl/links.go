package crawl

import (
	"bytes"
	"hash/maphash"
	"sync/atomic"

	"concord"
	"concord/warc"
	"concord/weburl"
)

const (
	knownSlots     = 1 << 18 // links whose fate is remembered, 2 MiB: pages of a site link to the same pages
	sitemapNesting = 2       // a sitemap index may name indexes, those may not
)

// known remembers of links which crawls have them already on record, so that they are not written to the log again
// from every page. It forgets; what it says is true, but for collisions of 63-bit hashes under a seed nobody knows.
type known struct {
	seed  maphash.Seed
	slots []atomic.Uint64
}

func (k *known) init() { k.seed, k.slots = maphash.MakeSeed(), make([]atomic.Uint64, knownSlots) }

type knownKey struct {
	crawl crawlID
	url   string
}

func (k *known) hash(id crawlID, url string) uint64 {
	return maphash.Comparable(k.seed, knownKey{id, url})
}

// get returns whether a link's fate is known, and whether it belongs to the crawl.
func (k *known) get(hash uint64) (ok, within bool) {
	v := k.slots[(hash>>1)%knownSlots].Load()
	return v|1 == hash|1, v&1 == 1
}

func (k *known) put(hash uint64, within bool) {
	hash &^= 1
	if within {
		hash |= 1
	}
	k.slots[(hash>>1)%knownSlots].Store(hash)
}

// follow hands on the links of a page, and the texts of those that lead to pages the crawl may index.
func (f *Frontier) follow(j *job, p *concord.Page, res *result) {
	if j.plan == nil || p.NoFollow || j.fl.e.Depth+1 > j.plan.spec.Depth {
		return
	}
	var fresh []weburl.URL
	var learned []uint64
	seen := make(map[string]struct{}, len(p.Links))
	self := j.url.String()
	for i := range p.Links {
		l := &p.Links[i]
		if l.NoFollow || l.URL == self {
			continue
		}
		_, again := seen[l.URL]
		hash := f.c.known.hash(j.plan.id, l.URL)
		ok, within := f.c.known.get(hash)
		if !ok && !again {
			u, err := weburl.Parse(l.URL)
			within = err == nil && weburl.FileType(u) != "other" && j.plan.refuse(u) == ""
			if within {
				fresh, learned = append(fresh, u), append(learned, hash)
			} else {
				f.c.known.put(hash, false)
			}
		}
		seen[l.URL] = struct{}{}
		if (within || again && !ok) && l.Anchor != "" && len(res.anchors) < maxAnchors {
			res.anchors = append(res.anchors, concord.Anchor{URL: l.URL, Text: l.Anchor})
		}
	}
	f.addLinks(res, linksMsg{Crawl: j.plan.id, Depth: j.fl.e.Depth + 1, Via: viaLink, From: self}, fresh)
	res.learn(func() {
		for _, hash := range learned {
			f.c.known.put(hash, true)
		}
	})
}

// learn adds to what happens when the result is durable.
func (r *result) learn(fn func()) {
	before := r.done
	r.done = func() {
		if before != nil {
			before()
		}
		fn()
	}
}

// addLinks adds URLs to the messages of a result, by the partition of their site and in slices.
func (f *Frontier) addLinks(res *result, like linksMsg, urls []weburl.URL) {
	items := make([]linkItem, len(urls))
	for i, u := range urls {
		items[i].URL = u.String()
	}
	f.addItems(res, like, urls, items)
}

func (f *Frontier) addItems(res *result, like linksMsg, urls []weburl.URL, items []linkItem) {
	at := map[int]int{} // partition to the message that is being filled
	part := 0
	for i, u := range urls {
		if i == 0 || u.Host() != urls[i-1].Host() {
			part = concord.PartitionOf(u.Site(), len(f.c.parts))
		}
		n, ok := at[part]
		if !ok || len(res.links[n].Links) >= maxSlice {
			n = len(res.links)
			at[part] = n
			m := like
			m.Links = nil
			res.links, res.route = append(res.links, m), append(res.route, part)
		}
		res.links[n].Links = append(res.links[n].Links, items[i])
	}
}

// addSitemaps adds the sitemaps that a robots.txt or a sitemap index names.
func (f *Frontier) addSitemaps(res *result, j *job, locs []string, depth int) {
	var own []weburl.URL
	for _, loc := range locs[:min(len(locs), maxSiteMaps)] {
		u, err := j.url.Resolve(loc)
		if err == nil && u.Site() == j.url.Site() {
			own = append(own, u)
		}
	}
	f.addLinks(res, linksMsg{Crawl: j.fl.e.Crawl, Depth: depth, Via: viaSitemap, Kind: kindSitemap, From: j.url.String()}, own)
}

// readSitemap takes the URLs out of a sitemap. Those of other sites do not count, as sitemaps.org demands.
func (f *Frontier) readSitemap(j *job, info *warc.CaptureInfo, res *result) {
	if j.plan == nil {
		return
	}
	f.c.sitemaps <- struct{}{}
	defer func() { <-f.c.sitemaps }()
	size := int64(f.c.cfg.Bounds.SitemapSize)
	body, err := warc.DecodeContent(info.Head.Header, info.Payload, size)
	if err != nil && len(body) == 0 {
		return
	}
	var urls []weburl.URL
	var items []linkItem
	var nested []string
	// What was read before an error counts: the rest of a damaged sitemap is a loss of hints only.
	_, _ = weburl.ReadSitemap(bytes.NewReader(body), weburl.SitemapLimits{MaxBytes: size}, func(e weburl.SitemapEntry) error {
		if e.IsIndex {
			if len(nested) < maxSiteMaps {
				nested = append(nested, e.Loc)
			}
			return nil
		}
		u, err := j.url.Resolve(e.Loc)
		if err != nil || u.Site() != j.url.Site() || j.plan.refuse(u) != "" || weburl.FileType(u) == "other" {
			return nil
		}
		items = append(items, linkItem{u.String(), millis(e.LastMod)})
		urls = append(urls, u)
		return nil
	})
	f.addItems(res, linksMsg{Crawl: j.plan.id, Depth: 1, Via: viaSitemap, From: j.url.String()}, urls, items)
	if j.fl.e.Depth+1 < sitemapNesting+1 {
		f.addSitemaps(res, j, nested, j.fl.e.Depth+1)
	}
}

const maxSitemapsInMemory = 2 // each may be 50 MiB, and as much decoded
