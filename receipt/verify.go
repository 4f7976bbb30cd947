// Package receipt answers "does this proof hold?". A receipt is one file that shows, without a network, a node or any
// other file than the policy, that an operator stated to have made a capture and that this statement lies in a
// ledger's log whose head was cosigned. Anyone may import it: it is pure and needs only the standard library,
// golang.org/x/mod and the packages concord and concord/note.
//
// It does not fetch, does not re-extract text, and does not say that a page was true; Report.NotProven lists what stays
// open. FORMAT.md has the bytes.
//
// Invariants:
//   - A receipt has one byte form; what does not re-encode to itself is refused.
//   - Every byte of a receipt is covered by a hash or a signature that Verify checks: changing any one makes it fail.
//   - Every failure names the step and the reason.
package receipt

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"concord"
	"concord/note"
)

// Options narrow what is accepted. The zero value accepts a receipt of any URL.
type Options struct {
	URL string // when set, the receipt must be of this URL
}

// Report is what a valid receipt shows.
type Report struct {
	URL      string         `json:"url,omitempty"` // of a capture, as all to Record
	Operator string         `json:"operator"`
	Captured time.Time      `json:"captured,omitzero"` // as the operator states it
	Status   int            `json:"status,omitempty"`
	Raw      concord.Digest `json:"raw,omitzero"`
	Text     concord.Digest `json:"text,omitzero"`
	Profile  string         `json:"profile,omitempty"`
	Record   concord.Digest `json:"record,omitzero"`

	Outcome  *OutcomeReport  `json:"outcome,omitempty"`  // of a witnessed page; nil likewise
	Document *DocumentReport `json:"document,omitempty"` // of a notarised document; nil: the receipt is of a capture

	Chain string `json:"chain"`
	Log   string `json:"log"`             // the log's origin
	Index uint64 `json:"index"`           // of the attest transaction in the log
	Size  uint64 `json:"size"`            // entries under the checkpoint
	Seq   uint64 `json:"seq"`             // the attestation's number among the operator's
	Batch uint64 `json:"batch,omitempty"` // captures in the batch

	// Level is 0: promised, not in the log; 1: cosigned by its own operator; 2: by two or more; 3: and a panel of operators saw the same;
	// 4: as 2 or 3, and witnesses from outside cosigned too.
	Level      int           `json:"level"`
	Cosigned   []Cosignature `json:"cosigned"`             // by operators
	Cosigners  int           `json:"k"`                    // operators of the policy that cosigned
	Witnesses  int           `json:"n"`                    // operators of the policy
	Anchored   []Cosignature `json:"anchored,omitempty"`   // by witnesses from outside
	NotBefore  time.Time     `json:"notBefore,omitzero"`   // a capture's time, the operator's statement alone; of a document its block's
	NotAfter   time.Time     `json:"notAfter,omitzero"`    // earliest cosignature, an operator's or one from outside: it was in the log by then
	NotAfterBy string        `json:"notAfterBy,omitempty"` // whose that is
	Proven     []string      `json:"proven"`               // in plain words
	NotProven  []string      `json:"notProven"`            // in plain words
	SizeBytes  int           `json:"sizeBytes"`            // of the receipt
	Checkpoint string        `json:"checkpoint"`           // the signed checkpoint

	anchored bool // as many witnesses from outside signed as the policy asks for
}

// Cosignature is one verified cosignature.
type Cosignature struct {
	Name string    `json:"name"`
	Time time.Time `json:"time"` // by the cosigner's clock
}

// Step names a step of verification.
type Step string

// The steps, in their order.
const (
	StepPolicy     Step = "policy"
	StepFile       Step = "receipt file"
	StepURL        Step = "url"
	StepBatch      Step = "batch proof"
	StepOperator   Step = "operator key"
	StepAttest     Step = "attestation"
	StepCheckpoint Step = "checkpoint"
	StepQuorum     Step = "quorum"
	StepLog        Step = "log proof"
	StepContent    Step = "content"
)

// StepError says which step failed and why. It is an Invalid error.
type StepError struct {
	Step   Step
	Reason string
}

func (e *StepError) Error() string { return string(e.Step) + ": " + e.Reason }

func failed(step Step, format string, args ...any) error {
	return concord.Errorf(concord.Invalid, "%w", &StepError{step, fmt.Sprintf(format, args...)})
}

