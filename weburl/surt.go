package weburl

import (
	"strings"
)

// SURT returns the sort key of u in a CDXJ index: host labels reversed and joined by commas, ")", then path and query,
// all in lower case, so that a site's pages sort together:
//
//	https://www.example.org/Index.html?a=B   org,example,www)/index.html?a=b
//	http://example.org:8080/                 org,example:8080)/
//	http://192.0.2.7/x                       192.0.2.7)/x
//	http://[2001:db8::1]:8080/               [2001:db8::1]:8080)/
//
// The scheme is dropped, "www" and non-default ports are kept, and IP addresses are not reversed. Distinct URLs may
// share a SURT (scheme, case): the line's url field tells them apart.
func SURT(u URL) string {
	if u.IsZero() {
		return ""
	}
	var b strings.Builder
	b.Grow(len(u.s))
	host := u.s[u.hostStart():u.hostEnd]
	if _, ip := u.Addr(); ip {
		b.WriteString(host)
	} else {
		for end := len(host); end >= 0; {
			dot := strings.LastIndexByte(host[:end], '.')
			if end < len(host) {
				b.WriteByte(',')
			}
			b.WriteString(host[dot+1 : end])
			end = dot
		}
	}
	b.WriteString(u.s[u.hostEnd:u.path])
	b.WriteByte(')')
	b.WriteString(strings.ToLower(u.RequestURI()))
	return b.String()
}
