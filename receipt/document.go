package receipt

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"concord"
	"concord/note"
)

const (
	documentHead = "concord/document/v1"
	recordHead   = "concord/block/v1"
)

// Document is what the receipt of a notarised document is made of. FORMAT.md has their places.
type Document struct {
	File  concord.Digest // SHA-256 of the document
	Salt  concord.Digest // zero: File itself is in the note, else Salted(Salt, File)
	Note  []byte         // the doc transaction, a signed note, byte for byte as in the log
	Admit []byte         // the gov text that names the operator's op key, signed by its cosigning key

	// Of a note that is in the log; without it the receipt is a promise, of level 0.
	Record      []byte           // the record of the block that ordered it
	RecordIndex uint64           // its place in the log
	RecordPath  []concord.Digest // from it to the root of the checkpoint
	Index       uint64           // place of the note
	Path        []concord.Digest // from it to the root of the checkpoint
	Checkpoint  []byte           // the cosigned checkpoint; empty: a promise
}

// Salted is the digest that is notarised of a document whose own digest is to stay unknown: SHA-256 of the salt's 32 bytes
// and the 32 bytes of the document's SHA-256.
func Salted(salt, file concord.Digest) concord.Digest {
	return concord.Sum(append(salt[:], file[:]...))
}

// Notarised returns the digest that stands in the note.
func (d *Document) Notarised() concord.Digest {
	if d.Salt.IsZero() {
		return d.File
	}
	return Salted(d.Salt, d.File)
}

// BuildDocument returns the bytes of a document's receipt. It does not verify the parts: Verify does.
func BuildDocument(d Document) ([]byte, error) {
	b := []byte(d.format())
	if _, err := ParseDocument(b); err != nil {
		return nil, concord.Errorf(concord.Internal, "build receipt: %w", err)
	}
	return b, nil
}

func (d *Document) promise() bool { return len(d.Checkpoint) == 0 }

func (d *Document) format() string {
	if d.promise() {
		return d.extra()
	}
	return formatProof("extra "+base64.StdEncoding.EncodeToString([]byte(d.extra()))+"\n", d.Index, d.Path, d.Checkpoint)
}

func (d *Document) extra() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nsha256 %s\n", documentHead, d.File)
	if !d.Salt.IsZero() {
		fmt.Fprintf(&b, "salt %s\n", d.Salt)
	}
	if !d.promise() {
		shared := sharedEnd(d.RecordPath, d.Path)
		fmt.Fprintf(&b, "record %d %d\n", d.RecordIndex, shared)
		for _, h := range d.RecordPath[:len(d.RecordPath)-shared] {
			b.WriteString(h.String() + "\n")
		}
		b.WriteByte('\n')
		b.Write(d.Record)
	}
	b.WriteByte('\n')
	b.Write(d.Note)
	b.WriteByte('\n')
	b.Write(d.Admit)
	return b.String()
}

// sharedEnd counts the hashes at the ends of two paths that are the same: the ways of neighbours to the root meet.
func sharedEnd(a, b []concord.Digest) (n int) {
	for n < len(a) && n < len(b) && a[len(a)-1-n] == b[len(b)-1-n] {
		n++
	}
	return n
}

// ParseDocument reads the receipt of a document, or the promise of one. Anything that does not re-encode to itself is
// refused. It verifies nothing.
func ParseDocument(data []byte) (*Document, error) {
	if len(data) > MaxBytes {
		return nil, tooLong(len(data))
	}
	d := new(Document)
	extra := string(data)
	if !strings.HasPrefix(extra, documentHead+"\n") {
		p, err := parseProof(data)
		if err != nil {
			return nil, err
		}
		extra, d.Index, d.Path, d.Checkpoint = p.extra, p.index, p.path, p.checkpoint
		if len(d.Checkpoint) == 0 {
			return nil, fmt.Errorf("no checkpoint")
		}
	}
	if err := d.parseExtra(extra); err != nil {
		return nil, err
	}
	if d.format() != string(data) {
		return nil, fmt.Errorf("not in canonical form")
	}
	return d, nil
}

func (d *Document) parseExtra(s string) error {
	block := strings.Split(s, "\n\n")
	want := 6
	if d.promise() {
		want = 5
	}
	if len(block) != want {
		return fmt.Errorf("%d blocks of lines, want %d", len(block), want)
	}
	lines := strings.Split(block[0], "\n")
	if len(lines) < 2 || lines[0] != documentHead {
		return fmt.Errorf("want the line %q and a digest", documentHead)
	}
	var err error
	if d.File, err = digestLine(lines[1], "sha256"); err != nil {
		return err
	}
	lines = lines[2:]
	if len(lines) > 0 && strings.HasPrefix(lines[0], "salt ") {
		if d.Salt, err = digestLine(lines[0], "salt"); err != nil {
			return err
		}
		lines = lines[1:]
	}
	rest := block[1:]
	if !d.promise() {
		if err := d.parseRecord(lines); err != nil {
			return err
		}
		d.Record, rest = []byte(rest[0]+"\n"), rest[1:]
	} else if len(lines) > 0 {
		return fmt.Errorf("unexpected line %q", concord.Clip(lines[0], 60))
	}
	d.Note = []byte(rest[0] + "\n\n" + rest[1] + "\n")
	d.Admit = []byte(rest[2] + "\n\n" + rest[3])
	return nil
}

