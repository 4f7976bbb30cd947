package main

import (
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"concord"
	"concord/index"
	"concord/page"
	"concord/weburl"
)

// indexResult is the speed of each step from bytes to segment, on one processor, on real pages.
type indexResult struct {
	Corpus  string `json:"corpus"`
	Docs    int    `json:"docs"`
	HTML    int64  `json:"htmlBytes"`
	Text    int64  `json:"textBytes"` // titles, headings and bodies of the extracted pages
	Segment int64  `json:"segmentBytes"`

	Extract float64 `json:"extractSeconds"` // HTML to page
	Add     float64 `json:"addSeconds"`     // page to builder
	Write   float64 `json:"writeSeconds"`   // builder to durable segment
	Memory  int64   `json:"builderBytes"`
}

// maxIndexed bounds the pages taken: enough to be steady, few enough for a builder to hold.
const maxIndexed = 6000

func measureIndexing(c config) (*indexResult, error) {
	r := &indexResult{}
	limit := maxIndexed
	if c.small {
		limit /= 10
	}
	files, err := htmlFiles(c.sites, limit)
	if err != nil {
		logf("not measured: %v", err)
		return nil, nil
	}
	r.Corpus = "pages of the documentation sites"
	b := index.NewBuilder(index.Config{})
	for i, name := range files {
		body, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		rel, _ := filepath.Rel(c.sites, name)
		began := time.Now()
		u, p, err := extract("http://docs.example/"+filepath.ToSlash(rel), body)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		extracted := time.Now()
		if err := b.Add(documentOf(u, p, i)); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		r.Extract += extracted.Sub(began).Seconds()
		r.Add += time.Since(extracted).Seconds()
		r.Docs++
		r.HTML += int64(len(body))
		r.Text += int64(len(p.Title) + len(p.Body) + len(strings.Join(p.Headings, "")))
	}
	dir, err := os.MkdirTemp(c.work, "index-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	r.Memory = b.Bytes()
	began := time.Now()
	info, err := b.Write(filepath.Join(dir, "segment"))
	r.Write = time.Since(began).Seconds()
	r.Segment = info.Bytes
	logf("indexing: %+v", *r)
	return r, err
}

func extract(raw string, body []byte) (weburl.URL, *concord.Page, error) {
	u, err := weburl.Parse(strings.ReplaceAll(raw, " ", "%20"))
	if err != nil {
		return u, nil, err
	}
	h := http.Header{"Content-Type": {"text/html; charset=utf-8"}}
	p, err := page.Extract(page.Input{URL: u, ContentType: h.Get("Content-Type"), Header: h, Body: body, Product: "concord"})
	return u, p, err
}

// documentOf is the document a shard makes of a page.
func documentOf(u weburl.URL, p *concord.Page, i int) *index.Document {
	return &index.Document{URL: u.String(), Site: u.Site(), Host: u.HostPort(), Language: p.Language, FileType: p.FileType,
		Fetched: time.Unix(1_790_000_000+int64(i), 0), Published: p.Published, Title: p.Title, Description: p.Description,
		Headings: p.Headings, Body: p.Body, Capture: fmt.Sprintf("0f6f4c1e-7d0a-4c57-9a3e-%012d", i)}
}

// htmlFiles lists every n-th HTML file of the crawled packages, limit at most.
func htmlFiles(dir string, limit int) ([]string, error) {
	var all []string
	for _, pkg := range []string{"postgresql-doc-15", "python3.11-doc", "linux-doc-6.1", "debian-handbook"} {
		err := filepath.WalkDir(filepath.Join(dir, pkg), func(p string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() && strings.HasSuffix(p, ".html") {
				all = append(all, p)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no documentation sites in %s: run .ci/run, or give -sites", dir)
	}
	if len(all) <= limit {
		return all, nil
	}
	var some []string
	for i := range limit {
		some = append(some, all[i*len(all)/limit])
	}
	return some, nil
}
