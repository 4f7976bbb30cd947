package witness

import (
	"context"
	"encoding/hex"
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"concord"
	"concord/ledger"
	"concord/receipt"
)

const (
	// maxNotes bounds the notes that wait for the ledger: days of halting at an ordinary rate.
	maxNotes = 4096
	// pause between two looks for a note that somebody waits for.
	notePause = 50 * time.Millisecond
)

// waiting is a note on its way, as its file has it.
type waiting struct {
	Digests []concord.Digest `json:"digests"` // sorted, each once
	Label   string           `json:"label,omitempty"`
}

// Notarised says how far a document's note is.
type Notarised struct {
	Digest concord.Digest
	Index  uint64 // of this operator's first note of it, when Logged
	Logged bool   // false: it waits for the ledger, or there is none
	Queued bool   // it waits for the ledger
	First  Noted  // of anybody's notes of it the first; From empty: there is none
}

func (n *waiting) body(h ledger.Head) ledger.Body {
	return &ledger.DocTx{Head: h, Digests: n.Digests, Label: n.Label}
}

func (n *waiting) name() string {
	sum := concord.Sum([]byte((&ledger.DocTx{Digests: n.Digests, Label: n.Label}).String()))
	return notePrefix + hex.EncodeToString(sum[:16]) + fileSuffix
}

// Notarise takes digests to the ledger, unless this operator's notes hold them already. When it returns without error the
// note is in the ledger or durably on its way there. It waits until ctx ends for the former. Errors: Invalid;
// Unavailable when too many notes wait.
func (w *Witness) Notarise(ctx context.Context, digests []concord.Digest, label string) ([]Notarised, error) {
	fresh, err := w.unnoted(digests)
	if err != nil {
		return nil, err
	}
	if len(fresh) > 0 {
		if err := w.queue(&waiting{fresh, label}); err != nil {
			return nil, err
		}
	}
	for {
		list, waits, err := w.notarised(digests)
		if err != nil || !waits {
			return list, err
		}
		select {
		case <-ctx.Done():
			return list, nil
		case <-time.After(notePause):
		}
	}
}

