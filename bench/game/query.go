package game

import (
	"strings"

	"concord"
	"concord/query"
)

// ParseQuery reads a query in the game's syntax, Lucene's classic one: +must, -not, should, "a phrase", and groups in parentheses.
// Signs bind to what follows them. Errors: Invalid for a query that is malformed or only excludes.
func ParseQuery(s string) (query.Node, error) {
	p := &parser{rest: s}
	n, err := p.clauses(false)
	if err != nil {
		return nil, concord.Errorf(concord.Invalid, "query %q: %w", s, err)
	}
	return n, nil
}

type parser struct {
	rest  string
	depth int
}

func malformed(reason string) error { return concord.Errorf(concord.Invalid, "%s", reason) }

// clauses reads clauses up to the end or, in a group, the closing parenthesis.
func (p *parser) clauses(group bool) (query.Node, error) {
	if p.depth++; p.depth > query.MaxDepth {
		return nil, malformed("too many parentheses inside parentheses")
	}
	defer func() { p.depth-- }()
	var must, should, not []query.Node
	for {
		p.rest = strings.TrimLeft(p.rest, " ")
		if p.rest == "" {
			if group {
				return nil, malformed("a parenthesis is never closed")
			}
			return combine(must, should, not)
		}
		if p.rest[0] == ')' {
			if !group {
				return nil, malformed("a parenthesis was never opened")
			}
			p.rest = p.rest[1:]
			return combine(must, should, not)
		}
		list := &should
		switch p.rest[0] {
		case '+':
			list, p.rest = &must, p.rest[1:]
		case '-':
			list, p.rest = &not, p.rest[1:]
		}
		n, err := p.atom()
		if err != nil {
			return nil, err
		}
		*list = append(*list, n)
	}
}

func (p *parser) atom() (query.Node, error) {
	switch {
	case p.rest == "":
		return nil, malformed("a sign stands before nothing")
	case p.rest[0] == '(':
		p.rest = p.rest[1:]
		return p.clauses(true)
	case p.rest[0] == '"':
		text, rest, ok := strings.Cut(p.rest[1:], `"`)
		if !ok {
			return nil, malformed("a quotation mark is never closed")
		}
		p.rest = rest
		return phrase(text)
	}
	n := strings.IndexAny(p.rest, ` ()"`)
	if n < 0 {
		n = len(p.rest)
	}
	word := p.rest[:n]
	p.rest = p.rest[n:]
	return phrase(word)
}

// phrase returns the words of text as a phrase, or as a word where it is one.
func phrase(text string) (query.Node, error) {
	words := strings.Fields(string(AppendWords(nil, text)))
	switch len(words) {
	case 0:
		return nil, malformed("a part has no words")
	case 1:
		return query.Word{Text: words[0]}, nil
	}
	return query.Phrase{Words: words}, nil
}

// combine makes one node of clauses. Beside what must match, what should match only adds to scores.
func combine(must, should, not []query.Node) (query.Node, error) {
	var all []query.Node
	switch {
	case len(must) == 0 && len(should) == 0:
		return nil, malformed("nothing may match")
	case len(must) == 0:
		all = append(all, one(should, func(n []query.Node) query.Node { return query.Or{Nodes: n} }))
	default:
		all = append(all, must...)
		for _, n := range should {
			all = append(all, query.Maybe{Node: n})
		}
	}
	for _, n := range not {
		all = append(all, query.Not{Node: n})
	}
	return one(all, func(n []query.Node) query.Node { return query.And{Nodes: n} }), nil
}

func one(nodes []query.Node, several func([]query.Node) query.Node) query.Node {
	if len(nodes) == 1 {
		return nodes[0]
	}
	return several(nodes)
}
