package web

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"concord"
	"concord/ledger"
)

// entryPage is one entry in full.
type entryPage struct {
	explorer
	Entry    entryView
	About    string // what it means, in a sentence or two
	Fields   []field
	Block    concord.LedgerBlock
	Covering *checkpointView // the earliest with a quorum; nil: none yet
	Covered  bool            // by the newest checkpoint
	Size     uint64          // entries under it
	Proof    string
	Name     string // of the downloaded proof
	Source   string // the entry as a file
	Panel    string // where what the witnesses saw is shown; empty: nowhere
	Previous string
	Next     string
}

func (*entryPage) template() string { return "entry" }

// field is one line of an entry, decoded.
type field struct {
	Name   string
	Text   string
	Link   string
	Digest concord.Digest // in place of Text
	Time   time.Time      // in place of Text
}

func (s *Server) entryPage(w http.ResponseWriter, r *http.Request) {
	index, err := strconv.ParseUint(r.PathValue("index"), 10, 64)
	if err != nil {
		s.fail(w, r, newProblem(http.StatusNotFound, "an entry of the ledger is named by its number"))
		return
	}
	l := s.cfg.Ledger
	e, err := l.Entry(index)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	n := strconv.FormatUint(index, 10)
	p := &entryPage{explorer: s.explorer("Ledger entry "+number(index), ""), Size: l.Checkpoint().Size, Entry: viewEntry(e),
		Source: apiPrefix + "/ledger/entries/" + n + "/text", Proof: apiPrefix + "/ledger/entries/" + n + "/proof", Name: "entry-" + n + ".tlog-proof"}
	p.About, p.Fields = meaning(e)
	p.Covered = index < p.Size
	if p.Block, err = l.Block(e.Height); err != nil && concord.KindOf(err) != concord.NotFound {
		s.fail(w, r, err)
		return
	}
	if c, err := l.Covering(index); err == nil {
		v := viewCheckpoint(c, l.Info().Operators)
		p.Covering = &v
	}
	if e.Type == "ask" && s.cfg.Witnesses != nil {
		p.Panel = "/witness/" + n
	}
	if index > 0 {
		p.Previous = entryLink(index - 1)
	}
	if index+1 < l.Size() {
		p.Next = entryLink(index + 1)
	}
	s.render(w, r, http.StatusOK, p)
}

// fields builds a list of decoded lines.
type fields []field

func (f *fields) text(name, text string) { *f = append(*f, field{Name: name, Text: text}) }
func (f *fields) link(name, text, link string) {
	*f = append(*f, field{Name: name, Text: text, Link: link})
}
func (f *fields) member(name, operator string) { f.link(name, operator, memberLink(operator)) }
func (f *fields) time(name string, unix int64) {
	*f = append(*f, field{Name: name, Time: time.Unix(unix, 0).UTC()})
}
func (f *fields) page(name, url string) {
	f.link(name, url, foundLink(concord.TermURL+":"+url, newest))
}
func (f *fields) entry(name string, i uint64) { f.link(name, number(i), entryLink(i)) }
func (f *fields) digest(name string, d concord.Digest) {
	if !d.IsZero() {
		*f = append(*f, field{Name: name, Digest: d, Link: foundLink(d.String(), newest)})
	}
}

