package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"concord"
	"concord/durable"
	"concord/receipt"
	"concord/web"

	"github.com/spf13/cobra"
)

const (
	proofSuffix = ".tlog-proof"
	// notesPerCall is what one doc transaction holds.
	notesPerCall = 64
	// maxNotarised bounds the files of one command.
	maxNotarised = 10_000
	// quorumPatience is how long notarise waits for a quorum's cosignatures once a note is in the log.
	quorumPatience = 10 * time.Second
)

// paper is a file that is notarised.
type paper struct {
	File     string          `json:"file"`
	SHA256   concord.Digest  `json:"sha256"`
	Receipt  string          `json:"receipt"` // the file written
	Level    int             `json:"level"`
	K        int             `json:"k"`
	N        int             `json:"n"`
	State    string          `json:"state"`
	Index    uint64          `json:"index,omitempty"`
	First    *firstNote      `json:"first,omitempty"` // a note of the same digest that came before this one
	Upgraded bool            `json:"upgraded,omitempty"`
	Early    string          `json:"early,omitempty"` // where the receipt of before is kept, which fixes the time closer
	Report   *receipt.Report `json:"report,omitempty"`

	salt   concord.Digest
	before []byte // the receipt that is there already
}

type firstNote struct {
	From  string `json:"from"`
	Index uint64 `json:"index"`
}

func notariseCommand() *cobra.Command {
	var label, out string
	var salted, asJSON bool
	cmd := &cobra.Command{
		Use:   "notarise FILE…",
		Short: "Prove that a file exists now",
		Long: `Put the SHA-256 digests of files into the ledger, and write beside each FILE a
receipt, FILE.tlog-proof, with which anybody can check offline that this file
existed by then (concord verify). Only digests leave this machine. Who has the
file, or can guess it, can see that it was notarised; with --salt only who has
the receipt can.

While the ledger stands still the note waits on the node's disk, and the receipt
says so (level 0). The same command later replaces a receipt by a better one; a
receipt of anything else is never overwritten.`,
		Example: `  concord notarise contract.pdf
  concord notarise *.pdf --label board-2026 --out receipts
  concord verify contract.pdf.tlog-proof contract.pdf --policy policy`,
		Args: atLeastOne("file"),
	}
	cmd.Flags().StringVar(&label, "label", "", "a word for the note, which everybody can read in the ledger")
	cmd.Flags().BoolVar(&salted, "salt", false, "put a salted digest into the ledger; keep the receipt, which has the salt")
	cmd.Flags().StringVar(&out, "out", "", "directory for the receipts (default: beside each file)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > maxNotarised {
			return concord.Errorf(concord.Invalid, "%d files; at most %d at once", len(args), maxNotarised)
		}
		c, err := newClient(cmd)
		if err != nil {
			return err
		}
		papers, err := readPapers(args, out, salted)
		if err != nil {
			return err
		}
		if err := notarise(cmd.Context(), c, papers, label); err != nil {
			return err
		}
		if asJSON {
			return printJSON(cmd.OutOrStdout(), papers)
		}
		for i := range papers {
			printPaper(cmd.OutOrStdout(), &papers[i])
		}
		return nil
	}
	return cmd
}

// readPapers takes the digests of files, and what is there of their receipts.
func readPapers(files []string, out string, salted bool) ([]paper, error) {
	if out != "" {
		if err := os.MkdirAll(out, 0o755); err != nil {
			return nil, concord.Errorf(concord.Invalid, "%w", err)
		}
	}
	papers, taken := make([]paper, len(files)), map[string]bool{}
	for i, name := range files {
		p := &papers[i]
		p.File, p.Receipt = name, name+proofSuffix
		if out != "" {
			p.Receipt = filepath.Join(out, filepath.Base(name)+proofSuffix)
		}
		if taken[p.Receipt] {
			return nil, concord.Errorf(concord.Invalid, "two of the files would have the receipt %s; notarise them one by one, with another --out", p.Receipt)
		}
		taken[p.Receipt] = true
		var err error
		if p.SHA256, err = digestOf(name); err != nil {
			return nil, err
		}
		if err := p.readBefore(salted); err != nil {
			return nil, err
		}
	}
	return papers, nil
}

