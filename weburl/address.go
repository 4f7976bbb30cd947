package weburl

import "net/netip"

// Special-purpose blocks (IANA registries, RFC 6890 and its updates) in which no public web server lives.
var (
	specialIPv4 = prefixes(
		"0.0.0.0/8",       // this network
		"10.0.0.0/8",      // private
		"100.64.0.0/10",   // carrier-grade NAT
		"127.0.0.0/8",     // loopback
		"169.254.0.0/16",  // link-local, cloud metadata
		"172.16.0.0/12",   // private
		"192.0.0.0/24",    // IETF protocol assignments
		"192.0.2.0/24",    // documentation
		"192.88.99.0/24",  // former 6to4 relays
		"192.168.0.0/16",  // private
		"198.18.0.0/15",   // benchmarking
		"198.51.100.0/24", // documentation
		"203.0.113.0/24",  // documentation
		"224.0.0.0/4",     // multicast
		"240.0.0.0/4",     // reserved, broadcast
	)
	specialIPv6 = prefixes(
		"2001::/23",     // IETF protocol assignments: Teredo, benchmarking, ORCHID
		"2001:db8::/32", // documentation
		"3fff::/20",     // documentation
	)
	globalIPv6 = netip.MustParsePrefix("2000::/3") // all that is assigned as global unicast
	nat64      = netip.MustParsePrefix("64:ff9b::/96")
	sixToFour  = netip.MustParsePrefix("2002::/16")
)

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

// Public reports whether ip is an address on the public internet. It is false for loopback, private, link-local,
// multicast, carrier-grade NAT, documentation, benchmarking and reserved addresses of both families, for the zero Addr,
// and for IPv6 addresses that carry such an IPv4 address: mapped (::ffff:0:0/96), NAT64 (64:ff9b::/96) and 6to4
// (2002::/16). Local NAT64 (64:ff9b:1::/48), Teredo and IPv4-compatible addresses are never public.
func Public(ip netip.Addr) bool {
	ip = ip.Unmap()
	if ip.Is4() {
		return !contains(specialIPv4, ip)
	}
	if !ip.IsValid() || ip.Zone() != "" {
		return false
	}
	b := ip.As16()
	switch {
	case nat64.Contains(ip):
		return Public(netip.AddrFrom4([4]byte(b[12:16])))
	case sixToFour.Contains(ip):
		return Public(netip.AddrFrom4([4]byte(b[2:6])))
	}
	return globalIPv6.Contains(ip) && !contains(specialIPv6, ip)
}

func contains(list []netip.Prefix, ip netip.Addr) bool {
	for _, p := range list {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}
