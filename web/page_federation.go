package web

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"concord/anchor"
	"concord/federation"
	"concord/replica"
)

// federationPage is the operators that share the ledger, as this one sees them.
type federationPage struct {
	explorer
	Facts   FederationStatus
	Words   string
	Members []memberRow
	Ballots []FederationBallot
	Asked   []askedRow
	Kept    []keptRow
	Outside []outsideRow
}

func (*federationPage) template() string { return "federation" }

type memberRow struct {
	FederationMember
	Self   bool
	Class  string // of its state
	Link   string // to its pages
	Behind uint64 // entries that it has not cosigned yet, as far as is known here
}

// askedRow is what became of asking an operator when this one was searched.
type askedRow struct {
	federation.Counters
	Class   string
	State   string
	Dropped string // "2 receipt, 1 text"
	Failed  string
}

// keptRow is what is kept of an operator's batches, and what became of asking it for batches and votes.
type keptRow struct {
	replica.Standing
	Refused string // "2 root, 1 malformed"
	Bad     string // votes: "1 wrong, 2 lost"
	Class   string
}

// outsideRow is what became of asking a witness from outside.
type outsideRow struct {
	anchor.Tally
	Failed string
}

func (s *Server) federationPage(w http.ResponseWriter, r *http.Request) {
	f, err := s.federation()
	if err != nil {
		s.fail(w, r, err)
		return
	}
	st, err := f.Status(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	p := &federationPage{explorer: s.explorer("Federation", "/federation"), Facts: st, Words: st.Words(), Ballots: st.Ballots}
	p.Section, p.Refresh = "federation", pollSeconds
	for _, m := range st.Members {
		p.Members = append(p.Members, m.row(&st))
	}
	for _, c := range st.Searches {
		p.Asked = append(p.Asked, askedOf(c, s.cfg.Now()))
	}
	for _, c := range st.Replicas.Operators {
		p.Kept = append(p.Kept, keptOf(c))
	}
	for _, c := range st.Outside {
		p.Outside = append(p.Outside, outsideRow{c, byCount(c.Failed)})
	}
	s.render(w, r, http.StatusOK, p)
}

// Words says in a sentence how the ledger is.
func (st *FederationStatus) Words() string {
	switch {
	case st.Waits != "":
		return "the ledger waits on this node: " + st.Waits
	case st.State == FederationAlone:
		return st.Self + " is the only operator of this ledger"
	case st.State == FederationHalted:
		return fmt.Sprintf("halted: %d of %s up as seen from here, %d must be; it goes on by itself", st.VotersUp, plural(st.Voters, "voter is", "voters are"), st.Need)
	}
	return fmt.Sprintf("running: %d of %s up, %d must be", st.VotersUp, plural(st.Voters, "voter is", "voters are"), st.Need)
}

func (m FederationMember) row(st *FederationStatus) memberRow {
	row := memberRow{FederationMember: m, Self: m.Name == st.Self, Link: webLink(m.URL), Behind: st.Size - min(m.Cosigned, st.Size)}
	switch {
	case m.State == "faulted":
		row.Class = "failed"
	case m.State == "left":
	case m.Up:
		row.Class = "running"
	default:
		row.Class = "held"
	}
	return row
}

func askedOf(c federation.Counters, now time.Time) askedRow {
	row := askedRow{Counters: c, Dropped: byCount(c.Dropped), Failed: byCount(c.Failed), Class: "running", State: "asked"}
	if now.Before(c.Until) {
		row.Class, row.State = "held", "rests for "+ago(c.Until.Sub(now))
	}
	return row
}

func keptOf(c replica.Standing) keptRow {
	bad := map[string]uint64{}
	for what, n := range map[string]uint64{"wrong": c.Wrong, "lost": c.Lost, "damaged": c.Damaged, "without a copy": c.Absent, "no answer": c.Failed} {
		if n > 0 {
			bad[what] = n
		}
	}
	row := keptRow{Standing: c, Refused: byCount(c.Refused), Bad: byCount(bad), Class: "running"}
	if c.Wrong+c.Lost > 0 || len(c.Refused) > 0 {
		row.Class = "failed"
	}
	return row
}

// byCount writes counts by reason, the largest first.
func byCount(counts map[string]uint64) string {
	type count struct {
		reason string
		n      uint64
	}
	var list []count
	for r, n := range counts {
		list = append(list, count{r, n})
	}
	slices.SortFunc(list, func(a, b count) int { return cmp.Or(cmp.Compare(b.n, a.n), strings.Compare(a.reason, b.reason)) })
	var words []string
	for _, c := range list {
		words = append(words, number(c.n)+" "+c.reason)
	}
	return strings.Join(words, ", ")
}
