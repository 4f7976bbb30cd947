package query

import (
	"fmt"
	"strconv"
	"strings"

	"concord"
	"concord/text"
)

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
	if len(words) == 0 {
		return nil, p.fail(start, p.pos-start, "phrase is empty: put at least one letter or digit between the quotation marks")
	}
	end := p.pos
	slop, err := p.slop()
	if err != nil {
		return nil, err
	}
	span := Span{start, p.pos - start}
	switch {
	case len(words) > 1:
		return Phrase{words, slop, field, span}, nil
	case p.pos > end:
		return nil, p.fail(start, p.pos-start, "a number after a phrase is how far apart its words may stand: it needs two words")
	}
	return Word{words[0], field, span}, nil
}

// slop reads a tilde and a number right after a phrase; 0 where that is text.
func (p *parser) slop() (int, *concord.QueryError) {
	start := p.pos
	digits, ok := strings.CutPrefix(p.s[start:], "~")
	digits = digits[:len(digits)-len(strings.TrimLeft(digits, "0123456789"))]
	end := start + 1 + len(digits)
	if !ok || digits == "" || end < len(p.s) && !wordEndsAt(p.s, end) {
		return 0, nil
	}
	p.pos = end
	n, err := strconv.Atoi(digits)
	if err != nil || n > MaxSlop {
		return 0, p.fail(start, end-start, fmt.Sprintf("the words of a phrase may be moved by at most %d places", MaxSlop))
	}
	return n, nil
}

// unquoted makes the node of text outside quotation marks.
func (p *parser) unquoted(span Span, field Field) (Node, *concord.QueryError) {
	if n, ok, err := p.pattern(span, field); ok || err != nil {
		return n, err
	}
	return p.text(span, field)
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
