package federation

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"concord"
	"concord/index"
	"concord/query"
	"concord/receipt"
	"concord/trace"
)

// Ledger is our own copy of the ledger. Package chain provides it.
type Ledger interface {
	// Entry returns one entry; NotFound when our copy is not that long.
	Entry(index uint64) (concord.LedgerEntry, error)
	receipt.Log
	// Admission returns what binds an operator's op key to a cosigning key, in the form that receipts carry: the op key of when the log had index entries.
	// NotFound when only the operator's own node has it.
	Admission(operator string, index uint64) ([]byte, error)
}

// Operator is another member of the ledger, in good standing, whose API can be asked.
type Operator struct {
	Name string
	URL  string // where its pages and API are, as the ledger has it
}

// Config says whom to ask, and what to check it against.
type Config struct {
	Self   string           // this operator
	Own    concord.Searcher // its index
	Ledger Ledger
	// Others returns the members to be asked: those with a URL that neither left nor are faulted, without Self.
	Others func() []Operator
	// Beside returns a searcher over our index and some documents that it does not have, with common statistics. release is called when it is
	// not used any more.
	Beside func(docs []*index.Document) (s concord.Searcher, release func(), err error)

	Timeout      time.Duration // for which an answer waits for others at most; 0: DefaultTimeout
	AllowPrivate bool          // dial addresses of this machine and of private networks
	UserAgent    string        // of the requests
	Now          func() time.Time
}

const (
	// DefaultTimeout is what people wait for without noticing much.
	DefaultTimeout = time.Second
	// MaxTimeout keeps a search from outliving the patience of browsers and proxies.
	MaxTimeout = 10 * time.Second
	// MaxOperators is how many are asked at most for one search: members in order of their names.
	MaxOperators = 64
	// MaxResults is how many results an operator is asked for: the first page. All others together give at most concord.MaxLimit.
	MaxResults = 10
	// maxUnderWay bounds the questions that are under way for all searches together, and so their memory (maxAnswer each).
	maxUnderWay = 64
)

// Validate reports what is missing or out of bounds.
func (c *Config) Validate() error {
	switch {
	case c.Self == "" || c.Own == nil || c.Ledger == nil || c.Others == nil || c.Beside == nil:
		return concord.Errorf(concord.Invalid, "federation config: Self, Own, Ledger, Others and Beside must be set")
	case c.Timeout < 0 || c.Timeout > MaxTimeout:
		return concord.Errorf(concord.Invalid, "federation config: the time to wait for other operators must lie between 0 and %v, not be %v", MaxTimeout, c.Timeout)
	}
	return nil
}

// Federation asks other operators. It is safe for concurrent use and starts nothing by itself.
type Federation struct {
	cfg      Config
	client   *Client
	underWay chan struct{}
	operators
	seen remembered
}

// New returns a Federation. Errors: Invalid.
func New(cfg Config) (*Federation, error) {
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Federation{cfg: cfg, client: NewClient(cfg.AllowPrivate, cfg.UserAgent), underWay: make(chan struct{}, maxUnderWay),
		operators: operators{now: cfg.Now, byName: map[string]*operator{}}}, nil
}

// Close gives up the connections that are kept open.
func (f *Federation) Close() { f.client.Close() }

// Search answers a request from our index and from what other operators send that holds here. Errors are those of our index: what becomes of
// the others is said in Answer.Operators.
func (f *Federation) Search(ctx context.Context, req concord.Request) (*concord.Answer, error) {
	others := f.cfg.Others()
	if _, err := query.Parse(req.Query); err != nil || len(others) == 0 || len(req.Query) > concord.MaxQueryBytes {
		return f.cfg.Own.Search(ctx, req) // what is malformed is nobody else's business
	}
	began := f.cfg.Now()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wait := f.ask(ctx, req.Query, others)
	own, err := f.cfg.Own.Search(ctx, req)
	if err != nil {
		return nil, err
	}
	found, told := wait()
	merged, err := f.merge(ctx, req, own, found)
	if err != nil {
		return nil, err
	}
	merged.Operators, merged.Took = told, f.cfg.Now().Sub(began)
	return merged, nil
}

// merge puts verified captures of others into an answer. Where we have a page that matches, ours stands and the others are named.
func (f *Federation) merge(ctx context.Context, req concord.Request, own *concord.Answer, found map[string][]*capture) (_ *concord.Answer, err error) {
	if len(found) == 0 {
		return own, nil
	}
	ctx, span := trace.Start(ctx, "merge with other operators")
	defer func() { span.End(err) }()
	urls := make([]string, 0, len(found))
	for url := range found {
		urls = append(urls, url)
	}
	slices.Sort(urls)
	known, err := f.cfg.Own.Search(ctx, concord.Request{Query: req.Query, Only: urls, Explain: true})
	if err != nil {
		return nil, err
	}
	ours := map[string]bool{}
	for i := range known.Hits {
		ours[known.Hits[i].URL] = known.Hits[i].Explanation != nil && known.Hits[i].Explanation.Matches
	}
	var docs []*index.Document
	for _, url := range urls {
		if !ours[url] {
			docs = append(docs, found[url][0].doc)
		}
	}
	a := own
	if len(docs) > 0 {
		if a, err = f.beside(ctx, req, docs); err != nil {
			return nil, err
		}
	}
	for i := range a.Hits {
		f.name(&a.Hits[i], found[a.Hits[i].URL], ours[a.Hits[i].URL])
	}
	return a, nil
}

