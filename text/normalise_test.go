package text

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"concord"
)

func TestNormalise(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", ""},
		{" \t\r\n ", ""},
		{"plain text.", "plain text."},
		{"  Two\n\n words\u00A0\u3000here ", "Two words here"},
		{"soft\u00ADhyphen zero\u200Bwidth \uFEFFmark", "softhyphen zerowidth mark"},
		{"a \u200B \u00AD b", "a b"},
		{"a\x00b\x7Fc\u0080d\u0085e\x1Cf", "abcd ef"},
		{"e\u0301 e\u0327\u0301 \u212B \uFB01", "é ȩ́ Å \uFB01"},
		{"e\u200D\u0301", "é"},
		{"bad\xFFbyte \xE2\x82", "bad\uFFFDbyte \uFFFD\uFFFD"},
		{"\u2066left\u2069 \u202Emirror", "left mirror"},
		{"Case, PUNCTUATION — “stay”…", "Case, PUNCTUATION — “stay”…"},
		{"が カ\u3099 각", "が ガ 각"},
		{"\U000E0041tag\U000E007F", "tag"},
		{"\u0600١٢ \u06DD", "\u0600١٢ \u06DD"},
		{"👩\u200D👧", "👩👧"},
		{"a" + strings.Repeat("\u0316", 31), "a" + strings.Repeat("\u0316", 30) + "\u034F\u0316"},
	}
	for _, tt := range tests {
		if got := Normalise(tt.in); got != tt.want {
			t.Errorf("Normalise(%q)\n got %q\nwant %q", tt.in, got, tt.want)
		}
	}
}

// TestProfileIsFrozen holds profile text-1 to a digest: whoever changes it makes a new profile.
func TestProfileIsFrozen(t *testing.T) {
	var b strings.Builder
	for r := rune(0); r < 0x323B0; r++ { // every rune assigned in Unicode 15.0 below the private planes, apart and in company
		if r < 0xD800 || r > 0xDFFF {
			b.WriteString("a" + string(r) + "e" + string(r) + "\u0301 ")
		}
	}
	const want = "sha256:5297900218e929a3a47d13725522a24e54963a4c212da7bea2ed7e9e74fc5472"
	if got := concord.Sum([]byte(Normalise(b.String()))).Labelled(); Profile != "text-1" || got != want {
		t.Errorf("profile %s gives %s, want %s", Profile, got, want)
	}
}

func TestFormatTableIsUnicodes(t *testing.T) {
	kept := 0
	for r := rune(0); r <= utf8.MaxRune; r++ {
		if isSpace(r) != unicode.Is(unicode.White_Space, r) || isControl(r) != unicode.Is(unicode.Cc, r) {
			t.Errorf("%U is classed wrongly", r)
		}
		switch cf := unicode.Is(unicode.Cf, r); {
		case isFormat(r) && !cf && !(0xE0020 <= r && r <= 0xE007F || 0x2066 <= r && r <= 0x206F):
			t.Errorf("%U is no format character", r)
		case cf && !isFormat(r):
			kept++
		}
	}
	if kept != 41 {
		t.Errorf("%d format characters are kept", kept)
	}
}

func FuzzNormalise(f *testing.F) {
	for _, s := range []string{"a b", " a\u0301\u00AD ", "\xff\u200B", "각\u1100\u1161", strings.Repeat("\u0301", 70), "\u0344\u0345\u034F", "\u2000\u2126"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once := Normalise(s)
		if twice := Normalise(once); twice != once {
			t.Fatalf("Normalise(%q) = %q, and of that %q", s, once, twice)
		}
		if !utf8.ValidString(once) || strings.Contains(once, "  ") || strings.Trim(once, " ") != once {
			t.Fatalf("Normalise(%q) = %q", s, once)
		}
	})
}
