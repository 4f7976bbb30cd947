package game

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"concord"
)

const (
	// MaxLineBytes bounds one document of a corpus: the longest article has 1 MB.
	MaxLineBytes = 64 << 20
	// MinParagraph is the least number of characters a piece has when text is cut on newlines: shorter ones are headings and
	// remains of lists.
	MinParagraph = 100
)

// Document is one document of a corpus.
type Document struct {
	ID    string `json:"_id"`
	Title string `json:"title"`
	Text  string `json:"text"`
	Words bool   `json:"-"` // Text is as AppendWords makes it
}

// ReadCorpus calls yield with the documents of a corpus, in order. A line is a JSON object with _id, title and text, or,
// as WriteWords writes it, a number, a tab and the text. Errors: Invalid for a line that is neither, those of r and yield.
func ReadCorpus(r io.Reader, yield func(Document) error) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 0, 1<<20), MaxLineBytes)
	for n := 1; sc.Scan(); n++ {
		line := sc.Bytes()
		var d Document
		if len(line) > 0 && line[0] == '{' {
			if err := json.Unmarshal(line, &d); err != nil {
				return concord.Errorf(concord.Invalid, "line %d of the corpus: %w", n, err)
			}
		} else {
			id, text, ok := bytes.Cut(line, []byte{'\t'})
			if !ok {
				return concord.Errorf(concord.Invalid, "line %d of the corpus is neither an object nor a number, a tab and words", n)
			}
			d.ID, d.Text, d.Words = string(id), string(text), true
		}
		if err := yield(d); err != nil {
			return err
		}
	}
	if err := sc.Err(); err != nil {
		return fmt.Errorf("read corpus: %w", err)
	}
	return nil
}

// Paragraphs calls yield with the pieces of a document: its lines of at least MinParagraph characters without the white space around
// them. Their IDs are the document's, a number sign and the piece's number from 0.
func Paragraphs(d Document, yield func(Document) error) error {
	n := 0
	for line := range strings.Lines(d.Text) {
		line = strings.TrimSpace(line)
		if utf8.RuneCountInString(line) < MinParagraph {
			continue
		}
		if err := yield(Document{ID: d.ID + "#" + strconv.Itoa(n), Title: d.Title, Text: line}); err != nil {
			return err
		}
		n++
	}
	return nil
}

// AppendWords appends the text as the game transforms it, re.sub("[^a-zA-Z]+", " ", text.lower()): runs of ASCII letters in lower
// case with single spaces between them.
func AppendWords(dst []byte, text string) []byte {
	gap := false
	for i := 0; i < len(text); {
		c := text[i]
		i++
		switch {
		case 'a' <= c && c <= 'z':
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		case c >= utf8.RuneSelf:
			r, n := utf8.DecodeRuneInString(text[i-1:])
			i += n - 1
			if c = asciiLower(r); c == 0 {
				gap = true
				continue
			}
		default:
			gap = true
			continue
		}
		if gap {
			dst = append(dst, ' ')
		}
		gap = c == 'i' && text[i-1] != 'i' && text[i-1] != 'I' // what follows the i of a dotted capital I is a combining dot
		dst = append(dst, c)
	}
	if gap {
		dst = append(dst, ' ')
	}
	return dst
}

// asciiLower returns the ASCII letter that begins the lower case of a letter outside ASCII, 0 for all but the two that have one.
func asciiLower(r rune) byte {
	switch r {
	case '\u0130': // capital I with a dot
		return 'i'
	case '\u212a': // the sign for kelvin
		return 'k'
	}
	return 0
}

var errEnough = errors.New("as many documents as were asked for")

// WriteWords writes a corpus for all engines, at most limit documents of it if that is not 0: each line is a document's number, a tab,
// and its words.
func WriteWords(w io.Writer, r io.Reader, paragraphs bool, limit int) (docs int, err error) {
	out := bufio.NewWriterSize(w, 1<<20)
	var line []byte
	write := func(d Document) error {
		if limit > 0 && docs >= limit {
			return errEnough
		}
		line = append(strconv.AppendInt(line[:0], int64(docs), 10), '\t')
		line = append(AppendWords(line, d.Text), '\n')
		docs++
		_, err := out.Write(line)
		return err
	}
	err = ReadCorpus(r, func(d Document) error {
		if paragraphs {
			return Paragraphs(d, write)
		}
		return write(d)
	})
	if err == nil || errors.Is(err, errEnough) {
		err = out.Flush()
	}
	return docs, err
}
