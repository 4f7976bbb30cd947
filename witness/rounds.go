package witness

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"concord"
	"concord/ledger"
)

// report is what this operator saw for a round, as its file has it.
type report struct {
	// Show is the report as a signed note under seq 0, which no ledger executes: the text that its seal stands for.
	Show      string             `json:"show"`
	Text      string             `json:"text"` // normalised, that Show has the digest of
	Captures  []*concord.Capture `json:"captures,omitempty"`
	Announced bool               `json:"announced,omitempty"`

	show *ledger.ShowTx
}

const (
	roundPrefix = "round-"
	// maxReports bounds the reports kept of rounds that are over; the oldest go first. The log has what they said.
	maxReports = 4096
)

func roundName(ask uint64, round int) string {
	return fmt.Sprintf("%s%020d-%d%s", roundPrefix, ask, round, fileSuffix)
}

// check reads the report's text, and refuses parts that do not belong together.
func (r *report) check() error {
	t, err := ledger.ParseTx([]byte(r.Show))
	if err != nil {
		return err
	}
	if t.Show == nil || t.Show.Text != textDigest(r.Text) || slices.Contains(r.Captures, nil) {
		return errors.New("its parts do not belong together")
	}
	r.show = t.Show
	return nil
}

// report returns what this operator saw for a round; nil: it has not looked.
func (w *Witness) report(ask uint64, round int) (*report, error) {
	r := new(report)
	found, err := w.readFile(roundName(ask, round), r)
	switch {
	case err == nil && !found:
		return nil, nil
	case err == nil && (r.show.Ask != ask || r.show.Round != round):
		err = concord.Errorf(concord.Corrupt, "it is of ask %d, round %d", r.show.Ask, r.show.Round)
	}
	if err != nil {
		return nil, fmt.Errorf("report for ask %d, round %d: %w", ask, round, err)
	}
	return r, nil
}

// textDigest is zero for a page without text, as in captures.
func textDigest(text string) concord.Digest {
	if text == "" {
		return concord.Digest{}
	}
	return concord.Sum([]byte(text))
}

// attend does what the open asks want of this operator now. Times of the ledger are those of its blocks, and this machine's
// clock may be another, by an hour if need be: so how long a round has been known here counts as well. What comes too early
// or too late the ledger refuses.
func (w *Witness) attend(ctx context.Context) {
	now, seen := w.now(), map[string]time.Time{}
	for _, a := range w.cfg.Ledger.Asks() {
		for i := range a.Rounds {
			r, number := &a.Rounds[i], i+1
			at := slices.IndexFunc(r.Seats, func(s ledger.Seat) bool { return s.Operator == w.cfg.Operator })
			if at < 0 {
				continue
			}
			file, name := roundName(a.Index, number), fmt.Sprintf("round %d of ask %d", number, a.Index)
			first, known := w.seen[file]
			if !known {
				first = now
			}
			seen[file] = first
			seat, age, until := r.Seats[at], now.Sub(first), time.Duration(a.Until)*time.Second
			over := r.Result != ""
			switch {
			case over || seat.Report != nil:
				if !w.hasTold(file) {
					w.job(ctx, "the captures of "+name, func(ctx context.Context) error { return w.announce(ctx, a.Index, number) })
				}
			case seat.Commit.IsZero() && (now.Unix() <= r.SealBy || age <= until):
				w.job(ctx, "the seal of "+name, func(ctx context.Context) error { return w.lookAndSeal(ctx, a, number) })
			case !seat.Commit.IsZero() && (now.Unix() > r.SealBy || age > until+endGrace):
				w.job(ctx, "the report of "+name, func(ctx context.Context) error { return w.open(ctx, a.Index, number, seat.Commit) })
			}
			if !over && age > 2*until+w.turn(a, at) {
				w.job(ctx, "the end of "+name, func(ctx context.Context) error { return w.end(ctx, a.Index, number) })
			}
		}
	}
	w.seen = seen
}

// turn is how long after its time this operator ends a round that nobody has ended.
func (w *Witness) turn(a *ledger.Ask, at int) time.Duration {
	if a.From == w.cfg.Operator {
		return endGrace
	}
	return endGrace + time.Duration(at+1)*endTurn
}

// end sends the note that lets a round end.
func (w *Witness) end(ctx context.Context, index uint64, round int) error {
	list, err := w.cfg.Ledger.Entries(index, 1)
	if err != nil || len(list) == 0 {
		return err
	}
	n := &waiting{Digests: []concord.Digest{concord.Sum([]byte(list[0].Text))}, Label: fmt.Sprintf("ask-%d-round-%d-over", index, round)}
	if _, err = w.send(ctx, n.body); err != nil {
		return err
	}
	return errAgain // not at once: the ledger may be slow to notice, and its clock another
}

// lookAndSeal looks at the page, unless that was done, and seals what was seen.
func (w *Witness) lookAndSeal(ctx context.Context, a *ledger.Ask, round int) error {
	r, err := w.report(a.Index, round)
	if err != nil {
		return err // it may have been sealed: a second look could only make a second, different seal
	}
	if r == nil {
		if r, err = w.look(ctx, a, round); err != nil || r == nil {
			return err
		}
	}
	_, err = w.send(ctx, func(h ledger.Head) ledger.Body {
		return &ledger.SealTx{Head: h, Ask: a.Index, Round: round, Commit: r.show.Commit()}
	})
	if concord.KindOf(err) == concord.Conflict || concord.KindOf(err) == concord.NotFound {
		w.cfg.Logger.Info("a report came too late to be sealed", "ask", a.Index, "round", round, "reason", err)
		return errSilent{}
	}
	return err
}

