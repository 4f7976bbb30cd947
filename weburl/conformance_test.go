package weburl

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"concord"
)

// conformance is where the WHATWG URL test cases of web-platform-tests lie, outside the repository.
const conformance = "../../shared/data/conformance/url/"

// deviation says on purpose why the normal form of a test case is not what the standard serialises.
type deviation string

const (
	credentials deviation = "user names and passwords are refused: a public page has none, and they are secret"
	emptyQuery  deviation = "an empty query is dropped: no server tells it from none"
	spelling    deviation = "percent-escapes have one spelling: unreserved decoded, upper case, a bare % escaped"
	notDNS      deviation = "a host that the DNS cannot hold is refused"
)

// deviations lists every test case about the web whose result differs, with what we make of it ("" is refused).
var deviations = map[deviation]map[string]string{
	credentials: {
		"http://user:pass@foo:21/bar;par?b#c": "", "https://test:@test": "", "http://a:b@c:29/d": "",
		"http://&a:foo(b]c@d:2/": "", "http://::@c@d:2": "", "http://foo.com:b@d/": "",
		"http://%25DOMAIN:foobar@foodomain.com/": "", "http:a:b@www.example.com": "", "http:/a:b@www.example.com": "",
		"http://a:b@www.example.com": "", "http::b@www.example.com": "", "http:/:b@www.example.com": "",
		"http://:b@www.example.com": "", "http:a:@www.example.com": "", "http:/a:@www.example.com": "",
		"http://a:@www.example.com": "", "http://www.@pple.com": "", "http://foo:💩@example.com/bar": "",
		"https://@test@test@example:800/": "", "https://@@@example": "", "http://`{}:`{}@h/`{}?`{}": "",
		"https://user:pass[\x7f@foo/bar": "",
	},
	emptyQuery: {
		"?": "http://example.org/foo/bar", "http://example.org/test?#": "http://example.org/test",
		"https://x/?#\x00y": "https://x/", "https://x/?#\uffffy": "https://x/",
	},
	spelling: {
		"/a%2fc": "http://example.org/a%2Fc", "/a/%2f/c": "http://example.org/a/%2F/c",
		"http://example.com/foo/%2e%2":                    "http://example.com/foo/.%252",
		"http://example.com/foo/%2e./%2e%2e/.%2e/%2e.bar": "http://example.com/..bar",
		"http://example.com/foo%":                         "http://example.com/foo%25",
		"http://example.com/foo%2":                        "http://example.com/foo%252",
		"http://example.com/foo%2zbar":                    "http://example.com/foo%252zbar",
		"http://example.com/foo%2\u00c2\u00a9zbar":        "http://example.com/foo%252%C3%82%C2%A9zbar",
		"http://example.com/foo%41%7a":                    "http://example.com/fooAz",
		"http://example.com/foo%00%51":                    "http://example.com/foo%00Q",
		"http://example.com/%3A%3a%3C%3c":                 "http://example.com/%3A%3A%3C%3C",
		"http://www/foo%2Ehtml":                           "http://www/foo.html",
		"http://example.org/test?%GH":                     "http://example.org/test?%25GH",
	},
	notDNS: {
		"http://./": "", "http://../": "", "http://!\"$&'()*+,-.;=_`{}~/": "", "http://foo.09..": "",
	},
}

// TestStandard runs the standard's test cases about web pages: those that end on http or https, and those that fail.
func TestStandard(t *testing.T) {
	data, err := os.ReadFile(conformance + "urltestdata.json")
	if err != nil {
		t.Skipf("SKIPPED: the WHATWG's test cases are not there (%v); run this test where ../shared/data has them", err)
	}
	var cases []json.RawMessage
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	var run, same, failures, web, webSame, other int
	seen := map[deviation]int{}
	for _, raw := range cases {
		var c struct {
			Input, Href string
			Base        *string
		}
		if raw[0] != '{' || json.Unmarshal(raw, &c) != nil {
			continue // a comment
		}
		var base URL
		if c.Base != nil {
			if base, err = Parse(*c.Base); err != nil && *c.Base != "" {
				other++ // relative to something that is no web page
				continue
			}
		}
		want, _, _ := strings.Cut(c.Href, "#")
		isWeb := strings.HasPrefix(want, "http://") || strings.HasPrefix(want, "https://")
		switch {
		case isWeb:
			web++
		case want == "":
			failures++
		default:
			other++ // another scheme: must be refused
			want = ""
		}
		run++
		u, err := base.Resolve(c.Input)
		if err != nil && concord.KindOf(err) != concord.Invalid {
			t.Errorf("%q: %v", c.Input, err)
		}
		got := u.String()
		if got == want {
			same++
			if isWeb {
				webSame++
			}
			continue
		}
		why, listed := findDeviation(c.Input, got)
		switch {
		case !listed:
			t.Errorf("%q on %q: %q, want %q (%v)", c.Input, base, got, want, err)
		case why == spelling && decoded(got) != decoded(want):
			t.Errorf("%q: %q is not a spelling of %q", c.Input, got, want)
		}
		seen[why]++
	}
	t.Logf("%d of %d cases equal: %d of %d web pages (%.1f %%), %d failures; %d of other schemes left out or refused; deviations %v",
		same, run, webSame, web, 100*float64(webSame)/float64(web), failures, other, seen)
	if web < 200 || failures < 200 {
		t.Errorf("only %d web pages and %d failures: are these the standard's cases?", web, failures)
	}
	for why, list := range deviations {
		if seen[why] < len(list) {
			t.Errorf("%s: %d listed, %d met", why, len(list), seen[why])
		}
	}
}

func findDeviation(input, got string) (deviation, bool) {
	for why, list := range deviations {
		if want, ok := list[input]; ok && want == got {
			return why, true
		}
	}
	return "", false
}

// decoded decodes every triplet of an absolute URL after resolving what the standard leaves, so that two spellings of one
// address compare equal.
func decoded(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) && byteClass[s[i+1]]&byteClass[s[i+2]]&hexDigit != 0 {
			b.WriteByte(unhex(s[i+1])<<4 | unhex(s[i+2]))
			i += 2
		} else {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// TestStandardHosts runs the test cases for host names. A name that the standard takes and the DNS cannot hold is refused.
func TestStandardHosts(t *testing.T) {
	for _, name := range []string{"toascii.json", "IdnaTestV2.json"} {
		data, err := os.ReadFile(conformance + name)
		if err != nil {
			t.Skipf("SKIPPED: the WHATWG's test cases are not there (%v); run this test where ../shared/data has them", err)
		}
		var cases []json.RawMessage
		if err := json.Unmarshal(data, &cases); err != nil {
			t.Fatal(err)
		}
		same, refused := 0, 0
		for _, raw := range cases {
			var c struct {
				Input  string
				Output *string
			}
			if raw[0] != '{' || json.Unmarshal(raw, &c) != nil || c.Input == "" || strings.ContainsAny(c.Input, "/?#") {
				continue // a comment, or more than a host name where it stands in a URL
			}
			u, err := Parse("https://" + c.Input + "/x")
			switch {
			case c.Output == nil && err != nil, c.Output != nil && err == nil && u.Host() == *c.Output:
				same++
			case err != nil && checkName(strings.TrimSuffix(*c.Output, ".")) != nil, err == nil && c.Output != nil && u.Host()+"." == *c.Output:
				refused++
			default:
				t.Errorf("%s: %+q: %q, %v", name, c.Input, u, err)
			}
		}
		t.Logf("%s: %d equal, %d not for the DNS", name, same, refused)
	}
}
