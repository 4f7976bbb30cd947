package node

import (
	"context"
	"fmt"

	"concord"
	"concord/chain"
	"concord/federation"
	"concord/index"
	"concord/search"
	"concord/shard"
	"concord/web"
)

// openOperators makes what asks the other operators when this one is searched. It must follow the index, the ledger and the crawler.
func (n *Node) openOperators() (err error) {
	if !n.cfg.Federation.Search {
		return nil
	}
	n.operators, err = federation.New(federation.Config{Self: n.layout.Operator, Own: n.searcher, Ledger: n.book(), Others: n.otherOperators, Beside: n.beside,
		Timeout: n.cfg.Federation.SearchTimeout, AllowPrivate: n.cfg.Federation.AllowPrivate, UserAgent: n.crawler.UserAgent()})
	return err
}

// operatorsForWeb is nil, and not an interface of nil, when others are not asked.
func (n *Node) operatorsForWeb() web.Operators {
	if n.operators == nil {
		return nil
	}
	return n.operators
}

// otherOperators are the members in good standing that have told where their pages are.
func (n *Node) otherOperators() (list []federation.Operator) {
	for _, m := range n.book().Members() {
		if m.Name != n.layout.Operator && m.URL != "" && (m.Status == chain.Active || m.Status == chain.Candidate) {
			list = append(list, federation.Operator{Name: m.Name, URL: m.URL})
		}
	}
	return list
}

// beside returns a searcher over the index and a few documents that are not in it: one shard more, for a moment. Their words weigh as they
// would in the shards that are kept here, and idf comes from all.
func (n *Node) beside(docs []*index.Document) (concord.Searcher, func(), error) {
	lengths := n.lengthsHere()
	b := index.NewBuilder(index.Config{Lengths: &lengths})
	for _, d := range docs {
		if err := b.Add(d); err != nil {
			return nil, nil, fmt.Errorf("index results of other operators: %w", err)
		}
	}
	seg, err := b.Segment()
	if err != nil {
		return nil, nil, fmt.Errorf("index results of other operators: %w", err)
	}
	few := search.New(seg)
	seg.Close() // few has a view of its own
	release := func() { _ = few.Close() }
	both, err := search.NewFanout(search.FanoutConfig{Shards: []concord.Searcher{n.searcher, uncounted{few}}, Names: []string{"the index", "what others sent"},
		Timeout: 2 * search.DefaultTimeout}) // the index has its own
	if err != nil {
		release()
		return nil, nil, err
	}
	return both, release, nil
}

// lengthsHere are the lengths of the documents in the shards that are kept here: pages are spread over shards by their URL, so those of some
// stand for all.
func (n *Node) lengthsHere() (sum index.Lengths) {
	for _, c := range n.copies.list() {
		_ = n.withShard(c.id, func(s *shard.Shard) error { // closed meanwhile: it is none of ours
			sum.Add(s.Lengths())
			return nil
		})
	}
	return sum
}

// uncounted is a searcher that is no shard of the index.
type uncounted struct{ concord.Searcher }

func (u uncounted) Search(ctx context.Context, req concord.Request) (*concord.Answer, error) {
	a, err := u.Searcher.Search(ctx, req)
	if err == nil {
		a.Shards, a.Answered = 0, 0
	}
	return a, err
}