// parseRecord reads the line "record <index> <shared>" and the hashes that are not shared.
func (d *Document) parseRecord(lines []string) error {
	if len(lines) == 0 {
		return fmt.Errorf("want a line \"record <index> <shared>\"")
	}
	f := strings.Split(lines[0], " ")
	if len(f) != 3 || f[0] != "record" {
		return fmt.Errorf("want a line \"record <index> <shared>\"")
	}
	shared, err := strconv.Atoi(f[2])
	if err != nil || shared < 0 || shared > len(d.Path) {
		return fmt.Errorf("the paths cannot share so many hashes")
	}
	if d.RecordIndex, err = strconv.ParseUint(f[1], 10, 64); err != nil {
		return fmt.Errorf("the record's index is not a number")
	}
	own, err := parsePath(lines[1:])
	if err != nil {
		return fmt.Errorf("path of the block record: %w", err)
	}
	d.RecordPath = slices.Concat(own, d.Path[len(d.Path)-shared:])
	return nil
}

func digestLine(line, key string) (concord.Digest, error) {
	v, ok := strings.CutPrefix(line, key+" ")
	d, err := concord.ParseDigest(v)
	if !ok || err != nil || d.IsZero() {
		return d, fmt.Errorf("want a line %q and the base64 of 32 bytes", key)
	}
	return d, nil
}

// DocumentReport is what the receipt of a document says beside what every receipt does.
type DocumentReport struct {
	SHA256    concord.Digest `json:"sha256"`
	Salted    bool           `json:"salted,omitempty"` // the log has a salted digest; the salt is in the receipt
	Label     string         `json:"label,omitempty"`
	Documents int            `json:"documents"`        // digests in the note
	Height    int64          `json:"height,omitempty"` // of the block that ordered the note
	Ordered   time.Time      `json:"ordered,omitzero"` // its time, which consensus gave it
}

// docNote is what a receipt needs of a doc transaction (package ledger has the whole grammar).
type docNote struct {
	chain, from string
	seq         uint64
	digests     []concord.Digest
	label       string
}

func parseDocNote(text string) (n docNote, err error) {
	lines := strings.Split(text, "\n")
	if len(lines) < 6 || lines[0] != "concord/tx/v1 doc" || lines[len(lines)-1] != "" {
		return n, fmt.Errorf("not the text of a doc transaction")
	}
	lines = lines[1 : len(lines)-1]
	for i, key := range []string{"chain", "from", "seq"} {
		v, ok := strings.CutPrefix(lines[i], key+" ")
		if !ok || v == "" {
			return n, fmt.Errorf("line %d is not %q and a value", i+2, key)
		}
		switch key {
		case "chain":
			n.chain = v
		case "from":
			n.from = v
		default:
			if n.seq, err = strconv.ParseUint(v, 10, 64); err != nil {
				return n, fmt.Errorf("seq is not a number")
			}
		}
	}
	for _, l := range lines[3:] {
		if v, ok := strings.CutPrefix(l, "label "); ok && n.label == "" && len(n.digests) > 0 {
			n.label = v
			continue
		}
		d, err := digestLine(l, "sha256")
		if err != nil || n.label != "" {
			return n, fmt.Errorf("want lines \"sha256 …\" and at most one label after them")
		}
		n.digests = append(n.digests, d)
	}
	return n, nil
}

// blockTime reads what a receipt needs of a block record (package ledger has the whole grammar).
func blockTime(record []byte) (height, seconds int64, txs uint64, err error) {
	lines := strings.Split(string(record), "\n")
	if len(lines) < 8 || lines[0] != recordHead {
		return 0, 0, 0, fmt.Errorf("not a block record")
	}
	h, ok1 := strings.CutPrefix(lines[1], "height ")
	t, ok2 := strings.CutPrefix(lines[3], "time ")
	n, ok3 := strings.CutPrefix(lines[5], "txs ")
	height, err1 := strconv.ParseInt(h, 10, 64)
	seconds, err2 := strconv.ParseInt(t, 10, 64)
	txs, err3 := strconv.ParseUint(n, 10, 64)
	if !ok1 || !ok2 || !ok3 || err1 != nil || err2 != nil || err3 != nil {
		return 0, 0, 0, fmt.Errorf("it lacks height, time or txs")
	}
	return height, seconds, txs, nil
}

