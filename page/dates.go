package page

import (
	"strings"
	"time"
)

// Dates outside these years are mistakes: the web began in 1990, and there is no clock here to say what the future is.
const (
	minYear = 1990
	maxYear = 2100
)

func saneTime(t time.Time) bool {
	y := t.UTC().Year()
	return y >= minYear && y < maxYear
}

// dateLayouts are the forms dates in mark-up have. Day-month orders that depend on the country are left out.
var dateLayouts = [...]string{
	time.RFC3339Nano,
	"2006-01-02T15:04:05Z0700",
	"2006-01-02T15:04:05.999999999Z0700",
	"2006-01-02T15:04:05",
	"2006-01-02T15:04Z07:00",
	"2006-01-02T15:04",
	"2006-01-02 15:04:05Z07:00",
	"2006-01-02 15:04:05 Z0700",
	"2006-01-02 15:04:05Z0700",
	"2006-01-02 15:04:05 MST",
	"2006-01-02 15:04:05",
	"2006-01-02 15:04",
	"2006-01-02",
	"2006/01/02 15:04:05",
	"2006/01/02",
	"20060102T150405Z",
	"20060102",
	time.RFC1123,
	time.RFC1123Z,
	"Mon, 2 Jan 2006 15:04:05 MST",
	"Mon, 2 Jan 2006 15:04:05 -0700",
	"Mon Jan _2 15:04:05 2006",
	"2 January 2006",
	"2 Jan 2006",
	"January 2, 2006",
	"Jan 2, 2006",
	"2006-01",
}

// parseDate reads a date in one of the forms above, as UTC where it has no zone.
func parseDate(s string) (time.Time, bool) {
	s = strings.TrimSpace(s)
	if len(s) < 6 || len(s) > 64 {
		return time.Time{}, false
	}
	for _, layout := range dateLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			t = t.UTC().Truncate(time.Second)
			return t, saneTime(t)
		}
	}
	return time.Time{}, false
}

// setFirst sets a date that is not set yet.
func setFirst(at *time.Time, value string) {
	if !at.IsZero() {
		return
	}
	if t, ok := parseDate(value); ok {
		*at = t
	}
}
