package web

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"concord"
)

const (
	maxShownHosts  = 60
	maxShownEvents = 40
	maxShownCrawls = 40
	// signInRate and signInBurst bound guesses at the key from one address; those on this machine count too.
	signInRate  = 0.2
	signInBurst = 5
	// pollSeconds is how often a browser without scripts loads the crawl page again.
	pollSeconds = 5
)

// crawlPage shows what is being fetched, and why not.
type crawlPage struct {
	frame
	Form    crawlForm
	Crawls  []crawlView
	Older   int // crawls not shown
	Hosts   []hostView
	Events  []concord.CrawlEvent
	Totals  CrawlTotals
	Bounds  crawlBounds
	KeyFile string
}

func (*crawlPage) template() string { return "crawl" }

type crawlBounds struct{ Depth, Pages int }

// crawlForm is the form as it was filled in, and what was wrong with it.
type crawlForm struct {
	Seeds, Scope, Depth, Pages, Include, Exclude string
	Private                                      bool
	Error                                        string
}

type crawlView struct {
	concord.Crawl
	Seeds    []string
	More     int // seeds not shown
	State    string
	Percent  int // of the URLs known so far
	Rate     float64
	Elapsed  time.Duration
	Findable bool // finished, and everything can be found
}

type hostView struct {
	concord.HostStatus
	In    time.Duration // until the next fetch
	State string        // "fetching", "waiting", "held back", "idle": how it is drawn
}

func (s *Server) crawlPage(w http.ResponseWriter, r *http.Request) {
	s.showCrawls(w, r, http.StatusOK, crawlForm{Scope: string(concord.ScopeHost), Seeds: r.URL.Query().Get("url")})
}

func (s *Server) showCrawls(w http.ResponseWriter, r *http.Request, status int, form crawlForm) {
	ctx := r.Context()
	p := &crawlPage{frame: frame{Title: "Crawl", Section: "crawl", BoxInTop: true, Live: eventsPath, Refresh: pollSeconds}, Form: form,
		Bounds: crawlBounds{concord.DefaultDepth, concord.DefaultMaxPages}, Events: s.cfg.Crawls.Recent(maxShownEvents)}
	if form.Error != "" || form.Seeds != "" {
		p.Refresh = 0 // what was typed is not to be lost
	}
	st, err := s.status(ctx)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	p.Totals = st.Crawl
	if callerOf(ctx).local() {
		p.KeyFile = s.cfg.KeyFile
	}
	if p.Crawls, p.Older, err = s.crawlViews(ctx); err != nil {
		s.fail(w, r, err)
		return
	}
	hosts, err := s.cfg.Crawls.Hosts(ctx, maxShownHosts)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	for _, h := range hosts {
		p.Hosts = append(p.Hosts, hostViewOf(h, s.cfg.Now()))
	}
	s.render(w, r, status, p)
}

func (s *Server) crawlViews(ctx context.Context) (views []crawlView, older int, err error) {
	list, err := s.cfg.Crawls.Crawls(ctx)
	if err != nil {
		return nil, 0, err
	}
	if len(list) > maxShownCrawls {
		older = len(list) - maxShownCrawls
		list = list[:maxShownCrawls]
	}
	for _, c := range list {
		v := crawlViewOf(c, s.cfg.Now())
		if c.Done() {
			if v.Findable, err = s.cfg.Crawls.Searchable(ctx, c.ID); err != nil {
				return nil, 0, err
			}
		}
		views = append(views, v)
	}
	return views, older, nil
}

func crawlViewOf(c concord.Crawl, now time.Time) crawlView {
	const maxSeeds = 3
	v := crawlView{Crawl: c, Seeds: c.Spec.Seeds, State: "running"}
	if len(v.Seeds) > maxSeeds {
		v.More = len(v.Seeds) - maxSeeds
		v.Seeds = v.Seeds[:maxSeeds]
	}
	end := now
	if c.Done() {
		v.State, end = "finished", c.Finished
	}
	v.Elapsed = max(end.Sub(c.Created), 0)
	if seconds := v.Elapsed.Seconds(); seconds >= 1 {
		v.Rate = float64(c.Fetched) / seconds
	}
	done := c.Fetched + c.Failed + c.Refused
	switch all := done + c.Queued + c.InFlight; {
	case c.Done():
		v.Percent = 100
	case all > 0:
		v.Percent = int(min(99, 100*done/all))
	}
	return v
}

