package text

import (
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func readLines(t *testing.T, name string) []string {
	t.Helper()
	f, err := os.Open(sharedData(t, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
}

// vocabularies are Snowball's own, of version 3. differ is how many of every seventh word our stemmers, of version 2.0,
// take otherwise. Words are found all the same, since documents and queries are stemmed alike; a later version joins more of them.
var vocabularies = []struct {
	lang, name string
	differ     int
	why        string
}{
	{"da", "danish", 0, ""},
	{"de", "german", 166, "version 3 removes -et and -eten (abgeleitet), and -n after -l (Adlerflügeln)"},
	{"en", "english", 6, "version 3 has new rules for -ogist, ebb-, vying, and keeps international apart from internal"},
	{"es", "spanish", 1, "version 3 takes -acion without its accent"},
	{"fi", "finnish", 1, "version 3 keeps the final é of foreign words"},
	{"fr", "french", 13, "version 3 treats ï and ë as i and e, and knows -oux; we take off lorsqu' too"},
	{"hu", "hungarian", 0, ""},
	{"it", "italian", 0, ""},
	{"nl", "dutch", 3055, "version 3 has another algorithm for Dutch (Kraaij and Pohlmann); ours is Porter's"},
	{"no", "norwegian", 20, "version 3 takes letters with accents for vowels, and leaves -ers on some words"},
	{"pt", "portuguese", 0, ""},
	{"ro", "romanian", 0, "compared in one spelling of ș and ț"},
	{"ru", "russian", 0, ""},
	{"sv", "swedish", 78, "version 3 removes -et (ansvaret)"},
	{"tr", "turkish", 3, "words that are nothing but an ending, which version 3 stems to nothing"},
}

// TestStemVocabularies holds the stemmers to Snowball's vocabularies. Romanian is compared in one spelling of ș and ț.
func TestStemVocabularies(t *testing.T) {
	const every = 7
	for _, v := range vocabularies {
		words, stems := readLines(t, "conformance/stem/"+v.name+"/voc.txt.zst"), readLines(t, "conformance/stem/"+v.name+"/output.txt.zst")
		if len(words) != len(stems) {
			t.Fatalf("%s: %d words, %d stems", v.lang, len(words), len(stems))
		}
		checked, differ := 0, []string{}
		for i := 0; i < len(words); i += every {
			checked++
			if got, want := Stem(v.lang, words[i]), prepare("ro", stems[i]); got != want {
				differ = append(differ, words[i]+": "+got+" not "+want)
			}
		}
		if len(differ) != v.differ {
			t.Errorf("%s: %d of %d differ, not %d: %q", v.lang, len(differ), checked, v.differ, differ[:min(len(differ), 12)])
		}
	}
	if len(vocabularies) != len(Languages()) {
		t.Error("a language is not checked")
	}
}

func TestStemmer(t *testing.T) {
	s := NewStemmer("en")
	for range 2 {
		for word, want := range map[string]string{"running": "run", "libraries": "librari", "": "", "日本": "日本"} {
			if got := s.Stem(word); got != want || Stem("en", word) != want {
				t.Errorf("Stem(%q) = %q, want %q", word, got, want)
			}
		}
	}
	if got := NewStemmer("ja").Stem("running"); got != "running" {
		t.Errorf("a language without a stemmer makes %q of running", got)
	}
	if !slices.IsSorted(Languages()) || len(Languages()) != 15 {
		t.Errorf("Languages() = %v", Languages())
	}
	for _, l := range Languages() {
		if algorithm(l) == nil {
			t.Errorf("no algorithm for %s", l)
		}
	}
}

func TestAnalyzer(t *testing.T) {
	tests := []struct{ lang, in, want string }{
		{"en", "The runners' running SHOES, 2nd café", "the runner run shoe 2nd cafe"},
		{"fr", "L'été, les écoles d’aujourd'hui", "ete le ecol aujourd'hui"},
		{"it", "dell'acqua nell'università", "acqua univers"},
		{"de", "Die Häuser der Straßen", "die haus der strass"},
		{"ru", "Ещё ёлка, книгами", "ещ елк книг"},
		{"tr", "İstanbul'da kitaplar", "istanbul kitap"},
		{"el", "ΟΔΟΣ οδός", "οδοσ οδοσ"},
		{"ar", "كِتَاب كتـاب", "کتاب کتاب"},
		{"pl", "łódź ŁÓDŹ", "lodz lodz"},
		{"vi", "Việt Nam", "viet nam"},
		{"", "Running cafés", "running cafes"},
		{"ja", "東京都", "東京 京都"},
	}
	for _, tt := range tests {
		a := NewAnalyzer(tt.lang)
		for range 2 { // the second time from memory
			var got []string
			for _, term := range a.Append(nil, tt.in) {
				got = append(got, term.Text)
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("%s: %q gives %q, want %q", tt.lang, tt.in, strings.Join(got, " "), tt.want)
			}
		}
	}
}

func TestAnalyzerKeepsPlaces(t *testing.T) {
	const s = "Über den " + "Flüssen"
	got := NewAnalyzer("de").Append(nil, s)
	if len(got) != 3 || got[2].Position != 2 || s[got[2].Start:got[2].End] != "Flüssen" {
		t.Errorf("got %+v", got)
	}
}

// TestQueryFormsFind: whatever the analyzer of a language makes of a word is among the forms of the word.
func TestQueryFormsFind(t *testing.T) {
	langs := append([]string{""}, Languages()...)
	for _, s := range sentences {
		for _, word := range terms(s) {
			forms := QueryForms(word, langs)
			for _, lang := range langs {
				terms := NewAnalyzer(lang).Append(nil, word)
				if len(terms) == 1 && !slices.Contains(forms, terms[0].Text) {
					t.Errorf("%s makes %q of %q, which is not among %q", lang, terms[0].Text, word, forms)
				}
			}
		}
	}
}

func TestQueryForms(t *testing.T) {
	tests := []struct {
		word  string
		langs []string
		want  string
	}{
		{"running", []string{"en"}, "run"},
		{"Running", []string{"ru", "en", "en"}, "running run"},
		{"café", nil, "cafe"},
		{"cafe", []string{""}, "cafe"},
		{"cafés", []string{"fr", "en", "de"}, "caf cafe cafes"},
		{"l'homme", []string{"fr", "en"}, "homm l'homm"},
		{"++", []string{"en"}, ""},
		{"", nil, ""},
		{"3.14", []string{"en", "de"}, "3.14"},
		{strings.Repeat("x", MaxTermBytes+1), nil, ""},
	}
	for _, tt := range tests {
		if got := strings.Join(QueryForms(tt.word, tt.langs), " "); got != tt.want {
			t.Errorf("QueryForms(%q, %q) = %q, want %q", tt.word, tt.langs, got, tt.want)
		}
	}
}

// TestCacheIsBounded also shows that what is remembered stays right when the memory is emptied.
func TestCacheIsBounded(t *testing.T) {
	var c cache
	for i := range cacheEntries + 10 {
		key := strings.Repeat("a", i%7) + string(rune('一'+i%20000)) + string(rune('a'+i%26)) + string(rune('가'+i/7%10000))
		c.put(key, key+"!")
		if v, ok := c.get(key); !ok || v != key+"!" {
			t.Fatal("a value just put is not there")
		}
		if len(c.m) > cacheEntries {
			t.Fatalf("%d entries", len(c.m))
		}
	}
}

func FuzzQueryForms(f *testing.F) {
	for _, s := range []string{"running", "l'été", "ёлка", "İstanbul'da", "ß", "d'", "ـ", "צה\"ל", "가각", "n't", "''''"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		langs := append([]string{"", "ca", "ar"}, Languages()...)
		for tok := range Tokens(s) {
			for _, form := range QueryForms(tok.Term, langs) {
				if form == "" || len(form) > MaxTermBytes {
					t.Fatalf("%q gives the form %q", tok.Term, form)
				}
			}
		}
	})
}
