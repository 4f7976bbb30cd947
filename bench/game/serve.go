package game

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"

	"concord/query"
)

// Engine is an index that can be asked.
type Engine interface {
	// Count returns the number of matching documents.
	Count(q query.Node) (uint64, error)
	// Top finds the best k documents, the best first.
	Top(q query.Node, k int) ([]Scored, error)
	// TopCount finds the best k documents and returns the number of all that match.
	TopCount(q query.Node, k int) (uint64, error)
}

// Scored is one result: the document's number in the corpus, and its score.
type Scored struct {
	Doc   int
	Score float64
}

const (
	unsupported = "UNSUPPORTED"
	// noop is a command that costs nothing but the way there and back.
	noop = "NOOP"
	// maxQueryLine bounds a line of a client; the longest query of the game has 60 bytes.
	maxQueryLine = 1 << 20
	// maxTop bounds k of DOCS_k.
	maxTop = 100000
)

// Serve answers the commands of r on w until r ends. What an engine cannot answer is UNSUPPORTED, and logged. It is for one
// client at a time.
func Serve(e Engine, r io.Reader, w io.Writer, log *slog.Logger) error {
	in := bufio.NewScanner(r)
	in.Buffer(nil, maxQueryLine)
	out := bufio.NewWriter(w)
	for in.Scan() {
		answer, err := Answer(e, in.Text())
		if err != nil {
			log.Warn("not answered", "line", in.Text(), "error", err)
			answer = unsupported
		}
		out.WriteString(answer)
		out.WriteByte('\n')
		if err := out.Flush(); err != nil {
			return fmt.Errorf("write answer: %w", err)
		}
	}
	if err := in.Err(); err != nil {
		return fmt.Errorf("read commands: %w", err)
	}
	return nil
}

// Answer returns the line that answers a command. It is UNSUPPORTED for an unknown command.
func Answer(e Engine, line string) (string, error) {
	command, text, _ := strings.Cut(line, "\t")
	if command == noop {
		return "1", nil
	}
	rest, isTop := strings.CutPrefix(command, "TOP_")
	number, counting := strings.CutSuffix(rest, "_COUNT")
	docs, isDocs := strings.CutPrefix(command, "DOCS_")
	if isDocs {
		number = docs
	}
	k, err := strconv.Atoi(number)
	known := command == "COUNT" || isTop && (k == 10 || k == 100 || k == 1000) || isDocs && err == nil && k > 0 && k <= maxTop
	if !known {
		return unsupported, nil
	}
	q, err := ParseQuery(text)
	if err != nil {
		return "", err
	}
	switch {
	case command == "COUNT":
		n, err := e.Count(q)
		return strconv.FormatUint(n, 10), err
	case counting:
		n, err := e.TopCount(q, k)
		return strconv.FormatUint(n, 10), err
	}
	top, err := e.Top(q, k)
	if err != nil || !isDocs {
		return "1", err
	}
	var b strings.Builder
	for i, d := range top {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%d:%.6f", d.Doc, d.Score)
	}
	return b.String(), nil
}

// counts reports whether a command's answer is a number of documents.
func counts(command string) bool { return strings.HasSuffix(command, "COUNT") }
