package query

import (
	"strconv"
	"strings"
	"time"
)

func (n And) String() string {
	return join(n.Nodes, " ", func(c Node) bool { _, or := c.(Or); return or })
}
func (n Or) String() string {
	return join(n.Nodes, " OR ", func(c Node) bool { _, and := c.(And); return and })
}

func (n Not) String() string {
	switch n.Node.(type) {
	case And, Or:
		return "-(" + n.Node.String() + ")"
	}
	return "-" + n.Node.String()
}

func (n Maybe) String() string {
	switch n.Node.(type) {
	case And, Or:
		return "?(" + n.Node.String() + ")"
	}
	return "?" + n.Node.String()
}

func (n Word) String() string   { return prefix(n.Field) + n.Text }
func (n Prefix) String() string { return prefix(n.Field) + n.Text + "*" }
func (n Fuzzy) String() string {
	return prefix(n.Field) + n.Text + "~" + strconv.Itoa(n.Distance)
}

func (n Phrase) String() string {
	s := prefix(n.Field) + `"` + strings.Join(n.Words, " ") + `"`
	if n.Slop > 0 {
		s += "~" + strconv.Itoa(n.Slop)
	}
	return s
}

func (n Site) String() string     { return "site:" + n.Host }
func (n Lang) String() string     { return "lang:" + n.Code }
func (n FileType) String() string { return "filetype:" + n.Type }

func (n Date) String() string {
	if n.Of != Dated {
		return n.Of.String() + ":" + day(n.After) + ".." + day(lastDay(n.Before))
	}
	var parts []string
	if !n.After.IsZero() {
		parts = append(parts, "after:"+n.After.Format(time.DateOnly))
	}
	if !n.Before.IsZero() {
		parts = append(parts, "before:"+n.Before.Format(time.DateOnly))
	}
	return strings.Join(parts, " ")
}

// day returns the date of t, nothing for a zero time.
func day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.DateOnly)
}

// lastDay returns the day before the bound of a range, which String shows and Parse reads as included.
func lastDay(before time.Time) time.Time {
	if before.IsZero() {
		return before
	}
	return before.AddDate(0, 0, -1)
}

func prefix(f Field) string {
	if f == Any {
		return ""
	}
	return f.String() + ":"
}

func join(nodes []Node, separator string, group func(Node) bool) string {
	parts := make([]string, len(nodes))
	for i, n := range nodes {
		parts[i] = n.String()
		if group(n) {
			parts[i] = "(" + parts[i] + ")"
		}
	}
	return strings.Join(parts, separator)
}
