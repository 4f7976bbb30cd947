package weburl

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestRobotsTag(t *testing.T) {
	june := time.Date(2010, 6, 25, 15, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		values string // separated by "|"
		want   PageRules
	}{
		{"", PageRules{}},
		{"all", PageRules{}},
		{"index, follow, max-image-preview:large, max-snippet:-1, max-video-preview:-1", PageRules{}},
		{"noindex", PageRules{NoIndex: true}},
		{" NOINDEX,NoFollow ", PageRules{NoIndex: true, NoFollow: true}},
		{"noindex nofollow", PageRules{NoIndex: true, NoFollow: true}},
		{"none", PageRules{NoIndex: true, NoFollow: true}},
		{"noarchive|nosnippet", PageRules{NoArchive: true, NoSnippet: true}},
		{"nocache", PageRules{NoArchive: true}},
		{"max-snippet:20, max-snippet: 50|max-snippet:30", PageRules{MaxSnippet: 20}},
		{"max-snippet:0", PageRules{NoSnippet: true}},
		{"max-snippet:x", PageRules{}},
		{"googlebot: noindex", PageRules{}},
		{"googlebot: noindex, nofollow", PageRules{}},
		{"Concord: noindex, nofollow", PageRules{NoIndex: true, NoFollow: true}},
		{"googlebot: nofollow, concord: noindex, noarchive", PageRules{NoIndex: true, NoArchive: true}},
		{"concord: noindex, otherbot: nofollow", PageRules{NoIndex: true}},
		{"*: noindex", PageRules{NoIndex: true}},
		{"noarchive|otherbot: noindex|concord: nofollow", PageRules{NoArchive: true, NoFollow: true}},
		{"otherbot: unavailable_after: 25 Jun 2010 15:00:00 GMT, noindex", PageRules{}},
		{"unavailable_after: 25 Jun 2010 15:00:00 GMT", PageRules{Expires: june}},
		{"unavailable_after: 25 Jun 2010 07:00:00 PST", PageRules{Expires: june}},
		{"unavailable_after: Fri, 25 Jun 2010 15:00:00 GMT, noindex", PageRules{Expires: june, NoIndex: true}},
		{"unavailable_after: Friday, 25-Jun-10 15:00:00 UTC, nofollow", PageRules{Expires: june, NoFollow: true}},
		{"unavailable_after: 25-Jun-2010 15:00:00 GMT", PageRules{Expires: june}},
		{"concord: unavailable_after: 2010-06-25T17:00:00+02:00, noindex", PageRules{Expires: june, NoIndex: true}},
		{"unavailable_after:2010-06-25T15:00:00Z|unavailable_after: 2011-01-01", PageRules{Expires: june}},
		{"unavailable_after: tomorrow, noindex", PageRules{NoIndex: true}},
		{"unavailable_after: , noindex", PageRules{NoIndex: true}},
		{"unavailable_after", PageRules{}},
		{",,:,a:b:noindex,", PageRules{}},
	} {
		if got := ParseRobotsTag(strings.Split(c.values, "|"), "Concord"); got != c.want {
			t.Errorf("%q: %+v, want %+v", c.values, got, c.want)
		}
	}
}

func FuzzRobotsTag(f *testing.F) {
	f.Add("concord: noindex, unavailable_after: Fri, 25 Jun 2010 15:00:00 PST, max-snippet:5", "none")
	f.Fuzz(func(t *testing.T, a, b string) {
		one, two := ParseRobotsTag([]string{a}, "Concord"), ParseRobotsTag([]string{b}, "Concord")
		both := ParseRobotsTag([]string{a, b}, "Concord")
		if both != one.Merge(two) || both != two.Merge(one) || both.MaxSnippet < 0 {
			t.Fatalf("%q, %q: %+v and %+v make %+v", a, b, one, two, both)
		}
	})
}

