package ledger

import (
	"encoding/base64"
	"strconv"
	"strings"

	"concord"
)

// lines reads "key value" lines in a fixed order. The first error sticks.
type lines struct {
	what string
	rest []string
	err  error
}

func splitLines(what, text string) *lines {
	l := &lines{what: what, rest: strings.Split(text, "\n")}
	if l.rest[len(l.rest)-1] != "" {
		l.fail("the last line does not end in a line feed")
	}
	l.rest = l.rest[:len(l.rest)-1]
	return l
}

func (l *lines) fail(why string) {
	if l.err == nil {
		l.err = concord.Errorf(concord.Invalid, "%s: %s", l.what, why)
	}
}

// has reports whether the next line has this key.
func (l *lines) has(key string) bool {
	return l.err == nil && len(l.rest) > 0 && strings.HasPrefix(l.rest[0], key+" ")
}

// value takes the next line, which must have this key and a value.
func (l *lines) value(key string) string {
	if l.err != nil {
		return ""
	}
	if !l.has(key) || len(l.rest[0]) == len(key)+1 {
		l.fail("want a line \"" + key + " …\"")
		return ""
	}
	v := l.rest[0][len(key)+1:]
	l.rest = l.rest[1:]
	return v
}

// literal takes the next line, which must be exactly this.
func (l *lines) literal(line string) {
	if l.err != nil {
		return
	}
	if len(l.rest) == 0 || l.rest[0] != line {
		l.fail("want the line \"" + line + "\"")
		return
	}
	l.rest = l.rest[1:]
}

func (l *lines) number(key string, max uint64) uint64 { return l.parse(l.value(key), key, max) }

// parse reads a decimal without leading zeros.
func (l *lines) parse(v, key string, max uint64) uint64 {
	n, err := strconv.ParseUint(v, 10, 64)
	if l.err == nil && (err != nil || n > max || strconv.FormatUint(n, 10) != v) {
		l.fail(key + " is not a decimal number up to " + strconv.FormatUint(max, 10))
	}
	return n
}

func (l *lines) digest(v, key string) concord.Digest {
	d, err := concord.ParseDigest(v)
	if l.err == nil && err != nil {
		l.fail(key + " is not the base64 of 32 bytes")
	}
	return d
}

func (l *lines) end() error {
	if l.err == nil && len(l.rest) > 0 {
		l.fail("unexpected line \"" + concord.Clip(l.rest[0], 60) + "\"")
	}
	return l.err
}

// operator takes a line whose value is an operator's name.
func (l *lines) operator(key string) string {
	v := l.value(key)
	if l.err == nil && !ValidOperator(v) {
		l.fail("the operator's name must be a lower-case host name")
	}
	return v
}

// word takes a line whose value is a short word: what needs no quoting in a list or a file name.
func (l *lines) word(key string, max int) string {
	v := l.value(key)
	if l.err == nil && !validWord(v, max) {
		l.fail(key + " is not a word of at most " + strconv.Itoa(max) + " letters, digits, dots, hyphens and underscores")
	}
	return v
}

func validWord(s string, max int) bool {
	if s == "" || len(s) > max {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_' {
			return false
		}
	}
	return true
}

// blob takes a line whose value is canonical base64 of at most max bytes.
func (l *lines) blob(key string, max int) []byte {
	v := l.value(key)
	if l.err != nil {
		return nil
	}
	b, err := base64.StdEncoding.Strict().DecodeString(v)
	if err != nil || len(b) > max || len(b) == 0 {
		l.fail(key + " is not the base64 of 1 to " + strconv.Itoa(max) + " bytes")
	}
	return b
}