func digestOf(name string) (d concord.Digest, err error) {
	f, err := os.Open(name)
	if err != nil {
		return d, concord.Errorf(concord.Invalid, "%w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return d, concord.Errorf(concord.Invalid, "%s is a directory; name the files in it", name)
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return d, concord.Errorf(concord.Invalid, "read %s: %w", name, err)
	}
	copy(d[:], h.Sum(nil))
	return d, nil
}

// readBefore looks at the receipt that is there already: only one of the same file may be replaced, and its salt goes on.
func (p *paper) readBefore(salted bool) error {
	b, err := os.ReadFile(p.Receipt)
	if errors.Is(err, fs.ErrNotExist) {
		if salted {
			_, err := rand.Read(p.salt[:])
			return err
		}
		return nil
	}
	if err != nil {
		return concord.Errorf(concord.Invalid, "%w", err)
	}
	d, err := receipt.ParseDocument(b)
	switch {
	case err != nil || d.File != p.SHA256:
		return concord.Errorf(concord.Conflict, "%s exists, and is no receipt of %s as it is now: move it away, or use --out DIR", p.Receipt, p.File)
	case salted && d.Salt.IsZero():
		return concord.Errorf(concord.Conflict, "%s exists, and is a receipt without salt: its digest is public already; move it away, or use --out DIR", p.Receipt)
	}
	p.before, p.salt = b, d.Salt
	return nil
}

// digest is what goes into the ledger.
func (p *paper) digest() concord.Digest {
	return (&receipt.Document{File: p.SHA256, Salt: p.salt}).Notarised()
}

func notarise(ctx context.Context, c *client, papers []paper, label string) error {
	for from := 0; from < len(papers); from += notesPerCall {
		part := papers[from:min(len(papers), from+notesPerCall)]
		spec := web.NoteSpec{Label: label}
		for i := range part {
			spec.Digests = append(spec.Digests, part[i].digest())
		}
		var answer struct {
			Documents []web.NotarisedDocument `json:"documents"`
		}
		if err := c.do(ctx, http.MethodPost, "/api/v1/notes", nil, spec, &answer); err != nil {
			return err
		}
		if len(answer.Documents) != len(part) {
			return concord.Errorf(concord.Internal, "the node answered for %d of %d documents", len(answer.Documents), len(part))
		}
		for i, d := range answer.Documents {
			p := &part[i]
			p.State, p.Index = d.State, d.Index
			if d.FirstFrom != "" && (d.State != web.NotarisedLogged || d.FirstIndex != d.Index) {
				p.First = &firstNote{d.FirstFrom, d.FirstIndex}
			}
		}
	}
	policy, err := c.bytes(ctx, "/api/v1/policy", nil)
	if err != nil {
		return err
	}
	deadline := time.Now().Add(quorumPatience)
	for i := range papers {
		if err := papers[i].await(ctx, c, policy, deadline); err != nil {
			return fmt.Errorf("%s: %w", papers[i].File, err)
		}
	}
	return nil
}

// await gets the receipt, waits a while for one that the policy is content with, and writes it if it is better than what
// is there.
func (p *paper) await(ctx context.Context, c *client, policy []byte, deadline time.Time) error {
	for {
		proof, err := p.fetch(ctx, c)
		var full error
		if err == nil {
			p.Report, full = receipt.Verify(proof, policy, receipt.Options{})
		}
		wait := concord.KindOf(err) == concord.Unavailable && err != nil || full != nil
		if wait && time.Now().Before(deadline) && ctx.Err() == nil {
			time.Sleep(pollInterval)
			continue
		}
		if err != nil {
			return err
		}
		return p.write(proof, policy, full)
	}
}

// fetch gets the receipt from the node, and puts into it what the node does not know.
func (p *paper) fetch(ctx context.Context, c *client) ([]byte, error) {
	d := p.digest()
	proof, err := c.bytes(ctx, "/api/v1/documents/receipt", url.Values{"sha256": {d.String()}})
	if err != nil || p.salt.IsZero() {
		return proof, err
	}
	parts, err := receipt.ParseDocument(proof)
	if err != nil {
		return nil, fmt.Errorf("the node's receipt: %w", err)
	}
	parts.File, parts.Salt = p.SHA256, p.salt
	return receipt.BuildDocument(*parts)
}

// earlyEnough is by how much a receipt must fix the time closer than its better successor to be kept beside it.
const earlyEnough = time.Hour

// keepEarly keeps the receipt that is there under another name, if the one that takes its place is under a much later head, as when the first witness from
// outside was named long after. One that is kept already stays.
func (p *paper) keepEarly(old *receipt.Report) error {
	if old.Level == 0 || p.Report == nil || p.Report.NotAfter.Sub(old.NotAfter) < earlyEnough {
		return nil
	}
	early := strings.TrimSuffix(p.Receipt, proofSuffix) + ".early" + proofSuffix
	if _, err := os.Stat(early); err == nil {
		return nil
	}
	p.Early = early
	return p.put(early, p.before)
}

func (p *paper) write(proof, policy []byte, full error) error {
	if full != nil { // in the log, and cosigned by too few so far: it is worth keeping
		var step *receipt.StepError
		if !errors.As(full, &step) || step.Step != receipt.StepQuorum {
			return full
		}
	}
	if p.Report != nil {
		p.Level, p.K, p.N = p.Report.Level, p.Report.Cosigners, p.Report.Witnesses
	} else {
		p.Level = 1
	}
	if p.before != nil {
		old, err := receipt.Verify(p.before, policy, receipt.Options{})
		if bytes.Equal(p.before, proof) || err == nil && (p.Report == nil || old.Level >= p.Level && old.Cosigners >= p.K && len(old.Anchored) >= len(p.Report.Anchored)) {
			if err == nil {
				p.Level, p.K, p.N, p.Report = old.Level, old.Cosigners, old.Witnesses, old
			}
			return nil // what is there is as good
		}
		p.Upgraded = true
		if err == nil {
			if err := p.keepEarly(old); err != nil {
				return err
			}
		}
	}
	return p.put(p.Receipt, proof)
}

// put writes a receipt, which holds the salt if there is one.
func (p *paper) put(name string, proof []byte) error {
	mode := fs.FileMode(0o644)
	if !p.salt.IsZero() {
		mode = 0o600
	}
	err := durable.WriteFile(name, mode, func(w io.Writer) error { _, err := w.Write(proof); return err })
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return concord.Errorf(concord.Invalid, "write %s: %w", name, pe.Err)
	}
	return err
}

