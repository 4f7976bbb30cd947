package search

import (
	"context"
	"maps"

	"concord"
	"concord/index"
	"concord/query"
	"concord/text"
)

// Stats returns the statistics the query's scores depend on, as Searcher.Stats does.
func (s *Snapshot) Stats(ctx context.Context, q string) (concord.Stats, error) {
	root, err := parse(q)
	if err != nil {
		return concord.Stats{}, err
	}
	return s.stats(ctx, root)
}

// stats counts the terms that words have in any language there is, so that the counts of shards add up whichever languages they hold.
func (s *Snapshot) stats(ctx context.Context, root query.Node) (concord.Stats, error) {
	st := concord.Stats{Docs: s.docs, Terms: map[string]uint64{}, Langs: maps.Clone(s.langs)}
	p, err := newPlan(root, append(text.Languages(), ""))
	if err != nil {
		return st, err
	}
	for _, g := range p.groups.taken() {
		if err := s.addStats(&st, g); err != nil {
			return st, err
		}
	}
	return st, ctx.Err()
}

// addStats counts the documents of each of a word's terms, and those of a pattern's under its own name.
func (s *Snapshot) addStats(st *concord.Stats, g *group) error {
	if g.pattern() {
		var df uint64
		for _, seg := range s.segments {
			if err := g.terms(seg, func(t index.Term) { df += uint64(t.DocCount) }); err != nil {
				return err
			}
		}
		st.Terms[statsKey(g.field, g.key.text)] = df
		return nil
	}
	for _, form := range g.forms {
		name := statsKey(g.field, form)
		if _, ok := st.Terms[name]; ok {
			continue
		}
		df, err := s.docCount(g.field, form)
		if err != nil {
			return err
		}
		st.Terms[name] = df
	}
	return nil
}

func (s *Snapshot) docCount(f index.Field, form string) (df uint64, err error) {
	for _, seg := range s.segments {
		t, ok, err := seg.Term(f, form)
		if err != nil {
			return 0, err
		}
		if ok {
			df += uint64(t.DocCount)
		}
	}
	return df, nil
}
