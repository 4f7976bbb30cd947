package text

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Profile names the normaliser whose output is digested and attested. Any change of Normalise's output for any input is a
// new profile.
const Profile = "text-1"

// Normalise returns the bytes that stand for a text, so that operators who fetched the same page agree on them. Profile
// text-1, step by step:
//
//  1. Each byte that is not part of valid UTF-8 becomes U+FFFD (EF BF BD).
//  2. Format characters (isFormat: zero-width space and joiners, direction marks, soft hyphen, byte order mark, tags, …) and the
//     control characters 00-08, 0E-1F, 7F-84, 86-9F are removed. They are not white space: "a", U+00AD, "b" becomes "ab".
//  3. Each run of white space (isSpace: 09-0D, 20, U+0085, U+00A0, U+1680, U+2000-200A, U+2028, U+2029, U+202F, U+205F,
//     U+3000), also one interrupted by removed characters, becomes one 20; those at the start and the end are removed.
//  4. The result is put into Unicode normalisation form NFC, in stream-safe format (UAX #15, section 13: U+034F is set
//     into runs of more than 30 combining marks).
//
// Case, punctuation and all else stay. The classes are spelled out here, not taken from the Unicode version of the
// build; NFC is stable for assigned characters by Unicode's policy. Normalise(Normalise(s)) equals Normalise(s).
func Normalise(s string) string {
	if isNormal(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	space := false
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		i += size
		switch {
		case isSpace(r):
			space = true
		case isControl(r), isFormat(r):
		default:
			if space && b.Len() > 0 {
				b.WriteByte(' ')
			}
			space = false
			b.WriteRune(r)
		}
	}
	return norm.NFC.String(b.String())
}

// isNormal reports whether s is printable ASCII with single inner spaces: most of what is asked again.
func isNormal(s string) bool {
	before := byte(' ')
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c < ' ' || c > '~' || c == ' ' && before == ' ' {
			return false
		}
		before = c
	}
	return s == "" || before != ' '
}

// isSpace is Unicode's White_Space.
func isSpace(r rune) bool {
	switch {
	case r <= ' ':
		return r == ' ' || '\t' <= r && r <= '\r'
	case r < 0x1680:
		return r == 0x85 || r == 0xA0
	}
	return r == 0x1680 || 0x2000 <= r && r <= 0x200A || r == 0x2028 || r == 0x2029 || r == 0x202F || r == 0x205F || r == 0x3000
}

// isControl is general category Cc. White space among it is asked for first.
func isControl(r rune) bool { return r < ' ' || 0x7F <= r && r <= 0x9F }

// isFormat is general category Cf of Unicode 15.0, without the visible signs that are in it for other reasons: the Arabic
// number and verse signs (U+0600-0605, U+06DD, U+070F, U+0890, U+0891, U+08E2), the Kaithi number signs (U+110BD, U+110CD) and the
// joiners of hieroglyphs and the like (U+13430-1343F, U+1BCA0-1BCA3, U+1D173-1D17A).
func isFormat(r rune) bool {
	switch {
	case r < 0xAD:
		return false
	case r == 0xAD, r == 0x061C, r == 0x180E,
		0x200B <= r && r <= 0x200F, 0x202A <= r && r <= 0x202E, 0x2060 <= r && r <= 0x2064, 0x2066 <= r && r <= 0x206F,
		r == 0xFEFF, 0xFFF9 <= r && r <= 0xFFFB, r == 0xE0001, 0xE0020 <= r && r <= 0xE007F:
		return true
	}
	return false
}
