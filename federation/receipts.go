package federation

import (
	"context"
	"net/url"
	"sync"

	"concord"
	"concord/receipt"
)

// maxRemembered bounds the receipts of results that are remembered, some 2 KB each.
const maxRemembered = 4096

// remembered are the captures that were last shown, so that their receipts can be had when their operator is away. The zero value is ready to
// use; it is safe for concurrent use.
type remembered struct {
	mu    sync.Mutex
	parts map[captureName]*receipt.Parts
	ring  [maxRemembered]captureName // in the order they came
	next  int
}

type captureName struct{ operator, id string }

func (r *remembered) add(list []*capture) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.parts == nil {
		r.parts = map[captureName]*receipt.Parts{}
	}
	for _, c := range list {
		name := captureName{c.operator, c.id}
		if _, ok := r.parts[name]; !ok {
			delete(r.parts, r.ring[r.next])
			r.ring[r.next] = name
			r.next = (r.next + 1) % maxRemembered
		}
		r.parts[name] = c.parts
	}
}

func (r *remembered) get(operator, id string) *receipt.Parts {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.parts[captureName{operator, id}]
}

// Receipt returns the receipt of another operator's capture, of its newest of a URL when id is empty, made anew with our copy of the ledger. What is not
// remembered is asked of the operator. Errors: NotFound for an operator that is not asked, and where it has none; Unavailable when it does not answer, or sends
// what does not hold.
func (f *Federation) Receipt(ctx context.Context, operator, id, pageURL string) ([]byte, error) {
	if id == "" && pageURL == "" || id != "" && !goodID(id) {
		return nil, concord.Errorf(concord.Invalid, "say which receipt: the page's URL or the capture's ID")
	}
	p := f.seen.get(operator, id)
	if p == nil {
		var err error
		if p, err = f.fetch(ctx, operator, id, pageURL); err != nil {
			return nil, err
		}
	}
	if pageURL != "" && p.Entry.URL != pageURL {
		return nil, concord.Errorf(concord.NotFound, "capture %s of %s is of another page than %s", id, operator, concord.Clip(pageURL, 200))
	}
	return f.rebuild(operator, p)
}

func (f *Federation) fetch(ctx context.Context, operator, id, pageURL string) (*receipt.Parts, error) {
	for _, o := range f.cfg.Others() {
		if o.Name != operator {
			continue
		}
		params := url.Values{"capture": {id}}
		if id == "" {
			params = url.Values{"url": {pageURL}}
		}
		ctx, cancel := context.WithTimeout(ctx, f.cfg.Timeout)
		defer cancel()
		select {
		case f.underWay <- struct{}{}:
			defer func() { <-f.underWay }()
		case <-ctx.Done():
			return nil, concord.Errorf(concord.Unavailable, "too many other operators are being asked; try again in a few seconds")
		}
		proof, fail := f.client.get(ctx, o, receiptPath, params, "text/plain", receipt.MaxBytes)
		if fail != nil {
			return nil, concord.Errorf(concord.Unavailable, "no receipt from %s: %s", operator, fail.words)
		}
		p, why := f.attested(operator, proof, map[uint64]string{})
		if why != "" {
			return nil, concord.Errorf(concord.Unavailable, "no receipt from %s: %s", operator, why.Words())
		}
		return p, nil
	}
	return nil, concord.Errorf(concord.NotFound, "%s is no other operator of this ledger that can be asked", concord.Clip(operator, 100))
}

// rebuild puts what our copy of the ledger knows into a receipt: path, the best checkpoint and the admission.
func (f *Federation) rebuild(operator string, had *receipt.Parts) ([]byte, error) {
	p := *had
	admit, err := f.cfg.Ledger.Admission(operator, p.Index)
	switch {
	case err == nil:
		p.Admit = admit
	case concord.KindOf(err) != concord.NotFound: // else what the operator's own node sent with it, which whoever verifies the receipt checks
		return nil, err
	}
	if err := p.Under(f.cfg.Ledger); err != nil {
		return nil, err
	}
	return receipt.Build(p)
}
