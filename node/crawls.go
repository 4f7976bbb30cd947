package node

import (
	"cmp"
	"context"
	"slices"
	"time"

	"concord"
	"concord/crawl"
)

// The crawler in a cluster: any node can be asked. What belongs to one partition of the frontier goes to the node that runs it, and what all
// of them know to one that runs any.

// crawls implements web.Crawls.
type crawls struct {
	*crawl.Crawler
	n *Node
}

// Services of nodes that run partitions of the frontier.
const (
	serviceShares = "frontier-shares"
	serviceCrawls = "frontier-crawls"
	serviceStop   = "frontier-stop"
	serviceTotals = "frontier-totals"
	serviceHosts  = "frontier-hosts"
	serviceRecent = "frontier-recent"
	serviceURL    = "frontier-url"
	serviceDelete = "frontier-delete"
)

type (
	urlQuestion    struct{ URL string }
	deleteQuestion struct{ URL, Reason string }
	stopQuestion   struct{ ID string }
	limitQuestion  struct{ Limit int }
)

func (n *Node) crawlServices() map[string]handler {
	local := n.crawler
	return map[string]handler{
		serviceShares: answers(func(_ context.Context, _ none) ([]crawl.Share, error) { return local.Shares(), nil }),
		serviceCrawls: answers(func(ctx context.Context, _ none) ([]concord.Crawl, error) { return local.Crawls(ctx) }),
		serviceTotals: answers(func(ctx context.Context, _ none) (crawl.Totals, error) { return local.Totals(ctx) }),
		serviceStop:   answers(func(ctx context.Context, q stopQuestion) (none, error) { return none{}, local.Stop(ctx, q.ID) }),
		serviceHosts: answers(func(ctx context.Context, q limitQuestion) ([]concord.HostStatus, error) {
			return local.Hosts(ctx, q.Limit)
		}),
		serviceRecent: answers(func(_ context.Context, q limitQuestion) ([]concord.CrawlEvent, error) {
			return local.Recent(q.Limit), nil
		}),
		serviceURL: answers(func(ctx context.Context, q urlQuestion) (concord.URLStatus, error) { return local.URL(ctx, q.URL) }),
		serviceDrained: answers(func(ctx context.Context, q stopQuestion) (drained, error) {
			seq, done, err := local.Drained(ctx, q.ID)
			return drained{seq, done}, err
		}),
		serviceDelete: answers(func(ctx context.Context, q deleteQuestion) (none, error) {
			return none{}, local.Delete(ctx, q.URL, q.Reason)
		}),
	}
}

// otherShares asks the other nodes what their partitions count.
func (n *Node) otherShares(ctx context.Context) ([]crawl.Share, error) {
	var all []crawl.Share
	for _, a := range askOthers[none, []crawl.Share](ctx, n, serviceShares, none{}) {
		all = append(all, a.Answer...) // of who did not answer there is nothing
	}
	return all, nil
}

// knows returns a node that knows all crawls, since it runs a partition of the frontier; empty: this one.
func (c crawls) knows() (string, error) {
	if !c.n.clustered() || len(c.Crawler.Shares()) > 0 {
		return "", nil
	}
	var err error
	for i := range c.n.layout.Frontiers {
		var owner string
		if owner, err = c.n.ownerOf(concord.FrontierSubject(i)); err == nil {
			return owner, nil
		}
	}
	return "", err
}

// Crawls implements web.Crawls.
func (c crawls) Crawls(ctx context.Context) ([]concord.Crawl, error) {
	node, err := c.knows()
	if err != nil || node == "" {
		return ifNil(err, func() ([]concord.Crawl, error) { return c.Crawler.Crawls(ctx) })
	}
	return call[none, []concord.Crawl](ctx, c.n.bus, node, serviceCrawls, none{})
}

// Crawl implements web.Crawls.
func (c crawls) Crawl(ctx context.Context, id string) (*concord.Crawl, error) {
	node, err := c.knows()
	if err != nil || node == "" {
		return ifNil(err, func() (*concord.Crawl, error) { return c.Crawler.Crawl(ctx, id) })
	}
	list, err := c.Crawls(ctx)
	if err != nil {
		return nil, err
	}
	for i := range list {
		if list[i].ID == id {
			return &list[i], nil
		}
	}
	return c.Crawler.Crawl(ctx, id) // says what is wrong with the ID, or that there is none
}

// Stop implements web.Crawls.
func (c crawls) Stop(ctx context.Context, id string) error {
	node, err := c.knows()
	if err != nil {
		return err
	}
	if node == "" {
		return c.Crawler.Stop(ctx, id)
	}
	_, err = call[stopQuestion, none](ctx, c.n.bus, node, serviceStop, stopQuestion{id})
	return err
}

// Totals are the counts of all crawls, with the rate of all nodes.
func (c crawls) Totals(ctx context.Context) (crawl.Totals, error) {
	own, err := c.Crawler.Totals(ctx)
	if err != nil || !c.n.clustered() {
		return own, err
	}
	rate, knows := own.Rate, len(c.Crawler.Shares()) > 0
	for _, a := range askOthers[none, crawl.Totals](ctx, c.n, serviceTotals, none{}) {
		if a.Err != nil {
			continue
		}
		rate += a.Answer.Rate
		if own.Stalled == "" && a.Answer.Stalled != "" {
			own.Stalled = a.Node + ": " + a.Answer.Stalled
		}
		if !knows && a.Answer.Fetched >= own.Fetched { // the counts themselves are the same wherever a partition runs
			stalled := own.Stalled
			own = a.Answer
			own.Stalled = stalled
		}
	}
	own.Rate = rate
	return own, nil
}

