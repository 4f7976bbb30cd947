package receipt

import (
	"bytes"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"concord"
	"concord/note"
)

// promiseLabel is what tells the promise of a capture from that of a document.
const promiseLabel = "capture"

// Promise is what an operator hands out of a capture that is not in the log yet: a receipt of level 0. It is signed as the promise of a
// document is, by a doc transaction of seq 0, which no ledger executes. (An attestation would not do: two of one seq are proof of a lie,
// and one of a real seq must not leave before it is safe.) FORMAT.md has the parts' places.
type Promise struct {
	Entry concord.Entry
	Note  []byte // PromiseText, signed by the op key
	Admit []byte // the gov text that names the operator's op key, signed by its cosigning key
}

// PromiseText returns the text that an operator signs: the leaf hash of the entry, as a document of seq 0.
func PromiseText(e concord.Entry, chain, operator string) string {
	return fmt.Sprintf("concord/tx/v1 doc\nchain %s\nfrom %s\nseq 0\nsha256 %s\nlabel %s\n", chain, operator, leafOf(e), promiseLabel)
}

func leafOf(e concord.Entry) concord.Digest {
	return concord.Digest(tlog.RecordHash([]byte(e.String())))
}

// BuildPromise returns the bytes of a promise. It does not verify the parts: Verify does.
func BuildPromise(p Promise) ([]byte, error) {
	b := []byte(p.format())
	if q, err := parsePromise(b); err != nil || q.Entry != p.Entry {
		return nil, concord.Errorf(concord.Internal, "build promise: the parts have no canonical form: %v", err)
	}
	return b, nil
}

// IsPromise reports whether a file is a receipt of level 0, by how it begins: of a capture or of a document.
func IsPromise(data []byte) bool {
	return beginsWith(data, extraHead) || beginsWith(data, documentHead)
}

// beginsWith reports whether a file's first line is one.
func beginsWith(data []byte, line string) bool { return bytes.HasPrefix(data, []byte(line+"\n")) }

func (p *Promise) format() string {
	return fmt.Sprintf("%s\n%s\n\n%s\n%s", extraHead, p.Entry, p.Note, p.Admit)
}

// parsePromise reads a promise's structure. Anything that does not re-encode to itself is refused.
func parsePromise(data []byte) (*Promise, error) {
	if len(data) > MaxBytes {
		return nil, tooLong(len(data))
	}
	block := strings.Split(string(data), "\n\n")
	line, ok := strings.CutPrefix(block[0], extraHead+"\n")
	if len(block) != 5 || !ok {
		return nil, fmt.Errorf("want the line %q and an entry, a note and an admission", extraHead)
	}
	p := &Promise{Note: []byte(block[1] + "\n\n" + block[2] + "\n"), Admit: []byte(block[3] + "\n\n" + block[4])}
	var err error
	if p.Entry, err = concord.ParseEntry(line); err != nil {
		return nil, err
	}
	if p.format() != string(data) {
		return nil, fmt.Errorf("not in canonical form")
	}
	return p, nil
}

// verifyPromise checks what an operator handed out of a capture that is not in the log yet.
func (pol *Policy) verifyPromise(proof []byte, o Options) (*Report, error) {
	p, err := parsePromise(proof)
	if err != nil {
		return nil, failed(StepFile, "%v", err)
	}
	if o.URL != "" && o.URL != p.Entry.URL {
		return nil, failed(StepURL, "the receipt is of %s, not of %s", concord.Clip(p.Entry.URL, 200), concord.Clip(o.URL, 200))
	}
	n, err := note.Parse(p.Note)
	if err != nil {
		return nil, failed(StepAttest, "%v", err)
	}
	doc, err := parseDocNote(n.Text)
	if err != nil {
		return nil, failed(StepAttest, "%v", err)
	}
	if n.Text != PromiseText(p.Entry, doc.chain, doc.from) {
		return nil, failed(StepBatch, "the note is not the promise of this entry")
	}
	op, err := pol.checkAdmit(p.Admit, doc.from, doc.chain)
	if err != nil {
		return nil, err
	}
	if _, err := note.Open(p.Note, op); err != nil {
		return nil, failed(StepAttest, "not signed by the op key %08x of %s alone: %v", op.ID(), doc.from, err)
	}
	r := reportOf(p.Entry, len(proof))
	r.Operator, r.Chain, r.Witnesses = doc.from, doc.chain, pol.operators()
	r.explainCapturePromise()
	return r, nil
}

func (r *Report) explainCapturePromise() {
	r.NotBefore = r.Captured
	r.Proven = append([]string{r.stated(), r.promised()}, r.extracted()...)
	r.NotProven = []string{promiseWords, trueWords, visitorWords, aloneWords, siteWords, rankWords}
}

// promised says what a promise is worth, and promiseWords what it is not.
func (r *Report) promised() string {
	return fmt.Sprintf("The operator's own key signed that; it waits to be put into the log of %s.", r.Chain)
}

const promiseWords = "When: it is not in the log yet, and nobody but the operator has signed anything. Get the receipt again when the ledger goes on."