func hostViewOf(h concord.HostStatus, now time.Time) hostView {
	v := hostView{HostStatus: h, In: max(h.Next.Sub(now), 0)}
	if at, ok := strings.CutPrefix(h.Robots, "rules from "); ok {
		if t, err := time.Parse(time.RFC3339, at); err == nil {
			v.Robots = "rules of " + when(t)
		}
	}
	switch {
	case h.InFlight != "":
		v.State = "fetching"
	case h.Queued == 0:
		v.State = "idle"
	case h.Backoff > 0 || strings.HasPrefix(h.Robots, "unreachable"):
		v.State = "held back"
	default:
		v.State = "waiting"
	}
	return v
}

// startCrawl takes the form.
func (s *Server) startCrawl(w http.ResponseWriter, r *http.Request) {
	if !s.formAllowed(w, r) {
		return
	}
	form := crawlForm{Seeds: r.PostFormValue("seeds"), Scope: r.PostFormValue("scope"), Depth: r.PostFormValue("depth"), Pages: r.PostFormValue("pages"),
		Include: r.PostFormValue("include"), Exclude: r.PostFormValue("exclude"), Private: r.PostFormValue("private") != ""}
	spec, err := form.spec()
	if err == nil {
		var c *concord.Crawl
		if c, err = s.cfg.Crawls.Start(r.Context(), spec); err == nil {
			http.Redirect(w, r, "/crawl#"+c.ID, http.StatusSeeOther)
			return
		}
	}
	if concord.KindOf(err) != concord.Invalid {
		s.fail(w, r, err)
		return
	}
	form.Error = sentence(err.Error())
	s.showCrawls(w, r, http.StatusUnprocessableEntity, form)
}

// spec reads the form. Whether the spec makes sense is for Start to say.
func (f *crawlForm) spec() (concord.CrawlSpec, error) {
	spec := concord.CrawlSpec{Scope: concord.Scope(f.Scope), Include: lines(f.Include), Exclude: lines(f.Exclude), AllowPrivate: f.Private}
	for _, line := range lines(f.Seeds) {
		u, err := pageURL(line)
		if err != nil {
			return spec, fmt.Errorf("seed %q: %w", concord.Clip(line, maxEcho), err)
		}
		spec.Seeds = append(spec.Seeds, u)
	}
	if len(spec.Seeds) == 0 {
		return spec, concord.Errorf(concord.Invalid, "give at least one address to start from")
	}
	var err error
	if spec.Depth, err = optionalNumber(f.Depth, "depth"); err != nil {
		return spec, err
	}
	spec.MaxPages, err = optionalNumber(f.Pages, "number of pages")
	return spec, err
}

func lines(s string) (out []string) {
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}

func optionalNumber(s, what string) (int, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0, concord.Errorf(concord.Invalid, "the %s %q is not a number", what, concord.Clip(s, maxEcho))
	}
	return n, nil
}

func (s *Server) stopCrawl(w http.ResponseWriter, r *http.Request) {
	if !s.formAllowed(w, r) {
		return
	}
	if err := s.cfg.Crawls.Stop(r.Context(), r.PathValue("id")); err != nil {
		s.fail(w, r, err)
		return
	}
	http.Redirect(w, r, "/crawl", http.StatusSeeOther)
}

// formAllowed checks that a form that changes something comes from a page of ours, of a session.
func (s *Server) formAllowed(w http.ResponseWriter, r *http.Request) bool {
	c := callerOf(r.Context())
	if err := s.origins.Check(r); err != nil {
		s.fail(w, r, newProblem(http.StatusForbidden, "this form was sent from another site"))
		return false
	}
	if c.session == "" {
		s.fail(w, r, newProblem(http.StatusUnauthorized, "sign in with the API key first"))
		return false
	}
	if !s.sessions.checkToken(c.session, r.PostFormValue("token")) {
		s.fail(w, r, newProblem(http.StatusForbidden, "the form is out of date; load the page again"))
		return false
	}
	return true
}

// signInPage asks for the API key.
type signInPage struct {
	frame
	Error   string
	Next    string // where it leads
	KeyFile string
}

