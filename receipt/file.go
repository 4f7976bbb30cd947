package receipt

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"concord"
	"concord/note"
)

const (
	proofHead = "c2sp.org/tlog-proof@v1"
	extraHead = "concord/receipt/v1"

	// MaxBytes bounds a receipt file: the longest URL, the longest paths and a checkpoint with MaxSigs cosignatures.
	MaxBytes = 64 << 10
	// maxPath is the longest inclusion path: trees have at most 2^62 leaves.
	maxPath = 62
)

// Parts are what a receipt is made of. FORMAT.md has their place in the file.
type Parts struct {
	Entry      concord.Entry
	BatchIndex uint64           // place of the entry in its batch
	BatchCount uint64           // entries of the batch
	BatchPath  []concord.Digest // from the entry to the batch root, the leaf's sibling first
	Attest     []byte           // the attest transaction, a signed note, byte for byte as in the log
	Admit      []byte           // the gov text that names the operator's op key, signed by its cosigning key
	Index      uint64           // place of the attest transaction in the log
	Path       []concord.Digest // from it to the root of the checkpoint
	Checkpoint []byte           // the cosigned checkpoint, a signed note
}

// Log is a copy of the log, as receipts are made with it. Package chain provides it.
type Log interface {
	// Covering returns the signed head under which a receipt of an entry proves most; later it may be another.
	Covering(index uint64) (concord.Checkpoint, error)
	// Proof returns the inclusion path of an entry under the first size entries.
	Proof(index, size uint64) ([]concord.Digest, error)
}

// Under puts in the checkpoint that covers the attest transaction, and the path to it. Errors are the log's.
func (p *Parts) Under(log Log) error {
	head, err := log.Covering(p.Index)
	if err != nil {
		return err
	}
	p.Checkpoint = []byte(head.Note)
	p.Path, err = log.Proof(p.Index, head.Size)
	return err
}

// Build returns the bytes of a receipt. It does not verify the parts: Verify does.
func Build(p Parts) ([]byte, error) {
	b := []byte(p.format())
	q, err := parse(b)
	if err != nil {
		return nil, concord.Errorf(concord.Internal, "build receipt: %w", err)
	}
	if q.Entry != p.Entry {
		return nil, concord.Errorf(concord.Internal, "build receipt: the entry has no canonical form")
	}
	return b, nil
}

func (p *Parts) format() string {
	return formatProof("extra "+base64.StdEncoding.EncodeToString([]byte(p.extra()))+"\n", p.Index, p.Path, p.Checkpoint)
}

// FormatProof returns the bare tlog-proof, without extra, of one entry of a log: its place, its inclusion path, the
// leaf's sibling first, and the checkpoint that covers it.
func FormatProof(index uint64, path []concord.Digest, checkpoint []byte) []byte {
	return []byte(formatProof("", index, path, checkpoint))
}

func formatProof(extra string, index uint64, path []concord.Digest, checkpoint []byte) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%sindex %d\n", proofHead, extra, index)
	for _, h := range path {
		b.WriteString(h.String() + "\n")
	}
	b.WriteByte('\n')
	b.Write(checkpoint)
	return b.String()
}

func (p *Parts) extra() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\nbatch %d %d\n", extraHead, p.Entry, p.BatchIndex, p.BatchCount)
	for _, h := range p.BatchPath {
		b.WriteString(h.String() + "\n")
	}
	b.WriteByte('\n')
	b.Write(p.Attest)
	b.WriteByte('\n')
	b.Write(p.Admit)
	return b.String()
}

// Parse reads a receipt's structure, for who holds a copy of the log and needs no policy. It verifies nothing: Attested checks the batch.
// Errors: Invalid; anything that does not re-encode to itself is refused.
func Parse(data []byte) (*Parts, error) {
	p, err := parse(data)
	if err != nil {
		return nil, failed(StepFile, "%v", err)
	}
	return p, nil
}

// proofFile is a tlog-proof file with an extra line, taken apart.
type proofFile struct {
	extra      string
	index      uint64
	path       []concord.Digest
	checkpoint []byte
}

func tooLong(n int) error {
	return fmt.Errorf("%d bytes are too long for a receipt, the limit is %d", n, MaxBytes)
}