// unnoted returns those digests that no note of this operator holds or is about to, in the order of a note.
func (w *Witness) unnoted(digests []concord.Digest) (fresh []concord.Digest, err error) {
	for _, d := range digests {
		n, err := w.Document(d)
		if err != nil && concord.KindOf(err) != concord.NotFound {
			return nil, err
		}
		if !n.Logged && !n.Queued {
			fresh = append(fresh, d)
		}
	}
	slices.SortFunc(fresh, func(a, b concord.Digest) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(fresh), nil
}

// queue makes a note durable.
func (w *Witness) queue(n *waiting) error {
	h := w.head(0)
	if _, err := ledger.Sign(n.body(h), w.cfg.Keys.Op); err != nil { // too many digests, a label that is none
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.notes) >= maxNotes {
		return concord.Errorf(concord.Unavailable, "%d notes wait for the ledger, the limit; try again when it goes on", len(w.notes))
	}
	if err := w.writeFile(n.name(), n); err != nil {
		return err
	}
	w.notes[n.name()] = n
	w.wake()
	return nil
}

func (w *Witness) notarised(digests []concord.Digest) (list []Notarised, waits bool, err error) {
	for _, d := range digests {
		n, err := w.Document(d)
		if err != nil {
			return nil, false, err
		}
		list, waits = append(list, n), waits || n.Queued
	}
	return list, waits, nil
}

// Document says what this operator's ledger knows of a document's digest. NotFound: nobody's note holds it.
func (w *Witness) Document(d concord.Digest) (Notarised, error) {
	n := Notarised{Digest: d, Queued: w.waitingFor(d) != nil}
	first, own, err := w.cfg.Ledger.Noted(d, w.cfg.Operator)
	if err != nil {
		return n, err
	}
	n.First = first
	if own.From != "" {
		n.Index, n.Logged, n.Queued = own.Index, true, false
	}
	if !n.Queued && first.From == "" {
		return n, concord.Errorf(concord.NotFound, "no note in the ledger holds the digest %s", d.Labelled())
	}
	return n, nil
}

func (w *Witness) waitingFor(d concord.Digest) *waiting {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range w.notes {
		if slices.Contains(n.Digests, d) {
			return n
		}
	}
	return nil
}

// sendNotes begins to send what waits.
func (w *Witness) sendNotes(ctx context.Context) {
	w.mu.Lock()
	names := make([]string, 0, len(w.notes))
	for name := range w.notes {
		names = append(names, name)
	}
	w.mu.Unlock()
	slices.Sort(names)
	for _, name := range names[:min(len(names), maxLooks)] { // one is on its way at a time anyway
		w.job(ctx, name, func(ctx context.Context) error { return w.sendNote(ctx, name) })
	}
}

func (w *Witness) sendNote(ctx context.Context, name string) error {
	w.mu.Lock()
	n := w.notes[name]
	w.mu.Unlock()
	if n == nil {
		return nil
	}
	logged := true
	for _, d := range n.Digests {
		_, own, err := w.cfg.Ledger.Noted(d, w.cfg.Operator)
		if err != nil {
			return err
		}
		logged = logged && own.From != ""
	}
	if !logged {
		if _, err := w.send(ctx, n.body); err != nil {
			return err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.notes, name)
	return w.removeFile(name)
}

// Receipt returns the receipt of a document that this operator notarised, by the digest that stands in its note: under the
// earliest head that a quorum cosigned, under a lesser one while there is none, and of level 0 while the note waits.
// Asked again later it may be better. NotFound: this operator has not notarised it.
func (w *Witness) Receipt(d concord.Digest) ([]byte, error) {
	n, err := w.Document(d)
	if err == nil && !n.Logged && !n.Queued {
		err = concord.Errorf(concord.NotFound, "this operator has not notarised it; %s has, at entry %d of the ledger", n.First.From, n.First.Index)
	}
	if err != nil {
		return nil, err
	}
	parts := receipt.Document{File: d, Index: n.Index}
	at := uint64(math.MaxUint64) // the keys of now
	if n.Logged {
		at = n.Index
	}
	if parts.Admit, err = w.cfg.Ledger.Admission(w.cfg.Operator, at); err != nil {
		return nil, err
	}
	if !n.Logged {
		return w.promise(parts)
	}
	if err := w.complete(&parts); err != nil {
		return nil, err
	}
	return receipt.BuildDocument(parts)
}

// promise is the receipt of a note that waits: the same text under seq 0, which no ledger executes.
func (w *Witness) promise(parts receipt.Document) ([]byte, error) {
	n := w.waitingFor(parts.File)
	if n == nil {
		return nil, concord.Errorf(concord.Unavailable, "the note has just come into the ledger; try again")
	}
	tx, err := ledger.Sign(n.body(w.head(0)), w.cfg.Keys.Op)
	if err != nil {
		return nil, err
	}
	parts.Note = tx
	return receipt.BuildDocument(parts)
}

// complete fills in note, block record and their ways to the root.
func (w *Witness) complete(parts *receipt.Document) error {
	if err := w.findRecord(parts); err != nil {
		return err
	}
	head, err := w.cfg.Ledger.Covering(parts.RecordIndex)
	if err != nil {
		return err
	}
	var err2 error
	parts.Path, err = w.cfg.Ledger.Proof(parts.Index, head.Size)
	parts.RecordPath, err2 = w.cfg.Ledger.Proof(parts.RecordIndex, head.Size)
	parts.Checkpoint = []byte(head.Note)
	return errors.Join(err, err2)
}

// entriesPage is how many entries are read at once on the way to a block's record; a block has some thousand at most.
const entriesPage = 64

func (w *Witness) findRecord(parts *receipt.Document) error {
	for from := parts.Index; ; {
		list, err := w.cfg.Ledger.Entries(from, entriesPage)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			return concord.Errorf(concord.Unavailable, "the record of its block is not in the log yet; try again")
		}
		for i := range list {
			switch {
			case list[i].Index == parts.Index:
				parts.Note = []byte(list[i].Text)
			case list[i].Type == "block":
				parts.Record, parts.RecordIndex = []byte(list[i].Text), list[i].Index
				return nil
			}
		}
		from += uint64(len(list))
	}
}
