package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"concord"
	"concord/web"

	"github.com/spf13/cobra"
)

const (
	witnessPath = "/api/v1/witness"
	// witnessPause is how often the ledger is asked how far an ask is.
	witnessPause = 500 * time.Millisecond
	// witnessSlack is how long beyond the deadlines of two rounds witness waits: for the drawing of panels, and for whoever ends them.
	witnessSlack = 3 * time.Minute
)

func witnessCommand() *cobra.Command {
	var spec web.WitnessSpec
	var until time.Duration
	var asJSON, noWait bool
	var out string
	cmd := &cobra.Command{
		Use:   "witness URL | INDEX",
		Short: "Have other operators look at a page",
		Long: `Ask the other operators of the ledger what they see at an address. The ledger
draws a panel; each operator on it, and this one, fetches the page by itself,
seals what it saw, and opens it when nobody can copy it any more. If they
differ, a second panel looks again.

  agree         enough of the panel saw the same text; who saw another is named
  split         the page shows different people different texts, twice
  unconfirmed   too few reports, or differences that did not come again

The same ask again while one is open shows that one; INDEX shows one that is in
the ledger. Exit code: 0 for agree, 1 for another outcome, 4 when there is none
in time.`,
		Example: `  concord witness https://example.org/page
  concord witness https://example.org/page --need 3 --of 4
  concord witness https://example.org/page --until 2m --no-wait
  concord witness 1190 --out outcome.tlog-proof
  # with a receipt of the page that has the text they agreed on: level 3
  concord verify page.tlog-proof outcome.tlog-proof --policy policy`,
		Args: exactlyOne("URL or INDEX"),
	}
	cmd.Flags().IntVar(&spec.Need, "need", 0, "reports that must agree (default: more than half of the panel)")
	cmd.Flags().IntVar(&spec.Of, "of", 0, "operators on the panel (default: 4, or all others)")
	cmd.Flags().DurationVar(&until, "until", 0, "time for looking, and as long again for opening (default 1m, at least 10s)")
	cmd.Flags().Int64Var(&spec.Pay, "pay", 0, "credit for each report; needs a credit limit: see the manual")
	cmd.Flags().StringVar(&out, "out", "", "write the receipt of the outcome to this file")
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "do not wait for the outcome")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if until%time.Second != 0 || until < 0 {
			return concord.Errorf(concord.Invalid, "--until %s: want whole seconds", until)
		}
		c, err := newClient(cmd)
		if err != nil {
			return err
		}
		spec.Until = int64(until / time.Second)
		a, err := beginWitness(cmd.Context(), c, args[0], spec)
		if err != nil {
			return err
		}
		if !noWait {
			progress := io.Discard
			if !asJSON {
				progress = cmd.ErrOrStderr()
			}
			if a, err = awaitWitness(cmd.Context(), c, a, progress); err != nil {
				return err
			}
		}
		if out != "" && !a.Open {
			proof, err := c.bytes(cmd.Context(), witnessPath+"/"+u64(a.Index)+"/receipt", nil)
			if err == nil {
				err = writeFile(out, proof)
			}
			if err != nil {
				return err
			}
		}
		if asJSON {
			err = printJSON(cmd.OutOrStdout(), a)
		} else {
			printAsk(cmd.OutOrStdout(), a)
		}
		switch {
		case err != nil || noWait && a.Open:
			return err
		case a.Open:
			return &quietError{exitUnavailable}
		case a.Verdict != web.WitnessAgree:
			return &quietError{exitFailed}
		}
		return nil
	}
	return cmd
}

// beginWitness asks for a URL, or finds the ask of an index.
func beginWitness(ctx context.Context, c *client, what string, spec web.WitnessSpec) (*web.WitnessAsk, error) {
	a := new(web.WitnessAsk)
	if index, err := strconv.ParseUint(what, 10, 63); err == nil {
		return a, c.get(ctx, witnessPath+"/"+u64(index), nil, a)
	}
	spec.URL = what
	return a, c.do(ctx, http.MethodPost, witnessPath, nil, spec, a)
}

