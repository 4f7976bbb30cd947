package query

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/idna"

	"concord"
)

// filter reads a filter when one stands here; ok is false for text.
func (p *parser) filter() (n Node, ok bool, err *concord.QueryError) {
	start := p.pos
	name, ok := filterName(p.s[start:])
	if !ok {
		return nil, false, nil
	}
	p.pos += len(name) + 1
	value, quoted := Span{p.pos, 0}, false
	switch {
	case p.pos == len(p.s):
	case quoteAt(p.s, p.pos) > 0:
		quoted = true
		if value, err = p.quoted(); err != nil {
			return nil, true, err
		}
	case p.s[p.pos] != '(' && !p.wordEnds():
		value = p.word()
	}
	if value.Length == 0 {
		return nil, true, p.fail(start, p.pos-start, emptyReason(name))
	}
	span := Span{start, p.pos - start}
	if name == "intitle" || name == "inurl" {
		n, err = p.fieldText(name, value, span, quoted)
		return n, true, err
	}
	if err := p.count(1, span); err != nil {
		return nil, true, err
	}
	v := p.s[value.Offset : value.Offset+value.Length]
	n, reason := filterNode(name, v, span)
	if reason != "" {
		return nil, true, p.fail(value.Offset, value.Length, reason)
	}
	return n, true, nil
}

// fieldText makes the node of intitle: and inurl:.
func (p *parser) fieldText(name string, value, span Span, quoted bool) (Node, *concord.QueryError) {
	field := Title
	if name == "inurl" {
		field = URL
	}
	if quoted {
		return p.quotedText(value, span.Offset, field)
	}
	n, err := p.unquoted(value, field)
	if err != nil {
		return nil, err
	}
	switch n := n.(type) {
	case Word:
		n.Span = span
		return n, nil
	case Prefix:
		n.Span = span
		return n, nil
	case Fuzzy:
		n.Span = span
		return n, nil
	case Phrase:
		n.Span = span
		return n, nil
	}
	return nil, p.fail(value.Offset, value.Length, name+": needs a word with at least one letter or digit")
}

func emptyReason(name string) string {
	example := map[string]string{"site": "example.org", "lang": "en", "filetype": "pdf", "intitle": `word or intitle:"some words"`,
		"inurl": "word", "before": "2024-05-01", "after": "2024-05",
		"published": "2024-01..2024-03", "fetched": "2024-01..2024-03"}[name]
	return name + ": needs a value right after the colon, for example " + name + ":" + example
}

// filterNode makes the node of a filter, or says what is wrong with its value.
func filterNode(name, value string, span Span) (n Node, reason string) {
	switch name {
	case "site":
		host, reason := siteHost(value)
		return Site{host, span}, reason
	case "lang":
		code, reason := langCode(value)
		return Lang{code, span}, reason
	case "filetype":
		t, reason := fileType(value)
		return FileType{t, span}, reason
	case "published":
		return dateRange(Published, value, span)
	case "fetched":
		return dateRange(Fetched, value, span)
	}
	t, _, ok := period(value)
	if !ok {
		return nil, name + ": needs a date, as 2024, 2024-05 or 2024-05-01"
	}
	if name == "after" {
		return Date{After: t, Span: span}, ""
	}
	return Date{Before: t, Span: span}, ""
}

// siteHost reads a host name as people paste it: with scheme, leading dot or star, in their own script.
func siteHost(value string) (host, reason string) {
	host = strings.ToLower(value)
	host = strings.TrimPrefix(strings.TrimPrefix(host, "https://"), "http://")
	host = strings.TrimSuffix(host, "/")
	if strings.ContainsAny(host, "/?#") {
		return "", "site: takes a host name, such as example.org; use inurl: for words of the path"
	}
	const wrong = "this is no host name; write it as in site:example.org"
	name := withoutPort(host)
	port := host[len(name):]
	if inner, ok := strings.CutPrefix(name, "["); ok {
		addr, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		if err != nil || !addr.Is6() || addr.Zone() != "" {
			return "", wrong
		}
		return "[" + addr.String() + "]" + canonicalPort(port), ""
	}
	name = strings.Trim(strings.TrimPrefix(name, "*."), ".")
	ascii, err := idna.Lookup.ToASCII(name)
	if err != nil || ascii == "" || len(ascii) > 253 || strings.Trim(ascii, "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" ||
		strings.Contains(ascii, "..") || strings.HasPrefix(ascii, ".") || strings.HasSuffix(ascii, ".") {
		return "", wrong
	}
	return ascii + canonicalPort(port), ""
}

// canonicalPort drops leading zeros of ":080".
func canonicalPort(port string) string {
	if port == "" {
		return ""
	}
	n, _ := strconv.ParseUint(port[1:], 10, 16) // withoutPort has parsed it
	return ":" + strconv.FormatUint(n, 10)
}

// langCode reads a language tag and keeps its language; regions do not matter.
func langCode(value string) (code, reason string) {
	code, _, _ = strings.Cut(strings.ToLower(value), "-")
	code, _, _ = strings.Cut(code, "_")
	if len(code) < 2 || len(code) > 3 || strings.Trim(code, "abcdefghijklmnopqrstuvwxyz") != "" {
		return "", "lang: needs a language code of two or three letters, such as en, de or ja"
	}
	switch code {
	case "nb", "nn": // pages in either are kept as Norwegian
		code = "no"
	case "iw":
		code = "he"
	case "in":
		code = "id"
	}
	return code, ""
}

// fileType reads a type as its usual file name extension.
func fileType(value string) (t, reason string) {
	t = strings.TrimPrefix(strings.ToLower(value), ".")
	if t == "" || len(t) > 10 || strings.Trim(t, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return "", "filetype: needs a type such as html, text or pdf"
	}
	switch t {
	case "htm", "xhtml":
		t = "html"
	case "txt":
		t = "text"
	}
	return t, ""
}

// dateRange reads two days, months or years with two dots between them, of which one may be missing, or a single one.
func dateRange(of DateField, value string, span Span) (n Node, reason string) {
	first, last, dots := strings.Cut(value, "..")
	if !dots {
		last = first
	}
	d := Date{Of: of, Span: span}
	firstOK, lastOK := true, true
	if first != "" {
		d.After, _, firstOK = period(first)
	}
	if last != "" {
		_, d.Before, lastOK = period(last)
	}
	switch {
	case !firstOK || !lastOK || first == "" && last == "":
		return nil, of.String() + ": needs dates, as 2024-01..2024-03, 2024-05-01.., ..2023 or 2024"
	case last != "" && !d.After.Before(d.Before):
		return nil, of.String() + ": the range ends before it begins"
	}
	return d, ""
}

// period returns the first moment of a day, month or year and the first one after it.
func period(value string) (first, after time.Time, ok bool) {
	value = strings.ReplaceAll(value, "/", "-")
	for i, layout := range []string{"2006", "2006-1", "2006-1-2"} {
		t, err := time.Parse(layout, value)
		if err != nil || t.Year() < 2 { // the first moment of year 1 is the zero time, which means no bound
			continue
		}
		length := [3]int{}
		length[i] = 1
		return t, t.AddDate(length[0], length[1], length[2]), true
	}
	return time.Time{}, time.Time{}, false
}
