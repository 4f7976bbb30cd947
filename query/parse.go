package query

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"concord"
	"concord/text"
)

// Bounds of a query, with concord.MaxQueryBytes: what one may cost to answer.
const (
	MaxTerms = 64 // words, those of phrases counted one by one, and filters
	MaxDepth = 32 // parentheses inside parentheses
)

// Parse reads a query. Its errors are of kind concord.Invalid and wrap a *concord.QueryError that points at the place.
func Parse(s string) (Node, error) {
	n, err := parse(s)
	if err != nil {
		return nil, concord.Errorf(concord.Invalid, "%w", err)
	}
	return n, nil
}

func parse(s string) (Node, *concord.QueryError) {
	p := parser{s: s}
	if len(s) > concord.MaxQueryBytes {
		return nil, p.fail(concord.MaxQueryBytes, len(s)-concord.MaxQueryBytes,
			fmt.Sprintf("query is %d bytes long; at most %d are allowed", len(s), concord.MaxQueryBytes))
	}
	n, err := p.and(false)
	if err != nil {
		return nil, err
	}
	if p.pos < len(s) { // and stops early only before a parenthesis
		return nil, p.fail(p.pos, 1, "parenthesis closes nothing: remove it, or open one before")
	}
	if n == nil {
		return nil, p.fail(0, len(s), "query has no word: type at least one letter or digit")
	}
	return n, nil
}

// parser reads one query from left to right. Grammar, white space aside:
//
//	and     = or { [ "AND" ] or }
//	or      = signed { ( "OR" | "|" ) signed }
//	signed  = [ "-" | "?" ] primary
//	primary = "(" and ")" | quoted [ "~" number ] | filter | text [ "*" | "~" [ number ] ]
type parser struct {
	s        string
	pos      int
	depth    int
	terms    int
	patterns int
	words    text.Tokenizer
}

// fail returns an error at a place. Length is at least 1 by contract, even at the end of the query.
func (p *parser) fail(offset, length int, reason string) *concord.QueryError {
	return &concord.QueryError{Query: p.s, Offset: offset, Length: max(length, 1), Reason: reason}
}

// and reads up to the end or, in a group, to the parenthesis that closes it, which it leaves. It returns nil when there
// was only text without words.
func (p *parser) and(group bool) (Node, *concord.QueryError) {
	var nodes []Node
	start, positive, optional, wantOperand := p.pos, false, false, -1
	for {
		p.skipSpace()
		if p.pos == len(p.s) || p.s[p.pos] == ')' {
			break
		}
		if p.keyword("AND") {
			if len(nodes) == 0 {
				return nil, p.fail(p.pos, len("AND"), "AND needs something to search for before it")
			}
			if wantOperand >= 0 {
				return nil, p.fail(p.pos, len("AND"), "AND follows AND: remove one")
			}
			wantOperand = p.pos
			p.pos += len("AND")
			continue
		}
		n, err := p.or()
		if err != nil {
			return nil, err
		}
		if n == nil {
			continue
		}
		wantOperand = -1
		switch n.(type) {
		case Not:
		case Maybe:
			optional = true
		default:
			positive = true
		}
		if sub, ok := n.(And); ok {
			nodes = append(nodes, sub.Nodes...)
		} else {
			nodes = append(nodes, n)
		}
	}
	switch {
	case wantOperand >= 0:
		return nil, p.fail(wantOperand, len("AND"), "AND needs something to search for after it")
	case len(nodes) == 0:
		return nil, nil
	case !positive:
		return nil, p.nothingRequired(start, group, optional)
	case len(nodes) == 1:
		return nodes[0], nil
	}
	return And{nodes}, nil
}

// or reads alternatives. It returns nil for text without words.
func (p *parser) or() (Node, *concord.QueryError) {
	if at, size := p.orSign(); size > 0 {
		return nil, p.fail(at, size, "OR needs something to search for before it")
	}
	start := p.pos
	first, err := p.signed()
	if err != nil {
		return nil, err
	}
	nodes := []Node{first}
	for {
		end := p.pos
		p.skipSpace()
		at, size := p.orSign()
		if size == 0 {
			p.pos = end
			break
		}
		if first == nil {
			return nil, p.fail(at, size, "OR needs something to search for before it")
		}
		if err := p.alternative(nodes[len(nodes)-1], start, end); err != nil {
			return nil, err
		}
		p.pos += size
		p.skipSpace()
		_, again := p.orSign()
		if p.pos == len(p.s) || p.s[p.pos] == ')' || again > 0 || p.keyword("AND") {
			return nil, p.fail(at, size, "OR needs something to search for after it")
		}
		start = p.pos
		n, err := p.signed()
		if err != nil {
			return nil, err
		}
		if n == nil {
			return nil, p.fail(start, p.pos-start, "OR needs a word here: this has no letter or digit")
		}
		if err := p.alternative(n, start, p.pos); err != nil {
			return nil, err
		}
		if sub, ok := n.(Or); ok {
			nodes = append(nodes, sub.Nodes...)
		} else {
			nodes = append(nodes, n)
		}
	}
	if len(nodes) == 1 {
		return first, nil
	}
	if sub, ok := first.(Or); ok {
		nodes = append(append([]Node{}, sub.Nodes...), nodes[1:]...)
	}
	return Or{nodes}, nil
}

func (p *parser) primary() (Node, *concord.QueryError) {
	if p.s[p.pos] == '(' {
		return p.group()
	}
	if size := quoteAt(p.s, p.pos); size > 0 {
		start := p.pos
		content, err := p.quoted()
		if err != nil {
			return nil, err
		}
		return p.quotedText(content, start, Any)
	}
	if n, ok, err := p.filter(); ok || err != nil {
		return n, err
	}
	return p.unquoted(p.word(), Any)
}

func (p *parser) group() (Node, *concord.QueryError) {
	open := p.pos
	if p.depth == MaxDepth {
		return nil, p.fail(open, 1, fmt.Sprintf("parentheses are nested deeper than %d", MaxDepth))
	}
	p.depth++
	p.pos++
	n, err := p.and(true)
	if err != nil {
		return nil, err
	}
	p.depth--
	if p.pos == len(p.s) {
		return nil, p.fail(open, 1, "parenthesis is never closed")
	}
	p.pos++
	if n == nil {
		return nil, p.fail(open, p.pos-open, "group is empty: put something to search for between the parentheses")
	}
	return n, nil
}

func (p *parser) skipSpace() {
	for p.pos < len(p.s) {
		size := spaceAt(p.s[p.pos:])
		if size == 0 {
			return
		}
		p.pos += size
	}
}

// keyword reports whether an upper-case operator stands here as a word of its own.
func (p *parser) keyword(word string) bool {
	rest, ok := strings.CutPrefix(p.s[p.pos:], word)
	if !ok {
		return false
	}
	r, _ := utf8.DecodeRuneInString(rest)
	return rest == "" || r == '(' || r == ')' || r == '|' || spaceAt(rest) > 0 || quoteAt(rest, 0) > 0
}

// orSign returns the place and length of the sign for OR that stands here; length 0 when none does. Several bars are one.
func (p *parser) orSign() (at, size int) {
	if p.keyword("OR") {
		return p.pos, len("OR")
	}
	for p.pos+size < len(p.s) && p.s[p.pos+size] == '|' {
		size++
	}
	return p.pos, size
}
