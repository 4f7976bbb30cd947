package main

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"concord/web"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func searchCommand() *cobra.Command {
	var limit, offset int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "search QUERY",
		Short: "Search the index",
		Long: `Search. All words must occur; forms of a word ("run", "running") are found alike.

  "exact phrase"   -without   this OR that   (groups)
  site:example.org   lang:de   filetype:pdf   intitle:word   inurl:word   before:2026-01-31   after:2025

Exit code 5 means that only some of the shards answered.`,
		Example: `  concord search error correcting code
  concord search '"write-ahead log" -sqlite site:postgresql.org'
  concord search 'lang:de (Hund OR Katze)' --json`,
		Args: atLeastOne("query"),
	}
	cmd.Flags().IntVar(&limit, "limit", 10, "results wanted, at most 100")
	cmd.Flags().IntVar(&offset, "offset", 0, "results to leave out")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the answer as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := newClient(cmd)
		if err != nil {
			return err
		}
		var a web.SearchAnswer
		params := url.Values{"q": {strings.Join(args, " ")}, "limit": {strconv.Itoa(limit)}, "offset": {strconv.Itoa(offset)}}
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
		if a.Shards.Answered < a.Shards.Asked {
			return &quietError{exitPartial}
		}
		return nil
	}
	return cmd
}

// printAnswer shows results on a terminal, matches in bold when it is one.
func printAnswer(w io.Writer, a *web.SearchAnswer) {
	bold, plain, width := "", "", 100
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		if os.Getenv("NO_COLOR") == "" {
			bold, plain = "\x1b[1m", "\x1b[0m"
		}
		if cols, _, err := term.GetSize(int(f.Fd())); err == nil {
			width = min(cols, 120)
		}
	}
	if a.Shards.Answered < a.Shards.Asked {
		fmt.Fprintf(w, "Only %d of %d shards answered; there may be more.\n", a.Shards.Answered, a.Shards.Asked)
		for _, f := range a.Failures {
			fmt.Fprintln(w, "  "+printable(f))
		}
	}
	if len(a.Results) == 0 {
		fmt.Fprintln(w, "Nothing found.")
		if a.Suggestion != "" {
			fmt.Fprintf(w, "Did you mean: %s\n", printable(a.Suggestion))
		}
		return
	}
	fmt.Fprintf(w, "%d to %d of %d, %.1f ms, %d of %d shards\n", a.Offset+1, a.Offset+len(a.Results), a.Total, a.Took, a.Shards.Answered, a.Shards.Asked)
	for i, r := range a.Results {
		title := r.Title
		if title == "" {
			title = r.URL
		}
		fmt.Fprintf(w, "\n%d. %s%s%s\n   %s\n", a.Offset+i+1, bold, printable(title), plain, printable(r.URL))
		var words []string
		for _, h := range r.Highlights {
			for _, word := range strings.Fields(printable(h.Text)) {
				if h.Match && bold != "" {
					word = bold + word + plain
				}
				words = append(words, word)
			}
		}
		for _, line := range wrap(words, width-3) {
			fmt.Fprintln(w, "   "+line)
		}
		fmt.Fprintf(w, "   fetched %s\n", r.Fetched.Local().Format(time.DateTime))
	}
}

// wrap fills lines of at most width characters, not counting escape sequences.
func wrap(words []string, width int) []string {
	var lines []string
	var line strings.Builder
	n := 0
	for _, word := range words {
		l := len([]rune(word)) - 4*strings.Count(word, "\x1b[1m") - 4*strings.Count(word, "\x1b[0m")
		if n > 0 && n+1+l > width {
			lines = append(lines, line.String())
			line.Reset()
			n = 0
		}
		if n > 0 {
			line.WriteByte(' ')
			n++
		}
		line.WriteString(word)
		n += l
	}
	if n > 0 {
		lines = append(lines, line.String())
	}
	return lines
}

// printable keeps a stranger's text from steering the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return ' '
		}
		return r
	}, s)
}
