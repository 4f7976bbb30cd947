package page

import (
	"strings"

	"golang.org/x/net/html/atom"

	"concord"
)

// linkSet is the links of a page, one for each URL, in the order they were met.
type linkSet struct {
	list []concord.Link
	at   map[string]int // URL -> place in list
	raw  map[string]int // href as written -> place in list, -1: not a link; most are repeated or share a page
	cut  bool
}

func newLinkSet() linkSet {
	return linkSet{at: make(map[string]int, 64), raw: make(map[string]int, 64)}
}

// link adds the link of an a or area element.
func (x *reader) link(id nodeID) {
	href := strings.TrimSpace(x.get(id, attrHref))
	if href == "" || href[0] == '#' {
		return
	}
	rel := x.get(id, attrRel)
	noFollow := rel != "" && (hasToken(rel, "nofollow") || hasToken(rel, "ugc") || hasToken(rel, "sponsored"))
	anchor := ""
	if x.nodes[id].tag == atom.Area {
		anchor = collapse(x.get(id, attrAlt))
	} else {
		anchor = x.anchor(id)
	}
	x.addLink(href, anchor, noFollow)
}

// addLink adds a link, or its anchor to the link that is there. A link is nofollow only if all links to its URL are.
func (x *reader) addLink(href, anchor string, noFollow bool) {
	at, known := x.links.raw[href]
	if !known {
		at = x.placeLink(href)
		if len(x.links.raw) < 4*MaxLinks {
			x.links.raw[href] = at
		}
		if at >= 0 && at == len(x.links.list)-1 && x.links.list[at].Anchor == "" && !x.links.list[at].NoFollow {
			x.links.list[at].NoFollow = noFollow
		}
	}
	if at < 0 {
		return
	}
	l := &x.links.list[at]
	if len(anchor) > len(l.Anchor) {
		l.Anchor = anchor
	}
	l.NoFollow = l.NoFollow && noFollow
}

// placeLink resolves an href and returns its place in the list, -1 when it is no link to a page or the list is full.
func (x *reader) placeLink(href string) int {
	if i := strings.IndexByte(href, '#'); i > 0 {
		if at, ok := x.links.raw[href[:i]]; ok {
			return at
		}
	}
	if hasOtherScheme(href) {
		return -1
	}
	u, err := x.base.Resolve(href)
	if err != nil {
		return -1
	}
	s := u.String()
	if at, ok := x.links.at[s]; ok {
		return at
	}
	if len(x.links.list) >= MaxLinks {
		x.links.cut = true
		return -1
	}
	x.links.at[s] = len(x.links.list)
	x.links.list = append(x.links.list, concord.Link{URL: s})
	return len(x.links.list) - 1
}

// hasOtherScheme reports a reference whose scheme is neither http nor https.
func hasOtherScheme(href string) bool {
	for i := 0; i < len(href); i++ {
		switch c := href[i]; {
		case c == ':':
			s := href[:i]
			return i > 0 && !strings.EqualFold(s, "http") && !strings.EqualFold(s, "https")
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', i > 0 && (c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.'):
		default:
			return false
		}
	}
	return false
}

// anchor is the text of a link, or the alternative texts of its images.
func (x *reader) anchor(id nodeID) string {
	if s := x.textOf(id, MaxAnchorBytes); s != "" {
		return s
	}
	var alt strings.Builder
	for n, end := id+1, min(x.end(id), id+maxScan); n < end && alt.Len() < MaxAnchorBytes; n++ {
		if d := &x.nodes[n]; !d.isText && d.tag == atom.Img {
			if alt.Len() > 0 {
				alt.WriteByte(' ')
			}
			alt.WriteString(x.get(n, attrAlt))
		}
	}
	var cut bool
	s := clipText(collapse(alt.String()), MaxAnchorBytes, &cut)
	if s == "" {
		s = clipText(collapse(x.get(id, attrTitle)), MaxAnchorBytes, &cut)
	}
	return s
}

// refreshTarget returns the URL of a meta refresh ("5; url='next.html'").
func refreshTarget(content string) string {
	_, rest, ok := strings.Cut(content, ";")
	if !ok {
		_, rest, ok = strings.Cut(content, ",")
	}
	rest = strings.TrimSpace(rest)
	if !ok || len(rest) < 4 || !strings.EqualFold(rest[:3], "url") {
		return ""
	}
	rest = strings.TrimSpace(rest[3:])
	if !strings.HasPrefix(rest, "=") {
		return ""
	}
	return strings.Trim(strings.TrimSpace(rest[1:]), "'\"")
}