func (*signInPage) template() string { return "signin" }

func (s *Server) signInForm(w http.ResponseWriter, r *http.Request) {
	s.askKey(w, r, http.StatusOK, "")
}

func (s *Server) askKey(w http.ResponseWriter, r *http.Request, status int, wrong string) {
	p := &signInPage{frame: frame{Title: "Sign in", Section: "crawl", BoxInTop: true, NoIndex: true}, Error: wrong, Next: afterSignIn(r)}
	if callerOf(r.Context()).local() {
		p.KeyFile = s.cfg.KeyFile
	}
	s.render(w, r, status, p)
}

func (s *Server) signIn(w http.ResponseWriter, r *http.Request) {
	if err := s.origins.Check(r); err != nil {
		s.fail(w, r, newProblem(http.StatusForbidden, "this form was sent from another site"))
		return
	}
	now := s.cfg.Now()
	if ok, wait := s.signIns.allow(callerOf(r.Context()).addr, now); !ok {
		s.fail(w, r, tooMany(wait))
		return
	}
	if !keyMatches(strings.TrimSpace(r.PostFormValue("key")), s.cfg.APIKey) {
		s.cfg.Log.Warn("sign-in with a wrong key", "address", callerOf(r.Context()).addr)
		s.askKey(w, r, http.StatusUnauthorized, "That is not the key of this node.")
		return
	}
	http.SetCookie(w, s.cookie(r, s.sessions.start(now)))
	http.Redirect(w, r, afterSignIn(r), http.StatusSeeOther)
}

// afterSignIn is the page with the form that somebody signs in for: one of ours.
func afterSignIn(r *http.Request) string {
	if r.FormValue("next") == "/witness" {
		return "/witness"
	}
	return "/crawl"
}

func (s *Server) signOut(w http.ResponseWriter, r *http.Request) {
	if !s.formAllowed(w, r) {
		return
	}
	s.sessions.end(callerOf(r.Context()).session)
	http.SetCookie(w, s.cookie(r, ""))
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// whyPage answers "is this page in it, and why not".
type whyPage struct {
	frame
	Asked    string
	Error    string
	Status   *concord.URLStatus
	Link     string
	Verdict  string // in one sentence
	Good     bool   // it can be found
	Archived string
	Receipt  string
}

func (*whyPage) template() string { return "why" }

func (s *Server) whyPage(w http.ResponseWriter, r *http.Request) {
	p := &whyPage{frame: frame{Title: "Why is a page not found?", Section: "crawl", BoxInTop: true, NoIndex: true}, Asked: strings.TrimSpace(r.URL.Query().Get("url"))}
	if p.Asked == "" {
		s.render(w, r, http.StatusOK, p)
		return
	}
	u, err := pageURL(p.Asked)
	if err != nil {
		p.Error = sentence(err.Error())
		s.render(w, r, http.StatusUnprocessableEntity, p)
		return
	}
	status, err := s.cfg.Crawls.URL(r.Context(), u)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	p.Status, p.Link = &status, webLink(u)
	p.Verdict, p.Good = verdict(&status)
	if !status.Fetched.IsZero() {
		p.Archived, p.Receipt = lookupLink(u), queryURL("/receipt", u)
	}
	s.render(w, r, http.StatusOK, p)
}

// verdict says in one sentence where a URL stands.
func verdict(u *concord.URLStatus) (text string, good bool) {
	because := func(text string) string {
		reason := u.Reason
		if reason == "" {
			reason = u.Skip
		}
		if reason == "" {
			return text + "."
		}
		return text + ": " + ended(reason)
	}
	switch u.State {
	case "unknown", "":
		return "Nobody has met this address here: it is in no crawl, and no page that was fetched links to it.", false
	case "queued":
		return because("It is known and waits to be fetched"), false
	case "fetching":
		return "It is being fetched right now.", false
	case "failed":
		return because("It could not be fetched"), false
	case "refused":
		return because("It was not fetched"), false
	case "gone":
		return because("It was here, and is gone"), false
	}
	switch {
	case u.Indexed:
		return "It is in the index and can be found.", true
	case u.Duplicate != "":
		return "It was fetched, but another page says the same and stands for it in results.", false
	}
	return because("It was fetched, but is kept out of the index"), false
}
