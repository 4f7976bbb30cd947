package query

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"concord"
	"concord/text"
)

// Bounds of a query, with concord.MaxQueryBytes: what one may cost to answer.
const (
	MaxTerms = 64 // words, those of phrases counted one by one, and filters
	MaxDepth = 32 // parentheses inside parentheses
)

// Bounds of inexact search. Short words have too many neighbours for the answer to mean anything.
const (
	MinPrefix        = 2  // letters or digits before a star
	MinFuzzy         = 3  // letters or digits before a tilde
	MaxFuzzyDistance = 2  // letters; what index.NewFuzzy takes
	MaxFuzzyBytes    = 32 // of the word; what index.NewFuzzy takes
	MaxSlop          = 50 // a paragraph; beyond it the words are not about one another
	MaxPatterns      = 8  // prefixes and fuzzy words in one query: each is looked up in the whole dictionary
)

// FuzzyDistance returns how far a word may be off where the query does not say: 0 below MinFuzzy letters or digits, 1 up to five,
// else 2.
func FuzzyDistance(word string) int {
	switch n := letters(word); {
	case n < MinFuzzy:
		return 0
	case n <= 5:
		return 1
	}
	return MaxFuzzyDistance
}

// letters counts the letters and digits of a word; marks belong to the letter before them.
func letters(word string) (n int) {
	for _, r := range word {
		if unicode.IsLetter(r) || unicode.IsNumber(r) {
			n++
		}
	}
	return n
}

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
//	or      = negated { ( "OR" | "|" ) negated }
//	negated = [ "-" ] primary
//	primary = "(" and ")" | quoted | filter | text
type parser struct {
	s     string
	pos   int
	depth int
	terms int
	words text.Tokenizer
}

// fail returns an error at a place. Length is at least 1 by contract, even at the end of the query.
func (p *parser) fail(offset, length int, reason string) *concord.QueryError {
	return &concord.QueryError{Query: p.s, Offset: offset, Length: max(length, 1), Reason: reason}
}

// and reads up to the end or, in a group, to the parenthesis that closes it, which it leaves. It returns nil when there
// was only text without words.
func (p *parser) and(group bool) (Node, *concord.QueryError) {
	var nodes []Node
	start, positive, wantOperand := p.pos, false, -1
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
		if _, negative := n.(Not); !negative {
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
		what := "query"
		if group {
			what = "group"
		}
		end := len(strings.TrimRight(p.s[:p.pos], " \t\r\n"))
		return nil, p.fail(start, end-start, what+" only says what must not occur: add a word or filter that must")
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
	first, err := p.negated()
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
		if _, negative := nodes[len(nodes)-1].(Not); negative {
			return nil, p.fail(start, end-start, "what must not occur cannot be an alternative: use -( … ) around all of them, or remove OR")
		}
		p.pos += size
		p.skipSpace()
		_, again := p.orSign()
		if p.pos == len(p.s) || p.s[p.pos] == ')' || again > 0 || p.keyword("AND") {
			return nil, p.fail(at, size, "OR needs something to search for after it")
		}
		start = p.pos
		n, err := p.negated()
		if err != nil {
			return nil, err
		}
		if n == nil {
			return nil, p.fail(start, p.pos-start, "OR needs a word here: this has no letter or digit")
		}
		if _, negative := n.(Not); negative {
			return nil, p.fail(start, p.pos-start, "what must not occur cannot be an alternative: use -( … ) around all of them, or remove OR")
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

// negated reads a primary and the minus before it. A minus before a space or another minus is text.
func (p *parser) negated() (Node, *concord.QueryError) {
	rest := p.s[p.pos:]
	if len(rest) < 2 || rest[0] != '-' || rest[1] == '-' || rest[1] == ')' || spaceAt(rest[1:]) > 0 {
		return p.primary()
	}
	p.pos++
	n, err := p.primary()
	if n == nil || err != nil {
		return nil, err
	}
	return Not{n}, nil
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
	return p.text(p.word(), Any)
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

// text makes a word of one token and a phrase of several; nil of none.
func (p *parser) text(span Span, field Field) (Node, *concord.QueryError) {
	words, err := p.tokens(span)
	if err != nil || len(words) == 0 {
		return nil, err
	}
	if len(words) == 1 {
		return Word{words[0], field, span}, nil
	}
	return Phrase{Words: words, Field: field, Span: span}, nil
}

// quotedText makes a node of the content of quotation marks; the node's span begins at start and ends after the marks.
func (p *parser) quotedText(content Span, start int, field Field) (Node, *concord.QueryError) {
	words, err := p.tokens(content)
	if err != nil {
		return nil, err
	}
	span := Span{start, p.pos - start}
	switch len(words) {
	case 0:
		return nil, p.fail(start, p.pos-start, "phrase is empty: put at least one letter or digit between the quotation marks")
	case 1:
		return Word{words[0], field, span}, nil
	}
	return Phrase{Words: words, Field: field, Span: span}, nil
}

// tokens returns the words of a part of the query and counts them.
func (p *parser) tokens(span Span) ([]string, *concord.QueryError) {
	part := p.s[span.Offset : span.Offset+span.Length]
	// The tokenizer leaves out words that are too long but counts them; so does the word set behind them here.
	tokens := p.words.AppendTokens(nil, part+" 0")
	last := len(tokens) - 1
	if int(tokens[last].Position) != last {
		return nil, p.fail(span.Offset, span.Length,
			fmt.Sprintf("word is longer than %d bytes: nothing that long is indexed", text.MaxTermBytes))
	}
	words := make([]string, 0, last)
	for _, t := range tokens[:last] {
		words = append(words, stable(&p.words, t.Term)...)
	}
	return words, p.count(len(words), span)
}

// stable returns the terms that text makes of a term: itself, except for a few compatibility characters.
func stable(words *text.Tokenizer, term string) []string {
	again := words.AppendTokens(nil, term)
	terms := make([]string, len(again))
	for i, t := range again {
		terms[i] = t.Term
	}
	return terms
}

// count adds words or filters to the query's total.
func (p *parser) count(n int, span Span) *concord.QueryError {
	if p.terms += n; p.terms > MaxTerms {
		return p.fail(span.Offset, span.Length, fmt.Sprintf("query has more than %d words and filters", MaxTerms))
	}
	return nil
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
