package query

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"concord"
)

// signed reads a primary and the minus or question mark before it.
func (p *parser) signed() (Node, *concord.QueryError) {
	sign, start := p.sign(), p.pos
	if sign == 0 {
		return p.primary()
	}
	p.pos++
	n, err := p.primary()
	switch {
	case n == nil || err != nil:
		return nil, err
	case sign == '-':
		return Not{n}, nil
	case !scores(n):
		return nil, p.fail(start, p.pos-start, "filters do not make a page better: remove the question mark, or put it before a word")
	}
	return Maybe{n}, nil
}

// sign returns the minus or question mark that stands here as a sign; 0 where it is text: a minus before a space or another
// minus, a question mark inside or after text or before anything but a word, quotation mark or parenthesis.
func (p *parser) sign() byte {
	rest := p.s[p.pos:]
	if len(rest) < 2 {
		return 0
	}
	switch rest[0] {
	case '-':
		if rest[1] != '-' && rest[1] != ')' && spaceAt(rest[1:]) == 0 {
			return '-'
		}
	case '?':
		before, _ := utf8.DecodeLastRuneInString(p.s[:p.pos])
		if p.pos > 0 && before != '(' && before != '|' && !unicode.IsSpace(before) {
			return 0
		}
		after, _ := utf8.DecodeRuneInString(rest[1:])
		if after == '(' || quoteAt(p.s, p.pos+1) > 0 || isWordRune(after) {
			return '?'
		}
	}
	return 0
}

// scores reports whether a node adds to the scores of the documents it matches: filters do not.
func scores(n Node) (yes bool) {
	Walk(n, func(n Node) bool {
		switch n.(type) {
		case Not:
			return false
		case Word, Prefix, Fuzzy, Phrase:
			yes = true
		}
		return !yes
	})
	return yes
}

// nothingRequired is the error for a query or group from start to here in which no part must occur.
func (p *parser) nothingRequired(start int, group, optional bool) *concord.QueryError {
	what, why := "query", " only says what must not occur: add a word or filter that must"
	if group {
		what = "group"
	}
	if optional {
		why = " has nothing that must occur: remove a question mark, or add a word or filter"
	}
	end := len(strings.TrimRight(p.s[:p.pos], " \t\r\n"))
	return p.fail(start, end-start, what+why)
}

// alternative returns the error for a node that cannot stand beside OR.
func (p *parser) alternative(n Node, start, end int) *concord.QueryError {
	switch n.(type) {
	case Not:
		return p.fail(start, end-start, "what must not occur cannot be an alternative: use -( … ) around all of them, or remove OR")
	case Maybe:
		return p.fail(start, end-start, "what need not occur cannot be an alternative: use ?( … ) around all of them, or remove OR")
	}
	return nil
}
