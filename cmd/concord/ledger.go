package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"concord"
	"concord/web"

	"github.com/spf13/cobra"
)

func ledgerCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ledger",
		Short: "Read the ledger, and check all of it",
		Long: `Read the ledger of a running node: its state, its entries in their own text,
its members and their keys, and what names an operator, a URL or a digest.
"replay" rebuilds its state from the first entry.`,
		Example: `  concord ledger show
  concord ledger tx 1187
  concord ledger find alice.example
  concord ledger members --json
  concord ledger replay`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(ledgerShowCommand(), ledgerTxCommand(), ledgerFindCommand(), ledgerMembersCommand(), ledgerReplayCommand())
	return cmd
}

func ledgerShowCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "show", Short: "The ledger at a glance, with its newest checkpoint", Args: noArgs,
		Example: "  concord ledger show\n  concord ledger show --json",
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		l, err := readLedger(cmd)
		if err != nil || asJSON {
			return orJSON(cmd, err, l)
		}
		w := cmd.OutOrStdout()
		fmt.Fprintf(w, "chain       %s, since %s\n", l.Chain, stamp(l.Genesis))
		fmt.Fprintf(w, "log         %s\n", printable(l.Origin))
		fmt.Fprintf(w, "entries     %d, of which %d are under the newest checkpoint\n", l.Size, l.Checkpoint.Size)
		fmt.Fprintf(w, "height      %d\n", l.Height)
		fmt.Fprintf(w, "members     %d; %s\n", len(l.Operators), printable(l.Quorum))
		showAsks(cmd, w)
		if l.Checkpoint.Size > 0 {
			fmt.Fprintf(w, "checkpoint  of %s:\n\n", stamp(l.Checkpoint.Time))
			printText(w, l.Checkpoint.Note)
		}
		return nil
	}
	return cmd
}

// asksShown is how many of the newest asks "ledger show" has.
const asksShown = 5

// showAsks prints the newest asks for pages to be witnessed, if there are any and this node can say.
func showAsks(cmd *cobra.Command, w io.Writer) {
	c, err := newClient(cmd)
	if err != nil {
		return
	}
	var list struct {
		Asks []web.WitnessAsk `json:"asks"`
	}
	if c.get(cmd.Context(), witnessPath, url.Values{"limit": {strconv.Itoa(asksShown)}}, &list) != nil {
		return
	}
	label := "asks"
	for _, a := range list.Asks {
		fmt.Fprintf(w, "%-12s%d %s, %s\n", label, a.Index, cmp.Or(printable(a.Verdict), "open"), printable(a.URL))
		label = ""
	}
}

func ledgerMembersCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "members", Short: "The operators of the ledger, their power and their keys", Args: noArgs,
		Example: "  concord ledger members\n  concord ledger members --json",
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		l, err := readLedger(cmd)
		if err != nil || asJSON {
			return orJSON(cmd, err, l.Operators)
		}
		w := cmd.OutOrStdout()
		for _, o := range l.Operators {
			fmt.Fprintf(w, "%s  %s, power %d, cosigned up to %d, credit %d (down to %d)\n", printable(o.Name), printable(o.State), o.Power, o.Cosigned, o.Balance, -o.Limit)
			for _, use := range slices.Sorted(maps.Keys(o.Keys)) {
				fmt.Fprintf(w, "  %-7s %s\n", printable(use), printable(o.Keys[use]))
			}
		}
		return nil
	}
	return cmd
}

func ledgerFindCommand() *cobra.Command {
	var asJSON bool
	var below uint64
	var limit int
	cmd := &cobra.Command{
		Use:   "find WHAT",
		Short: "Entries that name an operator, a URL or a digest",
		Long: `Print the entries that name something, the newest first. WHAT is an operator,
a URL, a digest in base64 or hex (a leaf, the root of a batch, a document, a
seal, what a witness saw), block:HEIGHT, ask:INDEX, a type of transaction
("gov", "pay", …) or the ID of a capture. Attestations name no URLs: for a URL
or a capture the node's own captures are printed with the entries that attest
them.`,
		Example: `  concord ledger find alice.example
  concord ledger find https://example.org/a --json
  concord ledger find sha256:$(sha256sum < report.pdf | cut -c1-64)
  concord ledger find pay --limit 5`,
		Args: atLeastOne("what"),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	cmd.Flags().Uint64Var(&below, "below", 0, "only entries with an index below this")
	cmd.Flags().IntVar(&limit, "limit", shownEntries, "at most this many entries, up to 200")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := newClient(cmd)
		if err != nil {
			return err
		}
		q := url.Values{"q": {strings.Join(args, " ")}, "limit": {strconv.Itoa(limit)}}
		if below > 0 {
			q.Set("below", u64(below))
		}
		var found web.LedgerFound
		err = c.get(cmd.Context(), "/api/v1/ledger/search", q, &found)
		if err != nil || asJSON {
			return orJSON(cmd, err, found)
		}
		printFound(cmd.OutOrStdout(), &found)
		return nil
	}
	return cmd
}

func printFound(w io.Writer, f *web.LedgerFound) {
	for _, c := range f.Captures {
		if c.Done {
			fmt.Fprintf(w, "capture %s %s: attested by entry %d\n", printable(c.Capture.ID), printable(c.Capture.URL), c.Index)
		} else {
			fmt.Fprintf(w, "capture %s %s: not attested, or not yet\n", printable(c.Capture.ID), printable(c.Capture.URL))
		}
	}
	for i := range f.Entries {
		printEntry(w, &f.Entries[i])
	}
	switch {
	case f.Next != nil:
		fmt.Fprintf(w, "there are more: --below %d\n", *f.Next)
	case len(f.Entries) == 0 && len(f.Captures) == 0:
		fmt.Fprintln(w, "no entry names this")
	}
}