// Verify checks a receipt against a policy. A nil error means that everything in Report.Proven holds. A failure wraps a
// *StepError. Verify is pure and safe for concurrent use.
func Verify(proof, policy []byte, o Options) (*Report, error) {
	pol, err := ParsePolicy(policy)
	if err != nil {
		return nil, failed(StepPolicy, "%v", err)
	}
	return pol.Verify(proof, o)
}

// Verify is the function Verify with a parsed policy.
func (pol *Policy) Verify(proof []byte, o Options) (*Report, error) {
	switch kindOf(proof) {
	case documentHead:
		return pol.verifyDocument(proof, o)
	case outcomeHead:
		return pol.verifyOutcome(proof, o)
	case promiseLabel:
		return pol.verifyPromise(proof, o)
	}
	p, err := parse(proof)
	if err != nil {
		return nil, failed(StepFile, "%v", err)
	}
	if o.URL != "" && o.URL != p.Entry.URL {
		return nil, failed(StepURL, "the receipt is of %s, not of %s", concord.Clip(p.Entry.URL, 200), concord.Clip(o.URL, 200))
	}
	r := reportOf(p.Entry, len(proof))
	r.Index, r.Checkpoint = p.Index, string(p.Checkpoint)
	att, err := p.checkBatch()
	if err != nil {
		return nil, err
	}
	if err := p.checkAttest(att, pol); err != nil {
		return nil, err
	}
	r.Operator, r.Chain, r.Seq, r.Batch = att.From, att.Chain, att.Seq, att.Count
	cp, err := pol.checkCheckpoint(p.Checkpoint, r)
	if err != nil {
		return nil, err
	}
	if err := checkPath(p.Path, p.Index, cp.Size, cp.Root, tlog.RecordHash(p.Attest)); err != nil {
		return nil, failed(StepLog, "entry %d does not lie under the checkpoint of %d entries: %v", p.Index, cp.Size, err)
	}
	r.explain()
	return r, nil
}

// Attested returns the attestation after it has checked that the entry lies under its root: if the transaction Attest is in a log that one
// believes, its signer has stated the entry. Errors: Invalid, a *StepError.
func (p *Parts) Attested() (concord.Attestation, error) { return p.checkBatch() }

// checkBatch: the entry lies under the attested root at its place.
func (p *Parts) checkBatch() (concord.Attestation, error) {
	n, err := note.Parse(p.Attest)
	if err != nil {
		return concord.Attestation{}, failed(StepAttest, "%v", err)
	}
	att, err := concord.ParseAttestation(n.Text)
	if err != nil {
		return att, failed(StepAttest, "%v", err)
	}
	if att.Count != p.BatchCount {
		return att, failed(StepBatch, "the receipt speaks of a batch of %d, the attestation of %d", p.BatchCount, att.Count)
	}
	if p.Entry.Time < att.First || p.Entry.Time > att.Last {
		return att, failed(StepBatch, "the capture's time %d lies outside the attested span %d to %d", p.Entry.Time, att.First, att.Last)
	}
	leaf := tlog.RecordHash([]byte(p.Entry.String()))
	if err := checkPath(p.BatchPath, p.BatchIndex, p.BatchCount, att.Root, leaf); err != nil {
		return att, failed(StepBatch, "the capture line does not lie under the attested root: %v", err)
	}
	return att, nil
}

// checkAttest: a cosigning key of the policy names the operator's op key, and that key signed the attestation.
func (p *Parts) checkAttest(att concord.Attestation, pol *Policy) error {
	op, err := pol.checkAdmit(p.Admit, att.From, att.Chain)
	if err != nil {
		return err
	}
	if _, err := note.Open(p.Attest, op); err != nil {
		return failed(StepAttest, "not signed by the op key %08x of %s alone: %v", op.ID(), att.From, err)
	}
	return nil
}