// Hosts implements web.Crawls.
func (c crawls) Hosts(ctx context.Context, limit int) ([]concord.HostStatus, error) {
	all, err := c.Crawler.Hosts(ctx, limit)
	if err != nil || !c.n.clustered() {
		return all, err
	}
	for _, a := range askOthers[limitQuestion, []concord.HostStatus](ctx, c.n, serviceHosts, limitQuestion{limit}) {
		all = append(all, a.Answer...)
	}
	slices.SortStableFunc(all, concord.HostStatus.Compare)
	return all[:min(limit, len(all))], nil
}

// Recent implements web.Crawls.
func (c crawls) Recent(limit int) []concord.CrawlEvent {
	all := c.Crawler.Recent(limit)
	if !c.n.clustered() {
		return all
	}
	for _, a := range askOthers[limitQuestion, []concord.CrawlEvent](context.Background(), c.n, serviceRecent, limitQuestion{limit}) {
		all = append(all, a.Answer...)
	}
	slices.SortStableFunc(all, func(a, b concord.CrawlEvent) int { return -cmp.Compare(a.Time.UnixNano(), b.Time.UnixNano()) })
	return all[:min(limit, len(all))]
}

// watchEvery is how often other nodes are asked for what happened.
const watchEvery = time.Second

// Watch implements web.Crawls: events of this node at once, those of others within a second.
func (c crawls) Watch(ctx context.Context) <-chan concord.CrawlEvent {
	own := c.Crawler.Watch(ctx)
	if !c.n.clustered() {
		return own
	}
	all := make(chan concord.CrawlEvent)
	go func() {
		defer close(all)
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		told := map[string]time.Time{} // of each other node, its last event that was passed on
		for {
			var next []concord.CrawlEvent
			select {
			case e, more := <-own:
				if !more {
					return
				}
				next = append(next, e)
			case <-tick.C:
				next = c.news(ctx, told)
			}
			for _, e := range next {
				select {
				case all <- e:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	return all
}

// news returns what happened on other nodes since it was asked last; of a node that was never asked, nothing.
func (c crawls) news(ctx context.Context, told map[string]time.Time) []concord.CrawlEvent {
	var list []concord.CrawlEvent
	for _, a := range askOthers[limitQuestion, []concord.CrawlEvent](ctx, c.n, serviceRecent, limitQuestion{recentAsked}) {
		last, known := told[a.Node]
		for _, e := range a.Answer {
			if known && e.Time.After(last) {
				list = append(list, e)
			}
			if e.Time.After(told[a.Node]) {
				told[a.Node] = e.Time
			}
		}
		if a.Err == nil && !known && len(a.Answer) == 0 {
			told[a.Node] = time.Time{}
		}
	}
	slices.SortFunc(list, func(a, b concord.CrawlEvent) int { return a.Time.Compare(b.Time) })
	return list
}

// recentAsked bounds the events that one node tells another at a time.
const recentAsked = 200

// URL implements web.Crawls.
func (c crawls) URL(ctx context.Context, url string) (concord.URLStatus, error) {
	return route(ctx, c.n, url, serviceURL, urlQuestion{url}, func() (concord.URLStatus, error) { return c.Crawler.URL(ctx, url) })
}

// Delete takes a page out of the index, on the node that runs its partition.
func (c crawls) Delete(ctx context.Context, url, reason string) error {
	_, err := route(ctx, c.n, url, serviceDelete, deleteQuestion{url, reason}, func() (none, error) { return none{}, c.Crawler.Delete(ctx, url, reason) })
	return err
}

// route answers here, or has the node answer that runs the URL's partition of the frontier.
func route[Q, A any](ctx context.Context, n *Node, url, service string, q Q, here func() (A, error)) (a A, err error) {
	if !n.clustered() {
		return here()
	}
	p, err := n.crawler.Partition(url)
	if err != nil {
		return a, err
	}
	node, err := n.ownerOf(concord.FrontierSubject(p))
	if err != nil {
		return a, err
	}
	if node == n.layout.Node {
		return here()
	}
	return call[Q, A](ctx, n.bus, node, service, q)
}

func ifNil[A any](err error, f func() (A, error)) (a A, _ error) {
	if err != nil {
		return a, err
	}
	return f()
}

// Searchable implements web.Crawls: a crawl is searchable when every shard has committed what it captured.
func (c crawls) Searchable(ctx context.Context, id string) (bool, error) {
	node, err := c.knows()
	if err != nil {
		return false, err
	}
	var at drained
	if node == "" {
		at.Seq, at.Done, err = c.Drained(ctx, id)
	} else {
		at, err = call[stopQuestion, drained](ctx, c.n.bus, node, serviceDrained, stopQuestion{id})
	}
	if err != nil || !at.Done {
		return false, err
	}
	return c.n.searchable(ctx, at.Seq)
}

const serviceDrained = "frontier-drained"

// drained says whether a crawl is finished, see crawl.Crawler.Drained.
type drained struct {
	Seq  uint64
	Done bool
}
