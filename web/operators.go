package web

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"concord"
	"concord/federation"
)

// Operators asks the other operators that share the ledger. Package federation provides it and documents the methods.
type Operators interface {
	Search(ctx context.Context, req concord.Request) (*concord.Answer, error)
	Receipt(ctx context.Context, operator, capture, pageURL string) ([]byte, error)
}

// scopeOwn is the scope of a search that asks no other operator.
const scopeOwn = "own"

// searcher returns what answers a search of a scope.
func (s *Server) searcher(scope string) func(context.Context, concord.Request) (*concord.Answer, error) {
	if scope == scopeOwn || s.cfg.Operators == nil {
		return s.cfg.Searcher.Search
	}
	return s.cfg.Operators.Search
}

// prove adds to results what other operators check them by. What has no receipt yet, may not be copied or does not fit is left out.
func (s *Server) prove(ctx context.Context, results []SearchResult, hits []concord.Hit) []SearchResult {
	proven, size := results[:0], 0
	for i := range hits {
		if hits[i].Body == "" || ctx.Err() != nil {
			continue
		}
		r, err := s.cfg.Receipts.Receipt(ctx, hits[i].Capture)
		if err != nil {
			continue
		}
		proof, ok := federation.NewProof(r, hits[i].Title, hits[i].Body)
		if !ok || size+len(proof.Text) > federation.MaxText {
			continue
		}
		size += len(proof.Text)
		results[i].Proof = proof
		proven = append(proven, results[i])
	}
	return proven
}

// SearchSighting is an operator's capture of the page of a result.
type SearchSighting struct {
	Operator string    `json:"operator" example:"bob.example"`
	Capture  string    `json:"capture" doc:"As that operator names it."`
	Fetched  time.Time `json:"fetched" doc:"As that operator states it."`
	Receipt  string    `json:"receipt" format:"uri" doc:"Where its receipt is downloaded."`
}

// sightings are who saw the page of a hit, with the receipts.
func (s *Server) sightings(h *concord.Hit) (list []SearchSighting) {
	for _, seen := range h.Seen {
		list = append(list, SearchSighting{seen.Operator, seen.Capture, seen.Fetched, s.receiptOf(&seen, h.URL, operatorReceiptFileLink, receiptFileLink)})
	}
	return list
}

func (s *Server) receiptOf(seen *concord.Sighting, pageURL string, theirs func(operator, capture, pageURL string) string, ours func(capture, pageURL string) string) string {
	if seen.Operator == s.cfg.Operator {
		return ours(seen.Capture, pageURL)
	}
	return theirs(seen.Operator, seen.Capture, pageURL)
}

// anyReceipt returns the receipt of a capture, of this operator or of another.
func (s *Server) anyReceipt(ctx context.Context, operator, capture, pageURL string) ([]byte, error) {
	switch {
	case operator == "" || operator == s.cfg.Operator:
		return s.receipt(ctx, capture)
	case s.cfg.Operators == nil && s.cfg.Replicas == nil:
		return nil, concord.Errorf(concord.Unavailable, "this node asks no other operators: federation.search is off")
	}
	if p := s.overLimit(ctx, s.searches); p != nil { // it may be asked for
		return nil, p
	}
	err := concord.Errorf(concord.Unavailable, "this node asks no other operators (federation.search is off), and has no batch of %s with this page", concord.Clip(operator, maxEcho))
	if s.cfg.Operators != nil {
		var proof []byte
		if proof, err = s.cfg.Operators.Receipt(ctx, operator, capture, pageURL); err == nil {
			return proof, nil
		}
	}
	if s.cfg.Replicas != nil && capture == "" { // batches do not name captures: which one of a page would be a guess
		ctx, cancel := context.WithTimeout(ctx, batchTime)
		defer cancel()
		if proof, kept := s.cfg.Replicas.Receipt(ctx, operator, pageURL); kept == nil {
			return proof, nil
		}
	}
	return nil, err
}

// operatorsPartial says in words that not all other operators answered; empty: all did.
func operatorsPartial(list []concord.OperatorAnswer) string {
	answered := 0
	for _, o := range list {
		if o.Answered {
			answered++
		}
	}
	if answered == len(list) {
		return ""
	}
	return fmt.Sprintf("%d of %s answered", answered, plural(len(list), "other operator", "other operators"))
}

// OperatorNotes are sentences about operators of which something is missing in an answer.
func OperatorNotes(list []concord.OperatorAnswer) (notes []string) {
	for _, o := range list {
		if !o.Answered {
			notes = append(notes, o.Name+" did not answer: "+o.Failure)
		}
		for _, r := range federation.ResultReasons() {
			if n := o.Dropped[string(r)]; n > 0 {
				notes = append(notes, fmt.Sprintf("%s of %s left out: %s", plural(n, "result", "results"), o.Name, r.Words()))
			}
		}
	}
	return notes
}

// otherView is another operator's capture of a result's page, on a page of results.
type otherView struct{ Operator, Receipt string }

func (s *Server) others(h *concord.Hit) (list []otherView) {
	for _, seen := range h.Seen {
		if seen.Operator != s.cfg.Operator {
			list = append(list, otherView{seen.Operator, operatorReceiptLink(seen.Operator, seen.Capture, h.URL)})
		}
	}
	return list
}

// scoped returns the address of a search in a scope.
func scoped(link, scope string) string {
	if scope != scopeOwn || !strings.HasPrefix(link, "/search?") {
		return link
	}
	return link + "&scope=" + scopeOwn
}

// errProofScope refuses to prove what others found.
func errProofScope() error {
	return newProblem(http.StatusUnprocessableEntity, "proof=true goes with scope=own: each operator hands out the proofs of its own results")
}