// checkAdmit returns the op key of an operator on a chain, for which a cosigning key of the policy vouches.
func (pol *Policy) checkAdmit(admit []byte, from, chainID string) (op note.Key, err error) {
	n, err := note.Parse(admit)
	if err != nil {
		return op, failed(StepOperator, "%v", err)
	}
	a, err := parseAdmission(n.Text)
	if err != nil {
		return op, failed(StepOperator, "%v", err)
	}
	chain, _, _ := strings.Cut(chainID, ":")
	switch {
	case a.operator != from:
		return op, failed(StepOperator, "the keys are those of %q, the attestation is from %q", a.operator, from)
	case a.chain != chain:
		return op, failed(StepOperator, "the keys are for chain %q, the attestation is on chain %q", a.chain, chainID)
	case len(n.Sigs) != 1:
		return op, failed(StepOperator, "the op key of %s is signed by %d keys; want its cosigning key alone", a.operator, len(n.Sigs))
	}
	for _, w := range pol.Witnesses {
		if !w.Outside && w.Key.Name == a.operator && w.Key.Made(n.Sigs[0]) {
			if !w.Key.Verify(n.Text, n.Sigs[0]) {
				return op, failed(StepOperator, "the op key of %s is not signed by its cosigning key %08x", a.operator, w.Key.ID())
			}
			return a.op, nil
		}
	}
	return op, failed(StepOperator, "the policy does not list the cosigning key %08x of %s, which vouches for its op key", n.Sigs[0].ID, a.operator)
}

// checkCheckpoint: a log of the policy signed the checkpoint, and a quorum of witnesses cosigned it. A line by a key that
// the policy does not list is refused: nothing in the file would cover its bytes.
func (pol *Policy) checkCheckpoint(checkpoint []byte, r *Report) (note.Checkpoint, error) {
	n, err := note.Open(checkpoint, pol.keys()...)
	if err != nil {
		if s := pol.unlisted(checkpoint); s != nil {
			return note.Checkpoint{}, failed(StepCheckpoint, "the policy does not list the key %08x of %q, which signed it: a policy from before that key was in use is too old for this receipt, get it anew",
				s.ID, concord.Clip(s.Name, 80))
		}
		return note.Checkpoint{}, failed(StepCheckpoint, "%v", err)
	}
	cp, err := note.ParseCheckpoint(n.Text)
	if err != nil {
		return cp, failed(StepCheckpoint, "%v", err)
	}
	logged, signed := false, map[int]bool{}
	for _, s := range n.Sigs {
		for _, k := range pol.Logs {
			logged = logged || k.Made(s) && k.Name == cp.Origin
		}
		for i, w := range pol.Witnesses {
			if w.Key.Made(s) {
				t, _ := s.Time()
				signed[i] = true
				r.cosigned(w, time.Unix(t, 0).UTC())
			}
		}
	}
	if !logged {
		return cp, failed(StepCheckpoint, "no log of the policy named %q signed it", cp.Origin)
	}
	r.Log, r.Size, r.Cosigners, r.Witnesses, r.anchored = cp.Origin, cp.Size, len(r.Cosigned), pol.operators(), pol.anchored(signed)
	if !pol.satisfied(signed) {
		return cp, failed(StepQuorum, "%d of %d witnesses cosigned, which is not the quorum %q of the policy", len(signed), len(pol.Witnesses), pol.quorum)
	}
	return cp, nil
}

// unlisted returns a line of a checkpoint by a key that the policy does not list; nil: there is none.
func (pol *Policy) unlisted(checkpoint []byte) *note.Sig {
	n, err := note.Parse(checkpoint)
	if err != nil {
		return nil
	}
	keys := pol.keys()
	for _, s := range n.Sigs {
		if !slices.ContainsFunc(keys, func(k note.Key) bool { return k.Made(s) }) {
			return &s
		}
	}
	return nil
}

func (r *Report) cosigned(w Witness, t time.Time) {
	c := Cosignature{w.Key.Name, t}
	if w.Outside {
		r.Anchored = append(r.Anchored, c)
	} else {
		r.Cosigned = append(r.Cosigned, c)
	}
	if r.NotAfter.IsZero() || t.Before(r.NotAfter) {
		r.NotAfter, r.NotAfterBy = t, c.Name
	}
}

// checkPath checks an RFC 6962 inclusion path.
func checkPath(path []concord.Digest, index, size uint64, root concord.Digest, leaf tlog.Hash) error {
	if index >= size || size > note.MaxTreeSize {
		return fmt.Errorf("index %d is not below the size %d", index, size)
	}
	proof := make(tlog.RecordProof, len(path))
	for i, h := range path {
		proof[i] = tlog.Hash(h)
	}
	if tlog.CheckRecord(proof, int64(size), tlog.Hash(root), int64(index), leaf) != nil {
		return fmt.Errorf("the hashes do not add up to the root")
	}
	return nil
}