func (f *Federation) beside(ctx context.Context, req concord.Request, docs []*index.Document) (*concord.Answer, error) {
	s, release, err := f.cfg.Beside(docs)
	if err != nil {
		return nil, err
	}
	defer release()
	return s.Search(ctx, req)
}

// name says of a hit who saw the page: we, when it is ours, then the newest capture first.
func (f *Federation) name(h *concord.Hit, captures []*capture, ours bool) {
	if len(captures) == 0 {
		return
	}
	if ours {
		h.Seen = append(h.Seen, concord.Sighting{Operator: f.cfg.Self, Capture: h.Capture, Fetched: h.Fetched})
	} else {
		h.Capture, h.NoArchive, h.Body = "", true, "" // neither is here
	}
	for _, c := range captures {
		h.Seen = append(h.Seen, concord.Sighting{Operator: c.operator, Capture: c.id, Fetched: c.doc.Fetched})
	}
}

// ask begins to ask operators. wait returns what they sent that holds, by URL with the newest capture first, and what became of each, in the
// order of their names, when all have answered or the time is up.
func (f *Federation) ask(ctx context.Context, text string, others []Operator) (wait func() (map[string][]*capture, []concord.OperatorAnswer)) {
	others = slices.SortedFunc(slices.Values(others), func(a, b Operator) int { return strings.Compare(a.Name, b.Name) })
	others = others[:min(len(others), MaxOperators)]
	limit := max(1, min(MaxResults, concord.MaxLimit/len(others)))
	ctx, cancel := context.WithTimeout(ctx, f.cfg.Timeout)
	told := make([]concord.OperatorAnswer, len(others))
	answers := make([]chan outcome, len(others))
	for i, o := range others {
		told[i].Name = o.Name
		answers[i] = make(chan outcome, 1) // nobody waits for one that comes too late
		go func() { answers[i] <- f.askOne(ctx, o, text, limit) }()
	}
	return func() (map[string][]*capture, []concord.OperatorAnswer) {
		defer cancel()
		found := map[string][]*capture{}
		for i := range others {
			var out outcome
			select {
			case out = <-answers[i]:
			case <-ctx.Done():
				select { // both may be so
				case out = <-answers[i]:
				default:
					out = outcome{failure: &failure{reason: Timeout, words: tooLong}}
				}
			}
			out.tell(&told[i])
			for _, c := range out.captures {
				found[c.doc.URL] = append(found[c.doc.URL], c)
			}
		}
		for _, list := range found {
			slices.SortStableFunc(list, func(a, b *capture) int { return cmp.Compare(b.doc.Fetched.Unix(), a.doc.Fetched.Unix()) })
		}
		return found, told
	}
}

// outcome is what became of asking one operator.
type outcome struct {
	captures []*capture
	dropped  map[Reason]int
	failure  *failure // nil: it answered
}

func (o *outcome) tell(a *concord.OperatorAnswer) {
	a.Answered, a.Verified = o.failure == nil, len(o.captures)
	if o.failure != nil {
		a.Failure = o.failure.words
	}
	for r, n := range o.dropped {
		if a.Dropped == nil {
			a.Dropped = map[string]int{}
		}
		a.Dropped[string(r)] = n
	}
}

// askOne asks one operator, unless it rests, checks what it sends and counts what became of it.
func (f *Federation) askOne(ctx context.Context, o Operator, text string, limit int) (out outcome) {
	if why := f.mayAsk(o.Name, f.cfg.Timeout); why != nil {
		return outcome{failure: why}
	}
	canceled := false
	defer func() { f.count(o.Name, &out, canceled) }()
	ctx, span := trace.Start(ctx, "other operator")
	defer span.End(nil)
	span.Set("operator", o.Name)
	select {
	case f.underWay <- struct{}{}:
		defer func() { <-f.underWay }()
	case <-ctx.Done():
		canceled = true // our own doing
		return outcome{failure: &failure{reason: Timeout, words: "too many searches are under way here"}}
	}
	results, fail := f.results(ctx, o, text, limit)
	if fail != nil {
		canceled = context.Cause(ctx) == context.Canceled
		return outcome{failure: fail}
	}
	out.dropped = map[Reason]int{}
	entries := map[uint64]string{} // a page of results has few batches
	byURL := map[string]bool{}
	for i := range results {
		c, why := f.verify(o.Name, &results[i], entries)
		switch {
		case why != "":
			out.dropped[why]++
		case !byURL[c.doc.URL]:
			byURL[c.doc.URL] = true
			out.captures = append(out.captures, c)
		}
	}
	f.seen.add(out.captures)
	return out
}
