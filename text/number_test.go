package text

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// numbers gives each term a number in the order of their appearance.
type numbers struct {
	of    map[string]uint32
	terms []string
}

func (n *numbers) number(term string) uint32 {
	v, ok := n.of[term]
	if !ok {
		term = strings.Clone(term)
		n.terms = append(n.terms, term)
		v = uint32(len(n.terms))
		n.of[term] = v
	}
	return v
}

// checkNumbers holds what a numberer makes of s to what an analyzer makes of it, twice: the second time from memory.
func checkNumbers(t *testing.T, lang, s string) {
	t.Helper()
	ids := &numbers{of: map[string]uint32{}}
	n := NewNumberer(lang, ids.number)
	want := make([]string, 0, 16)
	for _, term := range NewAnalyzer(lang).Append(nil, s) {
		for len(want) < int(term.Position) {
			want = append(want, "")
		}
		want = append(want, term.Text)
	}
	for range 2 {
		var got []string
		for _, v := range n.Append(nil, s) {
			if v == NoTerm {
				got = append(got, "")
			} else {
				got = append(got, ids.terms[v-1])
			}
		}
		for len(got) > len(want) && got[len(got)-1] == "" { // too long words at the end
			got = got[:len(got)-1]
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%s: %q: numbers of %q, terms %q", lang, s, got, want)
		}
	}
}

func TestNumberer(t *testing.T) {
	long := strings.Repeat("x", MaxTermBytes)
	for _, s := range append(slices.Collect(maps.Values(sentences)),
		"", "a", "A b", " a  b ", "word", "seventeenletters!", "seventeenletterss", "exactly8 exactly7", "fifteenletterss sixteenletterssx",
		long+" "+long+"x end", long+"x", "x"+long+" last words of it", "don't DON'T it's 'quoted' 3.14 1,000;2 a.b 1.b a'1",
		"Running runs RUNNER runner's", "a\x00b", "a\x10b 0\x100", "`a{ @Z[ /0: 9;", "é", "aé éa a é b", "word\u0301 x", "word, \u0301x", "über straße", "(\u0301) a_\u0301b a:\u0301b",
		"東京都 tower 東京", "a\xffb \xfe", "co\u00ADop", strings.Repeat("word and another one ", 100), strings.Repeat("é ", 40)) {
		for _, lang := range []string{"", "en", "de", "fr", "ru"} {
			checkNumbers(t, lang, s)
		}
	}
}

// TestNumbererMixes puts pieces that matter to each other side by side, at all distances from the end of the text.
func TestNumbererMixes(t *testing.T) {
	pieces := []string{" ", " ", " ", "a", "The", "word", "Looking", "internationalisation", "7", "12", ".", ",", ";", "'", "_", ":", "-", "\n", "\u0301", "é", "’", "東", "\xff", "\u00AD",
		strings.Repeat("y", MaxTermBytes)}
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		var b strings.Builder
		for range r.IntN(14) {
			b.WriteString(pieces[r.IntN(len(pieces))])
		}
		checkNumbers(t, "en", b.String())
		checkTokens(t, b.String())
	}
}

// TestNumbererForgets: a vocabulary larger than the tables keeps its numbers.
func TestNumbererForgets(t *testing.T) {
	ids := &numbers{of: map[string]uint32{}}
	n := NewNumberer("", ids.number)
	var text, longText strings.Builder
	for i := range maxShortSlots/2 + 100 {
		fmt.Fprintf(&text, "w%d ", i)
	}
	for i := range longWords + 100 {
		fmt.Fprintf(&longText, "a-very-long-word%010d ", i)
	}
	for _, s := range []string{text.String(), longText.String()} {
		first := n.Append(nil, s)
		if again := n.Append(nil, s); !slices.Equal(first, again) {
			t.Fatal("numbers changed")
		}
		if len(first) == 0 || slices.Contains(first, NoTerm) {
			t.Fatal("words are missing")
		}
	}
	if b := n.Bytes(); b < maxShortSlots*shortSlotBytes || b > 2*maxShortSlots*shortSlotBytes {
		t.Errorf("%d bytes", b)
	}
}

func FuzzNumberer(f *testing.F) {
	for _, s := range []string{"don't stop", "a.b_c:d,e;f 1.5,3;4'5", "word\u0301 x over, the lazy dog", "東京都 Tower", "a\xff\xfe and some more text here", "ÀB c d e f g h i"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { checkNumbers(t, "en", s) })
}

// FuzzWordBytes holds eight bytes at once to one byte at a time.
func FuzzWordBytes(f *testing.F) {
	f.Add("azAZ09@[")
	f.Add("`{/:\x00\x10\x19\xff")
	f.Fuzz(func(t *testing.T, s string) {
		for i := range s {
			want := i
			for want < len(s) && (classes[s[want]] == letter || classes[s[want]] == digit) {
				want++
			}
			if got := wordRun(s, i); got != want {
				t.Fatalf("%q from %d: %d, want %d", s, i, got, want)
			}
			if n := min(want-i, shortWord); n > 0 {
				k := lowerKey(s, i, n)
				lower := lowerASCII(s[i : i+n])
				if k != lowerKey(lower, 0, n) || k != lowerKey(lower+"0123456789abcdef", 0, n) {
					t.Fatalf("%q: keys differ", s[i:i+n])
				}
			}
		}
	})
}

func BenchmarkNumberer(b *testing.B) {
	english := strings.Repeat("The quick brown fox doesn't jump over 13 lazy dogs; it sleeps, e.g. at 12:30 in New York (example.org). ", 1000)
	french := strings.Repeat("L'été dernier, à l'école, les élèves étaient déjà très occupés. ", 1000)
	for _, bb := range []struct{ name, text string }{{"english", english}, {"french", french}} {
		b.Run(bb.name, func(b *testing.B) {
			n := NewNumberer("en", (&numbers{of: map[string]uint32{}}).number)
			var dst []uint32
			b.SetBytes(int64(len(bb.text)))
			for b.Loop() {
				dst = n.Append(dst[:0], bb.text)
			}
		})
	}
}
