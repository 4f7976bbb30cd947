package weburl

import "strings"

// parts is a URL taken apart by the states of the WHATWG basic URL parser that matter for http and https, before
// anything is decoded. Slashes may still be backslashes.
type parts struct {
	scheme    string // "http" or "https"
	authority string // user, host and port; unused with sameHost
	path      string
	query     string // without "?"
	sameHost  bool   // host and port are the base's
	relative  bool   // the path continues the base's directory
	samePath  bool   // path is the base's; so is the query when there is none
	hasQuery  bool
}

// parse is Parse and Resolve; a zero base means none.
func parse(raw string, base URL) (URL, error) {
	if len(raw) > maxRawBytes {
		return URL{}, invalid(raw, "longer than any page's address")
	}
	p, err := split(tidy(raw), base)
	if err != nil {
		return URL{}, err
	}
	var stack [256]byte
	b := append(stack[:0], p.scheme...)
	b = append(b, "://"...)
	var u URL
	if p.sameHost {
		b = append(b, base.HostPort()...)
		u.hostEnd = base.hostEnd
	} else if b, err = appendHost(b, p.scheme, p.authority, &u.hostEnd); err != nil {
		return URL{}, err
	}
	path := len(b)
	b = appendPath(b, p, base)
	if len(b) > MaxURLBytes {
		return URL{}, invalid(raw, "longer than 2048 bytes")
	}
	query := len(b)
	b = appendQuery(b, p, base)
	if len(b) > MaxURLBytes {
		return URL{}, invalid(raw, "longer than 2048 bytes")
	}
	u.s, u.path, u.query = string(b), uint16(path), uint16(query)
	return u, nil
}

// tidy removes what the standard removes first: control characters and spaces at both ends, tabs and line ends anywhere.
func tidy(s string) string {
	for s != "" && s[0] <= ' ' {
		s = s[1:]
	}
	for s != "" && s[len(s)-1] <= ' ' {
		s = s[:len(s)-1]
	}
	if strings.IndexByte(s, '\n') < 0 && strings.IndexByte(s, '\t') < 0 && strings.IndexByte(s, '\r') < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r == '\t' || r == '\n' || r == '\r' {
			return -1
		}
		return r
	}, s)
}

// split finds the parts of s, absolute or relative to base.
func split(s string, base URL) (parts, error) {
	scheme, rest, err := cutScheme(s)
	if err != nil {
		return parts{}, err
	}
	if scheme == "" && base.IsZero() {
		return parts{}, invalid(s, "does not begin with http:// or https://")
	}
	if i := strings.IndexByte(rest, '#'); i >= 0 {
		rest = rest[:i]
	}
	// A scheme equal to the base's and not followed by "//" is an old spelling of a relative reference.
	if scheme == "" || (!base.IsZero() && scheme == base.Scheme() && !strings.HasPrefix(rest, "//")) {
		if len(rest) < 2 || !isSlash(rest[0]) || !isSlash(rest[1]) {
			return splitRelative(rest, base), nil
		}
		scheme = base.Scheme()
	}
	for rest != "" && isSlash(rest[0]) {
		rest = rest[1:]
	}
	p := parts{scheme: scheme, authority: rest}
	rest, p.query, p.hasQuery = strings.Cut(rest, "?")
	p.authority = rest
	for i := range len(rest) {
		if isSlash(rest[i]) {
			p.authority, p.path = rest[:i], rest[i:]
			break
		}
	}
	return p, nil
}

// splitRelative finds the parts of a reference that keeps the base's host.
func splitRelative(rest string, base URL) parts {
	p := parts{scheme: base.Scheme(), sameHost: true}
	p.path, p.query, p.hasQuery = strings.Cut(rest, "?")
	p.samePath = p.path == ""
	p.relative = !p.samePath && !isSlash(p.path[0])
	return p
}

// cutScheme returns the scheme of s in lower case and what follows its colon. An empty scheme means that s has none.
func cutScheme(s string) (scheme, rest string, err error) {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c|0x20 && c|0x20 <= 'z':
		case i > 0 && ('0' <= c && c <= '9' || c == '+' || c == '-' || c == '.'):
		case i > 0 && c == ':':
			switch {
			case i == 4 && strings.EqualFold(s[:i], "http"):
				return "http", s[i+1:], nil
			case i == 5 && strings.EqualFold(s[:i], "https"):
				return "https", s[i+1:], nil
			}
			return "", "", invalid(s, "only http and https pages are crawled")
		default:
			return "", s, nil
		}
	}
	return "", s, nil
}

func isSlash(c byte) bool { return c == '/' || c == '\\' }