// look makes the report of a round and puts it on disk; nil: this operator has nothing to say.
func (w *Witness) look(ctx context.Context, a *ledger.Ask, round int) (*report, error) {
	if a.Profile != w.cfg.Profile {
		w.cfg.Logger.Info("an ask wants another normaliser than this program has; nothing is said", "ask", a.Index, "profile", a.Profile)
		return nil, w.notNow()
	}
	select {
	case w.looks <- struct{}{}:
		defer func() { <-w.looks }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	limited, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	seen, err := w.cfg.Look(limited, a.URL)
	switch concord.KindOf(err) {
	case concord.Unauthorized, concord.Invalid:
		if err != nil {
			w.cfg.Logger.Info("a page is not looked at; nothing is said", "ask", a.Index, "reason", err)
			return nil, w.notNow()
		}
	}
	if err != nil {
		return nil, err
	}
	// No network is claimed: what counts is what the others observed of this operator, which its seat has.
	show := &ledger.ShowTx{Head: w.head(0), Ask: a.Index, Round: round, Status: seen.Status, Final: seen.Final, Time: seen.Time.Unix(), Raw: seen.Raw,
		Text: textDigest(seen.Text), Sketch: ledger.SketchOf(seen.Text), Cert: seen.Cert, WARC: seen.Record, ASN: "-", Region: "-"}
	if _, err := rand.Read(show.Salt[:]); err != nil {
		return nil, err
	}
	signed, err := ledger.Sign(show, w.cfg.Keys.Op)
	if err != nil { // a URL after redirects that the ledger's grammar does not have
		show.Final = a.URL
		if signed, err = ledger.Sign(show, w.cfg.Keys.Op); err != nil {
			return nil, err
		}
	}
	r := &report{Show: string(signed), Text: seen.Text, Captures: seen.Captures, show: show}
	return r, w.writeFile(roundName(a.Index, round), r)
}

// errSilent ends a job that is not to be begun again soon.
type errSilent struct{}

func (errSilent) Error() string { return "nothing is said" }

func (w *Witness) notNow() error { return errSilent{} }

// open opens the report of a round.
func (w *Witness) open(ctx context.Context, index uint64, round int, commit concord.Digest) error {
	r, err := w.report(index, round)
	switch {
	case err != nil:
		return err
	case r == nil || r.show.Commit() != commit:
		w.cfg.Logger.Error("the report that was sealed is not on this node's disk any more: it cannot be opened", "ask", index, "round", round)
		return errSilent{}
	}
	_, err = w.send(ctx, func(h ledger.Head) ledger.Body {
		show := *r.show
		show.Head = h
		return &show
	})
	switch concord.KindOf(err) {
	case concord.Conflict, concord.NotFound:
		if err != nil {
			w.cfg.Logger.Info("a report came too late to be opened", "ask", index, "round", round, "reason", err)
			return errSilent{}
		}
	}
	return err
}

// announce puts the captures of a round that is over, or of a report that is open, on record.
func (w *Witness) announce(ctx context.Context, ask uint64, round int) error {
	r, err := w.report(ask, round)
	if err == nil && r != nil && !r.Announced {
		if err = w.cfg.Announce(ctx, r.Captures); err == nil {
			r.Announced = true
			err = w.writeFile(roundName(ask, round), r)
		}
	}
	if err != nil {
		return err
	}
	w.mu.Lock()
	w.told[roundName(ask, round)] = true
	w.mu.Unlock()
	return w.prune()
}

func (w *Witness) hasTold(name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.told[name]
}

// prune drops the oldest reports beyond the bound. Names sort by ask.
func (w *Witness) prune() error {
	names, err := w.names(roundPrefix)
	if err != nil {
		return err
	}
	slices.SortFunc(names, strings.Compare)
	for len(names) > maxReports {
		if err := w.removeFile(names[0]); err != nil {
			return err
		}
		w.mu.Lock()
		delete(w.told, names[0])
		w.mu.Unlock()
		names = names[1:]
	}
	return nil
}

// Text returns the text that this operator's report of a round is about, once the ledger has the report open. NotFound:
// there is none, or it is still sealed.
func (w *Witness) Text(ask uint64, round int) (string, error) {
	a, _, err := w.cfg.Ledger.Ask(ask)
	if err != nil {
		return "", err
	}
	none := concord.Errorf(concord.NotFound, "%s has no open report for round %d of ask %d", w.cfg.Operator, round, ask)
	if round < 1 || round > len(a.Rounds) {
		return "", none
	}
	at := slices.IndexFunc(a.Rounds[round-1].Seats, func(s ledger.Seat) bool { return s.Operator == w.cfg.Operator })
	if at < 0 || a.Rounds[round-1].Seats[at].Report == nil {
		return "", none
	}
	r, err := w.report(ask, round)
	if err == nil && r == nil {
		err = concord.Errorf(concord.NotFound, "the text of this report is not kept any more; the log has its digest")
	}
	if err != nil {
		return "", err
	}
	return r.Text, nil
}