// verifyDocument checks the receipt of a document, or the promise of one.
func (pol *Policy) verifyDocument(proof []byte, o Options) (*Report, error) {
	d, err := ParseDocument(proof)
	switch {
	case err != nil:
		return nil, failed(StepFile, "%v", err)
	case o.URL != "":
		return nil, failed(StepURL, "the receipt is of a document, not of %s", concord.Clip(o.URL, 200))
	}
	n, doc, err := d.checkNote(pol)
	if err != nil {
		return nil, err
	}
	r := &Report{Operator: doc.from, Chain: doc.chain, Seq: doc.seq, SizeBytes: len(proof), Witnesses: pol.operators(),
		Document: &DocumentReport{SHA256: d.File, Salted: !d.Salt.IsZero(), Label: doc.label, Documents: len(doc.digests)}}
	if d.promise() {
		if doc.seq != 0 {
			return nil, failed(StepFile, "a promise has seq 0, this note has %d", doc.seq)
		}
		r.explainPromise()
		return r, nil
	}
	r.Index, r.Checkpoint = d.Index, string(d.Checkpoint)
	cp, err := pol.checkCheckpoint(d.Checkpoint, r)
	if err != nil {
		return nil, err
	}
	if err := checkPath(d.Path, d.Index, cp.Size, cp.Root, tlog.RecordHash(n.Bytes())); err != nil {
		return nil, failed(StepLog, "entry %d does not lie under the checkpoint of %d entries: %v", d.Index, cp.Size, err)
	}
	if err := d.checkRecord(cp, r); err != nil {
		return nil, err
	}
	r.explainDocument()
	return r, nil
}

// checkNote: the digest is in the note, and the operator's op key, for which the policy's key vouches, signed it.
func (d *Document) checkNote(pol *Policy) (*note.Note, docNote, error) {
	n, err := note.Parse(d.Note)
	if err != nil {
		return nil, docNote{}, failed(StepAttest, "%v", err)
	}
	doc, err := parseDocNote(n.Text)
	if err != nil {
		return nil, doc, failed(StepAttest, "%v", err)
	}
	if !slices.Contains(doc.digests, d.Notarised()) {
		return nil, doc, failed(StepBatch, "the note does not hold the digest %s of this document", d.Notarised().Labelled())
	}
	op, err := pol.checkAdmit(d.Admit, doc.from, doc.chain)
	if err != nil {
		return nil, doc, err
	}
	if _, err := note.Open(d.Note, op); err != nil {
		return nil, doc, failed(StepAttest, "not signed by the op key %08x of %s alone: %v", op.ID(), doc.from, err)
	}
	return n, doc, nil
}

// checkRecord: the record lies under the checkpoint and is that of the note's block.
func (d *Document) checkRecord(cp note.Checkpoint, r *Report) error {
	height, seconds, txs, err := blockTime(d.Record)
	if err != nil {
		return failed(StepLog, "block record: %v", err)
	}
	if d.RecordIndex <= d.Index || d.RecordIndex-d.Index > txs {
		return failed(StepLog, "the record at %d, of a block of %d transactions, is not that of the block of entry %d", d.RecordIndex, txs, d.Index)
	}
	if err := checkPath(d.RecordPath, d.RecordIndex, cp.Size, cp.Root, tlog.RecordHash(d.Record)); err != nil {
		return failed(StepLog, "the block record does not lie under the checkpoint of %d entries: %v", cp.Size, err)
	}
	r.Document.Height, r.Document.Ordered = height, time.Unix(seconds, 0).UTC()
	r.NotBefore = r.Document.Ordered
	return nil
}

func (r *Report) documentWords() []string {
	words := fmt.Sprintf("%s notarised a document with SHA-256 %s", r.Operator, r.Document.SHA256.Labelled())
	if r.Document.Salted {
		words += "; what it made public is that digest salted, and the salt is in this receipt"
	}
	if r.Document.Label != "" {
		words += fmt.Sprintf(" (label %q)", r.Document.Label)
	}
	return []string{words + "."}
}

var documentNotProven = []string{
	"That what the document says is true, or who wrote it.",
	"That nobody notarised the same document earlier: the log would show it, this receipt does not.",
	"That the document did not exist long before.",
}

func (r *Report) explainPromise() {
	r.Proven = append(r.documentWords(), r.promised())
	r.NotProven = append([]string{promiseWords}, documentNotProven...)
}

func (r *Report) explainDocument() {
	r.setLevel()
	r.Proven = append(r.documentWords(),
		fmt.Sprintf("The note is entry %d of the log %s, in block %d; it cannot be changed or taken out without breaking the log for everybody who holds a later checkpoint.", r.Index, r.Log, r.Document.Height),
		r.cosignedBy())
	r.Proven = append(r.Proven, r.anchoredBy()...)
	if !r.NotAfter.IsZero() {
		r.Proven = append(r.Proven, fmt.Sprintf("So the document existed, and the note was put into the log between %s, the block's time, and %s, the first cosigner's.", r.NotBefore.Format(time.RFC3339), r.by()))
	}
	r.NotProven = append(r.NotProven, documentNotProven...)
	r.NotProven = append(r.NotProven, "The exact time: a block's time may lag on a quiet ledger, and each cosigner goes by its own clock.", r.collusion())
}
