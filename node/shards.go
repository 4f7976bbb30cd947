package node

import (
	"context"
	"fmt"
	"time"

	"concord"
	"concord/search"
	"concord/shard"
	"concord/weburl"
)

// The shards as the whole cluster has them: each question goes to a node that keeps the shard.

// Services of nodes that keep copies of shards.
const (
	serviceShards   = "shard-status"
	serviceCaptures = "shard-captures"
	serviceCapture  = "shard-capture"
)

type (
	capturesQuestion struct {
		Shard int
		URL   string
		Limit int
	}
	captureQuestion struct {
		Shard int
		ID    string
	}
	// shardState is one copy of a shard, as the node that has it tells.
	shardState struct {
		shard.Status
		Ready bool // has applied what was in the log when it was opened
	}
)

func (n *Node) shardReadServices() map[string]handler {
	return map[string]handler{
		serviceShards: answers(func(context.Context, none) ([]shardState, error) { return n.shardsHere(), nil }),
		serviceCaptures: answers(func(_ context.Context, q capturesQuestion) (list []concord.Capture, err error) {
			err = n.withShard(q.Shard, func(s *shard.Shard) error { list, err = s.Captures(q.URL, q.Limit); return err })
			return list, err
		}),
		serviceCapture: answers(func(_ context.Context, q captureQuestion) (c *concord.Capture, err error) {
			err = n.withShard(q.Shard, func(s *shard.Shard) error { c, err = s.Capture(q.ID); return err })
			return c, err
		}),
	}
}

// withShard does something with the copy of a shard that is here.
func (n *Node) withShard(i int, do func(*shard.Shard) error) error {
	s, release, ok := n.copies.get(i)
	if !ok {
		return concord.Errorf(concord.Unavailable, "node %s has no copy of shard %d at the moment", n.layout.Node, i)
	}
	defer release()
	return do(s)
}

func (n *Node) shardsHere() []shardState {
	var list []shardState
	for _, c := range n.copies.list() {
		_ = n.withShard(c.id, func(s *shard.Shard) error { // closed meanwhile: it is none of ours
			list = append(list, shardState{s.Status(), c.caughtUp()})
			return nil
		})
	}
	return list
}

// shardsEverywhere returns the copies of every shard by number, this node's first.
func (n *Node) shardsEverywhere(ctx context.Context) [][]shardState {
	all := make([][]shardState, n.layout.Shards)
	add := func(list []shardState) {
		for _, s := range list {
			if s.Shard >= 0 && s.Shard < len(all) {
				all[s.Shard] = append(all[s.Shard], s)
			}
		}
	}
	add(n.shardsHere())
	if n.clustered() {
		for _, a := range askOthers[none, []shardState](ctx, n, serviceShards, none{}) {
			add(a.Answer)
		}
	}
	return all
}

// searchable reports whether every message of the captures log up to seq is committed by all copies of its shard that answer queries.
func (n *Node) searchable(ctx context.Context, seq uint64) (bool, error) {
	all := n.shardsEverywhere(ctx)
	for i, states := range all {
		last, err := n.captures.Last(ctx, concord.CaptureSubject(i))
		if err != nil {
			return false, err
		}
		serving := 0
		for _, s := range states {
			if !s.Ready {
				continue
			}
			if serving++; s.Position < min(last, seq) {
				return false, nil
			}
		}
		if serving == 0 && last > 0 {
			return false, nil
		}
	}
	return true, nil
}

// awaitSearchable waits until what is in the captures log now can be found.
func (n *Node) awaitSearchable(ctx context.Context) error {
	seq, err := n.captures.Last(ctx, "capture.*")
	if err != nil {
		return err
	}
	for {
		if ok, err := n.searchable(ctx, seq); ok || err != nil {
			return err
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// fromShard asks a copy of a shard: the one that is here, or those of other nodes, one after the other.
func fromShard[Q, A any](ctx context.Context, n *Node, i int, service string, q Q, here func(*shard.Shard) (A, error)) (a A, err error) {
	if s, release, ok := n.copies.get(i); ok {
		defer release()
		return here(s)
	}
	err = concord.Errorf(concord.Unavailable, "no node has shard %d at the moment; try again in a few seconds", i)
	for _, node := range n.serving(i) {
		try, cancel := context.WithTimeout(ctx, answerTime)
		a, err = call[Q, A](try, n.bus, node, service, q)
		cancel()
		if concord.KindOf(err) != concord.Unavailable {
			return a, err
		}
	}
	return a, err
}

// capture finds a capture by its ID alone, for receipts and revisits.
func (n *Node) capture(ctx context.Context, id string) (*concord.Capture, error) {
	var failed error
	for i := range n.layout.Shards {
		c, err := fromShard(ctx, n, i, serviceCapture, captureQuestion{i, id}, func(s *shard.Shard) (*concord.Capture, error) { return s.Capture(id) })
		switch {
		case err == nil:
			return c, nil
		case concord.KindOf(err) == concord.Unavailable:
			failed = err // another shard may have it
		case concord.KindOf(err) != concord.NotFound:
			return nil, err
		}
	}
	if failed != nil {
		return nil, failed
	}
	return nil, concord.Errorf(concord.NotFound, "no capture %s", concord.Clip(id, 60))
}

// pages implements web.Pages.
type pages struct{ n *Node }

func (p pages) Captures(ctx context.Context, url string, limit int) ([]concord.Capture, error) {
	u, err := weburl.Parse(url)
	if err != nil {
		return nil, err
	}
	url = u.String()
	i := concord.PartitionOf(url, p.n.layout.Shards)
	return fromShard(ctx, p.n, i, serviceCaptures, capturesQuestion{i, url, limit}, func(s *shard.Shard) ([]concord.Capture, error) { return s.Captures(url, limit) })
}

// Delete implements web.Pages: when it returns, the page is not found any more.
func (p pages) Delete(ctx context.Context, url, reason string) error {
	if err := (crawls{p.n.crawler, p.n}).Delete(ctx, url, reason); err != nil {
		return err
	}
	return p.n.awaitSearchable(ctx)
}

// shardSearcher searches a shard wherever it is kept: here first, and on other nodes where there is no copy here that is up to date, or it is
// slow.
func (n *Node) shardSearcher(i int) (concord.Searcher, error) {
	here := localShard{n.searcherHere, i}
	if !n.clustered() {
		return here, nil
	}
	return search.NewCopies(search.CopiesConfig{Name: shardText(i), Copies: func() []search.Copy {
		var list []search.Copy
		if n.copies.ready(i) {
			list = append(list, search.Copy{Node: n.layout.Node, Searcher: here})
		}
		for _, node := range n.serving(i) {
			list = append(list, search.Copy{Node: node, Searcher: remoteShard{n.bus, node, i}})
		}
		return list
	}})
}

// findsAll says that somebody answers for every shard, as far as this node knows.
func (n *Node) findsAll() bool {
	if !n.clustered() {
		return true
	}
	for i := range n.layout.Shards {
		if !n.copies.ready(i) && len(n.serving(i)) == 0 {
			return false
		}
	}
	return true
}

// shardText names a shard in what people read.
func shardText(i int) string { return fmt.Sprintf("shard %d", i) }

// searcherHere returns the searcher of a shard that is kept here; release must be called when it is not used any more.
func (n *Node) searcherHere(i int) (s concord.Searcher, release func(), ok bool) {
	c, release, ok := n.copies.get(i)
	if !ok {
		return nil, nil, false
	}
	return c.Searcher(), release, true
}
