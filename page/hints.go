package page

import (
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html/atom"
)

// hint says what the author's own words - tags, roles, classes and ids - tell of an element's content.
type hint int8

const (
	hintHidden  hint = -3 // not shown to a reader
	hintBoiler  hint = -2 // navigation, advertising, comments, legal lines: not what the page is about
	hintSuspect hint = -1 // often so, but not always
	hintNone    hint = 0
	hintContent hint = 1 // likely holds the main text
	hintMain    hint = 2 // is declared to be the main text
)

// hintWords are words of class names and ids. A word is matched whole, after names are split at punctuation, digits and
// capitals; one that ends in "*" matches as a prefix as well.
var hintWords = map[hint]string{
	hintBoiler: `nav* navi navbar navigation navbox menu* menubar submenu breadcrumb* crumb crumbs sidebar* sphinxsidebar* sidenav footer* foot
		headerlink comment* kommentar* disqus respond reply replies pingback* trackback* share* sharing sharedaddy social*
		facebook twitter whatsapp pinterest linkedin addthis addtoany shariff related* similar recommend* recommended recirc
		recirculation outbrain taboola advert* adsense adslot adbox ads ad werbung anzeige sponsor* promo promos promotion promobox cookie* consent gdpr
		newsletter* subscribe* subscription signup login signin register popup* modal overlay lightbox tooltip skip skiplink
		pager pagination paginator paging toolbar tagcloud tags taglist topics keywords blogroll copyright
		colophon masthead impressum disclaimer byline dateline published posted postmeta postmetadata entrymeta timestamp authorbox authorbio bio aboutauthor
		yarpp relatedposts trending mostread popular newsticker ticker rating ratings vote print printonly noprint
		screenreader sronly visuallyhidden search searchbox searchform editsection mwjump
		siteinfo docnav headerbar topbar bottombar bookmark* feedback report flag hotkeys metadata catlinks
		navheader navfooter nextprev prevnext more morelinks readmore also seealso weiterlesen mehr prev next previous`,
	hintSuspect: `header* head aside side left right col1 meta info date time author autor caption credit* credits source options teaser* widget widgets toc tableofcontents
		tools tool extra banner box block module links list aux infobox sub secondary bottom utility utilities category categories kategorie top story-tools stats`,
	hintContent: `content* article* post* entry story* body text main* page* blog hentry inhalt contenido contenu textkorper
		prose markdown paragraph artikel articolo recipe document section sect1 chapter refentry`,
	hintMain: `articlebody* articletext* articlecontent entrycontent postcontent postbody storybody storycontent posttext maincontent
		pagecontent bodycontent mwparseroutput storytext articlecopy contentbody textcontent articlebodytext newsbody blogpost postentry fliesstext
		articulo bodytext artikeltext newstext singlecontent entrybody`,
}

// hintTable answers by word.
type hintTable struct {
	whole    map[string]hint
	prefixes [utf8.RuneSelf][]prefixHint // by first letter
}

type prefixHint struct {
	prefix string
	hint   hint
}

// newHintTable builds the table from hintWords.
func newHintTable() *hintTable {
	t := &hintTable{whole: make(map[string]hint, 256)}
	for _, h := range [...]hint{hintSuspect, hintContent, hintMain, hintBoiler} {
		for _, w := range strings.Fields(hintWords[h]) {
			if p, ok := strings.CutSuffix(w, "*"); ok {
				t.prefixes[p[0]] = append(t.prefixes[p[0]], prefixHint{p, h})
				w = p
			}
			t.whole[w] = h
		}
	}
	return t
}

// hints is the table, built when the first page is extracted.
var hints = sync.OnceValue(newHintTable)

// word returns the hint of one lower-case word.
func (t *hintTable) word(w string) hint {
	if h, ok := t.whole[w]; ok {
		return h
	}
	if w == "" || w[0] >= utf8.RuneSelf {
		return hintNone
	}
	for _, p := range t.prefixes[w[0]] {
		if len(w) > len(p.prefix)+1 && strings.HasPrefix(w, p.prefix) {
			return p.hint
		}
	}
	return hintNone
}

