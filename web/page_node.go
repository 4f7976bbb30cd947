package web

import (
	"encoding/xml"
	"net/http"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// statusPage is what the node says about itself.
type statusPage struct {
	frame
	Facts   Status
	Lag     uint64 // messages not yet searchable, all shards
	Bytes   int64  // of the index
	Percent int    // of the disk that is free
	Age     time.Duration
}

func (*statusPage) template() string { return "status" }

func (s *Server) statusPage(w http.ResponseWriter, r *http.Request) {
	st, err := s.status(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	p := &statusPage{frame: frame{Title: "Status", Section: "status", BoxInTop: true, Refresh: 2 * pollSeconds}, Facts: st}
	for _, sh := range st.Shards {
		p.Lag += sh.Lag
		p.Bytes += sh.Bytes
	}
	if st.Machine.DiskTotal > 0 {
		p.Percent = int(100 * float64(st.Machine.DiskFree) / float64(st.Machine.DiskTotal))
	}
	if !st.Ledger.Time.IsZero() {
		p.Age = s.cfg.Now().Sub(st.Ledger.Time)
	}
	s.render(w, r, http.StatusOK, p)
}

// botPage tells people whose sites are crawled what this is and how to keep it out.
type botPage struct {
	frame
	UserAgent string
	Contact   string
	Href      string // of the contact
	Token     string
}

func (*botPage) template() string { return "bot" }

// robotsToken is the name the crawler answers to in robots.txt.
const robotsToken = "concord"

func (s *Server) botPage(w http.ResponseWriter, r *http.Request) {
	s.render(w, r, http.StatusOK, &botPage{frame: frame{Title: "About the crawler", Section: "bot", BoxInTop: true}, UserAgent: s.cfg.UserAgent,
		Contact: s.cfg.Contact, Href: contactURI(s.cfg.Contact), Token: robotsToken})
}

// contactURI makes the contact a URI: RFC 9116, section 2.5.3, wants one.
func contactURI(contact string) string {
	switch {
	case contact == "":
		return ""
	case strings.HasPrefix(contact, "https://"), strings.HasPrefix(contact, "http://"), strings.HasPrefix(contact, "mailto:"):
		return contact
	}
	return "mailto:" + contact
}

// securityText is RFC 9116's file. It expires a year from now, as the RFC recommends at most.
func (s *Server) securityText(w http.ResponseWriter, r *http.Request) {
	if s.cfg.Contact == "" {
		s.fail(w, r, newProblem(http.StatusNotFound, "no contact is configured"))
		return
	}
	expires := s.cfg.Now().UTC().AddDate(1, 0, -1).Truncate(24 * time.Hour).Format(time.RFC3339)
	plain(w, http.StatusOK, "Contact: "+contactURI(s.cfg.Contact)+"\nExpires: "+expires+"\nPreferred-Languages: en\nCanonical: "+
		callerOf(r.Context()).base+"/.well-known/security.txt\n")
}

// robotsText keeps crawlers to the pages that are ours; results and copies are other people's words.
func (s *Server) robotsText(w http.ResponseWriter, r *http.Request) {
	plain(w, http.StatusOK, "User-agent: *\nDisallow: /search\nDisallow: /archive\nDisallow: /receipt\nDisallow: /why\nDisallow: /explain\nDisallow: /api/\nDisallow: /suggest\nDisallow: /signin\n\nSitemap: "+
		callerOf(r.Context()).base+"/sitemap.xml\n")
}

type sitemap struct {
	XMLName xml.Name     `xml:"http://www.sitemaps.org/schemas/sitemap/0.9 urlset"`
	URLs    []sitemapURL `xml:"url"`
}

type sitemapURL struct {
	Loc string `xml:"loc"`
}

func (s *Server) sitemap(w http.ResponseWriter, r *http.Request) {
	base := callerOf(r.Context()).base
	m := sitemap{URLs: []sitemapURL{{base + "/"}, {base + "/bot"}}}
	for _, p := range s.manual.pages {
		m.URLs = append(m.URLs, sitemapURL{base + p.Link})
	}
	writeXML(s, w, r, "application/xml; charset=utf-8", m)
}

func writeXML(s *Server, w http.ResponseWriter, r *http.Request, mime string, v any) {
	data, err := xml.MarshalIndent(v, "", "  ")
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", mime)
	_, _ = w.Write(append([]byte(xml.Header), data...)) // the client went away: there is nobody to tell
}

// openSearch describes the search, so that a browser can add it (OpenSearch 1.1).
type openSearch struct {
	XMLName     xml.Name        `xml:"http://a9.com/-/spec/opensearch/1.1/ OpenSearchDescription"`
	ShortName   string          `xml:"ShortName"` // at most 16 characters
	Description string          `xml:"Description"`
	Image       openSearchImage `xml:"Image"`
	URLs        []openSearchURL `xml:"Url"`
	Input       string          `xml:"InputEncoding"`
	Output      string          `xml:"OutputEncoding"`
}

type openSearchImage struct {
	Width  int    `xml:"width,attr"`
	Height int    `xml:"height,attr"`
	Type   string `xml:"type,attr"`
	URL    string `xml:",chardata"`
}

type openSearchURL struct {
	Type     string `xml:"type,attr"`
	Rel      string `xml:"rel,attr,omitempty"`
	Method   string `xml:"method,attr,omitempty"`
	Template string `xml:"template,attr"`
}

func (s *Server) openSearch(w http.ResponseWriter, r *http.Request) {
	base := callerOf(r.Context()).base
	writeXML(s, w, r, "application/opensearchdescription+xml; charset=utf-8", openSearch{
		ShortName: "Concord", Description: "Search with receipts, by " + s.cfg.Operator,
		Image: openSearchImage{32, 32, "image/svg+xml", base + "/favicon.svg"},
		URLs: []openSearchURL{
			{Type: "text/html", Method: "get", Template: base + "/search?q={searchTerms}&offset={startIndex?}"},
			{Type: "application/json", Method: "get", Template: base + apiPrefix + "/search?q={searchTerms}"},
			{Type: suggestType, Rel: "suggestions", Template: base + "/suggest?q={searchTerms}"},
			{Type: "application/opensearchdescription+xml", Rel: "self", Template: base + "/opensearch.xml"},
		}, Input: "UTF-8", Output: "UTF-8",
	})
}

// apiPage lists the calls of the HTTP API for people.
type apiPage struct {
	frame
	Groups []apiGroup
	Base   string
}

func (*apiPage) template() string { return "api" }

type apiGroup struct {
	Name, Title string
	Calls       []apiCall
}

type apiCall struct {
	Method, Path, ID, Summary, Description string
	NeedsKey                               bool
	Parameters                             []apiParameter
}

type apiParameter struct {
	Name, Type, Doc string
	Required        bool
}

func (s *Server) apiPage(w http.ResponseWriter, r *http.Request) {
	s.render(w, r, http.StatusOK, &apiPage{frame: frame{Title: "HTTP API", Section: "manual", BoxInTop: true}, Groups: s.apiGroups(), Base: callerOf(r.Context()).base})
}

// apiGroups takes the calls from the OpenAPI description, by tag, in the order of their paths.
func (s *Server) apiGroups() []apiGroup {
	var groups []apiGroup
	for _, tag := range s.openapi.Tags {
		g := apiGroup{Name: tag.Name, Title: strings.TrimSuffix(tag.Description, ".")}
		for path, item := range s.openapi.Paths {
			for _, op := range [...]*huma.Operation{item.Get, item.Post, item.Delete} {
				if op != nil && slices.Contains(op.Tags, tag.Name) {
					g.Calls = append(g.Calls, apiCallOf(path, op))
				}
			}
		}
		sort.Slice(g.Calls, func(i, j int) bool {
			return g.Calls[i].Path+g.Calls[i].Method < g.Calls[j].Path+g.Calls[j].Method
		})
		groups = append(groups, g)
	}
	return groups
}

func apiCallOf(path string, op *huma.Operation) apiCall {
	c := apiCall{Method: op.Method, Path: path, ID: op.OperationID, Summary: op.Summary, Description: op.Description, NeedsKey: len(op.Security) > 0}
	for _, p := range op.Parameters {
		c.Parameters = append(c.Parameters, apiParameter{p.Name, p.Schema.Type, p.Description, p.Required})
	}
	return c
}
