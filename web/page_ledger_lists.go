package web

import (
	"net/http"
	"net/url"
	"strconv"

	"concord"
	"concord/ledger"
)

// blockPage is one block.
type blockPage struct {
	explorer
	Block    concord.LedgerBlock
	Entries  []entryView
	Earlier  string // entries of the same block
	Later    string
	Previous string // blocks
	Next     string
}

func (*blockPage) template() string { return "block" }

func (s *Server) blockPage(w http.ResponseWriter, r *http.Request) {
	height, err := strconv.ParseInt(r.PathValue("height"), 10, 64)
	if err != nil {
		s.fail(w, r, newProblem(http.StatusNotFound, "a block is named by its height, a number"))
		return
	}
	l := s.cfg.Ledger
	b, err := l.Block(height)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	p := &blockPage{explorer: s.explorer("Block "+number(height), ""), Block: b}
	from := max(numberOf(r, "from", b.First), b.First)
	end := b.First + b.Count
	if from >= end {
		from = b.First
	}
	list, err := l.Entries(from, int(min(end-from, blockShown)))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	p.Entries = viewEntries(list)
	here := blockLink(height) + "?from="
	if from > b.First {
		p.Earlier = here + strconv.FormatUint(max(b.First, from-min(from, blockShown)), 10)
	}
	if next := from + uint64(len(list)); next < end {
		p.Later = here + strconv.FormatUint(next, 10)
	}
	if b.First > 0 {
		if e, err := l.Entry(b.First - 1); err == nil {
			p.Previous = blockLink(e.Height)
		}
	}
	if e, err := l.Entry(end); err == nil {
		p.Next = blockLink(e.Height)
	}
	s.render(w, r, http.StatusOK, p)
}

// numberOf reads a number of the address; what is none is the default.
func numberOf(r *http.Request, name string, missing uint64) uint64 {
	if n, err := strconv.ParseUint(r.URL.Query().Get(name), 10, 64); err == nil {
		return n
	}
	return missing
}

// checkpointsPage is who vouched for which head of the log.
type checkpointsPage struct {
	explorer
	Points []checkpointView
	Active int
	Quorum string
	Older  string
	First  string // back to the newest; empty: this is it
}

func (*checkpointsPage) template() string { return "checkpoints" }

func (s *Server) checkpointsPage(w http.ResponseWriter, r *http.Request) {
	info := s.cfg.Ledger.Info()
	p := &checkpointsPage{explorer: s.explorer("Checkpoints", "/ledger/checkpoints"), Active: active(info.Operators), Quorum: info.Quorum}
	upTo := numberOf(r, "upto", 0)
	list, err := s.cfg.Ledger.Checkpoints(upTo, checkpointsShown+1)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if len(list) > checkpointsShown {
		list = list[:checkpointsShown]
		p.Older = "/ledger/checkpoints?upto=" + strconv.FormatUint(list[len(list)-1].Size-1, 10)
	}
	if upTo > 0 {
		p.First = "/ledger/checkpoints"
	} else {
		p.Live, p.Refresh = ledgerEventsPath, 30
	}
	for _, c := range list {
		p.Points = append(p.Points, viewCheckpoint(c, info.Operators))
	}
	s.render(w, r, http.StatusOK, p)
}

// membersPage is who takes part, and creditsPage what they owe each other.
type membersPage struct {
	explorer
	Info    LedgerInfo
	Members []memberView
}

func (*membersPage) template() string { return "members" }

// memberView is a member with when it attested last.
type memberView struct {
	OperatorInfo
	Link     string
	Attested *entryView // its last attestation; nil: none
}

func (s *Server) viewMember(o OperatorInfo) (memberView, error) {
	v := memberView{OperatorInfo: o, Link: memberLink(o.Name)}
	if o.LastBatch.IsZero() {
		return v, nil
	}
	list, err := s.cfg.Ledger.Find(concord.LedgerTerm{Kind: concord.TermDigest, Value: o.LastBatch.String()}, newest, 1)
	if err == nil && len(list) > 0 {
		e := viewEntry(&list[0])
		v.Attested = &e
	}
	return v, err
}

func (s *Server) membersPage(w http.ResponseWriter, r *http.Request) {
	p := &membersPage{explorer: s.explorer("Members", "/ledger/members"), Info: s.cfg.Ledger.Info()}
	for _, o := range p.Info.Operators {
		v, err := s.viewMember(o)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		p.Members = append(p.Members, v)
	}
	s.render(w, r, http.StatusOK, p)
}

// memberPage is one member with what it sent, and what was decided about it.
type memberPage struct {
	explorer
	Member  *memberView // nil: no member has this name, and never had
	Name    string
	Entries []entryView
	Older   string
	First   string
}

func (*memberPage) template() string { return "member" }

func (s *Server) memberPage(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if !ledger.ValidOperator(name) {
		s.fail(w, r, newProblem(http.StatusNotFound, "a member is named by a lower-case host name, as in /ledger/members/alice.example"))
		return
	}
	p := &memberPage{explorer: s.explorer(name, ""), Name: name}
	for _, o := range s.cfg.Ledger.Info().Operators {
		if o.Name != name {
			continue
		}
		v, err := s.viewMember(o)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		p.Member = &v
	}
	below := numberOf(r, "below", newest)
	list, err := s.cfg.Ledger.Find(concord.LedgerTerm{Kind: concord.TermOperator, Value: name}, below, foundShown+1)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if p.Member == nil && len(list) == 0 && below == newest {
		s.fail(w, r, newProblem(http.StatusNotFound, "the ledger has no member "+name))
		return
	}
	p.Entries, p.Older = cutFound(list, memberLink(name)+"?below=")
	if below != newest {
		p.First = memberLink(name)
	}
	s.render(w, r, http.StatusOK, p)
}

// cutFound returns the entries of one page, and the address of the next; empty: there is none.
func cutFound(list []concord.LedgerEntry, next string) ([]entryView, string) {
	if len(list) <= foundShown {
		return viewEntries(list), ""
	}
	list = list[:foundShown]
	return viewEntries(list), next + strconv.FormatUint(list[len(list)-1].Index, 10)
}

// creditsPage is the balances, which add up to nothing, and the newest payments.
type creditsPage struct {
	explorer
	Info     LedgerInfo
	Owed     int64 // sum of the balances
	Sum      int64 // with what open asks hold: 0
	Payments []entryView
	Older    string
	First    string
}

func (*creditsPage) template() string { return "credits" }

func (s *Server) creditsPage(w http.ResponseWriter, r *http.Request) {
	p := &creditsPage{explorer: s.explorer("Credits", "/ledger/credits"), Info: s.cfg.Ledger.Info()}
	for _, o := range p.Info.Operators {
		p.Owed += o.Balance
	}
	p.Sum = p.Owed + p.Info.Held
	below := numberOf(r, "below", newest)
	list, err := s.cfg.Ledger.Find(concord.LedgerTerm{Kind: concord.TermType, Value: "pay"}, below, foundShown+1)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	p.Payments, p.Older = cutFound(list, "/ledger/credits?below=")
	if below != newest {
		p.First = "/ledger/credits"
	}
	s.render(w, r, http.StatusOK, p)
}

func memberLink(operator string) string { return "/ledger/members/" + url.PathEscape(operator) }

func blockLink(height int64) string { return "/ledger/blocks/" + strconv.FormatInt(height, 10) }

// foundLink leads to what the ledger's search finds below an index.
func foundLink(query string, below uint64) string {
	v := url.Values{"q": {query}}
	if below != newest {
		v.Set("below", strconv.FormatUint(below, 10))
	}
	return "/ledger/search?" + v.Encode()
}
