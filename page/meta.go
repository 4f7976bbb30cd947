package page

import (
	"encoding/json"
	"strings"

	"golang.org/x/net/html/atom"

	"concord/weburl"
)

// meta reads one meta element.
func (x *reader) meta(id nodeID) {
	content := x.get(id, attrContent)
	if content == "" {
		return
	}
	if equiv := x.get(id, attrHTTPEquiv); equiv != "" {
		x.metaEquiv(strings.ToLower(equiv), content)
		return
	}
	name := x.get(id, attrName)
	if name == "" {
		if name = x.get(id, attrProperty); name == "" {
			name = x.get(id, attrItemprop)
		}
	}
	for name := range strings.FieldsSeq(strings.ToLower(name)) {
		x.metaName(name, content)
	}
}

func (x *reader) metaEquiv(equiv, content string) {
	switch equiv {
	case "refresh":
		if href := refreshTarget(content); href != "" {
			x.addLink(href, "", false)
		}
	case "content-language":
		if x.claims.language == "" && !strings.Contains(content, ",") {
			x.claims.language = languageCode(content)
		}
	}
}

func (x *reader) metaName(name, content string) {
	switch name {
	case "robots", strings.ToLower(x.in.Product):
		obey(x.page, weburl.ParseRobotsTag([]string{content}, x.in.Product))
	case "description":
		x.page.Description = collapse(content)
	case "og:description", "twitter:description", "dc.description", "dcterms.description":
		if x.page.Description == "" {
			x.page.Description = collapse(content)
		}
	case "og:title", "twitter:title", "dc.title", "dcterms.title":
		if x.claims.titles[1] == "" {
			x.claims.titles[1] = collapse(content)
		}
	case "og:url":
		return // often the page asked for, whatever it is
	case "language", "dc.language", "dcterms.language", "og:locale":
		if x.claims.language == "" {
			x.claims.language = languageCode(content)
		}
	default:
		x.metaDate(name, content)
	}
}

// metaDate reads the names dates go by, the most exact first come first served.
func (x *reader) metaDate(name, content string) {
	switch name {
	case "article:published_time", "og:published_time", "datepublished", "dc.date.issued", "dcterms.issued", "dcterms.created", "dc.date.created",
		"citation_publication_date", "citation_date", "citation_online_date", "date", "dc.date", "dcterms.date", "pubdate", "publishdate",
		"publish-date", "sailthru.date", "parsely-pub-date", "article.published", "publication_date", "cxenseparse:recs:publishtime":
		setFirst(&x.claims.published, content)
	case "article:modified_time", "og:updated_time", "datemodified", "dc.date.modified", "dcterms.modified", "last-modified", "article.updated", "lastmod":
		x.setModified(content)
	}
}

// time reads a time element that the author marks as a date of the page, or the first inside an article.
func (x *reader) time(id nodeID) {
	value := x.get(id, attrDatetime)
	if value == "" {
		return
	}
	prop, class := strings.ToLower(x.get(id, attrItemprop)), strings.ToLower(x.get(id, attrClass))
	switch {
	case strings.Contains(prop, "datemodified") || strings.Contains(class, "updated") && !strings.Contains(class, "published"):
		x.setModified(value)
	case strings.Contains(prop, "datepublished"), strings.Contains(class, "published"), strings.Contains(class, "entry-date"):
		setFirst(&x.claims.published, value)
	case x.inside(id, atom.Article) && !x.inside(id, atom.Aside) && !x.inside(id, atom.Nav):
		setFirst(&x.claims.timeElement, value)
	}
}

// setModified takes a date of the page in preference to that of the header.
func (x *reader) setModified(value string) {
	if t, ok := parseDate(value); ok && (!x.claims.modifiedByPage || t.After(x.claims.modified)) {
		x.claims.modified, x.claims.modifiedByPage = t, true
	}
}

// maxLDDepth bounds the nesting of JSON-LD that is looked into.
const maxLDDepth = 8

// jsonLD reads datePublished, dateModified and inLanguage of the schema.org descriptions a page carries.
func (x *reader) jsonLD() {
	for doc := range strings.SplitSeq(string(x.ld), "\x00") {
		if doc = strings.TrimSpace(doc); doc == "" {
			continue
		}
		var v any
		if json.Unmarshal([]byte(doc), &v) == nil {
			x.jsonLDValue(v, 0)
		}
	}
	if x.claims.published.IsZero() {
		x.claims.published = x.claims.timeElement
	}
}

func (x *reader) jsonLDValue(v any, depth int) {
	if depth > maxLDDepth {
		return
	}
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			x.jsonLDValue(e, depth+1)
		}
	case map[string]any:
		if s, ok := v["datePublished"].(string); ok {
			setFirst(&x.claims.published, s)
		}
		if s, ok := v["dateModified"].(string); ok {
			x.setModified(s)
		}
		if s, ok := v["headline"].(string); ok && x.claims.titles[1] == "" {
			x.claims.titles[1] = collapse(s)
		}
		if s, ok := v["articleBody"].(string); ok && len(s) > len(x.claims.article) {
			x.claims.article = plainText(s)
		}
		for _, key := range [...]string{"@graph", "mainEntity", "mainEntityOfPage"} { // in fixed order: maps have none
			x.jsonLDValue(v[key], depth+1)
		}
	}
}

// plainText returns s, or what its mark-up says when it is HTML.
func plainText(s string) string {
	if !strings.Contains(s, "</") && !strings.Contains(s, "&#") {
		return s
	}
	var cut bool
	main, _ := mainText(parse(s, false), &cut)
	return main.render(&cut)
}