// meaning says what the lines of an entry mean. An entry that this version cannot read has no fields: its text is shown all the same.
func meaning(e *concord.LedgerEntry) (about string, f fields) {
	if e.Type == "block" {
		return decodeRecord(e)
	}
	t, err := ledger.ParseTx([]byte(e.Text))
	if err != nil {
		return "", nil
	}
	if t.From != "" {
		f.member("From", t.From)
		f.text("Number among its transactions", number(t.Seq))
	}
	switch {
	case t.Attest != nil:
		a := t.Attest
		f.text("Captures", number(a.Count))
		f.time("First capture", a.First)
		f.time("Last capture", a.Last)
		f.digest("Root of the batch", a.Root)
		f.digest("Root of its batch before", a.Prev)
		return "The captures themselves are not in the ledger: it holds only the root of the tree over them. Each receipt shows the way from its capture up to this root.", f
	case t.Gov != nil:
		decodeGov(t, &f)
		return "A decision, signed by more than two thirds of the members that have a vote, and by every new key.", f
	case t.Ask != nil:
		a := t.Ask
		f.page("Page", a.URL)
		f.text("Wanted", number(a.Need)+" of "+number(a.Of)+" operators to agree")
		f.text("Rules for its text", a.Profile)
		f.text("Time to seal, and as long again to open", plural(a.Until, "second", "seconds"))
		f.text("Pays for each report", plural(a.Pay, "credit", "credits"))
		f.link("Reports", "seals and opened reports", foundLink(concord.TermAsk+":"+strconv.FormatUint(e.Index, 10), newest))
		return "The ledger draws operators that fetch the page independently. Each seals its report before it has seen those of others.", f
	case t.Seal != nil:
		f.entry("Ask", t.Seal.Ask)
		f.text("Round", number(t.Seal.Round))
		f.digest("Seal", t.Seal.Commit)
		return "The digest of a report that is opened later: what it says is fixed, and nobody can copy it.", f
	case t.Show != nil:
		decodeShow(t.Show, &f)
		return "What this operator saw. It fits the seal that was put into the ledger before.", f
	case t.Doc != nil:
		f.text("Label", t.Doc.Label)
		for i, d := range t.Doc.Digests {
			f.digest("Document "+strconv.Itoa(i+1), d)
		}
		return "Whoever has a document with one of these digests can prove that it existed before this block. The documents are not here.", f
	case t.Pay != nil:
		f.member("To", t.Pay.To)
		f.text("Amount", plural(t.Pay.Amount, "credit", "credits"))
		f.digest("For", t.Pay.Ref)
		return "", f
	case t.Fault != nil:
		f.member("Who", t.Fault.Who)
		f.text("What it did", faultWords[t.Fault.Kind])
		return "Proof from its own signed words. It can be checked by anybody; the member has no vote until the others decide.", f
	}
	return "", f
}

var faultWords = map[string]string{
	"fork": "signed two heads of one log and size with different roots", "tree": "signed a head that does not go on from an earlier one",
	"attest": "signed two attestations with one number", "seal": "sealed two reports for one ask and round", "show": "opened two reports for one ask and round",
	"leaf": "attested a batch that does not hold what it says",
}

func decodeGov(t *ledger.Tx, f *fields) {
	g := t.Gov
	f.text("Decision", number(g.Epoch))
	f.text("Decides", decision(g))
	switch {
	case g.Admit != nil:
		f.member("Operator", g.Admit.Operator)
		f.text("Serves the log at", g.Admit.URL)
	case g.Drop != "":
		f.member("Operator", g.Drop)
	case g.Clear != "":
		f.member("Operator", g.Clear)
	case g.Rotate != nil:
		f.member("Operator", g.Rotate.Operator)
	case g.Line != nil:
		f.member("Operator", g.Line.Operator)
	case g.Place != nil:
		f.member("Operator", g.Place.Operator)
	}
	for _, p := range g.Powers {
		f.link("Votes "+number(p.Power), p.Operator, memberLink(p.Operator))
	}
	var names []string
	for _, s := range t.Note.Sigs {
		if len(names) == 0 || names[len(names)-1] != s.Name {
			names = append(names, s.Name) // lines are sorted by name
		}
	}
	f.text("Signed by", strings.Join(names, ", "))
}

func decodeShow(s *ledger.ShowTx, f *fields) {
	f.entry("Ask", s.Ask)
	f.text("Round", number(s.Round))
	if s.Status == 0 {
		f.text("Answer", "none")
	} else {
		f.text("Answer", strings.TrimSpace(strconv.Itoa(s.Status)+" "+http.StatusText(s.Status)))
	}
	f.page("Page, after redirects", s.Final)
	f.time("Fetched", s.Time)
	f.digest("Body", s.Raw)
	f.digest("Text", s.Text)
	f.digest("TLS certificates", s.Cert)
	f.digest("WARC record", s.WARC)
	if s.ASN != "-" {
		f.text("From, as it says itself", s.ASN+" "+s.Region)
	}
}

func decodeRecord(e *concord.LedgerEntry) (about string, f fields) {
	r, err := ledger.ParseRecord(e.Text)
	if err != nil {
		return "", nil
	}
	f.link("Block", number(r.Height), blockLink(r.Height))
	f.text("Transactions", number(r.Txs))
	for _, b := range r.Bad {
		f.text("Misbehaviour", b.Operator+": "+strings.ToLower(strings.ReplaceAll(b.Kind, "_", " "))+" at height "+number(b.Height))
	}
	f.digest("Hash of the block", r.Hash)
	f.digest("State after it", r.State)
	f.digest("Hash of the next validators", r.Validators)
	for i := range f {
		if !f[i].Digest.IsZero() {
			f[i].Link = "" // no entry is found by these
		}
	}
	return "It closes its block, and makes the log replayable on its own: the state that it names follows from the entries before it.", f
}
