package main

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"concord"
	"concord/web"

	"github.com/spf13/cobra"
)

func searchCommand() *cobra.Command {
	var limit, offset int
	var asJSON, explain, anyTotal, own bool
	var facets []string
	cmd := &cobra.Command{
		Use:   "search QUERY",
		Short: "Search the index",
		Long: `Search. All words must occur; forms of a word ("run", "running") are found
alike.

  "exact phrase"   -without   this OR that   (groups)   ?better-with
  begin*   mispelled~   mispelled~1   "words near"~3
  site:example.org   lang:de   filetype:pdf   intitle:word   inurl:word
  before:2026-01-31   after:2025   published:2025-01..2025-03   fetched:2025..

Other operators that share the ledger are asked as well, and what they send is
checked against this node's copy of it. Exit code 5 means that only some of the
shards, or of the other operators, answered.`,
		Example: `  concord search error correcting code
  concord search '"write-ahead log" -sqlite site:postgresql.org'
  concord search 'lang:de (Hund OR Katze)' --json
  concord search harbour --facets site,lang,year
  concord search harbour wall --limit 1 --explain
  concord search harbour --own`,
		Args: atLeastOne("query"),
	}
	cmd.Flags().IntVar(&limit, "limit", 10, "results wanted, at most 100")
	cmd.Flags().IntVar(&offset, "offset", 0, "results to leave out")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the answer as JSON")
	cmd.Flags().BoolVar(&explain, "explain", false, "explain the score of each result")
	cmd.Flags().StringSliceVar(&facets, "facets", nil, "count all matching pages by "+strings.Join(concord.FacetFields(), ", "))
	cmd.Flags().BoolVar(&anyTotal, "any-total", false, "do not count all matching pages, which is quicker")
	cmd.Flags().BoolVar(&own, "own", false, "ask no other operator")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := newClient(cmd)
		if err != nil {
			return err
		}
		var a web.SearchAnswer
		params := url.Values{"q": {strings.Join(args, " ")}, "limit": {strconv.Itoa(limit)}, "offset": {strconv.Itoa(offset)}}
		if own {
			params.Set("scope", "own")
		}
		if explain {
			params.Set("explain", "true")
		}
		if anyTotal {
			params.Set("total", "any")
		}
		if len(facets) > 0 {
			params.Set("facets", strings.Join(facets, ","))
		}
		if err := c.get(cmd.Context(), "/api/v1/search", params, &a); err != nil {
			return err
		}
		out := cmd.OutOrStdout()
		if asJSON {
			if err := printJSON(out, &a); err != nil {
				return err
			}
		} else {
			printAnswer(out, &a)
		}
		if a.Shards.Answered < a.Shards.Asked || operatorsAnswered(&a) < len(a.Operators) {
			return &quietError{exitPartial}
		}
		return nil
	}
	return cmd
}

func operatorsAnswered(a *web.SearchAnswer) (n int) {
	for _, o := range a.Operators {
		if o.Answered {
			n++
		}
	}
	return n
}

// printFacets shows a line a property, as long as the terminal is wide and longer where values need it.
func printFacets(w io.Writer, facets []web.SearchFacet, width int) {
	for _, f := range facets {
		var values []string
		for _, v := range f.Values {
			name := printable(v.Value)
			if name == "" {
				name = "(unknown)"
			}
			values = append(values, strings.ReplaceAll(fmt.Sprintf("%s %d", name, v.Count), " ", "\u00a0"))
		}
		const label = 6
		for i, line := range wrap(values, width-label) {
			name := f.Field
			if i > 0 {
				name = ""
			}
			fmt.Fprintf(w, "%-*s%s\n", label, name, strings.ReplaceAll(line, "\u00a0", " "))
		}
	}
}

// printAnswer shows results on a terminal, matches in bold when it is one.
func printAnswer(w io.Writer, a *web.SearchAnswer) {
	bold, plain := "", ""
	if isTerminal(w) && os.Getenv("NO_COLOR") == "" {
		bold, plain = boldOn, boldOff
	}
	width := columns(w)
	if width == 0 {
		width = plainWidth
	}
	if a.Shards.Answered < a.Shards.Asked {
		fmt.Fprintf(w, "Only %d of %d shards answered; there may be more.\n", a.Shards.Answered, a.Shards.Asked)
		for _, f := range a.Failures {
			fmt.Fprintln(w, "  "+printable(f))
		}
	}
	for _, note := range web.OperatorNotes(a.Operators) {
		fmt.Fprintln(w, printable(note))
	}
	if len(a.Results) == 0 {
		fmt.Fprintln(w, "Nothing found.")
		if a.Suggestion != "" {
			fmt.Fprintf(w, "Did you mean: %s\n", printable(a.Suggestion))
		}
		return
	}
	const indent = "   "
	least := ""
	if a.AtLeast {
		least = "at least "
	}
	fmt.Fprintf(w, "%d to %d of %s%d, %.1f ms, %d of %d shards", a.Offset+1, a.Offset+len(a.Results), least, a.Total, a.Took, a.Shards.Answered, a.Shards.Asked)
	if n := len(a.Operators); n > 0 {
		fmt.Fprintf(w, ", %d of %d other operators", operatorsAnswered(a), n)
	}
	fmt.Fprintln(w)
	printFacets(w, a.Facets, width)
	for i, r := range a.Results {
		title := r.Title
		if title == "" {
			title = r.URL
		}
		fmt.Fprintf(w, "\n%d. %s%s%s\n%s%s\n", a.Offset+i+1, bold, printable(title), plain, indent, printable(r.URL))
		for _, line := range wrap(snippetWords(r.Highlights, bold, plain), width-len(indent)) {
			fmt.Fprintln(w, indent+line)
		}
		fmt.Fprintf(w, "%sfetched %s%s\n", indent, r.Fetched.Local().Format(time.DateTime), seenBy(r.Operators))
		if r.Explanation != nil {
			printExplanation(w, r.Explanation, indent, width)
		}
	}
}

// seenBy names the operators who saw the page of a result; empty: only the one that is asked did.
func seenBy(list []web.SearchSighting) string {
	var names []string
	for _, s := range list {
		names = append(names, printable(s.Operator))
	}
	if names == nil {
		return ""
	}
	return " by " + strings.Join(names, ", ")
}

// snippetWords cuts a snippet at its white space, wherever matches begin and end in its words.
func snippetWords(parts []concord.Fragment, bold, plain string) []string {
	var words []string
	var word strings.Builder
	flush := func() {
		if word.Len() > 0 {
			words = append(words, word.String())
			word.Reset()
		}
	}
	for _, h := range parts {
		on, off := "", ""
		if h.Match {
			on, off = bold, plain
		}
		text := printable(h.Text)
		for len(text) > 0 {
			end := strings.IndexFunc(text, unicode.IsSpace)
			if end == 0 {
				flush()
				_, size := utf8.DecodeRuneInString(text)
				text = text[size:]
				continue
			}
			if end < 0 {
				end = len(text)
			}
			word.WriteString(on + text[:end] + off)
			text = text[end:]
		}
	}
	flush()
	return words
}
