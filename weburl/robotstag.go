package weburl

import (
	"strconv"
	"strings"
	"time"
)

// PageRules is what a page, by <meta name="robots">, or its server, by X-Robots-Tag, asks of crawlers. The zero value
// asks for nothing.
type PageRules struct {
	NoIndex    bool      // keep the page out of the index
	NoFollow   bool      // do not take its links
	NoArchive  bool      // show no archived copy
	NoSnippet  bool      // show no snippet
	MaxSnippet int       // characters a snippet may have; 0: no limit
	Expires    time.Time // keep it out of results from then on (unavailable_after); zero: never
}

// Merge returns what both ask for: the stricter of each.
func (p PageRules) Merge(o PageRules) PageRules {
	p.NoIndex = p.NoIndex || o.NoIndex
	p.NoFollow = p.NoFollow || o.NoFollow
	p.NoArchive = p.NoArchive || o.NoArchive
	p.NoSnippet = p.NoSnippet || o.NoSnippet
	if o.MaxSnippet > 0 && (p.MaxSnippet == 0 || o.MaxSnippet < p.MaxSnippet) {
		p.MaxSnippet = o.MaxSnippet
	}
	if !o.Expires.IsZero() && (p.Expires.IsZero() || o.Expires.Before(p.Expires)) {
		p.Expires = o.Expires
	}
	return p
}

// maxTagBytes bounds what is read of one value; real ones have a few dozen bytes.
const maxTagBytes = 4096

// ParseRobotsTag reads the values of all X-Robots-Tag headers, or the content attributes of all meta robots elements,
// and returns what they ask of the crawler with this product token. Rules are separated by commas; "token:" limits those
// that follow, up to the next token, to that crawler. Unknown rules are passed over.
func ParseRobotsTag(values []string, product string) PageRules {
	var rules PageRules
	for _, v := range values {
		parts := strings.Split(v[:min(len(v), maxTagBytes)], ",")
		forUs := true
		for i := 0; i < len(parts); i++ {
			part := strings.TrimSpace(parts[i])
			key, value, keyed := strings.Cut(part, ":")
			key = strings.ToLower(strings.TrimSpace(key))
			for keyed && !isKeyedRule(key) {
				forUs = key == "*" || key == "robots" || (key != "" && key == productToken(product))
				part = strings.TrimSpace(value)
				key, value, keyed = strings.Cut(part, ":")
				key = strings.ToLower(strings.TrimSpace(key))
			}
			if key == "unavailable_after" {
				when, used := tagTime(value, parts[i+1:])
				i += used
				if forUs {
					rules = rules.Merge(PageRules{Expires: when})
				}
				continue
			}
			if forUs {
				rules = rules.Merge(tagRules(part, key, value, keyed))
			}
		}
	}
	return rules
}

func isKeyedRule(key string) bool {
	switch key {
	case "unavailable_after", "max-snippet", "max-image-preview", "max-video-preview":
		return true
	}
	return false
}

// tagRules reads one part between commas: one rule, or several with spaces where commas should be.
func tagRules(part, key, value string, keyed bool) (r PageRules) {
	if keyed {
		if n, err := strconv.Atoi(strings.TrimSpace(value)); key == "max-snippet" && err == nil {
			r.NoSnippet = n == 0
			r.MaxSnippet = max(n, 0)
		}
		return r
	}
	for _, name := range strings.Fields(strings.ToLower(part)) {
		switch strings.TrimRight(name, ";.") {
		case "noindex":
			r.NoIndex = true
		case "nofollow":
			r.NoFollow = true
		case "none":
			r.NoIndex, r.NoFollow = true, true
		case "noarchive", "nocache":
			r.NoArchive = true
		case "nosnippet":
			r.NoSnippet = true
		}
	}
	return r
}

// tagTime reads the time of an unavailable_after rule, which may hold a comma and so go on into the next part. It
// returns the zero time when it is none, and how many of the following parts it took.
func tagTime(value string, next []string) (when time.Time, used int) {
	if when = parseTime(value); when.IsZero() && len(next) > 0 {
		if when = parseTime(value + "," + next[0]); !when.IsZero() {
			used = 1
		}
	}
	return when, used
}
