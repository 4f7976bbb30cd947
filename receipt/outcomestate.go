package receipt

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"concord"
)

const (
	stateHead   = "concord/state/v1"
	sketchBytes = 64
	// defaultSimilar is the ledger's parameter similar where the state does not have it.
	defaultSimilar = 48
)

// read finds the ask in the state (package ledger has the whole grammar; the hash of the state is checked elsewhere).
func (o *Outcome) read() (*OutcomeReport, string, error) {
	lines := strings.Split(o.State, "\n")
	chain, ok := strings.CutPrefix(lines[min(1, len(lines)-1)], "chain ")
	if lines[0] != stateHead || !ok || lines[len(lines)-1] != "" || !utf8.ValidString(o.State) {
		return nil, "", fmt.Errorf("not the text of a state")
	}
	lines = lines[:len(lines)-1]
	similar := uint64(defaultSimilar)
	if i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "param similar ") }); i >= 0 {
		var err error
		if similar, err = plainNumber(lines[i][len("param similar "):]); err != nil || similar < 1 {
			return nil, "", fmt.Errorf("its parameter similar is not a number from 1")
		}
	}
	at := slices.Index(lines, fmt.Sprintf("ask %d", o.Ask))
	if at < 0 {
		return nil, "", fmt.Errorf("it has no ask %d", o.Ask)
	}
	l := &askLines{rest: lines[at+1:]}
	r := &OutcomeReport{Ask: o.Ask, From: l.value("from"), URL: l.value("url"), Profile: l.value("profile")}
	need := l.fields("need", 3)
	r.Need, r.Of = int(l.number(need[0])), int(l.number(need[2]))
	for _, key := range []string{"until", "pay", "locked"} {
		l.number(l.value(key))
	}
	for rounds := 0; l.err == nil && (rounds == 0 || l.has("round")); rounds++ {
		if rounds == 2 {
			l.fail("more than two rounds")
		}
		if r.Verdict != "" && r.Verdict != "disputed" {
			l.fail("a round after its end")
		}
		r.Earlier = r.Seats
		r.Seats, r.Verdict = l.round(similar)
	}
	if l.err == nil && len(l.rest) > 0 && !l.has("ask") {
		l.fail("unexpected line %q", concord.Clip(l.rest[0], 60))
	}
	if need[1] != "of" {
		l.fail("need is not a number of a number")
	}
	if r.Verdict == "" || r.Verdict == "disputed" {
		l.fail("the ask is still open in it")
	}
	return r, chain, l.err
}

// askLines are the lines of an ask in a state, each a key, a space and a value. After the first error nothing is read.
type askLines struct {
	rest []string
	err  error
}

func (l *askLines) fail(format string, args ...any) {
	if l.err == nil {
		l.err = fmt.Errorf(format, args...)
	}
}

func (l *askLines) has(key string) bool {
	return l.err == nil && len(l.rest) > 0 && strings.HasPrefix(l.rest[0], key+" ")
}

// value takes the next line, which must have this key.
func (l *askLines) value(key string) string {
	if !l.has(key) || len(l.rest[0]) == len(key)+1 {
		l.fail("want a line %q and a value", key)
		return ""
	}
	v := l.rest[0][len(key)+1:]
	l.rest = l.rest[1:]
	return v
}

// fields takes the next line, whose value has n fields, each followed by one space but the last.
func (l *askLines) fields(key string, n int) []string {
	f := strings.Split(l.value(key), " ")
	if len(f) != n || slices.Contains(f, "") {
		l.fail("%s has not %d fields", key, n)
		return make([]string, n)
	}
	return f
}

func (l *askLines) number(s string) uint64 {
	n, err := plainNumber(s)
	if err != nil {
		l.fail("%v", err)
	}
	return n
}

func (l *askLines) digest(s string) concord.Digest {
	d, err := concord.ParseDigest(s)
	if err != nil {
		l.fail("%v", err)
	}
	return d
}

// plainNumber reads a decimal number below 2^63 in its one form.
func plainNumber(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || strconv.FormatUint(n, 10) != s {
		return 0, fmt.Errorf("%q is not a number", concord.Clip(s, 30))
	}
	return n, nil
}

// round reads one panel's work, and says of each seat how its report relates to the reference, as the ledger did. No verdict: it
// goes on.
func (l *askLines) round(similar uint64) (seats []OutcomeSeat, verdict string) {
	f := l.fields("round", 3)
	l.number(f[0])
	l.number(f[1])
	l.digest(f[2])
	for l.has("seat") {
		f := l.fields("seat", 4)
		s := OutcomeSeat{Operator: f[0], ASN: f[1], Region: f[2], Relation: "silent"}
		l.digest(f[3])
		if l.has("report") {
			f := l.fields("report", 4)
			s.Entry, s.Status, s.Text = l.number(f[0]), int(l.number(f[1])), l.digest(f[2])
			if b, err := base64.StdEncoding.Strict().DecodeString(f[3]); err != nil || copy(s.sketch[:], b) != len(b) || len(b) != sketchBytes {
				l.fail("the sketch is not the base64 of %d bytes", sketchBytes)
			}
			if s.Entry == 0 || s.Status > 999 {
				l.fail("a report that cannot be")
			}
		}
		if l.has("forfeit") {
			s.Forfeit = true
			if l.value("forfeit") != "yes" {
				l.fail("want forfeit yes")
			}
		}
		seats = append(seats, s)
	}
	if !l.has("result") {
		return seats, ""
	}
	f = l.fields("result", 2)
	if !slices.Contains([]string{"agree", "disputed", "split", "unconfirmed"}, f[0]) {
		l.fail("no result is called %q", concord.Clip(f[0], 30))
	}
	if at := slices.IndexFunc(seats, func(s OutcomeSeat) bool { return s.Operator == f[1] }); at >= 0 && seats[at].Entry > 0 {
		ref := seats[at]
		for i := range seats {
			seats[i].compare(&ref, similar)
		}
	}
	return seats, f[0]
}

func (s *OutcomeSeat) compare(ref *OutcomeSeat, similar uint64) {
	equal := uint64(0)
	for k := range s.sketch {
		if s.sketch[k] == ref.sketch[k] {
			equal++
		}
	}
	switch {
	case s.Entry == 0:
	case s.Status/100 != ref.Status/100:
		s.Relation = "differ"
	case s.Text == ref.Text:
		s.Relation = "agree"
	case equal >= similar:
		s.Relation = "similar"
	default:
		s.Relation = "differ"
	}
}