// parseProof takes a file apart; whether it was in its one form its reader finds out by writing it again.
func parseProof(data []byte) (p proofFile, err error) {
	head, checkpoint, ok := strings.Cut(string(data), "\n\n")
	lines := strings.Split(head, "\n")
	if !ok || len(lines) < 3 || lines[0] != proofHead {
		return p, fmt.Errorf("not a receipt: want the line %q, extra, index and a checkpoint", proofHead)
	}
	b64, ok := strings.CutPrefix(lines[1], "extra ")
	extra, err := base64.StdEncoding.Strict().DecodeString(b64)
	if !ok || err != nil {
		return p, fmt.Errorf("the second line is not \"extra\" and base64")
	}
	p.extra, p.checkpoint = string(extra), []byte(checkpoint)
	num, ok := strings.CutPrefix(lines[2], "index ")
	if p.index, err = strconv.ParseUint(num, 10, 64); err != nil || !ok {
		return p, fmt.Errorf("the third line is not \"index\" and a number")
	}
	if p.path, err = parsePath(lines[3:]); err != nil {
		return p, fmt.Errorf("path of the log: %w", err)
	}
	return p, nil
}

// kindOf returns the first line of our part, which says what a receipt is of; "" when there is none. Of the promise of a capture it
// returns promiseLabel.
func kindOf(data []byte) string {
	switch {
	case beginsWith(data, documentHead):
		return documentHead
	case beginsWith(data, extraHead):
		return promiseLabel
	}
	if len(data) > MaxOutcomeBytes {
		return ""
	}
	p, err := parseProof(data)
	if err != nil {
		return ""
	}
	head, _, _ := strings.Cut(p.extra, "\n")
	return head
}

// parse reads a receipt's structure. Anything that does not re-encode to itself is refused.
func parse(data []byte) (*Parts, error) {
	if len(data) > MaxBytes {
		return nil, tooLong(len(data))
	}
	f, err := parseProof(data)
	if err != nil {
		return nil, err
	}
	p := &Parts{Index: f.index, Path: f.path, Checkpoint: f.checkpoint}
	if err := p.parseExtra(f.extra); err != nil {
		return nil, fmt.Errorf("extra: %w", err)
	}
	if p.format() != string(data) {
		return nil, fmt.Errorf("not in canonical form")
	}
	return p, nil
}

// parseExtra reads our part: five blocks separated by blank lines, of which the last four are two signed notes.
func (p *Parts) parseExtra(s string) error {
	block := strings.Split(s, "\n\n")
	if len(block) != 5 {
		return fmt.Errorf("%d blocks of lines, want 5", len(block))
	}
	lines := strings.Split(block[0], "\n")
	if len(lines) < 3 || lines[0] != extraHead {
		return fmt.Errorf("want the line %q, an entry and a batch", extraHead)
	}
	var err error
	if p.Entry, err = concord.ParseEntry(lines[1]); err != nil {
		return err
	}
	f := strings.Split(lines[2], " ")
	if len(f) != 3 || f[0] != "batch" {
		return fmt.Errorf("want a line \"batch <index> <count>\"")
	}
	index, err1 := strconv.ParseUint(f[1], 10, 64)
	count, err2 := strconv.ParseUint(f[2], 10, 64)
	if err1 != nil || err2 != nil || index >= count || count > note.MaxTreeSize {
		return fmt.Errorf("the batch line is not an index below a count")
	}
	p.BatchIndex, p.BatchCount = index, count
	if p.BatchPath, err = parsePath(lines[3:]); err != nil {
		return fmt.Errorf("path of the batch: %w", err)
	}
	p.Attest = []byte(block[1] + "\n\n" + block[2] + "\n")
	p.Admit = []byte(block[3] + "\n\n" + block[4])
	return nil
}

func parsePath(lines []string) ([]concord.Digest, error) {
	if len(lines) > maxPath {
		return nil, fmt.Errorf("%d hashes are too many", len(lines))
	}
	var path []concord.Digest
	for _, l := range lines {
		d, err := concord.ParseDigest(l)
		if err != nil {
			return nil, err
		}
		path = append(path, d)
	}
	return path, nil
}