func TestParseTime(t *testing.T) {
	for in, want := range map[string]string{
		"2024": "2024-01-01T00:00:00Z", "2024-05": "2024-05-01T00:00:00Z", "2024-05-06": "2024-05-06T00:00:00Z",
		"2024-05-06T07:08Z": "2024-05-06T07:08:00Z", "2024-05-06T07:08+02:00": "2024-05-06T05:08:00Z",
		"2024-05-06T07:08:09-01:30": "2024-05-06T08:38:09Z", "2024-05-06T07:08:09.123456Z": "2024-05-06T07:08:09.123456Z",
		"2024-05-06T07:08:09+0200": "2024-05-06T05:08:09Z", "2024-05-06T07:08:09": "2024-05-06T07:08:09Z",
		"2024-05-06 07:08:09": "2024-05-06T07:08:09Z", " 2024-05-06\n": "2024-05-06T00:00:00Z",
		"Mon, 06 May 2024 07:08:09 GMT": "2024-05-06T07:08:09Z", "Mon, 6 May 2024 07:08:09 EST": "2024-05-06T12:08:09Z",
		"06 May 24 07:08 +0100": "2024-05-06T06:08:00Z", "": "", "yesterday": "", "2024-13-01": "", "06/05/2024": "",
		"Mon, 06 May 2024 07:08:09 XYZ": "",
	} {
		got := ""
		if when := parseTime(in); !when.IsZero() {
			got = when.Format(time.RFC3339Nano)
		}
		if got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestPublic(t *testing.T) {
	for _, s := range []string{"8.8.8.8", "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.15.255.255",
		"172.32.0.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255", "2606:4700::1111",
		"2a00:1450:4001::200e", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1", "2001:200::1"} {
		if !Public(netip.MustParseAddr(s)) {
			t.Errorf("%s is not public", s)
		}
	}
	for _, s := range []string{"0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.255",
		"169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1",
		"198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
		"::", "::1", "::7f00:1", "::808:808", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1",
		"64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "64:ff9b:1::808:808", "2002:7f00:1::1", "2002:a00:1::", "2002:c0a8:101::1", "2001::1",
		"2001:0:808:808::1", "2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1", "3fff::1", "100::1", "fc00::1", "fd12::1",
		"fe80::1", "fe80::1%eth0", "2606:4700::1111%eth0", "fec0::1", "ff02::1", "ff0e::1", "5f00::1", "4000::1"} {
		if Public(netip.MustParseAddr(s)) {
			t.Errorf("%s is public", s)
		}
	}
	if Public(netip.Addr{}) {
		t.Error("no address is public")
	}
}

func TestTrap(t *testing.T) {
	session := "0123456789abcdef01234567"
	for uri, want := range map[string]string{
		"/":                                     "",
		"/a/b/c.html?x=1":                       "",
		"/" + strings.Repeat("/", 30):           "", // odd, but it ends
		strings.Repeat("/a1/b2", 2):             "",
		"/a/b/a/b/a/b":                          "path repeats itself",
		"/x/a/a/a/y":                            "path repeats itself",
		"/a/b/c/a/d/a/e/a/f/a":                  "path repeats itself",
		"/2011/11/11/news":                      "",
		"/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/": "",
		"/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17": "more than 16 path segments",
		"/?" + strings.Repeat("a=1&", 31):            "",
		"/?" + strings.Repeat("a=1&", 32):            "more than 32 query parameters",
		"/(S(" + session + "))/x.aspx":               "session id in the address",
		"/x?mysess=" + session:                       "session id in the address",
		"/x?session=1":                               "",
		"/x?sid=" + session + "01234567":             "",
		"/calendar/2026/11":                          "",
		"/calendar/2199/11":                          "calendar page of the year 2199",
		"/events/1802-04-01/":                        "calendar page of the year 1802",
		"/cal?year=3011&month=4":                     "calendar page of the year 3011",
		"/archive/1850/05/12/article":                "",
		"/iso/9075/2023":                             "",
	} {
		if got := Trap(mustParse(t, "http://a.example"+uri)); got != want {
			t.Errorf("%s: %q, want %q", uri, got, want)
		}
	}
}

func BenchmarkTrap(b *testing.B) {
	u := mustParse(b, "https://www.example.com/calendar/2026/11/some-event?id=4711&lang=en")
	b.ReportAllocs()
	for b.Loop() {
		Trap(u)
	}
}
