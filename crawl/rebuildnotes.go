package crawl

import (
	"encoding/json"
	"errors"
	"fmt"

	"concord"
	"concord/weburl"
)

// applyNote applies what people asked for: crawls, their ends, deletions.
func (r *Rebuild) applyNote(p *Prepared) (Applied, error) {
	if len(p.note) == 0 {
		return Applied{}, nil
	}
	f := p.note[0]
	var err error
	var out Applied
	switch f.Name {
	case fieldCrawl:
		var n crawlNote
		if err = json.Unmarshal([]byte(f.Value), &n); err == nil {
			err = r.begin(&n)
		}
	case fieldEnd:
		var n endNote
		if err = json.Unmarshal([]byte(f.Value), &n); err == nil {
			err = r.end(&n)
		}
	case fieldRemoval:
		var n removalNote
		if err = json.Unmarshal([]byte(f.Value), &n); err == nil {
			out.Messages, err = r.remove(&n)
		}
	default:
		out.Batch = p.note
	}
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	if errors.As(err, &syntax) || errors.As(err, &kind) || concord.KindOf(err) == concord.Invalid || concord.KindOf(err) == concord.NotFound {
		out.Problem, err = fmt.Sprintf("a note cannot be read: %v", err), nil
	}
	return out, err
}

// begin begins a crawl again.
func (r *Rebuild) begin(n *crawlNote) error {
	id, err := parseCrawlID(n.ID)
	if err != nil {
		return err
	}
	if r.c.plan(id) != nil {
		return nil
	}
	p, err := newPlan(id, n.Spec, n.Created)
	if err != nil {
		return err
	}
	msgs, err := r.c.startMessages(p)
	if err != nil {
		return err
	}
	if err := r.c.learn(&crawlMsg{Crawl: id, Created: n.Created, Spec: p.spec}); err != nil {
		return err
	}
	r.stats.Crawls++
	for _, m := range msgs {
		decoded, err := decodeMessage(m.Data)
		if err != nil {
			return err
		}
		r.add(r.index[m.Subject], decoded)
	}
	return nil
}

func (r *Rebuild) end(n *endNote) error {
	id, err := parseCrawlID(n.ID)
	if err != nil || r.c.plan(id) == nil {
		return err
	}
	for i := range r.c.parts {
		r.add(i, &closeMsg{Crawl: id, Why: n.Why, Time: n.Time})
	}
	return nil
}

func (r *Rebuild) remove(n *removalNote) ([]concord.Message, error) {
	u, err := weburl.Parse(n.URL)
	if err != nil {
		return nil, err
	}
	r.stats.Removals++
	r.add(r.c.partition(u.Site()).id, &forgetMsg{URL: u.String(), Reason: n.Reason})
	e := &concord.Event{Remove: &concord.Removal{URL: u.String(), Reason: n.Reason}}
	return []concord.Message{{Subject: r.c.captureSubject(u.String()), Data: mustEncode(e)}}, nil
}

// Awaits returns the ID of the crawl that a capture was made for and of which nothing is known so far; empty: there is none such. Where an
// archive comes from several machines, their clocks may put the capture before the note of its crawl.
func (r *Rebuild) Awaits(p *Prepared) string {
	if p.decision == nil || p.crawl == "" {
		return ""
	}
	if _, own := r.kindOf(p.decision); !own {
		return ""
	}
	id, err := parseCrawlID(p.crawl)
	if err != nil || r.c.plan(id) != nil {
		return ""
	}
	return id.String()
}

// Begins returns the ID of the crawl that a note begins; empty: it is none of these.
func (p *Prepared) Begins() string {
	var n crawlNote
	if len(p.note) == 0 || p.note[0].Name != fieldCrawl || json.Unmarshal([]byte(p.note[0].Value), &n) != nil {
		return ""
	}
	id, err := parseCrawlID(n.ID)
	if err != nil {
		return ""
	}
	return id.String()
}

// Size returns about how many bytes of memory the entry takes.
func (p *Prepared) Size() int64 {
	if p.entry.Item == nil {
		return 0
	}
	return int64(2 * len(p.entry.Item.Record.Block))
}
