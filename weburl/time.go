package weburl

import (
	"strings"
	"time"
)

// timeLayouts are the ways times are written in sitemaps (W3C datetime, any precision), feeds (RFC 822, two- or
// four-digit years), and robots tags (also RFC 850), with the liberties people take: a space for "T", no zone, an offset
// without colon. Fractions of a second need no layout of their own.
var timeLayouts = []string{
	time.RFC3339, "2006-01-02", "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05",
	"2006-01-02T15:04", "2006-01", "2006", "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05 -0700", "2006-01-02 15:04:05",
	"2006-01-02 15:04",
	"Mon, 2 Jan 2006 15:04:05 -0700", "Mon, 2 Jan 2006 15:04 -0700", "Mon, 2 Jan 06 15:04:05 -0700",
	"2 Jan 2006 15:04:05 -0700", "2 Jan 2006 15:04 -0700", "2 Jan 06 15:04:05 -0700", "2 Jan 06 15:04 -0700",
	"Monday, 2-Jan-06 15:04:05 -0700", "Monday, 2-Jan-2006 15:04:05 -0700", "Monday, 2 January 2006 15:04:05 -0700",
	"2-Jan-2006 15:04:05 -0700", "2-Jan-06 15:04:05 -0700", "Mon Jan _2 15:04:05 2006",
	"Mon, 2 Jan 2006 15:04:05", "2 Jan 2006 15:04:05", "2 Jan 2006", "Mon, 2 Jan 2006",
}

// zones are the names RFC 822 section 5.1 gives a meaning; other names do not say which time is meant.
var zones = map[string]string{
	"UT": "+0000", "UTC": "+0000", "GMT": "+0000", "Z": "+0000", "EST": "-0500", "EDT": "-0400", "CST": "-0600",
	"CDT": "-0500", "MST": "-0700", "MDT": "-0600", "PST": "-0800", "PDT": "-0700", "CET": "+0100", "CEST": "+0200",
}

const maxTimeBytes = 64 // longer than any of the layouts

// parseTime reads a time in any of the layouts, in UTC where no zone is named. It returns the zero time for all else.
func parseTime(s string) time.Time {
	s = strings.TrimSpace(s)
	if s == "" || len(s) > maxTimeBytes {
		return time.Time{}
	}
	if i := strings.LastIndexByte(s, ' '); i >= 0 {
		if offset, ok := zones[strings.ToUpper(s[i+1:])]; ok {
			s = s[:i+1] + offset
		}
	}
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}
