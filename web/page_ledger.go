package web

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"concord"
)

const (
	entriesShown     = 25
	checkpointsShown = 5
)

// ledgerPage is the ledger, newest entries first.
type ledgerPage struct {
	frame
	Info        LedgerInfo
	Size        uint64
	Checkpoint  concord.Checkpoint
	Cosigners   []string
	Checkpoints []concord.Checkpoint // earlier ones
	Entries     []entryView
	Newer       string
	Older       string
}

func (*ledgerPage) template() string { return "ledger" }

// entryView is an entry with what it says in a few words.
type entryView struct {
	concord.LedgerEntry
	Link    string
	Summary string
}

func (s *Server) ledgerPage(w http.ResponseWriter, r *http.Request) {
	l := s.cfg.Ledger
	p := &ledgerPage{frame: frame{Title: "Ledger", Section: "ledger", BoxInTop: true}, Info: l.Info(), Size: l.Size(), Checkpoint: l.Checkpoint()}
	p.Cosigners = signers(p.Checkpoint.Note)
	points, err := l.Checkpoints(checkpointsShown + 1)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if len(points) > 1 {
		p.Checkpoints = points[1:]
	}
	before, err := strconv.ParseUint(r.URL.Query().Get("before"), 10, 64)
	if err != nil || before > p.Size {
		before = p.Size
	}
	from := before - min(before, entriesShown)
	var entries []concord.LedgerEntry
	if before > from {
		if entries, err = l.Entries(from, int(before-from)); err != nil {
			s.fail(w, r, err)
			return
		}
	}
	for i := len(entries) - 1; i >= 0; i-- {
		p.Entries = append(p.Entries, entryView{entries[i], entryLink(entries[i].Index), summary(&entries[i])})
	}
	if from > 0 {
		p.Older = "/ledger?before=" + strconv.FormatUint(from, 10)
	}
	if before < p.Size {
		p.Newer = "/ledger?before=" + strconv.FormatUint(min(before+entriesShown, p.Size), 10)
	}
	s.render(w, r, http.StatusOK, p)
}

// entryPage is one entry in full.
type entryPage struct {
	frame
	Entry    entryView
	Covered  bool // by the newest checkpoint
	Size     uint64
	Proof    string
	Attest   *concord.Attestation
	First    time.Time // of the captures it attests
	Last     time.Time
	Previous string
	Next     string
}

func (*entryPage) template() string { return "entry" }

func (s *Server) entryPage(w http.ResponseWriter, r *http.Request) {
	index, err := strconv.ParseUint(r.PathValue("index"), 10, 64)
	if err != nil {
		s.fail(w, r, newProblem(http.StatusNotFound, "an entry of the ledger is named by its number"))
		return
	}
	e, err := s.cfg.Ledger.Entry(index)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	p := &entryPage{frame: frame{Title: "Ledger entry " + number(index), Section: "ledger", BoxInTop: true}, Size: s.cfg.Ledger.Checkpoint().Size,
		Entry: entryView{*e, entryLink(index), summary(e)}, Proof: apiPrefix + "/ledger/entries/" + strconv.FormatUint(index, 10) + "/proof"}
	p.Covered = index < p.Size
	if a, err := concord.ParseAttestation(noteText(e.Text)); err == nil {
		p.Attest, p.First, p.Last = &a, time.Unix(a.First, 0), time.Unix(a.Last, 0)
	}
	if index > 0 {
		p.Previous = entryLink(index - 1)
	}
	if index+1 < s.cfg.Ledger.Size() {
		p.Next = entryLink(index + 1)
	}
	s.render(w, r, http.StatusOK, p)
}

// noteText returns the text of a signed note, without its signatures (c2sp.org/signed-note).
func noteText(note string) string {
	if i := strings.LastIndex(note, "\n\n"); i >= 0 {
		return note[:i+1]
	}
	return note
}

// signers returns the names on a note's signature lines, each once, in their order.
func signers(note string) (names []string) {
	i := strings.LastIndex(note, "\n\n")
	if i < 0 {
		return nil
	}
	seen := map[string]bool{}
	for line := range strings.Lines(note[i+2:]) {
		rest, ok := strings.CutPrefix(line, "— ")
		name, _, found := strings.Cut(rest, " ")
		if ok && found && !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return names
}

// summary says in a few words what an entry is.
func summary(e *concord.LedgerEntry) string {
	switch e.Type {
	case "attest":
		if a, err := concord.ParseAttestation(noteText(e.Text)); err == nil {
			return a.From + " attests " + plural(a.Count, "capture", "captures")
		}
		return e.From + " attests captures"
	case "gov":
		return "a decision about members, keys or rules"
	case "ask":
		return e.From + " asks for a page to be witnessed"
	case "seal":
		return e.From + " seals what it saw for an ask"
	case "show":
		return e.From + " opens what it saw for an ask"
	case "doc":
		return e.From + " notarises documents"
	case "block":
		return "the record of block " + number(e.Height)
	}
	return e.Type
}
