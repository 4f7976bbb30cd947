package weburl

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// MaxRobotsBytes is how much of a robots.txt counts; RFC 9309 section 2.5 asks for at least 500 KiB.
	MaxRobotsBytes = 500 << 10
	// RobotsLifetime is how long a robots.txt may be used before it is fetched again, RFC 9309 section 2.4.
	RobotsLifetime = 24 * time.Hour
	// RobotsUnreachableLimit is after how long an unreachable robots.txt may count as absent, RFC 9309 section 2.3.1.4.
	RobotsUnreachableLimit = 30 * 24 * time.Hour
	// MaxRobotsRedirects is how many redirects of /robots.txt are followed, RFC 9309 section 2.3.1.2.
	MaxRobotsRedirects = 5

	maxRobotsSitemaps = 1000           // sitemaps one site may announce
	maxRuleText       = 200            // bytes of a rule that are kept for people to read
	maxCrawlDelay     = 24 * time.Hour // longer delays mean the same: hardly ever
)

// Robots is a parsed robots.txt (RFC 9309). It is immutable and safe for concurrent use.
type Robots struct {
	groups   []group
	byAgent  map[string][]int32       // product token in lower case, or "*", to indices of groups
	delay    map[string]time.Duration // Crawl-delay by the same keys
	sitemaps []string
	refusal  string // when set, everything is disallowed, for this reason
}

// group holds the rules that follow one run of user-agent lines, longest pattern first, Allow before Disallow.
type group struct{ rules []rule }

// Verdict says whether a page may be fetched and which line of the robots.txt decided it.
type Verdict struct {
	Allowed bool
	Line    int    // number of the deciding line, from 1; 0: no line did
	Rule    string // that line's text, or why no line was needed; empty: nothing speaks of the page
}

// RobotsState says what a fetch of /robots.txt amounted to.
type RobotsState string

const (
	RobotsRules       RobotsState = "rules"       // there is one; its rules apply
	RobotsNone        RobotsState = "none"        // there is none: everything is allowed
	RobotsUnreachable RobotsState = "unreachable" // it cannot be known: everything is disallowed for now
)

// RobotsForStatus decides by RFC 9309 section 2.3.1 what an answer to a request for /robots.txt means. Status 0 stands
// for no answer at all. Redirects are the caller's to follow; one that is left over leads nowhere and means none. A 429
// is taken as unreachable, which is stricter than the RFC: the host has just asked for fewer requests.
func RobotsForStatus(status int, body []byte) (*Robots, RobotsState) {
	switch {
	case status >= 200 && status <= 299:
		return ParseRobots(body), RobotsRules
	case status >= 300 && status <= 499 && status != 429:
		return ParseRobots(nil), RobotsNone
	case status == 0:
		return &Robots{refusal: "robots.txt unreachable"}, RobotsUnreachable
	}
	return &Robots{refusal: "robots.txt unreachable: status " + strconv.Itoa(status)}, RobotsUnreachable
}

// ParseRobots reads a robots.txt. It never fails: lines it does not understand are passed over, and what lies beyond
// MaxRobotsBytes is not read. Lines may end in LF, CR or CRLF.
//
// A group begins with one or more user-agent lines and goes on to the next user-agent line after a rule. Only Allow and
// Disallow are rules: a Crawl-delay between user-agent lines does not end them, as RFC 9309 section 2.2.4 demands.
func ParseRobots(body []byte) *Robots {
	p := robotsParser{r: &Robots{byAgent: map[string][]int32{}, delay: map[string]time.Duration{}}}
	cut := len(body) > MaxRobotsBytes
	if cut {
		body = body[:MaxRobotsBytes]
	}
	body = bytes.TrimPrefix(body, []byte("\xEF\xBB\xBF"))
	for len(body) > 0 {
		p.line++
		end := bytes.IndexAny(body, "\r\n")
		if end < 0 {
			if !cut { // half a line could say the opposite of the whole
				p.parseLine(body)
			}
			break
		}
		p.parseLine(body[:end])
		if body[end] == '\r' && end+1 < len(body) && body[end+1] == '\n' {
			end++
		}
		body = body[end+1:]
	}
	for _, g := range p.r.groups {
		slices.SortStableFunc(g.rules, func(a, b rule) int {
			if c := cmp.Compare(len(b.pattern), len(a.pattern)); c != 0 || a.allow == b.allow {
				return c
			}
			if a.allow {
				return -1
			}
			return 1
		})
	}
	return p.r
}

// robotsParser is the state between lines.
type robotsParser struct {
	r      *Robots
	line   int
	agents []string // of the group being read
	inBody bool     // a rule was seen: the next user-agent line begins a new group
}

