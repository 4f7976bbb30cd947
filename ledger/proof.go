package ledger

import (
	"bytes"

	"golang.org/x/mod/sumdb/tlog"

	"concord"
	"concord/note"
)

// prove executes a fault: the proof must hold, and the member loses its vote and its voice.
func (r *run) prove(f *FaultTx) error {
	m := r.Member(f.Who)
	switch {
	case m == nil || m.Status == Left:
		return concord.Errorf(concord.NotFound, "fault: %s is not a member", f.Who)
	case m.Status == Faulted:
		return concord.Errorf(concord.Conflict, "fault: %s is faulted already", f.Who)
	}
	if err := f.Check(&m.Admission); err != nil {
		return err
	}
	r.fault(f.Who)
	return nil
}

// Check reports why a proof does not hold against an operator with these keys. It needs nothing but the proof: outsiders
// can use it with keys from an admission.
func (f *FaultTx) Check(keys *Admission) error {
	a, errA := note.Parse(f.A)
	b, errB := note.Parse(f.B)
	if errA != nil || errB != nil || len(a.Sigs) != 1 || len(b.Sigs) != 1 {
		return concord.Errorf(concord.Invalid, "fault: a and b must each be a signed note with one signature line")
	}
	if f.Kind != "tree" && f.Kind != "leaf" && bytes.Compare(f.A, f.B) >= 0 {
		return concord.Errorf(concord.Invalid, "fault: a must sort before b, and be another")
	}
	signers := []note.Key{keys.Op}
	if f.Kind == "fork" || f.Kind == "tree" {
		signers = []note.Key{keys.Cosign, keys.Log}
	}
	signed := false
	for _, k := range signers {
		signed = signed || k.Verify(a.Text, a.Sigs[0]) && k.Verify(b.Text, b.Sigs[0])
	}
	if !signed {
		return concord.Errorf(concord.Unauthorized, "fault: a and b are not both signed by the same current key of %s that is for such notes", f.Who)
	}
	switch f.Kind {
	case "fork", "tree":
		return f.checkTrees(a.Text, b.Text)
	case "attest":
		return checkAttests(a.Text, b.Text)
	case "leaf":
		return checkLeaf(a.Text, b.Text)
	}
	return f.checkReports(a, b)
}

func innocent(why string) error {
	return concord.Errorf(concord.Invalid, "fault: this proves nothing: %s", why)
}

func (f *FaultTx) checkTrees(a, b string) error {
	x, err := note.ParseCheckpoint(a)
	if err != nil {
		return err
	}
	y, err := note.ParseCheckpoint(b)
	if err != nil {
		return err
	}
	switch {
	case x.Origin != y.Origin:
		return innocent("the checkpoints are of two logs")
	case f.Kind == "fork" && x.Size != y.Size:
		return innocent("the checkpoints are of two sizes")
	case f.Kind == "fork" && x.Root == y.Root, f.Kind == "tree" && x.Root == f.Root:
		return innocent("the roots are the same")
	case f.Kind == "fork":
		return nil
	case x.Size == 0 || x.Size >= y.Size:
		return innocent("a must be smaller than b, and not empty")
	}
	if err := tlog.CheckTree(hashes(f.Proof), int64(y.Size), tlog.Hash(y.Root), int64(x.Size), tlog.Hash(f.Root)); err != nil {
		return innocent("the consistency proof from root to b does not hold")
	}
	return nil
}

func hashes(path []concord.Digest) []tlog.Hash {
	list := make([]tlog.Hash, len(path))
	for i, h := range path {
		list[i] = tlog.Hash(h)
	}
	return list
}

func checkAttests(a, b string) error {
	x, err := concord.ParseAttestation(a)
	if err != nil {
		return err
	}
	y, err := concord.ParseAttestation(b)
	switch {
	case err != nil:
		return err
	case x.Chain != y.Chain || x.From != y.From || x.Seq != y.Seq:
		return innocent("the attestations differ in chain or seq")
	case x == y:
		return innocent("the attestations say the same")
	}
	return nil
}

func (f *FaultTx) checkReports(a, b *note.Note) error {
	x, err := ParseTx(a.Bytes())
	if err != nil {
		return err
	}
	y, err := ParseTx(b.Bytes())
	if err != nil {
		return err
	}
	if x.Type != f.Kind || y.Type != f.Kind {
		return innocent("the notes are not of the type that kind says")
	}
	same := innocent("the two differ in chain, ask or round, or say the same")
	if f.Kind == "seal" {
		s, t := *x.Seal, *y.Seal
		if s.Chain != t.Chain || s.From != t.From || s.Ask != t.Ask || s.Round != t.Round || s.Commit == t.Commit {
			return same
		}
		return nil
	}
	s, t := *x.Show, *y.Show
	if s.Chain != t.Chain || s.From != t.From || s.Ask != t.Ask || s.Round != t.Round || s.Commit() == t.Commit() {
		return same
	}
	return nil
}

func checkLeaf(a, b string) error {
	v, err := ParseReveal(a)
	if err != nil {
		return err
	}
	x, err := concord.ParseAttestation(b)
	switch {
	case err != nil:
		return err
	case v.Chain != x.Chain || v.From != x.From || v.Seq != x.Seq:
		return innocent("the reveal is not of this attestation")
	case x.Count > note.MaxTreeSize:
		return innocent("the attestation's count is beyond any tree")
	case v.Index >= x.Count:
		return nil // it claims an entry the batch cannot have
	}
	if tlog.CheckRecord(hashes(v.Path), int64(x.Count), tlog.Hash(x.Root), int64(v.Index), tlog.RecordHash([]byte(v.Entry))) == nil {
		return innocent("the entry lies under the attested root")
	}
	return nil
}
