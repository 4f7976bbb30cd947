package weburl

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

const (
	maxHostBytes    = 253 // a DNS name in text form, RFC 1035 section 2.3.4
	maxLabelBytes   = 63
	maxRawHostBytes = 1024 // before IDNA; keeps the general parser's work small
	maxPort         = 65535
)

// appendHost appends host and port of an authority in normal form, and sets end to where the host name ends.
func appendHost(b []byte, scheme, authority string, end *uint16) ([]byte, error) {
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		if user := authority[:i]; user != "" && user != ":" {
			return nil, invalid(authority[i+1:], "comes with a user name or password; leave them out") // not quoted: it is secret
		}
		authority = authority[i+1:]
	}
	host, port, err := cutPort(authority)
	if err != nil {
		return nil, err
	}
	if simpleHost(host) {
		for i := range len(host) {
			b = append(b, lower(host[i]))
		}
	} else {
		if host, err = generalHost(host); err != nil {
			return nil, err
		}
		b = append(b, host...)
	}
	*end = uint16(len(b))
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 64)
		if err != nil || n > maxPort {
			return nil, invalid(authority, "the port is not a number up to 65535")
		}
		if !(n == 80 && scheme == "http" || n == 443 && scheme == "https") {
			b = strconv.AppendUint(append(b, ':'), n, 10)
		}
	}
	return b, nil
}

// cutPort splits "host:port"; the host of "[::1]:80" keeps its brackets. Port may be empty and holds only digits.
func cutPort(authority string) (host, port string, err error) {
	i := strings.IndexByte(authority, ':')
	if strings.HasPrefix(authority, "[") {
		j := strings.IndexByte(authority, ']')
		if j < 0 {
			return "", "", invalid(authority, "the bracket of the IPv6 address is never closed")
		}
		if i = j + 1; i == len(authority) {
			i = -1
		} else if authority[i] != ':' {
			return "", "", invalid(authority, "something other than a port follows the IPv6 address")
		}
	}
	if i < 0 {
		return authority, "", nil
	}
	host, port = authority[:i], strings.TrimLeft(authority[i+1:], "0")
	if port == "" && i+1 < len(authority) {
		port = "0"
	}
	for _, c := range []byte(port) {
		if c < '0' || c > '9' {
			return "", "", invalid(authority, "the port is not a number")
		}
	}
	return host, port, nil
}

// simpleHost reports whether lower case is all that host needs: a plain ASCII DNS name that is no number, no punycode,
// and has no trailing dot. It is what nearly every link has, and saves the general parser.
func simpleHost(host string) bool {
	if host == "" || len(host) > maxHostBytes {
		return false
	}
	label := 0
	for i := 0; i <= len(host); i++ {
		if i < len(host) && host[i] != '.' {
			if !isHostByte(lower(host[i])) {
				return false
			}
			continue
		}
		n := i - label
		if n == 0 || n > maxLabelBytes || (n >= 4 && strings.EqualFold(host[label:label+4], "xn--")) {
			return false
		}
		if i == len(host) {
			return host[label] > '9' // neither a digit, which may begin an IPv4 number, nor a hyphen
		}
		label = i + 1
	}
	return false
}

// generalHost brings any host the standard allows into normal form: percent-decoding, IDNA (UTS 46, non-transitional),
// IPv4 in all its spellings and IPv6. Names that the DNS cannot hold are refused, although the standard allows them.
func generalHost(raw string) (string, error) {
	if len(raw) > maxRawHostBytes {
		return "", invalid(raw, "the host name is too long")
	}
	if strings.HasPrefix(raw, "[") {
		return ipv6Host(raw)
	}
	name, err := url.PathUnescape(raw)
	if err != nil || !utf8.ValidString(name) {
		return "", invalid(raw, "the host name is not valid")
	}
	host, err := asciiName(name)
	if err != nil {
		return "", invalid(raw, "the host name is not valid")
	}
	host = strings.TrimSuffix(host, ".")
	if endsInNumber(host) {
		return ipv4Host(host)
	}
	return host, checkName(host)
}

// idnaProfile is "domain to ASCII" of the URL Standard, not strict.
var idnaProfile = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.CheckJoiners(true), idna.CheckHyphens(false),
	idna.StrictDomainName(false), idna.VerifyDNSLength(false), idna.Transitional(false))

// asciiName returns the lower-case punycode form of a name, if that is a fixed point.
func asciiName(name string) (string, error) {
	host, err := idnaProfile.ToASCII(name)
	if err != nil {
		return "", err
	}
	if again, err := idnaProfile.ToASCII(host); err != nil || again != host {
		return "", invalid(name, "the host name has no stable form")
	}
	return host, nil
}

// ipv6Host reads an address in brackets and writes it in the standard's one form, which has no dotted part.
func ipv6Host(raw string) (string, error) {
	a, err := netip.ParseAddr(strings.TrimSuffix(raw[1:], "]"))
	if err != nil || !a.Is6() || a.Zone() != "" {
		return "", invalid(raw, "not an IPv6 address")
	}
	if a.Is4In6() {
		b := a.As16()
		return fmt.Sprintf("[::ffff:%x:%x]", uint(b[12])<<8|uint(b[13]), uint(b[14])<<8|uint(b[15])), nil
	}
	return "[" + a.String() + "]", nil
}

// endsInNumber reports whether the last label of host is a number, which makes all of it an IPv4 address or invalid.
func endsInNumber(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		return allHex([]byte(hex))
	}
	return last != "" && strings.Trim(last, "0123456789") == ""
}

// ipv4Host reads one to four numbers, decimal, octal (0…) or hexadecimal (0x…), the last of which fills the rest.
func ipv4Host(host string) (string, error) {
	parts := strings.Split(host, ".")
	var addr uint64
	for i, p := range parts {
		n, err := ipv4Number(p)
		last := i == len(parts)-1
		switch {
		case err != nil || i > 3 || !last && n > 255 || last && n >= 1<<(8*(4-i)):
			return "", invalid(host, "not an IPv4 address")
		case last:
			addr |= n
		default:
			addr |= n << (8 * (3 - i))
		}
	}
	return netip.AddrFrom4([4]byte{byte(addr >> 24), byte(addr >> 16), byte(addr >> 8), byte(addr)}).String(), nil
}

func ipv4Number(s string) (uint64, error) {
	if hex, ok := strings.CutPrefix(s, "0x"); ok {
		if hex == "" {
			return 0, nil
		}
		return strconv.ParseUint(hex, 16, 32)
	}
	if len(s) > 1 && s[0] == '0' {
		return strconv.ParseUint(s[1:], 8, 32)
	}
	return strconv.ParseUint(s, 10, 32)
}

// checkName refuses what cannot be a name in the DNS: empty or long labels, punctuation, a last label that begins with
// a hyphen.
func checkName(host string) error {
	if host == "" || len(host) > maxHostBytes {
		return invalid(host, "the host name is missing or longer than 253 bytes")
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > maxLabelBytes {
			return invalid(host, "a part of the host name is empty or longer than 63 bytes")
		}
	}
	for i := range len(host) {
		if c := host[i]; c != '.' && !isHostByte(c) {
			return invalid(host, "the host name holds "+strconv.QuoteRune(rune(c)))
		}
	}
	if host[strings.LastIndexByte(host, '.')+1] == '-' {
		return invalid(host, "the last part of the host name begins with a hyphen")
	}
	return nil
}

// isHostByte holds letters, digits, hyphen, and the underscore that real host names use.
func isHostByte(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c | 0x20
	}
	return c
}
