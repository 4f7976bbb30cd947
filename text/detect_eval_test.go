package text

import (
	"bytes"
	"flag"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html/charset"
)

var manuals = flag.String("manuals", "", "html directory of Debian's debian-handbook or apache2-doc, unpacked: reports how well Detect does on it")

// tally counts answers. A translated manual has pages and paragraphs that nobody has translated yet: English ones are
// counted apart.
type tally struct{ right, english, wrong, unsureWrong int }

func (t *tally) count(want, got string, confidence float64) {
	switch {
	case got == want:
		t.right++
	case got == "en":
		t.english++
	case confidence < 0.5:
		t.unsureWrong++
	default:
		t.wrong++
	}
}

// TestDetectManuals reports how many pages, paragraphs and clipped paragraphs of translated manuals Detect tells right:
// text the model has not seen. It is skipped unless -manuals is given.
func TestDetectManuals(t *testing.T) {
	if *manuals == "" {
		t.Skip("no -manuals: nothing was measured; unpack Debian's debian-handbook or apache2-doc and run go test -run TestDetectManuals -v -manuals DIR")
	}
	var pages, paragraphs, lines tally
	confused := map[string]int{}
	err := filepath.WalkDir(*manuals, func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".html" || d.IsDir() {
			return err
		}
		want, page := readPage(t, path)
		if want == "" || len(page) < 500 {
			return nil
		}
		got, confidence := Detect(page)
		pages.count(want, got, confidence)
		for line := range strings.SplitSeq(page, "\n") {
			if len(line) < 150 {
				continue
			}
			got, confidence := Detect(line)
			paragraphs.count(want, got, confidence)
			if got != want && got != "en" {
				confused[want+" taken for "+got]++
			}
			got, confidence = Detect(clip(line, 60))
			lines.count(want, got, confidence)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("pages %+v, paragraphs %+v, 60 bytes %+v", pages, paragraphs, lines)
	for _, k := range slices.Sorted(maps.Keys(confused)) {
		t.Logf("%s: %d", k, confused[k])
	}
}

var langAttribute = regexp.MustCompile(`<html[^>]*? lang="([a-z]+)`)

// readPage returns the text of a page and its language: the handbook's by directory, else as the page declares it.
func readPage(t *testing.T, path string) (lang, text string) {
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := charset.NewReader(bytes.NewReader(data), "text/html"); err == nil {
		if data, err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
	if region := filepath.Base(filepath.Dir(path)); len(region) == 5 && region[2] == '-' && region[3] < 'a' {
		lang = region[:2]
	} else if m := langAttribute.FindSubmatch(data); m != nil {
		lang = string(m[1])
	}
	if lang == "nb" {
		lang = "no"
	}
	return lang, htmlText(t, string(data))
}
