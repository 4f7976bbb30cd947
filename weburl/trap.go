package weburl

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Bounds on the shape of a URL worth fetching. Pages people read stay well below; generators of endless pages do not.
const (
	maxPathSegments = 16
	maxQueryParams  = 32
	maxBlockRepeats = 2 // the same run of segments, one right after the other: /a/b/a/b is fine, once more is a loop
	maxSameSegment  = 4 // the same segment anywhere in the path
	firstYear       = 1970
	lastYear        = 2050
)

// Trap looks at nothing but the shape of u and returns in a few words why it is likely one of endlessly many pages that
// a machine makes up, or "" when it looks fine. Session ids that can be taken out safely are not in the normal form and
// so are no trap; those that are part of the path, or that have unknown names, are.
func Trap(u URL) string {
	var stack [maxPathSegments]string
	segments := stack[:0]
	for path, more := strings.Trim(u.Path(), "/"), true; more; {
		if len(segments) == maxPathSegments {
			return fmt.Sprintf("more than %d path segments", maxPathSegments)
		}
		var s string
		s, path, more = strings.Cut(path, "/")
		segments = append(segments, s)
	}
	query := u.Query()
	if strings.Count(query, "&") >= maxQueryParams {
		return fmt.Sprintf("more than %d query parameters", maxQueryParams)
	}
	if loops(segments) {
		return "path repeats itself"
	}
	if hasSession(segments, query) {
		return "session id in the address"
	}
	return calendarTrap(u)
}

// loops reports whether a run of segments follows itself too often, or one segment comes up too often at all.
func loops(seg []string) bool {
	for i := range seg {
		same := 0
		for _, s := range seg[i:] {
			if s == seg[i] && s != "" {
				same++
			}
		}
		if same > maxSameSegment {
			return true
		}
		for size := 1; i+size*(maxBlockRepeats+1) <= len(seg); size++ {
			if repeats(seg[i:], size) > maxBlockRepeats {
				return true
			}
		}
	}
	return false
}

// repeats counts how often the first size segments stand one after the other at the beginning of seg.
func repeats(seg []string, size int) int {
	n := 1
	for ; (n+1)*size <= len(seg); n++ {
		for k := range size {
			if seg[k] != seg[n*size+k] {
				return n
			}
		}
	}
	return n
}

// hasSession finds ASP.NET's "(S(…))" path segments and query parameters that by name and value are sessions.
func hasSession(segments []string, query string) bool {
	for _, s := range segments {
		if len(s) > minSessionBytes && strings.HasPrefix(s, "(") && strings.HasSuffix(s, "))") && len(s) > 2 && s[2] == '(' {
			return true
		}
	}
	if query == "" {
		return false
	}
	for param := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(param, "=")
		if len(value) >= minSessionBytes && isSessionValue([]byte(value)) && strings.Contains(strings.ToLower(name), "sess") {
			return true
		}
	}
	return false
}

var (
	calendarWord = regexp.MustCompile(`(?i)calend|agenda|events?\b|\b(month|year|day|week|date|cal)\b`)
	yearMonth    = regexp.MustCompile(`\b([0-9]{4})[-/](?:0?[1-9]|1[0-2])\b|\byear=([0-9]{4})\b`)
)

// calendarTrap finds dates that no calendar of real events has: "next month" links go on for ever.
func calendarTrap(u URL) string {
	uri := u.RequestURI()
	if !hasOddYear(uri) {
		return ""
	}
	for _, m := range yearMonth.FindAllStringSubmatch(uri, -1) {
		year, _ := strconv.Atoi(m[1] + m[2])
		if oddYear(year) && calendarWord.MatchString(uri) {
			return fmt.Sprintf("calendar page of the year %d", year)
		}
	}
	return ""
}

func oddYear(year int) bool { return year < firstYear || year > lastYear }

// hasOddYear reports whether four digits in s, no more, could be such a year. It saves most URLs the regular expressions.
func hasOddYear(s string) bool {
	run, n := 0, 0
	for i := range len(s) + 1 {
		if i < len(s) && '0' <= s[i] && s[i] <= '9' {
			run, n = run+1, n*10%10_000+int(s[i]-'0')
			continue
		}
		if run == 4 && oddYear(n) {
			return true
		}
		run, n = 0, 0
	}
	return false
}
