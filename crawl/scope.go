package crawl

import (
	"fmt"
	"regexp"
	"strings"

	"concord"
	"concord/weburl"
)

const (
	maxSeedBytes    = 512 << 10 // of all seeds of a crawl: it begins with one message of each partition's log
	maxPatterns     = 100       // include and exclude patterns; each is tried on each new link
	maxPatternBytes = 1000
)

// plan is a crawl's specification, checked and made ready to be asked about links. It is immutable.
type plan struct {
	id      crawlID
	spec    concord.CrawlSpec
	created int64               // ms
	roots   map[string]struct{} // hosts, sites or directories of the seeds
	include []*regexp.Regexp
	exclude []*regexp.Regexp
	seeds   []weburl.URL
}

// newPlan checks a specification. Errors are Invalid and say what to change.
func newPlan(id crawlID, spec concord.CrawlSpec, created int64) (*plan, error) {
	p := &plan{id: id, created: created, roots: map[string]struct{}{}}
	if err := checkBounds(&spec); err != nil {
		return nil, err
	}
	total := 0
	for i, raw := range spec.Seeds {
		u, err := weburl.Parse(raw)
		if err != nil {
			return nil, concord.Errorf(concord.Invalid, "seed %d, %q: %w", i+1, concord.Clip(raw, 200), err)
		}
		if total += len(u.String()); total > maxSeedBytes {
			return nil, concord.Errorf(concord.Invalid, "the seeds are longer than %d bytes together: split them into several crawls", maxSeedBytes)
		}
		p.seeds = append(p.seeds, u)
		p.addRoot(spec.Scope, u)
	}
	spec.Seeds = nil
	for _, u := range p.seeds {
		spec.Seeds = append(spec.Seeds, u.String())
	}
	var err error
	if p.include, err = compile("include", spec.Include); err != nil {
		return nil, err
	}
	if p.exclude, err = compile("exclude", spec.Exclude); err != nil {
		return nil, err
	}
	p.spec = spec
	return p, nil
}

func checkBounds(spec *concord.CrawlSpec) error {
	if spec.Scope == "" {
		spec.Scope = concord.ScopeHost
	}
	if spec.Depth == 0 {
		spec.Depth = concord.DefaultDepth
	}
	if spec.MaxPages == 0 {
		spec.MaxPages = concord.DefaultMaxPages
	}
	switch {
	case len(spec.Seeds) == 0:
		return concord.Errorf(concord.Invalid, "a crawl needs at least one URL to begin with")
	case len(spec.Seeds) > concord.MaxSeeds:
		return concord.Errorf(concord.Invalid, "%d URLs to begin with, want at most %d", len(spec.Seeds), concord.MaxSeeds)
	case spec.Scope != concord.ScopeHost && spec.Scope != concord.ScopeSite && spec.Scope != concord.ScopePrefix:
		return concord.Errorf(concord.Invalid, "scope %q, want host, site or prefix", concord.Clip(string(spec.Scope), 40))
	case spec.Depth < concord.SeedsOnly || spec.Depth > 0xffff:
		return concord.Errorf(concord.Invalid, "depth %d, want 1 to 65535, 0 for %d, or %d for the seeds alone", spec.Depth, concord.DefaultDepth, concord.SeedsOnly)
	case spec.MaxPages < 0:
		return concord.Errorf(concord.Invalid, "%d pages at most, want at least 1, or 0 for %d", spec.MaxPages, concord.DefaultMaxPages)
	}
	return nil
}

func compile(what string, patterns []string) ([]*regexp.Regexp, error) {
	if len(patterns) > maxPatterns {
		return nil, concord.Errorf(concord.Invalid, "%d %s patterns, want at most %d", len(patterns), what, maxPatterns)
	}
	var out []*regexp.Regexp
	for _, s := range patterns {
		if len(s) > maxPatternBytes {
			return nil, concord.Errorf(concord.Invalid, "an %s pattern of %d bytes, want at most %d", what, len(s), maxPatternBytes)
		}
		re, err := regexp.Compile(s)
		if err != nil {
			return nil, concord.Errorf(concord.Invalid, "%s pattern %q: %w", what, concord.Clip(s, 100), err)
		}
		out = append(out, re)
	}
	return out, nil
}

// checkPrivate refuses seeds that name a private address outright, so that a person learns it at once.
func (p *plan) checkPrivate() error {
	if p.spec.AllowPrivate {
		return nil
	}
	for _, u := range p.seeds {
		addr, isAddr := u.Addr()
		local := u.Host() == "localhost" || strings.HasSuffix(u.Host(), ".localhost")
		if local || isAddr && !weburl.Public(addr) {
			return concord.Errorf(concord.Invalid, "%s is on a private address, which this crawl may not ask", u)
		}
		if port := u.Port(); port != "80" && port != "443" {
			return concord.Errorf(concord.Invalid, "%s is on port %s: crawls that may not reach private addresses use ports 80 and 443 only", u, port)
		}
	}
	return nil
}

func (p *plan) addRoot(scope concord.Scope, u weburl.URL) {
	switch scope {
	case concord.ScopeSite:
		p.roots[u.Site()] = struct{}{}
	case concord.ScopePrefix:
		p.roots[bareHost(u)+u.Dir().RequestURI()] = struct{}{}
	default:
		p.roots[bareHost(u)] = struct{}{}
	}
}

// bareHost is the host and port without "www.": a site that sends its visitors from one to the other, or from http to
// https, is still the host that was asked for.
func bareHost(u weburl.URL) string { return strings.TrimPrefix(u.HostPort(), "www.") }

// refuse says why a URL is not part of the crawl; empty: it is.
func (p *plan) refuse(u weburl.URL) string {
	if !p.within(u) {
		return fmt.Sprintf("outside the crawl's scope (%s)", p.spec.Scope)
	}
	s := u.String()
	for _, re := range p.exclude {
		if re.MatchString(s) {
			return "matches the exclude pattern " + concord.Clip(re.String(), 100)
		}
	}
	if len(p.include) == 0 {
		return ""
	}
	for _, re := range p.include {
		if re.MatchString(s) {
			return ""
		}
	}
	return "matches no include pattern"
}

func (p *plan) within(u weburl.URL) bool {
	var ok bool
	switch p.spec.Scope {
	case concord.ScopeSite:
		_, ok = p.roots[u.Site()]
	case concord.ScopePrefix:
		at := bareHost(u) + u.Path()
		for i := len(at); i > 0 && !ok; i-- {
			if at[i-1] == '/' {
				_, ok = p.roots[at[:i]]
			}
		}
	default:
		_, ok = p.roots[bareHost(u)]
	}
	return ok
}
