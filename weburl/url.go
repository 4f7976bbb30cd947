// Package weburl answers "is this the same page, whose is it, and may I fetch it?": the normal form of a URL, the site
// it belongs to, robots.txt and page-level robots rules, sitemaps, crawler traps by shape, and which addresses are public.
//
// It is not for fetching: nothing here touches the network, the disk or the clock. Every decoder takes hostile input,
// is bounded in time and memory, and never panics.
//
// Invariants of a URL's normal form, on which keys, partitions and receipts rest:
//   - Parse(u.String()) == u: the normal form is a fixed point, so equal pages compare equal as strings.
//   - It is ASCII without spaces, control characters or a fragment, and at most MaxURLBytes long.
//   - The scheme is http or https, the host is a lower-case DNS name in punycode or a canonical IP address without a
//     trailing dot, there is no user name, and the port is absent when it is the scheme's own.
//   - The path begins with "/" and has no dot segments; percent triplets are upper case and only where needed.
package weburl

import (
	"net/netip"
	"strings"

	"concord"
)

const (
	// MaxURLBytes bounds the normal form. Longer ones are nearly always traps; sitemaps.org and most crawlers use it too.
	MaxURLBytes = 2048
	// maxRawBytes bounds what is looked at before normalisation may shorten it (tracking parameters, fragments, escapes).
	maxRawBytes = 16 << 10
)

// URL is a web address in normal form. It is immutable, comparable with == and safe for concurrent use. The zero value
// is no URL.
type URL struct {
	s string
	// Offsets into s. Its length is bounded by MaxURLBytes, so they fit.
	hostEnd uint16 // end of the host name, without port
	path    uint16 // the "/" that begins the path
	query   uint16 // the "?" that begins the query, or len(s)
}

// Parse reads an absolute http or https URL as browsers do (WHATWG URL Standard) and brings it into normal form.
// Anything else is an Invalid error that says why.
func Parse(raw string) (URL, error) { return parse(raw, URL{}) }

// Resolve reads ref, absolute or relative, as a link on the page u.
func (u URL) Resolve(ref string) (URL, error) { return parse(ref, u) }

// String returns the normal form; the empty string for the zero URL.
func (u URL) String() string { return u.s }

// IsZero reports whether u is the zero value, no URL.
func (u URL) IsZero() bool { return u.s == "" }

// Scheme returns "http" or "https".
func (u URL) Scheme() string {
	if u.IsZero() {
		return ""
	}
	return u.s[:u.hostStart()-len("://")]
}

func (u URL) hostStart() int {
	switch {
	case u.IsZero():
		return 0
	case u.s[len("http")] == 's':
		return len("https://")
	}
	return len("http://")
}

// Host returns the host name without port, and an IPv6 address without brackets.
func (u URL) Host() string {
	h := u.s[u.hostStart():u.hostEnd]
	if strings.HasPrefix(h, "[") {
		return h[1 : len(h)-1]
	}
	return h
}

// HostPort returns the host name, and ":port" when it is not the scheme's own; an IPv6 address in brackets.
func (u URL) HostPort() string { return u.s[u.hostStart():u.path] }

// Port returns the port as digits, the scheme's own where the URL names none.
func (u URL) Port() string {
	switch {
	case u.IsZero():
		return ""
	case u.hostEnd < u.path:
		return u.s[u.hostEnd+1 : u.path]
	case u.Scheme() == "https":
		return "443"
	}
	return "80"
}

// Addr returns the host's address when the host is an IP address.
func (u URL) Addr() (netip.Addr, bool) {
	h := u.Host()
	if h == "" || (h[len(h)-1] > '9' && !strings.Contains(h, ":")) {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(h)
	return a, err == nil
}

// Origin returns scheme, host and port: "https://www.example.org:8443".
func (u URL) Origin() string { return u.s[:u.path] }

// Path returns the path, from its first "/" on, without the query.
func (u URL) Path() string { return u.s[u.path:u.query] }

// Query returns the query without "?"; empty: none.
func (u URL) Query() string {
	if int(u.query) == len(u.s) {
		return ""
	}
	return u.s[u.query+1:]
}

// RequestURI returns path and query as they are sent in a request line and compared with robots.txt rules.
func (u URL) RequestURI() string { return u.s[u.path:] }

// Dir returns u up to and including the last "/" of its path: the scope of a prefix crawl.
func (u URL) Dir() URL {
	if u.IsZero() {
		return u
	}
	u.s = u.s[:int(u.path)+strings.LastIndexByte(u.Path(), '/')+1]
	u.query = uint16(len(u.s))
	return u
}

// Root returns u with the path "/" and no query: its site's front page on the same origin.
func (u URL) Root() URL {
	if u.IsZero() {
		return u
	}
	u.s = u.s[:u.path+1]
	u.query = uint16(len(u.s))
	return u
}

// MarshalText writes the normal form.
func (u URL) MarshalText() ([]byte, error) { return []byte(u.s), nil }

// UnmarshalText reads any URL that Parse does; empty text is the zero URL.
func (u *URL) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*u = URL{}
		return nil
	}
	v, err := Parse(string(text))
	if err != nil {
		return err
	}
	*u = v
	return nil
}

// invalid is the error of a URL that cannot be used; why ends with what to do where that helps.
func invalid(raw, why string) error {
	return concord.Errorf(concord.Invalid, "URL %q: %s", concord.Clip(raw, 120), why)
}