// nameHint is what one class name or id tells: names such as "post-content" or "articleBody" are looked up joined, then
// by their words, of which the last but one counts too ("sidebar-content" is a sidebar, "content-sidebar" as well).
func (t *hintTable) nameHint(name string) (worst, best hint) {
	var joined [48]byte
	n, from := 0, 0
	layout := false
	consider := func(w string) {
		h := t.word(w)
		worst, best = min(worst, h), max(best, h)
		switch w {
		case "has", "with", "no", "without", "layout":
			layout = true
		}
	}
	for i := 0; i <= len(name) && n < len(joined); i++ {
		c := byte(0)
		if i < len(name) {
			c = name[i]
		}
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= utf8.RuneSelf
		if !letter || c >= 'A' && c <= 'Z' && i > 0 && name[i-1] >= 'a' && name[i-1] <= 'z' {
			if n > from {
				consider(string(joined[from:n]))
			}
			from = n
		}
		if letter {
			if c >= 'A' && c <= 'Z' {
				c += 'a' - 'A'
			}
			joined[n] = c
			n++
		}
	}
	if from > 0 || n > 0 {
		consider(string(joined[:n]))
	}
	if layout { // "has-sidebar", "no-share": about what is around or inside
		return hintNone, hintNone
	}
	return worst, best
}

// hinter computes hints of elements and remembers those of names, which repeat.
type hinter struct {
	t        *tree
	table    *hintTable
	names    map[string][2]hint
	tagsOnly bool // classes and ids say nothing
}

// of returns the hint of an element.
func (h *hinter) of(n nodeID) hint {
	t := h.t
	d := &t.nodes[n]
	worst, best := hintNone, hintNone
	switch d.tag {
	case atom.Nav, atom.Footer, atom.Search, atom.Menu, atom.Dialog:
		worst = hintBoiler
	case atom.Aside:
		worst = hintBoiler
	case atom.Form, atom.Header:
		worst = hintSuspect
	case atom.Main:
		best = hintMain
	case atom.Article:
		best = hintContent
	}
	for _, a := range t.attrs[d.a:d.b] {
		switch a.key {
		case attrHidden:
			return hintHidden
		case attrAriaHidden:
			if strings.EqualFold(a.value, "true") {
				return hintHidden
			}
		case attrStyle:
			if hidesByStyle(a.value) {
				return hintHidden
			}
		case attrRole:
			w, b := roleHint(a.value)
			worst, best = min(worst, w), max(best, b)
		case attrItemprop:
			if strings.EqualFold(a.value, "articleBody") || strings.EqualFold(a.value, "text") {
				best = hintMain
			}
		case attrClass, attrID:
			if h.tagsOnly {
				continue
			}
			w, b := h.name(a.value)
			worst, best = min(worst, w), max(best, b)
		}
	}
	switch {
	case d.tag == atom.Body || d.tag == atom.Html: // classes of the body speak of the layout ("has-sidebar")
		return hintNone
	case worst <= hintBoiler && best == hintMain: // "entry-content no-share"
		return hintContent
	case worst <= hintBoiler && d.tag == atom.Blockquote: // an embedded post of a social network is quoted text
		return hintNone
	case worst <= hintBoiler:
		return hintBoiler
	case best == hintMain || d.tag == atom.Main || d.tag == atom.Article:
		return best
	case best > hintNone && worst == hintSuspect:
		return hintNone
	case worst < hintNone:
		return worst
	}
	return best
}

// name returns the hints of a class or id attribute.
func (h *hinter) name(value string) (worst, best hint) {
	if v, ok := h.names[value]; ok {
		return v[0], v[1]
	}
	for name := range strings.FieldsFuncSeq(value, unicode.IsSpace) {
		w, b := h.table.nameHint(name)
		if w <= hintBoiler && b < hintMain {
			b = hintNone // "comment-body", "sidebar-content"
		}
		worst, best = min(worst, w), max(best, b)
	}
	h.names[value] = [2]hint{worst, best}
	return worst, best
}

func roleHint(role string) (worst, best hint) {
	switch strings.ToLower(strings.TrimSpace(role)) {
	case "navigation", "banner", "contentinfo", "search", "dialog", "alertdialog", "menu", "menubar", "complementary",
		"toolbar", "tablist", "tooltip", "alert", "directory":
		return hintBoiler, hintNone
	case "main":
		return hintNone, hintMain
	case "article":
		return hintNone, hintContent
	}
	return hintNone, hintNone
}

// hidesByStyle reports a style attribute that takes an element out of sight.
func hidesByStyle(style string) bool {
	for decl := range strings.SplitSeq(style, ";") {
		k, v, _ := strings.Cut(decl, ":")
		k, v = strings.TrimSpace(k), strings.TrimSpace(v)
		if strings.EqualFold(k, "display") && len(v) >= 4 && strings.EqualFold(v[:4], "none") ||
			strings.EqualFold(k, "visibility") && len(v) >= 6 && strings.EqualFold(v[:6], "hidden") {
			return true
		}
	}
	return false
}
