package web

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"concord"
	"concord/ledger"
)

const (
	// maxAsked bounds what is searched for, in bytes: the longest URL.
	maxAsked = 2048
	// capturesFound bounds the captures of a URL that are listed: what the ledger says of each is looked up.
	capturesFound = 10
)

// question is what somebody looks for in the ledger. One text may mean several things: a name is an operator's, or a site's.
type question struct {
	terms   []concord.LedgerTerm
	index   *uint64 // of an entry
	height  *int64  // of a block
	url     string  // captures of it
	capture string  // one capture
}

// ask reads what somebody wrote into the search of the ledger.
//
//	1187, block:12                an entry by its number, a block by its height
//	alice.example, operator:…     what an operator sent, and what is about it
//	https://…, example.org/a      asks and reports of a page, and this node's captures of it
//	64 hex digits, or base64      a leaf, the root of a batch, a document, a seal, what a witness saw
//	ask:12                        seals and reports of an ask
//	gov, pay, …, type:…           transactions of a type
//	0f6f4c1e-7d0a-…               a capture of this node by its ID
func askLedger(text string) (q question, err error) {
	text = strings.TrimSpace(text)
	if text == "" || len(text) > maxAsked {
		return q, newProblem(http.StatusUnprocessableEntity, "say what to look for: an entry's number, an operator, a URL, a digest or a kind of transaction")
	}
	kind, rest, _ := strings.Cut(text, ":")
	add := func(kind, value string) { q.terms = append(q.terms, concord.LedgerTerm{Kind: kind, Value: value}) }
	digest, isDigest := digestOf(text)
	n, notNumber := strconv.ParseUint(strings.ReplaceAll(text, ",", ""), 10, 63)
	switch rest = strings.TrimSpace(rest); {
	case slices.Contains([]string{"attest", "type:attest", "block", "type:block"}, strings.ToLower(text)):
		return q, newProblem(http.StatusUnprocessableEntity, "most entries are attestations and records of blocks: find them by their operator, their root or their number, or a block by its height, as in block:12")
	case notNumber == nil:
		q.index = &n
	case isDigest:
		add(concord.TermDigest, digest.String())
	case kind == "block":
		h, err := strconv.ParseInt(rest, 10, 64)
		if err != nil {
			return q, newProblem(http.StatusUnprocessableEntity, "a block is named by its height, as in block:12")
		}
		q.height = &h
	case kind == concord.TermAsk, kind == concord.TermType, kind == concord.TermOperator:
		add(kind, strings.ToLower(rest))
	case slices.Contains(txTypes, strings.ToLower(text)):
		add(concord.TermType, strings.ToLower(text))
	case isCaptureID(text):
		q.capture = strings.ToLower(text)
	default:
		if ledger.ValidOperator(strings.ToLower(text)) {
			add(concord.TermOperator, strings.ToLower(text))
		}
		if kind == concord.TermURL && rest != "" {
			text = rest
		}
		if u, err := pageURL(text); err == nil {
			q.url = u
			add(concord.TermURL, u)
			if u != text {
				add(concord.TermURL, text) // as the ledger may have it
			}
		} else if len(q.terms) == 0 {
			return q, newProblem(http.StatusUnprocessableEntity, "this is no number, operator, URL, digest or kind of transaction")
		}
	}
	return q, nil
}

// txTypes are the types of transactions that can be listed; attestations are found by their operator.
var txTypes = []string{"gov", "ask", "seal", "show", "doc", "pay", "fault"}

// digestOf reads a digest in any form it is shown in: base64, of both alphabets, hex, and hex after "sha256:".
func digestOf(s string) (d concord.Digest, ok bool) {
	if d, err := concord.ParseDigest(s); err == nil {
		return d, true
	}
	if h, err := hex.DecodeString(strings.TrimPrefix(strings.ToLower(s), "sha256:")); err == nil && len(h) == len(d) {
		return concord.Digest(h), true
	}
	if b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "=")); err == nil && len(b) == len(d) {
		return concord.Digest(b), true
	}
	return d, false
}

// isCaptureID reports whether s has the form of a UUID, as the IDs of captures have.
func isCaptureID(s string) bool {
	b := []byte(s)
	for i := range b {
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (b[i] == '-') {
			return false
		}
	}
	_, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	return len(s) == 36 && err == nil
}

// LedgerFound is what the ledger's search finds.
type LedgerFound struct {
	Terms    []concord.LedgerTerm  `json:"terms" nullable:"false" doc:"As which the question was taken."`
	Entries  []concord.LedgerEntry `json:"entries" nullable:"false" doc:"Newest first."`
	Next     *uint64               `json:"next,omitempty" doc:"Ask again with this as below for more; absent: there are no more."`
	Block    *concord.LedgerBlock  `json:"block,omitempty" doc:"The block asked for."`
	Captures []LedgerCapture       `json:"captures" nullable:"false" doc:"This node's captures of a URL, newest first, with where the ledger has them."`
}

