package web

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"concord"
	"concord/ledger"
	"concord/note"
)

const (
	entriesShown     = 40  // of the log on one page: some twenty blocks
	foundShown       = 25  // of a list of what was found
	checkpointsShown = 20  // on a page
	blockShown       = 100 // entries of a block on one page
	newest           = ^uint64(0)
)

// explorer is the part that the pages of the ledger share: the ways between them, and the search.
type explorer struct {
	frame
	Ways  []way
	Asked string // in the ledger's own search box
}

// way leads to another page of the ledger.
type way struct {
	Name, Link string
	Here       bool
}

// explorer begins a page of the ledger; here is the address of the way that it is.
func (s *Server) explorer(title, here string) explorer {
	e := explorer{frame: frame{Title: title, Section: "ledger", BoxInTop: true}}
	e.Ways = []way{{Name: "Newest", Link: "/ledger"}, {Name: "Members", Link: "/ledger/members"}, {Name: "Checkpoints", Link: "/ledger/checkpoints"}, {Name: "Credits", Link: "/ledger/credits"}}
	if s.cfg.Witnesses != nil {
		e.Ways = append(e.Ways, way{Name: "Witnessed", Link: "/witness"})
	}
	if s.cfg.Federation != nil {
		e.Ways = append(e.Ways, way{Name: "Federation", Link: "/federation"})
	}
	for i := range e.Ways {
		e.Ways[i].Here = e.Ways[i].Link == here
	}
	return e
}

// ledgerPage is the ledger, newest blocks first.
type ledgerPage struct {
	explorer
	Info       LedgerInfo
	Size       uint64
	Checkpoint checkpointView
	Active     int    // members that have a vote
	State      string // of the ledger, in words; empty: not known here
	Good       bool
	Blocks     []blockView
	Newer      string
	Older      string
}

func (*ledgerPage) template() string { return "ledger" }

// blockView is a block, or the part of it that is on the page.
type blockView struct {
	Height  int64
	Link    string
	Time    time.Time
	Record  string // link of the record that closes it; empty: not on this page
	Entries []entryView
}

// entryView is an entry with what it says in a few words.
type entryView struct {
	concord.LedgerEntry
	Link    string
	Summary string
	By      string // link of the operator; empty: of nobody
}

func viewEntry(e *concord.LedgerEntry) entryView {
	v := entryView{LedgerEntry: *e, Link: entryLink(e.Index), Summary: summary(e)}
	if e.From != "" {
		v.By = memberLink(e.From)
	}
	return v
}

func viewEntries(list []concord.LedgerEntry) (views []entryView) {
	for i := range list {
		views = append(views, viewEntry(&list[i]))
	}
	return views
}

func (s *Server) ledgerPage(w http.ResponseWriter, r *http.Request) {
	l := s.cfg.Ledger
	p := &ledgerPage{explorer: s.explorer("Ledger", "/ledger"), Info: l.Info(), Size: l.Size()}
	p.Checkpoint = viewCheckpoint(l.Checkpoint(), p.Info.Operators)
	p.Active = active(p.Info.Operators)
	p.State, p.Good = s.ledgerState(r.Context())
	before, err := strconv.ParseUint(r.URL.Query().Get("before"), 10, 64)
	if err != nil || before >= p.Size { // what is newest changes by itself
		before, p.Live, p.Refresh = p.Size, ledgerEventsPath, 30
	}
	from := before - min(before, entriesShown)
	var entries []concord.LedgerEntry
	if before > from {
		if entries, err = l.Entries(from, int(before-from)); err != nil {
			s.fail(w, r, err)
			return
		}
	}
	p.Blocks = blocksOf(entries)
	if from > 0 {
		p.Older = "/ledger?before=" + strconv.FormatUint(from, 10)
	}
	if before < p.Size {
		p.Newer = "/ledger?before=" + strconv.FormatUint(min(before+entriesShown, p.Size), 10)
	}
	s.render(w, r, http.StatusOK, p)
}

// blocksOf puts entries, the oldest first, into their blocks, the newest first.
func blocksOf(entries []concord.LedgerEntry) (list []blockView) {
	for i := len(entries) - 1; i >= 0; i-- {
		e := &entries[i]
		if n := len(list); n == 0 || list[n-1].Height != e.Height {
			list = append(list, blockView{Height: e.Height, Link: blockLink(e.Height), Time: e.Time})
		}
		b := &list[len(list)-1]
		if e.Type == "block" {
			b.Record = entryLink(e.Index)
			continue
		}
		b.Entries = append(b.Entries, viewEntry(e))
	}
	return list
}

