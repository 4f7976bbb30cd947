package weburl

import (
	"bytes"
	"unicode/utf8"
)

// What a byte of a path or query may do in the normal form.
const (
	rawInPath  = 1 << iota // stands for itself in a path
	rawInQuery             // stands for itself in a query
	unreserved             // RFC 3986 section 2.3: written bare, its triplet is decoded
	hexDigit
)

// byteClass follows the path and special-query percent-encode sets of the WHATWG URL Standard.
var byteClass = func() (t [256]uint8) {
	for c := '!'; c <= '~'; c++ {
		t[c] = rawInPath | rawInQuery
	}
	for _, c := range `"#<>?` + "`{}^" {
		t[c] &^= rawInPath
	}
	for _, c := range `"#<>'` {
		t[c] &^= rawInQuery
	}
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~" {
		t[c] |= unreserved
	}
	for _, c := range "0123456789ABCDEFabcdef" {
		t[c] |= hexDigit
	}
	return t
}()

const upperHex = "0123456789ABCDEF"

// appendNormal appends s percent-encoded for the place raw (rawInPath or rawInQuery): triplets of unreserved characters
// are decoded, others get upper-case digits, and a "%" that begins no triplet becomes "%25", so that decoding its
// neighbours cannot make a triplet of it.
func appendNormal(b []byte, s string, raw uint8) []byte {
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '%':
			if i+2 < len(s) && byteClass[s[i+1]]&byteClass[s[i+2]]&hexDigit != 0 {
				if v := unhex(s[i+1])<<4 | unhex(s[i+2]); byteClass[v]&unreserved != 0 {
					b = append(b, v)
				} else {
					b = appendTriplet(b, v)
				}
				i += 3
				continue
			}
			b = append(b, "%25"...)
		case byteClass[c]&raw != 0:
			b = append(b, c)
		case c < utf8.RuneSelf:
			b = appendTriplet(b, c)
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			var enc [utf8.UTFMax]byte
			for _, v := range enc[:utf8.EncodeRune(enc[:], r)] {
				b = appendTriplet(b, v)
			}
			i += n
			continue
		}
		i++
	}
	return b
}

func appendTriplet(b []byte, v byte) []byte { return append(b, '%', upperHex[v>>4], upperHex[v&15]) }

// unhex returns the value of a hex digit.
func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&15 + 9
}

// appendPath appends the normal path of p. Session ids are cut before dot segments are resolved, since cutting one can
// leave a dot segment.
func appendPath(b []byte, p parts, base URL) []byte {
	if p.samePath {
		return append(b, base.Path()...)
	}
	start := len(b)
	path := p.path
	if p.relative {
		b = append(b, base.Dir().Path()...)
	} else {
		b = append(b, '/')
		if path != "" {
			path = path[1:]
		}
	}
	for more := true; more; {
		segment := path
		more = false
		for i := range len(path) {
			if isSlash(path[i]) {
				segment, path, more = path[:i], path[i+1:], true
				break
			}
		}
		begin := len(b)
		b = appendNormal(b, segment, rawInPath)
		b = cutPathSession(b, begin)
		switch string(b[begin:]) {
		case ".":
			b = b[:begin]
		case "..":
			b = b[:begin]
			if begin > start+1 {
				b = b[:start+1+bytes.LastIndexByte(b[start+1:begin-1], '/')+1]
			}
		default:
			if more {
				b = append(b, '/')
			}
		}
	}
	return b
}

// appendQuery appends "?" and the normal query of p without tracking and session parameters, or nothing.
func appendQuery(b []byte, p parts, base URL) []byte {
	if !p.hasQuery {
		if p.samePath {
			b = append(b, base.s[base.query:]...)
		}
		return b
	}
	start := len(b)
	b = append(b, '?')
	query, first := p.query, true
	for more := true; more; {
		param := query
		more = false
		for i := range len(query) {
			if query[i] == '&' {
				param, query, more = query[:i], query[i+1:], true
				break
			}
		}
		begin := len(b)
		if !first {
			b = append(b, '&')
		}
		at := len(b)
		b = appendNormal(b, param, rawInQuery)
		if droppedParam(b[at:]) {
			b = b[:begin]
			continue
		}
		first = false
	}
	if len(b) == start+1 {
		return b[:start]
	}
	return b
}