func (p *robotsParser) parseLine(line []byte) {
	if i := bytes.IndexByte(line, '#'); i >= 0 {
		line = line[:i]
	}
	line = bytes.Trim(line, " \t\v\f\x00")
	key, value, ok := bytes.Cut(line, []byte(":"))
	if !ok { // the colon is forgotten now and then; two words are clear enough
		f := bytes.Fields(line)
		if len(f) != 2 {
			return
		}
		key, value = f[0], f[1]
	}
	value = bytes.TrimSpace(value)
	switch strings.ToLower(string(bytes.TrimSpace(key))) {
	case "user-agent", "useragent", "user agent":
		p.userAgent(value)
	case "disallow", "dissallow", "dissalow", "disalow", "diasllow", "disallaw":
		p.rule(false, value, line)
	case "allow", "alow", "allaw":
		p.rule(true, value, line)
	case "crawl-delay", "crawldelay", "crawl delay":
		p.crawlDelay(value)
	case "sitemap", "site-map", "sitemaps":
		s := strings.ToValidUTF8(string(value), "")
		if s != "" && len(s) <= MaxURLBytes && len(p.r.sitemaps) < maxRobotsSitemaps && !slices.Contains(p.r.sitemaps, s) {
			p.r.sitemaps = append(p.r.sitemaps, s)
		}
	}
}

func (p *robotsParser) userAgent(value []byte) {
	if p.inBody || len(p.agents) == 0 {
		p.agents, p.inBody = nil, false
		p.r.groups = append(p.r.groups, group{})
	}
	token := productToken(string(value))
	p.agents = append(p.agents, token)
	if token != "" {
		id := int32(len(p.r.groups) - 1)
		if ids := p.r.byAgent[token]; len(ids) == 0 || ids[len(ids)-1] != id {
			p.r.byAgent[token] = append(ids, id)
		}
	}
}

func (p *robotsParser) rule(allow bool, value, line []byte) {
	if len(p.agents) == 0 {
		return
	}
	p.inBody = true
	if len(value) == 0 {
		return // an empty pattern matches nothing
	}
	g := &p.r.groups[len(p.r.groups)-1]
	g.rules = append(g.rules, newRule(allow, string(value), p.line, string(line)))
}

// crawlDelay notes the delay for the agents named so far; where several are given the longest counts.
func (p *robotsParser) crawlDelay(value []byte) {
	seconds, err := strconv.ParseFloat(string(value), 64)
	if err != nil || math.IsNaN(seconds) || seconds < 0 {
		return
	}
	d := time.Duration(min(seconds, maxCrawlDelay.Seconds()) * float64(time.Second))
	for _, a := range p.agents {
		if old, ok := p.r.delay[a]; !ok || d > old {
			p.r.delay[a] = d
		}
	}
}

// productToken returns the part of a user-agent value that is compared, in lower case: the letters, "_" and "-" it
// begins with, or "*". It is empty for values that name nobody.
func productToken(s string) string {
	if strings.HasPrefix(s, "*") {
		return "*"
	}
	n := 0
	for n < len(s) && (s[n] == '_' || s[n] == '-' || 'a' <= s[n]|0x20 && s[n]|0x20 <= 'z') {
		n++
	}
	return strings.ToLower(s[:n])
}

// agent returns the key whose groups apply to product: its own token, else "*".
func (r *Robots) agent(product string) string {
	if token := productToken(product); len(r.byAgent[token]) > 0 {
		return token
	}
	return "*"
}

// Check decides whether the crawler whose product token (or User-Agent beginning with it) is product may fetch u. The
// longest matching pattern decides, Allow where two are equally long.
func (r *Robots) Check(product string, u URL) Verdict {
	if u.Path() == "/robots.txt" && u.Query() == "" {
		return Verdict{Allowed: true, Rule: "robots.txt itself is always allowed"}
	}
	if r.refusal != "" {
		return Verdict{Rule: r.refusal}
	}
	groups := r.byAgent[r.agent(product)]
	if len(groups) == 0 {
		return Verdict{Allowed: true}
	}
	t := newTarget(u.RequestURI())
	var best *rule
	for _, id := range groups {
		rules := r.groups[id].rules
		for i := range rules {
			c := &rules[i]
			if best != nil && (len(c.pattern) < len(best.pattern) || len(c.pattern) == len(best.pattern) && (best.allow || !c.allow)) {
				break // sorted: nothing after it can win either
			}
			if c.matches(t) {
				best = c
				break
			}
		}
	}
	if best == nil {
		return Verdict{Allowed: true}
	}
	return Verdict{Allowed: best.allow, Line: best.line, Rule: best.text}
}

// CrawlDelay returns the delay between two requests that the file asks of product, and whether it asks for one. It is
// not part of the RFC, but widely used.
func (r *Robots) CrawlDelay(product string) (time.Duration, bool) {
	d, ok := r.delay[r.agent(product)]
	return d, ok
}

// Sitemaps returns the values of the file's Sitemap lines in order, each once, as they were written. The caller resolves
// them and must not change the slice.
func (r *Robots) Sitemaps() []string { return r.sitemaps }
