package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"time"

	"concord"
	"concord/durable"
	"concord/receipt"

	"github.com/spf13/cobra"
)

// receiptPatience is how long `concord receipt` waits for a receipt that is on its way: a batch that somebody asks for is closed two
// seconds after its first capture, and the ledger takes it in milliseconds.
const receiptPatience = 12 * time.Second

func receiptCommand() *cobra.Command {
	var out, body, operator string
	var now bool
	cmd := &cobra.Command{
		Use:   "receipt URL",
		Short: "Get the receipt of a page",
		Long: `Get the receipt of the latest capture of a URL: one file that proves who saw
that page say that, and when, to anyone who has the ledger's policy (concord
policy), with no node and no network (concord verify). A receipt of a page
just fetched is waited for. While the ledger stands still, or with --now, it
is of level 0: the operator's signed word, which proves no time. The same
command later replaces that by a better one, and never a better one by that.

With --operator it is that of another operator who shares the ledger: the node
asks there, checks what comes against its own copy of the ledger, and puts the
signatures that it knows into it.`,
		Example: `  concord receipt https://example.org/ --out example.tlog-proof
  # and the bytes it is about:
  concord receipt https://example.org/ --out r.tlog-proof --body page.bin
  concord receipt https://example.org/ --operator bob.example --out b.tlog-proof
  # what there is at once, be it only the operator's word:
  concord receipt https://example.org/ --now --out example.tlog-proof`,
		Args: exactlyOne("URL"),
	}
	cmd.Flags().StringVar(&out, "out", "", "file to write (default: standard output)")
	cmd.Flags().StringVar(&body, "body", "", "also write the archived body, exactly as it was received, to this file")
	cmd.Flags().StringVar(&operator, "operator", "", "the receipt of another operator's newest capture of the URL")
	cmd.Flags().BoolVar(&now, "now", false, "do not wait: a receipt of level 0 when there is no better one yet")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := newClient(cmd)
		if err != nil {
			return err
		}
		if operator != "" {
			if body != "" || now {
				return concord.Errorf(concord.Invalid, "--body and --now are for this operator's own captures: what another fetched is not here")
			}
			proof, err := c.bytes(cmd.Context(), "/api/v1/receipts", url.Values{"url": {args[0]}, "operator": {operator}})
			if err != nil {
				return err
			}
			return writeReceipt(cmd, out, proof)
		}
		var list struct {
			Captures []concord.Capture `json:"captures"`
		}
		if err := c.get(cmd.Context(), "/api/v1/captures", url.Values{"url": {args[0]}, "limit": {"1"}}, &list); err != nil {
			return err
		}
		if len(list.Captures) == 0 {
			return concord.Errorf(concord.NotFound, "%s was never captured; ask why with: concord why %s", args[0], args[0])
		}
		id := list.Captures[0].ID
		proof, err := awaitReceipt(cmd, c, id, now)
		if err != nil {
			return err
		}
		if body != "" {
			content, err := c.bytes(cmd.Context(), "/api/v1/captures/"+id+"/content", url.Values{"url": {list.Captures[0].URL}})
			if err != nil {
				return err
			}
			if err := writeFile(body, content); err != nil {
				return err
			}
		}
		return writeReceipt(cmd, out, proof)
	}
	return cmd
}

// writeReceipt writes a receipt to a file, or to standard output when none is named.
func writeReceipt(cmd *cobra.Command, out string, proof []byte) error {
	if out == "" {
		_, err := cmd.OutOrStdout().Write(proof)
		return err
	}
	if receipt.IsPromise(proof) {
		if old, err := readFile(out, receipt.MaxOutcomeBytes); err == nil && !receipt.IsPromise(old) && len(old) > 0 {
			return concord.Errorf(concord.Unavailable, "the newest capture is not in the log yet, and a promise of it is not to replace %s, which is no promise; try again later, or name another file", out)
		}
		if err := writeFile(out, proof); err != nil {
			return err
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "wrote %s (%d bytes): the operator's signed word, of level 0, since the capture is not in the log yet; run the same command again for a better one\n", out, len(proof))
		return nil
	}
	if err := writeFile(out, proof); err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "wrote %s (%d bytes); check it anywhere with: concord verify %s --policy POLICY\n", out, len(proof), out)
	return nil
}

// awaitReceipt waits for the receipt of a capture. With now, or when it takes too long, it takes the operator's promise.
func awaitReceipt(cmd *cobra.Command, c *client, capture string, now bool) ([]byte, error) {
	deadline := time.Now().Add(receiptPatience)
	for !now {
		proof, err := c.bytes(cmd.Context(), "/api/v1/receipts", url.Values{"capture": {capture}})
		if concord.KindOf(err) != concord.Unavailable || cmd.Context().Err() != nil {
			return proof, err
		}
		if now = time.Now().After(deadline); !now {
			time.Sleep(pollInterval)
		}
	}
	return c.bytes(cmd.Context(), "/api/v1/receipts", url.Values{"capture": {capture}, "level": {"0"}})
}

func policyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "policy",
		Short: "Print the policy that receipts are checked with",
		Long: `Print this ledger's policy: whose signatures make a receipt believable
(c2sp.org/tlog-policy). Who checks receipts must get it from somebody they
trust, once, and keep it; it does not change with every receipt.`,
		Example: "  concord policy > policy",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := newClient(cmd)
			if err != nil {
				return err
			}
			policy, err := c.bytes(cmd.Context(), "/api/v1/policy", nil)
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(policy)
			return err
		},
	}
}

func whyCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "why URL",
		Short:   "Say what is known of a URL, and why it is not in the index",
		Example: "  concord why https://example.org/private/",
		Args:    exactlyOne("URL"),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := newClient(cmd)
		if err != nil {
			return err
		}
		var u concord.URLStatus
		if err := c.get(cmd.Context(), "/api/v1/urls", url.Values{"url": {args[0]}}, &u); err != nil {
			return err
		}
		if asJSON {
			return printJSON(cmd.OutOrStdout(), &u)
		}
		printURL(cmd.OutOrStdout(), &u)
		return nil
	}
	return cmd
}

// printURL says in lines what is known of a URL.
func printURL(w io.Writer, u *concord.URLStatus) {
	line := func(label, format string, args ...any) {
		fmt.Fprintf(w, "%-13s%s\n", label, printable(fmt.Sprintf(format, args...)))
	}
	when := func(t time.Time) string { return t.Local().Format(time.DateTime) }
	line("URL", "%s", u.URL)
	state := u.State
	if u.Reason != "" {
		state += ": " + u.Reason
	}
	line("state", "%s", state)
	switch {
	case u.Indexed:
		line("searchable", "yes")
	case u.Skip != "":
		line("searchable", "no: %s", u.Skip)
	default:
		line("searchable", "no")
	}
	if u.Duplicate != "" {
		line("same as", "%s", u.Duplicate)
	}
	if !u.Known.IsZero() {
		line("known since", "%s", when(u.Known))
	}
	if u.From != "" {
		line("found on", "%s (%s from a seed)", u.From, count(int64(u.Depth), "link"))
	}
	if !u.Fetched.IsZero() {
		line("fetched", "%s, status %d", when(u.Fetched), u.Status)
	}
	if u.Redirect != "" {
		line("redirects to", "%s", u.Redirect)
	}
	if u.Tries > 1 {
		line("tries", "%d", u.Tries)
	}
	if !u.Next.IsZero() {
		line("next fetch", "%s", when(u.Next))
	}
	if u.Crawl != "" {
		line("crawl", "%s", u.Crawl)
	}
}

func deleteCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "delete URL…",
		Short: "Take pages out of the index",
		Long: `Take pages out of the index. Their captures stay in the archive and their
receipts stay valid; a later crawl that fetches them again indexes them again.`,
		Example: "  concord delete https://example.org/old --reason 'asked by its author'",
		Args:    atLeastOne("URL"),
	}
	cmd.Flags().StringVar(&reason, "reason", "deleted by operator", "kept on record")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := newClient(cmd)
		if err != nil {
			return err
		}
		var errs []error
		for _, u := range args {
			if err := c.do(cmd.Context(), http.MethodDelete, "/api/v1/pages", url.Values{"url": {u}, "reason": {reason}}, nil, nil); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", u, err))
				continue
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is no longer found\n", u)
		}
		return errors.Join(errs...)
	}
	return cmd
}

// writeFile writes a file that other tools read: whole or not at all.
func writeFile(path string, data []byte) error {
	err := durable.WriteFile(path, 0o644, func(w io.Writer) error { _, err := io.Copy(w, bytes.NewReader(data)); return err })
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return concord.Errorf(concord.Invalid, "write %s: %w", path, pe.Err)
	}
	return err
}

// readFile reads a file given by a person, "-" for standard input.
func readFile(path string, limit int64) ([]byte, error) {
	in := io.Reader(os.Stdin)
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, concord.Errorf(concord.Invalid, "%w", err)
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err != nil {
		return nil, concord.Errorf(concord.Invalid, "read %s: %w", path, err)
	}
	if int64(len(data)) > limit {
		return nil, concord.Errorf(concord.Invalid, "%s is longer than %d bytes", path, limit)
	}
	return data, nil
}
