package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"

	"concord"
)

//go:embed templates/*.html
var templateFiles embed.FS

// page is what a template is given. Handlers decide everything and fill one in; templates only lay it out.
type page interface {
	// template names the file of the page, without directory and extension.
	template() string
	// head returns the part that all pages share.
	head() *frame
}

// frame is the part that all pages share.
type frame struct {
	Title      string
	Section    string // entry of the navigation that is the current one
	Query      string // in the search box
	BoxInTop   bool   // the search box is at the top of the page
	Operator   string
	Version    string
	SignedIn   bool
	Token      string // of the session's forms
	Live       string // address of the events that make the page refresh itself; empty: it does not
	Refresh    int    // seconds until a browser without scripts loads the page again; 0: never
	Cluster    bool   // there may be other nodes: the navigation leads to them
	Federation bool   // this node keeps the ledger: the foot of the page leads to those who share it
	NoIndex    bool   // not for other search engines
	Style      string // address of the style sheet
	Script     string // address of the script
	Verifier   string // address of the script that verifies receipts, for the pages that have it
}

func (f *frame) head() *frame { return f }

// pageNames are the templates, one a kind of page.
var pageNames = []string{"home", "search", "archive", "nocopy", "receipt", "crawl", "signin", "why", "verify", "explain", "ledger", "entry", "block", "members", "member", "checkpoints", "credits", "found", "witnesses", "witness", "status", "cluster", "federation", "bot", "manual", "api", "error"}

// parsePages parses each page together with the frame around it.
func parsePages() (map[string]*template.Template, error) {
	base, err := template.New("frame.html").Funcs(templateFuncs).ParseFS(templateFiles, "templates/frame.html", "templates/parts.html")
	if err != nil {
		return nil, fmt.Errorf("parse page frame: %w", err)
	}
	pages := map[string]*template.Template{}
	for _, name := range pageNames {
		t, err := base.Clone()
		if err == nil {
			t, err = t.ParseFS(templateFiles, "templates/"+name+".html")
		}
		if err != nil {
			return nil, fmt.Errorf("parse page %q: %w", name, err)
		}
		pages[name] = t
	}
	return pages, nil
}

// render sends a page.
func (s *Server) render(w http.ResponseWriter, r *http.Request, status int, p page) {
	f := p.head()
	c := callerOf(r.Context())
	f.Operator, f.Version, f.Cluster = s.cfg.Operator, concord.Version, s.cfg.Cluster != nil
	f.Federation = s.cfg.Federation != nil
	f.Style, f.Script, f.Verifier = s.static.address("style.css"), s.static.address("live.js"), s.static.address("verify.js")
	if c.session != "" {
		f.SignedIn, f.Token = true, s.sessions.token(c.session)
	}
	var b bytes.Buffer
	if err := s.pages[p.template()].Execute(&b, p); err != nil {
		s.cfg.Log.Error("render page", "page", p.template(), "error", err)
		plain(w, http.StatusInternalServerError, "something went wrong in the node; its log says more.\n")
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the client went away: there is nobody to tell
}

// errorPage is a problem for people.
type errorPage struct {
	frame
	Status  int
	Heading string
	Detail  string
}

func (*errorPage) template() string { return "error" }

func (s *Server) errorPage(w http.ResponseWriter, r *http.Request, p *Problem) {
	for k, v := range p.header {
		w.Header()[k] = v
	}
	heading := map[int]string{
		http.StatusNotFound: "Not here", http.StatusServiceUnavailable: "Not right now", http.StatusTooManyRequests: "A little slower, please",
		http.StatusForbidden: "Not allowed", http.StatusUnauthorized: "Sign in first", http.StatusUnprocessableEntity: "That does not work",
	}[p.Status]
	if heading == "" {
		heading = p.Title
	}
	s.render(w, r, p.Status, &errorPage{frame: frame{Title: heading, BoxInTop: true, NoIndex: true}, Status: p.Status, Heading: heading, Detail: sentence(p.Detail)})
}

// templateFuncs are how values look. They decide nothing.
var templateFuncs = template.FuncMap{
	"num": number, "bytes": size, "day": day, "when": when, "iso": iso, "ago": ago, "took": took, "weblink": webLink,
	"archive": archiveLink, "raw": rawLink, "content": contentLink, "lookup": lookupLink, "receipt": receiptLink, "receiptfile": receiptFileLink,
	"why": whyLink, "searchlink": searchLink, "entry": entryLink, "member": memberLink, "blockof": blockLink, "credit": credit, "clip": concord.Clip, "sentence": sentence, "rate": decimal, "statustext": http.StatusText,
	"plural": plural,
}

// number writes n with thin groups: 1,048,576.
func number(n any) string {
	s := fmt.Sprint(n)
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

func plural(n any, one, many string) string {
	if s := number(n); s == "1" {
		return "1 " + one
	} else {
		return s + " " + many
	}
}

// size writes a number of bytes for people, in powers of 1000 as disks are sold.
func size(n any) string {
	v, err := strconv.ParseFloat(fmt.Sprint(n), 64)
	if err != nil {
		return fmt.Sprint(n)
	}
	for _, unit := range [...]string{"B", "kB", "MB", "GB", "TB"} {
		if v < 1000 || unit == "TB" {
			if unit == "B" || v >= 100 {
				return fmt.Sprintf("%.0f %s", v, unit)
			}
			return fmt.Sprintf("%.1f %s", v, unit)
		}
		v /= 1000
	}
	return ""
}

func decimal(perSecond float64) string { return strconv.FormatFloat(perSecond, 'f', 1, 64) }

func day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2 Jan 2006")
}

func when(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2 Jan 2006, 15:04:05 UTC")
}

func iso(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// ago writes a duration for people, in its largest sensible unit.
func ago(d time.Duration) string {
	switch {
	case d < 0:
		return "now"
	case d < 2*time.Minute:
		return plural(int(d/time.Second), "second", "seconds")
	case d < 2*time.Hour:
		return plural(int(d/time.Minute), "minute", "minutes")
	case d < 48*time.Hour:
		return plural(int(d/time.Hour), "hour", "hours")
	default:
		return plural(int(d/(24*time.Hour)), "day", "days")
	}
}

// took writes a short duration exactly, a long one roughly.
func took(d time.Duration) string {
	if d >= 2*time.Minute {
		return ago(d)
	}
	if d < time.Second {
		return strconv.FormatFloat(float64(d.Microseconds())/1000, 'f', 1, 64) + " ms"
	}
	return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
}

// sentence makes an error message a sentence.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	if c := s[0]; c >= 'a' && c <= 'z' && !strings.HasPrefix(s, "http") {
		s = string(c-'a'+'A') + s[1:]
	}
	return ended(s)
}

// ended puts a full stop after s where there is none.
func ended(s string) string {
	if s != "" && !strings.ContainsAny(s[len(s)-1:], ".!?") {
		s += "."
	}
	return s
}