// ledgerState says whether the ledger goes on, as far as this node knows.
func (s *Server) ledgerState(ctx context.Context) (words string, good bool) {
	if s.cfg.Federation == nil {
		return "", true
	}
	st, err := s.cfg.Federation.Status(ctx)
	switch {
	case err != nil:
		return sentence(problemOf(err).Detail), false
	case st.Error != "":
		return sentence("the ledger has stopped on this node: " + st.Error), false
	case st.Waits != "":
		return sentence(st.Words()), false
	case st.State == FederationHalted:
		return "The ledger stands still: " + number(st.VotersUp) + " of " + number(st.Voters) + " voters are connected and " + number(st.Need) +
			" are needed. Crawling and searching go on; receipts come at a lower level, and the ledger goes on by itself when enough are back.", false
	case st.State == FederationAlone:
		return "", true
	}
	return number(st.VotersUp) + " of " + number(st.Voters) + " voters are connected to this node; " + number(st.Need) + " are needed for the ledger to go on.", true
}

func active(list []OperatorInfo) (n int) {
	for i := range list {
		if list[i].State == string(ledger.Active) {
			n++
		}
	}
	return n
}

// checkpointView is a checkpoint with who signed it.
type checkpointView struct {
	concord.Checkpoint
	Log      string      // the log that signed it; empty: none did
	Cosigned []cosigning // by operators, by time
	Outside  []cosigning // by witnesses that are none
}

type cosigning struct {
	Name, Link string    // of an operator; of others there is no link
	Time       time.Time // by the cosigner's clock
}

func viewCheckpoint(c concord.Checkpoint, operators []OperatorInfo) checkpointView {
	v := checkpointView{Checkpoint: c}
	n, err := note.Parse([]byte(c.Note))
	if err != nil {
		return v
	}
	for _, sig := range n.Sigs {
		t, timed := sig.Time()
		member := slices.ContainsFunc(operators, func(o OperatorInfo) bool { return o.Name == sig.Name })
		if timed && member {
			v.Cosigned = append(v.Cosigned, cosigning{sig.Name, memberLink(sig.Name), time.Unix(t, 0).UTC()})
		} else if timed {
			v.Outside = append(v.Outside, cosigning{sig.Name, "", time.Unix(t, 0).UTC()})
		} else if sig.Name == c.Origin {
			v.Log = sig.Name
		}
	}
	slices.SortStableFunc(v.Cosigned, func(a, b cosigning) int { return a.Time.Compare(b.Time) })
	return v
}

// noteText returns the text of a signed note, without its signatures (c2sp.org/signed-note).
func noteText(note string) string {
	if i := strings.LastIndex(note, "\n\n"); i >= 0 {
		return note[:i+1]
	}
	return note
}

// summary says in a few words what an entry is.
func summary(e *concord.LedgerEntry) string {
	t, err := ledger.ParseTx([]byte(e.Text))
	switch {
	case e.Type == "block":
		return "the record of block " + number(e.Height)
	case e.Type == "attest":
		if a, err := concord.ParseAttestation(noteText(e.Text)); err == nil {
			return a.From + " attests " + plural(a.Count, "capture", "captures")
		}
		return e.From + " attests captures"
	case err != nil && e.Type == "gov":
		return "a decision about members, keys or rules"
	case err != nil:
		return e.Type
	case t.Gov != nil:
		return decision(t.Gov)
	case t.Ask != nil:
		return t.From + " asks " + plural(t.Ask.Of, "operator", "operators") + " what " + concord.Clip(t.Ask.URL, 100) + " shows"
	case t.Seal != nil:
		return t.From + " seals its report for ask " + number(t.Seal.Ask)
	case t.Show != nil:
		return t.From + " opens its report for ask " + number(t.Show.Ask)
	case t.Doc != nil:
		return t.From + " notarises " + plural(len(t.Doc.Digests), "document", "documents")
	case t.Pay != nil:
		return t.From + " pays " + t.Pay.To + " " + number(t.Pay.Amount)
	case t.Fault != nil:
		return t.From + " proves that " + t.Fault.Who + " misbehaved (" + t.Fault.Kind + ")"
	}
	return e.Type
}

// decision says in a few words what a gov note decides.
func decision(g *ledger.Gov) string {
	switch {
	case g.Admit != nil:
		return g.Admit.Operator + " is admitted"
	case len(g.Powers) == 1:
		return g.Powers[0].Operator + " gets voting power " + number(g.Powers[0].Power)
	case len(g.Powers) > 1:
		return number(len(g.Powers)) + " members get voting power"
	case g.Drop != "":
		return g.Drop + " is dropped"
	case g.Clear != "":
		return g.Clear + " is cleared of its fault"
	case g.Rotate != nil:
		return g.Rotate.Operator + " changes its " + g.Rotate.Which
	case g.Set != nil:
		return "the rule " + g.Set.Param.String() + " is set to " + number(g.Set.Value)
	case g.Line != nil:
		return g.Line.Operator + " gets the credit limit " + number(g.Line.Limit)
	case g.Place != nil:
		return "where " + g.Place.Operator + " is: " + g.Place.ASN + ", " + g.Place.Region
	}
	return "a decision about members, keys or rules"
}

// credit writes a balance with its sign.
func credit(n int64) string {
	if n > 0 {
		return "+" + number(n)
	}
	return strings.Replace(number(n), "-", "\u2212", 1)
}
