package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"concord"
	"concord/node"
	"concord/page"
	"concord/receipt"
	"concord/warc"

	"github.com/spf13/cobra"
)

const (
	// maxContent bounds a body or WARC file given for checking.
	maxContent = 1 << 30
	// maxDecoded bounds a body once its content coding is undone.
	maxDecoded  = 100 << 20
	proofPrefix = "c2sp.org/tlog-proof@"
)

// verdict is the result for one file, as --json prints it.
type verdict struct {
	File   string          `json:"file"`
	Proven bool            `json:"proven"`
	Reason string          `json:"reason,omitempty"` // why not
	Report *receipt.Report `json:"report,omitempty"`
	Checks []string        `json:"checks,omitempty"` // what the contents given were found to match
}

func verifyCommand() *cobra.Command {
	var policyFile, wantURL string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify FILE…",
		Short: "Check receipts, offline",
		Long: `Check receipts against a policy. It needs no node, no network and no data
directory.

A FILE is a receipt (.tlog-proof), or content that one of the receipts given
must be about: a WARC file (.warc, .warc.gz) or a body exactly as it was
received. A receipt of "concord notarise" is checked with the file it is of.
Exit code 0: everything given is proven; 1: something is not.`,
		Example: `  concord verify example.tlog-proof --policy policy
  # and these bytes are what was seen:
  concord verify example.tlog-proof page.bin --policy policy
  concord verify example.tlog-proof export/*.warc.gz --policy policy --json
  concord verify contract.pdf.tlog-proof contract.pdf --policy policy`,
		Args: atLeastOne("file"),
	}
	cmd.Flags().StringVar(&policyFile, "policy", "", "policy file: whose signatures to believe (required)")
	cmd.Flags().StringVar(&wantURL, "url", "", "the receipt must be of this URL")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the results as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if policyFile == "" {
			return concord.Errorf(concord.Invalid, "no policy given: use --policy FILE; the operator's node prints it with: concord policy")
		}
		policy, err := readFile(policyFile, receipt.MaxPolicyBytes)
		if err != nil {
			return err
		}
		verdicts, err := verifyFiles(args, policy, receipt.Options{URL: wantURL})
		if err != nil {
			return err
		}
		out := cmd.OutOrStdout()
		if asJSON {
			err = printJSON(out, verdicts)
		} else {
			for i := range verdicts {
				printVerdict(out, &verdicts[i])
			}
		}
		if err != nil {
			return err
		}
		for _, v := range verdicts {
			if !v.Proven {
				return &quietError{exitFailed}
			}
		}
		return nil
	}
	return cmd
}

// verifyFiles checks all receipts first, then the contents against them.
func verifyFiles(files []string, policy []byte, o receipt.Options) ([]verdict, error) {
	var receipts, contents []verdict
	data := map[string][]byte{}
	for _, name := range files {
		b, err := readFile(name, maxContent)
		if err != nil {
			return nil, err
		}
		if len(files) > 1 && !looksLikeReceipt(name, b) {
			contents = append(contents, verdict{File: name})
			data[name] = b
			continue
		}
		v := verdict{File: name}
		if v.Report, err = receipt.Verify(b, policy, o); err != nil {
			v.Reason = err.Error()
		} else {
			v.Proven = true
		}
		receipts = append(receipts, v)
	}
	witnessed(receipts)
	for i := range contents {
		checkContent(&contents[i], data[contents[i].File], receipts)
	}
	return append(receipts, contents...), nil
}

// witnessed adds to receipts of captures what the outcomes given say about them.
func witnessed(receipts []verdict) {
	for i := range receipts {
		o := &receipts[i]
		if !o.Proven || o.Report.Outcome == nil {
			continue
		}
		for j := range receipts {
			c := &receipts[j]
			if !c.Proven || c.Report.Outcome != nil || c.Report.Document != nil {
				continue
			}
			if err := c.Report.Witness(o.Report); err != nil {
				c.Report.NotProven = append(c.Report.NotProven, "That the panel of "+o.File+" saw the same: "+err.Error()+".")
			} else {
				c.Checks = append(c.Checks, fmt.Sprintf("level %d, with the panel of %s", c.Report.Level, o.File))
			}
		}
	}
}

func looksLikeReceipt(name string, b []byte) bool {
	return bytes.HasPrefix(b, []byte(proofPrefix)) || receipt.IsPromise(b) || strings.HasSuffix(name, ".tlog-proof")
}

// checkContent looks for a proven receipt that a file's content belongs to. In a WARC file every record that a receipt is
// about is checked, its text included.
func checkContent(v *verdict, b []byte, receipts []verdict) {
	var proven []*receipt.Report
	for _, r := range receipts {
		if r.Proven {
			proven = append(proven, r.Report)
		}
	}
	if len(proven) == 0 {
		v.Reason = "no receipt given is proven, so there is nothing to hold this content against"
		return
	}
	document := func(r *receipt.Report) bool { return r.Document != nil && r.CheckContent(b) == nil }
	if isWARC(b) && !slices.ContainsFunc(proven, document) {
		checkWARCFile(v, b, proven)
		return
	}
	var reasons []string
	for _, r := range proven {
		err := r.CheckContent(b)
		if err == nil {
			v.Proven = true
			v.Checks = append(v.Checks, matched(r))
			return
		}
		reasons = append(reasons, err.Error())
	}
	v.Reason = strings.Join(reasons, "; ")
}

