package query

import (
	"bufio"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"concord/text"
)

func TestPrefixTerms(t *testing.T) {
	for _, tt := range []struct{ query, start, others string }{
		{"comp*", "comp", "comp"},
		{"running*", "running", "run running"},
		{"Straßen*", "strassen", "strassen strass"},
		{"élan*", "elan", "elan"},
	} {
		start, others := mustParse(t, tt.query).(Prefix).Terms([]string{"en", "", "de"})
		if start != tt.start || !sameWords(others, tt.others) {
			t.Errorf("%s stands for %s… and %q", tt.query, start, others)
		}
	}
}

func sameWords(got []string, want string) bool {
	w := strings.Fields(want)
	slices.Sort(w)
	return slices.Equal(slices.Sorted(slices.Values(got)), w)
}

func TestFuzzyTerms(t *testing.T) {
	for _, tt := range []struct {
		query string
		want  []NearTerm
	}{
		{"apple~", []NearTerm{{"apple", 1}, {"appl", 1}}},
		{"running~", []NearTerm{{"running", 2}, {"run", 1}}},
		{"running~1", []NearTerm{{"running", 1}, {"run", 1}}},
		{"goes~2", []NearTerm{{"goes", 2}, {"goe", 1}}},
		{"beings~", []NearTerm{{"beings", 2}, {"be", 0}}},
		{"x86~", []NearTerm{{"x86", 1}}},
	} {
		if got := mustParse(t, tt.query).(Fuzzy).Terms([]string{"en", ""}); !slices.Equal(got, tt.want) {
			t.Errorf("%s stands for %v, want %v", tt.query, got, tt.want)
		}
	}
	if got := mustParse(t, "café~").(Fuzzy).Terms(nil); !slices.Equal(got, []NearTerm{{"cafe", 1}}) {
		t.Errorf("without languages café~ stands for %v", got)
	}
}

// vocabulary returns some words of a language that Snowball's test data has, without those of several tokens.
func vocabulary(t *testing.T, name string) (words []string) {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "shared", "data", "conformance", "stem", name, "voc.txt.zst"))
	if err != nil {
		t.Skipf("SKIPPED: real data is absent (%v); run this test where ../shared/data has it", err)
	}
	defer f.Close()
	r, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	const every = 29
	lines := bufio.NewScanner(r)
	for i := 0; lines.Scan(); i++ {
		if w := lines.Text(); i%every == 0 && !strings.ContainsFunc(w, func(r rune) bool { return !isWordRune(r) }) {
			words = append(words, w)
		}
	}
	if err := lines.Err(); err != nil || len(words) < 100 {
		t.Fatalf("%d words of %s: %v", len(words), name, err)
	}
	return words
}

// TestInexactRecall measures how much of what Prefix and Fuzzy should find the stems in the index let them find: words by each of
// their beginnings of three letters or more, and by one random mistake.
func TestInexactRecall(t *testing.T) {
	for _, tt := range []struct {
		lang, name    string
		prefix, fuzzy float64 // percent found, at least
	}{
		{"da", "danish", 95, 91}, {"de", "german", 96, 93}, {"en", "english", 87, 89}, {"es", "spanish", 90, 87}, {"fi", "finnish", 88, 93},
		{"fr", "french", 91, 87}, {"hu", "hungarian", 91, 93}, {"it", "italian", 88, 88}, {"nl", "dutch", 95, 95}, {"no", "norwegian", 97, 93},
		{"pt", "portuguese", 91, 88}, {"ro", "romanian", 90, 87}, {"ru", "russian", 95, 93}, {"sv", "swedish", 95, 92}, {"tr", "turkish", 86, 82},
	} {
		var prefix, fuzzy share
		langs := []string{tt.lang}
		random := rand.New(rand.NewPCG(1, 2))
		for _, w := range vocabulary(t, tt.name) {
			indexed := text.QueryForms(w, langs)[0]
			runes := []rune(w)
			for cut := 3; cut < len(runes); cut++ {
				start, others := Prefix{Text: string(runes[:cut])}.Terms(langs)
				prefix.add(strings.HasPrefix(indexed, start) || slices.Contains(others, indexed))
			}
			if len(runes) < 4 {
				continue
			}
			wrong := mistake(random, runes)
			fuzzy.add(slices.ContainsFunc(Fuzzy{Text: wrong, Distance: FuzzyDistance(wrong)}.Terms(langs), func(n NearTerm) bool {
				return distance([]rune(n.Text), []rune(indexed)) <= n.Distance
			}))
		}
		if p, f := prefix.percent(), fuzzy.percent(); p < tt.prefix || f < tt.fuzzy {
			t.Errorf("%s: prefixes find %.1f %% of %d, fuzzy words %.1f %% of %d", tt.lang, p, prefix.all, f, fuzzy.all)
		}
	}
}

type share struct{ found, all int }

func (s *share) add(found bool) {
	s.all++
	if found {
		s.found++
	}
}

func (s *share) percent() float64 { return 100 * float64(s.found) / float64(s.all) }

// mistake returns a word with one letter left out, doubled, replaced by another of the word, or changed places with the next.
func mistake(random *rand.Rand, word []rune) string {
	i := random.IntN(len(word) - 1)
	wrong := slices.Clone(word)
	switch random.IntN(4) {
	case 0:
		wrong = slices.Delete(wrong, i, i+1)
	case 1:
		wrong = slices.Insert(wrong, i, wrong[i])
	case 2:
		wrong[i] = wrong[random.IntN(len(wrong))]
	default:
		wrong[i], wrong[i+1] = wrong[i+1], wrong[i]
	}
	return string(wrong)
}

// distance returns how many letters are inserted, deleted, replaced or swapped with their neighbour between a and b.
func distance(a, b []rune) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range b {
		rows[0][j+1] = j + 1
	}
	for i := range a {
		for j := range b {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			best := min(rows[i][j+1]+1, rows[i+1][j]+1, rows[i][j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				best = min(best, rows[i-1][j-1]+1)
			}
			rows[i+1][j+1] = best
		}
	}
	return rows[len(a)][len(b)]
}
