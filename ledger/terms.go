package ledger

import (
	"bytes"
	"slices"
	"strconv"

	"concord"
)

// Terms returns what an entry of the log names, each once; nothing for what is no entry. Attestations have no term of their type, and
// records none but of operators that misbehaved: half of all entries are the one and half the other.
func Terms(entry []byte) (list []concord.LedgerTerm) {
	add := func(kind string, values ...string) {
		for _, v := range values {
			if t := (concord.LedgerTerm{Kind: kind, Value: v}); v != "" && !slices.Contains(list, t) {
				list = append(list, t)
			}
		}
	}
	digests := func(values ...concord.Digest) {
		for _, d := range values {
			if !d.IsZero() {
				add(concord.TermDigest, d.String())
			}
		}
	}
	if IsRecord(entry) {
		if !bytes.Contains(entry, []byte("\nbad ")) {
			return nil
		}
		if r, err := ParseRecord(string(entry)); err == nil {
			for _, e := range r.Bad {
				if e.Operator != "-" {
					add(concord.TermOperator, e.Operator)
				}
			}
		}
		return list
	}
	t, err := ParseTx(entry)
	if err != nil {
		return nil
	}
	add(concord.TermOperator, t.From)
	if t.Attest != nil {
		digests(t.Attest.Root)
		return list
	}
	add(concord.TermType, t.Type)
	switch {
	case t.Gov != nil:
		add(concord.TermOperator, concerned(t.Gov)...)
	case t.Ask != nil:
		add(concord.TermURL, t.Ask.URL)
	case t.Seal != nil:
		add(concord.TermAsk, strconv.FormatUint(t.Seal.Ask, 10))
		digests(t.Seal.Commit)
	case t.Show != nil:
		add(concord.TermAsk, strconv.FormatUint(t.Show.Ask, 10))
		add(concord.TermURL, t.Show.Final)
		digests(t.Show.Raw, t.Show.Text, t.Show.Cert, t.Show.WARC)
	case t.Doc != nil:
		digests(t.Doc.Digests...)
		for _, d := range t.Doc.Digests { // by itself as well: nobody can hide a note behind entries that name its digest
			add(concord.TermDocument, d.String())
		}
	case t.Pay != nil:
		add(concord.TermOperator, t.Pay.To)
		digests(t.Pay.Ref)
	case t.Fault != nil:
		add(concord.TermOperator, t.Fault.Who)
	}
	return list
}

// concerned returns the operators that a decision is about.
func concerned(g *Gov) (list []string) {
	list = append(list, g.Drop, g.Clear)
	if g.Admit != nil {
		list = append(list, g.Admit.Operator)
	}
	for _, p := range g.Powers {
		list = append(list, p.Operator)
	}
	if g.Rotate != nil {
		list = append(list, g.Rotate.Operator)
	}
	if g.Line != nil {
		list = append(list, g.Line.Operator)
	}
	if g.Place != nil {
		list = append(list, g.Place.Operator)
	}
	return list
}
