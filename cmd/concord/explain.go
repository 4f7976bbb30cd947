package main

import (
	"fmt"
	"io"
	"net/url"
	"strings"

	"concord"
	"concord/web"

	"github.com/spf13/cobra"
)

func explainCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "explain URL QUERY",
		Short: "Say why a page matches a query, or does not",
		Long: `Say what each part of a query adds to the score of one page of the index, or
which part the page does not match. The query is as for search.

To ask whether a page is in the index at all, use "concord why URL".`,
		Example: `  concord explain https://example.org/ harbour wall
  concord explain https://example.org/ '"harbour wall" -sails' --json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 {
				return concord.Errorf(concord.Invalid, "explain takes a URL and a query; see: concord explain --help")
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := newClient(cmd)
		if err != nil {
			return err
		}
		var ex web.Explained
		params := url.Values{"url": {args[0]}, "q": {strings.Join(args[1:], " ")}}
		if err := c.get(cmd.Context(), "/api/v1/explain", params, &ex); err != nil {
			return err
		}
		out := cmd.OutOrStdout()
		if asJSON {
			return printJSON(out, &ex)
		}
		width := columns(out)
		if width == 0 {
			width = plainWidth
		}
		fmt.Fprintln(out, printable(ex.URL))
		printExplanation(out, &ex.Explanation, "", width)
		return nil
	}
	return cmd
}

// printExplanation shows a part of a query and below it, indented, what it consists of. In front is what it adds, or whether it matches.
func printExplanation(w io.Writer, ex *concord.Explanation, indent string, width int) {
	const column = 9
	mark := fmt.Sprintf("%.4f", ex.Score)
	switch {
	case !ex.Matches:
		mark = "no"
	case ex.Score == 0:
		mark = "yes"
	}
	rest := max(width-len(indent)-column, column)
	for i, line := range wrap(strings.Fields(printable(ex.Text)), rest) {
		if i > 0 {
			mark = ""
		}
		fmt.Fprintf(w, "%s%*s  %s\n", indent, column-2, mark, line)
	}
	for _, d := range ex.Details {
		for _, line := range wrap(strings.Fields(printable(d)), rest-2) {
			fmt.Fprintf(w, "%s%*s%s\n", indent, column+2, "", line)
		}
	}
	for i := range ex.Parts {
		printExplanation(w, &ex.Parts[i], indent+"  ", width)
	}
}