// awaitWitness follows an ask until it is closed, or should have been.
func awaitWitness(ctx context.Context, c *client, a *web.WitnessAsk, progress io.Writer) (*web.WitnessAsk, error) {
	deadline := time.Now().Add(time.Duration(4*a.Until)*time.Second + witnessSlack)
	said := ""
	for a.Open {
		if now := progressOf(a); now != said {
			said = now
			fmt.Fprintln(progress, printable(now))
		}
		if time.Now().After(deadline) {
			fmt.Fprintf(progress, "no outcome in time; look again with: concord witness %d\n", a.Index)
			return a, nil
		}
		select {
		case <-ctx.Done():
			return nil, concord.Errorf(concord.Unavailable, "interrupted; look again with: concord witness %d", a.Index)
		case <-time.After(witnessPause):
		}
		next := new(web.WitnessAsk)
		if err := c.get(ctx, witnessPath+"/"+u64(a.Index), nil, next); err != nil {
			return nil, err
		}
		a = next
	}
	return a, nil
}

// progressOf says in a line how far an ask is.
func progressOf(a *web.WitnessAsk) string {
	r := a.Last()
	if len(r.Seats) == 0 {
		return fmt.Sprintf("ask %d: the ledger draws a panel", a.Index)
	}
	var names []string
	sealed, shown := 0, 0
	for _, s := range r.Seats {
		if !s.Asker {
			names = append(names, s.Operator)
		}
		if s.Sealed {
			sealed++
		}
		if s.Report != nil {
			shown++
		}
	}
	line := fmt.Sprintf("ask %d, panel %s: %d of %d sealed", a.Index, strings.Join(names, ", "), sealed, len(r.Seats))
	if len(a.Rounds) > 1 {
		line = fmt.Sprintf("ask %d, they differ, second panel %s: %d of %d sealed", a.Index, strings.Join(names, ", "), sealed, len(r.Seats))
	}
	if shown > 0 {
		line += fmt.Sprintf(", %d opened", shown)
	}
	return line
}

// verdictWords explain an outcome.
var verdictWords = map[string]string{
	web.WitnessAgree:       "enough of the panel saw the same text",
	web.WitnessDisputed:    "the panel saw different texts, so a second one looked",
	web.WitnessSplit:       "the page shows different operators different texts, twice",
	web.WitnessUnconfirmed: "too few reports, or differences that did not come again",
}

var relationWords = map[string]string{"agree": "the same text", "similar": "a similar text", "differ": "ANOTHER TEXT", "silent": "nothing"}

func printAsk(w io.Writer, a *web.WitnessAsk) {
	fmt.Fprintf(w, "%s\n", printable(a.URL))
	if a.Open {
		fmt.Fprintf(w, "  open      %s\n", printable(progressOf(a)))
	} else {
		printWrapped(w, "  ", fmt.Sprintf("%s: %s", strings.ToUpper(a.Verdict), verdictWords[a.Verdict]))
	}
	fmt.Fprintf(w, "  ask       entry %d, from %s; %d of %d must agree\n", a.Index, printable(a.From), a.Need, a.Of)
	for i := range a.Rounds {
		r := &a.Rounds[i]
		if len(a.Rounds) > 1 {
			fmt.Fprintf(w, "  round %d   %s\n", i+1, cmp.Or(printable(r.Result), "open"))
		}
		for j := range r.Seats {
			printSeat(w, &r.Seats[j])
		}
	}
	if !a.Open {
		fmt.Fprintf(w, "  side by side: /witness/%d in the browser\n", a.Index)
	}
}

func printSeat(w io.Writer, s *web.WitnessSeat) {
	what := relationWords[s.Relation]
	switch {
	case s.Relation == "" && s.Report != nil:
		what = "opened"
	case s.Relation == "" && s.Sealed:
		what = "sealed"
	case s.Relation == "":
		what = "-"
	}
	name := s.Operator
	if s.Asker {
		name += " (asked, does not count)"
	}
	fmt.Fprintf(w, "  %-40s %s", printable(name), what)
	if r := s.Report; r != nil {
		fmt.Fprintf(w, ", status %d, entry %d", r.Status, r.Index)
	}
	fmt.Fprintln(w)
}