func printPaper(w io.Writer, p *paper) {
	fmt.Fprintf(w, "%s\n", printable(p.File))
	say := func(format string, args ...any) { printWrapped(w, "  ", printable(fmt.Sprintf(format, args...))) }
	say("SHA-256 %s", p.SHA256.Labelled())
	switch {
	case p.State == web.NotarisedQueued && p.Level == 0:
		say("It waits for the ledger, which does not take notes at the moment. The receipt is the operator's signed word that it will (level 0): run the same command again for a better one.")
	case p.Report == nil:
		say("Entry %d of the log, whose head too few operators have cosigned so far (level %d): run the same command again for a better receipt.", p.Index, p.Level)
	default:
		outside, before := "", ", and from outside by "
		for _, c := range p.Report.Anchored {
			outside, before = outside+before+c.Name, ", "
		}
		say("Entry %d of the log, cosigned by %d of %d operators%s (level %d), between %s and %s.", p.Report.Index, p.K, p.N, outside, p.Level, stamp(p.Report.NotBefore), stamp(p.Report.NotAfter))
	}
	if p.First != nil {
		say("The same digest was notarised before: by %s, entry %d.", p.First.From, p.First.Index)
	}
	what := "Receipt:"
	if p.Upgraded {
		what = "Receipt, replaced by this better one:"
	}
	say("%s %s", what, p.Receipt)
	if p.Early != "" {
		say("The one of before fixes the time closer, and is kept: %s", p.Early)
	}
}