func readLedger(cmd *cobra.Command) (l web.LedgerAnswer, err error) {
	c, err := newClient(cmd)
	if err != nil {
		return l, err
	}
	return l, c.get(cmd.Context(), "/api/v1/ledger", nil, &l)
}

// orJSON prints v for programs, unless there is an error.
func orJSON(cmd *cobra.Command, err error, v any) error {
	if err != nil {
		return err
	}
	return printJSON(cmd.OutOrStdout(), v)
}

// entryQuery says which entries are wanted.
type entryQuery struct {
	first, last uint64 // last is the end of the range, itself wanted
	newest      int    // of those, how many from the end; 0: all
	from, kind  string // empty: any
}

func (q *entryQuery) wants(e *concord.LedgerEntry) bool {
	return (q.from == "" || e.From == q.from) && (q.kind == "" || e.Type == q.kind)
}

// shownEntries is how many entries are shown where none are named.
const shownEntries = 10

func ledgerTxCommand() *cobra.Command {
	var asJSON bool
	var q entryQuery
	cmd := &cobra.Command{
		Use:   "tx [INDEX | FIRST-LAST]",
		Short: "Entries of the log, each in its own text",
		Long: `Print entries of the log, each in its own text: transactions as signed notes,
and the records that close the blocks. FIRST-LAST names a range, FIRST- one to
the end. Without either, the newest entries are printed, the newest last.`,
		Example: `  concord ledger tx                        # the newest ten
  concord ledger tx 1187
  concord ledger tx 0-99 --type gov
  concord ledger tx --from alice.example --type attest --newest 3 --json`,
		Args: cobra.ArbitraryArgs,
	}
	cmd.Flags().StringVar(&q.from, "from", "", "only transactions of this operator")
	cmd.Flags().StringVar(&q.kind, "type", "", `only this type: "gov", "attest", …; "block" for records of blocks`)
	cmd.Flags().IntVar(&q.newest, "newest", 0, fmt.Sprintf("at most this many, the newest (default %d without a range)", shownEntries))
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := q.parse(args); err != nil {
			return err
		}
		c, err := newClient(cmd)
		if err != nil {
			return err
		}
		list, err := readEntries(cmd.Context(), c, &q)
		if err != nil || asJSON {
			return orJSON(cmd, err, list)
		}
		for i := range list {
			printEntry(cmd.OutOrStdout(), &list[i])
		}
		return nil
	}
	return cmd
}

func (q *entryQuery) parse(args []string) error {
	q.last = ^uint64(0)
	if q.newest < 0 {
		return concord.Errorf(concord.Invalid, "--newest %d: want a number above 0", q.newest)
	}
	if len(args) == 0 {
		if q.newest == 0 {
			q.newest = shownEntries
		}
		return nil
	}
	first, last, isRange := strings.Cut(args[0], "-")
	var err, err2 error
	q.first, err = strconv.ParseUint(first, 10, 63)
	switch {
	case !isRange:
		q.last = q.first
	case last != "":
		q.last, err2 = strconv.ParseUint(last, 10, 63)
	}
	if len(args) > 1 || err != nil || err2 != nil || q.last < q.first {
		return concord.Errorf(concord.Invalid, "want one INDEX or FIRST-LAST, not %q; see: concord ledger tx --help", strings.Join(args, " "))
	}
	return nil
}

// entriesPerCall is what one call of the API returns at most.
const entriesPerCall = 200

// readEntries goes backwards from the end of the range, so that the newest of a long log are found at once.
func readEntries(ctx context.Context, c *client, q *entryQuery) ([]concord.LedgerEntry, error) {
	size, err := logSize(ctx, c)
	if err != nil {
		return nil, err
	}
	if q.first >= size && q.first > 0 {
		return nil, concord.Errorf(concord.NotFound, "the log has no entry %d: it has %d entries", q.first, size)
	}
	list := []concord.LedgerEntry{}
	for end := min(q.last, size-1) + 1; end > q.first && (q.newest == 0 || len(list) < q.newest); {
		n := min(end-q.first, entriesPerCall)
		end -= n
		var page struct {
			Entries []concord.LedgerEntry `json:"entries"`
		}
		if err := c.get(ctx, "/api/v1/ledger/entries", url.Values{"from": {u64(end)}, "limit": {u64(n)}}, &page); err != nil {
			return nil, err
		}
		for i := len(page.Entries) - 1; i >= 0 && (q.newest == 0 || len(list) < q.newest); i-- {
			if q.wants(&page.Entries[i]) {
				list = append(list, page.Entries[i])
			}
		}
	}
	slices.Reverse(list)
	return list, nil
}

func logSize(ctx context.Context, c *client) (uint64, error) {
	var l web.LedgerAnswer
	err := c.get(ctx, "/api/v1/ledger", nil, &l)
	if err == nil && l.Size == 0 {
		err = concord.Errorf(concord.Unavailable, "the ledger has no entries yet; try again in a few seconds")
	}
	return l.Size, err
}

func u64(n uint64) string { return strconv.FormatUint(n, 10) }

func printEntry(w io.Writer, e *concord.LedgerEntry) {
	from := ""
	if e.From != "" {
		from = " from " + printable(e.From)
	}
	fmt.Fprintf(w, "entry %d: %s%s, block %d, %s, leaf %s\n\n", e.Index, printable(e.Type), from, e.Height, stamp(e.Time), e.Leaf)
	printText(w, e.Text)
	fmt.Fprintln(w)
}

// printText writes a text of several lines as it is, but for what would steer a terminal.
func printText(w io.Writer, text string) {
	for line := range strings.Lines(text) {
		fmt.Fprintln(w, printable(strings.TrimSuffix(line, "\n")))
	}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