// LedgerCapture is a capture with the entry that attests it.
type LedgerCapture struct {
	Capture concord.Capture `json:"capture"`
	Done    bool            `json:"done" doc:"It is attested."`
	Index   uint64          `json:"index,omitempty" doc:"Entry of the ledger that attests it, when done."`
}

// findLedger answers a question with at most n entries below an index. Captures are looked for on the first page only.
func (s *Server) findLedger(ctx context.Context, q *question, below uint64, n int) (*LedgerFound, error) {
	l := s.cfg.Ledger
	a := &LedgerFound{Terms: nonNil(q.terms), Entries: []concord.LedgerEntry{}, Captures: []LedgerCapture{}}
	if q.index != nil {
		e, err := l.Entry(*q.index)
		if err != nil {
			return nil, err
		}
		a.Entries = append(a.Entries, *e)
	}
	if q.height != nil {
		b, err := l.Block(*q.height)
		if err != nil {
			return nil, err
		}
		a.Block = &b
		if a.Entries, err = l.Entries(b.First, int(min(b.Count, uint64(n)))); err != nil {
			return nil, err
		}
	}
	for _, t := range q.terms {
		list, err := l.Find(t, below, n+1)
		if err != nil {
			return nil, err
		}
		a.Entries = append(a.Entries, list...)
	}
	if len(q.terms) > 0 {
		slices.SortFunc(a.Entries, func(x, y concord.LedgerEntry) int { return int(y.Index) - int(x.Index) })
		a.Entries = slices.CompactFunc(a.Entries, func(x, y concord.LedgerEntry) bool { return x.Index == y.Index })
		if len(a.Entries) > n {
			a.Entries = a.Entries[:n]
			a.Next = &a.Entries[n-1].Index
		}
	}
	if below != newest {
		return a, nil
	}
	var err error
	a.Captures, err = s.attestedCaptures(ctx, q)
	return a, err
}

// attestedCaptures returns the captures of this node that a question is about.
func (s *Server) attestedCaptures(ctx context.Context, q *question) (list []LedgerCapture, err error) {
	var captures []concord.Capture
	if q.url != "" {
		if captures, err = s.cfg.Pages.Captures(ctx, q.url, capturesFound); err != nil {
			return nil, err
		}
	}
	if q.capture != "" {
		captures = []concord.Capture{{ID: q.capture}}
	}
	list = []LedgerCapture{}
	for _, c := range captures {
		st, err := s.cfg.Receipts.Attested(ctx, c.ID)
		switch kind := concord.KindOf(err); {
		case err != nil && (kind == concord.NotFound || kind == concord.Unavailable) && q.capture == "":
			st = AttestState{} // imported, or not yet
		case err != nil:
			return nil, err
		}
		list = append(list, LedgerCapture{Capture: c, Done: st.Done, Index: st.Index})
	}
	return list, nil
}

// foundPage is what the ledger's search found.
type foundPage struct {
	explorer
	Wrong    string // why nothing was looked for
	Block    *concord.LedgerBlock
	Entries  []entryView
	Captures []captureFound
	Older    string
	First    string
}

func (*foundPage) template() string { return "found" }

type captureFound struct {
	LedgerCapture
	Entry   string // link; empty: not attested yet
	Receipt string
}

func (s *Server) foundPage(w http.ResponseWriter, r *http.Request) {
	if !s.limitSearch(w, r) {
		return
	}
	text := strings.TrimSpace(r.URL.Query().Get("q"))
	if text == "" {
		http.Redirect(w, r, "/ledger", http.StatusSeeOther)
		return
	}
	p := &foundPage{explorer: s.explorer("In the ledger: "+concord.Clip(text, 60), "")}
	p.Asked, p.NoIndex = concord.Clip(text, maxAsked), true
	q, err := askLedger(text)
	if err != nil {
		p.Wrong = sentence(problemOf(err).Detail)
		s.render(w, r, http.StatusUnprocessableEntity, p)
		return
	}
	below := numberOf(r, "below", newest)
	a, err := s.findLedger(r.Context(), &q, below, foundShown)
	switch {
	case concord.KindOf(err) == concord.NotFound:
		p.Wrong = sentence(problemOf(err).Detail)
		s.render(w, r, http.StatusNotFound, p)
		return
	case err != nil:
		s.fail(w, r, err)
		return
	case q.index != nil:
		http.Redirect(w, r, entryLink(*q.index), http.StatusSeeOther)
		return
	case q.height != nil:
		http.Redirect(w, r, blockLink(*q.height), http.StatusSeeOther)
		return
	}
	p.Entries = viewEntries(a.Entries)
	if a.Next != nil {
		p.Older = foundLink(text, *a.Next)
	}
	if below != newest {
		p.First = foundLink(text, newest)
	}
	for _, c := range a.Captures {
		v := captureFound{LedgerCapture: c, Receipt: receiptLink(c.Capture.ID, c.Capture.URL)}
		if c.Capture.URL == "" {
			v.Receipt = "/receipt?capture=" + c.Capture.ID // hex digits and dashes
		}
		if c.Done {
			v.Entry = entryLink(c.Index)
		}
		p.Captures = append(p.Captures, v)
	}
	s.render(w, r, http.StatusOK, p)
}
