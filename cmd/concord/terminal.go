package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

const (
	boldOn, boldOff = "\x1b[1m", "\x1b[0m"
	maxWidth        = 120 // longer lines are hard to read
	plainWidth      = 100 // of snippets where there is no terminal to ask
)

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// columns returns how wide lines may be on a terminal; 0: w is none, so lines are for programs and stay whole.
func columns(w io.Writer) int {
	if !isTerminal(w) {
		return 0
	}
	cols, _, err := term.GetSize(int(w.(*os.File).Fd()))
	if err != nil || cols < 20 {
		return 80
	}
	return min(cols, maxWidth)
}

// printWrapped writes a sentence after first, and its further lines below it, indented as far.
func printWrapped(w io.Writer, first, text string) {
	width := columns(w)
	if width == 0 {
		fmt.Fprintln(w, first+text)
		return
	}
	indent := strings.Repeat(" ", utf8.RuneCountInString(first))
	for i, line := range wrap(strings.Fields(text), width-len(indent)) {
		if i > 0 {
			first = indent
		}
		fmt.Fprintln(w, first+line)
	}
}

// wrap fills lines of at most width characters, not counting escape sequences. A word that is longer has a line of its own.
func wrap(words []string, width int) []string {
	var lines []string
	var line strings.Builder
	n := 0
	for _, word := range words {
		l := utf8.RuneCountInString(word) - len(boldOn)*strings.Count(word, boldOn) - len(boldOff)*strings.Count(word, boldOff)
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