// matched says in plain words what a file was found to be.
func matched(r *receipt.Report) string {
	if r.Document == nil {
		return "these bytes are the body that was received from " + r.URL
	}
	if r.Level == 0 {
		return "this is the document that " + r.Operator + " promises to notarise"
	}
	return fmt.Sprintf("this is the document that %s notarised at entry %d", r.Operator, r.Index)
}

func isWARC(b []byte) bool {
	return bytes.HasPrefix(b, []byte("WARC/")) || bytes.HasPrefix(b, []byte{0x1f, 0x8b})
}

func checkWARCFile(v *verdict, b []byte, proven []*receipt.Report) {
	r := warc.NewReader(bytes.NewReader(b), warc.Limits{})
	matched := false
	var reasons []string
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		var damage *warc.Damage
		if errors.As(err, &damage) {
			reasons = append(reasons, damage.Error())
			continue
		}
		if err != nil {
			reasons = append(reasons, err.Error())
			break
		}
		if rec.Type() != warc.TypeResponse && rec.Type() != warc.TypeRevisit {
			continue
		}
		for _, rep := range proven {
			if rec.TargetURI() != rep.URL {
				continue
			}
			if err := checkRecord(v, rec, rep); err != nil {
				reasons = append(reasons, fmt.Sprintf("record at byte %d: %v", rec.Offset, err))
			} else {
				matched = true
			}
		}
	}
	v.Proven = matched && len(reasons) == 0
	switch {
	case len(reasons) > 0:
		v.Reason = strings.Join(reasons, "; ")
	case !matched:
		v.Reason = "no record in this file is of a URL that a proven receipt is about"
	}
}

// checkRecord holds one record against a receipt: its bytes, and the text that its body gives under the same profile. A
// record of another capture of the same URL has another time and is passed over by its date.
func checkRecord(v *verdict, rec *warc.Record, rep *receipt.Report) error {
	if date, err := rec.Date(); err == nil && !date.Truncate(time.Second).Equal(rep.Captured) {
		return fmt.Errorf("it is of %s, the receipt of %s: another capture", date.Format(time.RFC3339), rep.Captured.Format(time.RFC3339))
	}
	if err := rep.CheckWARC(rec.Block); err != nil {
		return err
	}
	v.Checks = append(v.Checks, "the record of "+rep.URL+" is the one that was received, header and body")
	if rep.Text.IsZero() || rec.Type() == warc.TypeRevisit {
		return nil
	}
	head, payload, err := warc.Payload(rec.Block)
	if err != nil {
		return err
	}
	body, err := warc.DecodeContent(head.Header, payload, maxDecoded)
	if err != nil && body == nil {
		return err
	}
	exe, _ := os.Executable()
	p, err := node.Extract(rep.URL, head.Header, body, &page.PDFChild{Exe: exe, Args: []string{"pdf-text"}})
	if err != nil {
		return fmt.Errorf("its text cannot be extracted again: %w", err)
	}
	if err := rep.CheckTextDigest(p.TextDigest, p.Profile); err != nil {
		return err
	}
	v.Checks = append(v.Checks, "its text, extracted anew under "+rep.Profile+", is the text attested")
	return nil
}

// printVerdict says in plain words what is proven and what is not.
func printVerdict(w io.Writer, v *verdict) {
	if !v.Proven {
		fmt.Fprintf(w, "NOT PROVEN  %s\n", printable(v.File))
		printWrapped(w, "  ", printable(v.Reason))
		return
	}
	fmt.Fprintf(w, "PROVEN  %s\n", printable(v.File))
	for _, c := range v.Checks {
		printWrapped(w, "  + ", printable(c))
	}
	if r := v.Report; r != nil {
		fmt.Fprintf(w, "  level %d, k %d, n %d", r.Level, r.Cosigners, r.Witnesses)
		if len(r.Anchored) > 0 {
			fmt.Fprintf(w, ", from outside %d", len(r.Anchored))
		}
		fmt.Fprintln(w)
		for _, p := range r.Proven {
			printWrapped(w, "  + ", printable(p))
		}
		fmt.Fprintln(w, "  Not proven:")
		for _, p := range r.NotProven {
			printWrapped(w, "  - ", printable(p))
		}
	}
}

func pdfTextCommand() *cobra.Command {
	return &cobra.Command{
		Use: "pdf-text", Short: "Extract the text of a PDF file from standard input", Hidden: true, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return page.PDFMain(cmd.InOrStdin(), cmd.OutOrStdout()) },
	}
}
