package web

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestContrast computes the contrast of every pair of colours that text is set in (WCAG 2.2, success criterion 1.4.3: 4.5
// for ordinary text), for both colour schemes.
func TestContrast(t *testing.T) {
	css, err := staticFiles.ReadFile("static/style.css")
	if err != nil {
		t.Fatal(err)
	}
	light, rest, ok := strings.Cut(string(css), "@media (prefers-color-scheme: dark)")
	if !ok {
		t.Fatal("the style sheet has no dark scheme")
	}
	dark, _, _ := strings.Cut(rest, "\n}\n")
	const least = 4.5
	pairs := [][2]string{{"ink", "paper"}, {"ink", "card"}, {"ink", "sunk"}, {"soft", "paper"}, {"soft", "card"}, {"soft", "sunk"}, {"accent", "paper"}, {"accent", "card"},
		{"on-accent", "accent"}, {"title", "paper"}, {"title", "card"}, {"visited", "paper"}, {"mark-ink", "mark"}, {"good", "good-bg"}, {"good", "card"}, {"warn", "warn-bg"}, {"warn", "paper"}, {"warn", "card"},
		{"bad", "bad-bg"}, {"bad", "paper"}}
	for scheme, text := range map[string]string{"light": light, "dark": dark} {
		colours := map[string]float64{}
		for _, m := range regexp.MustCompile(`--([a-z-]+): #([0-9a-f]{6})`).FindAllStringSubmatch(text, -1) {
			colours[m[1]] = luminance(t, m[2])
		}
		for _, p := range pairs {
			a, aok := colours[p[0]]
			b, bok := colours[p[1]]
			if !aok || !bok {
				t.Errorf("%s: no colour %v", scheme, p)
				continue
			}
			if ratio := (max(a, b) + 0.05) / (min(a, b) + 0.05); ratio < least {
				t.Errorf("%s: %s on %s has contrast %.2f, want %.1f", scheme, p[0], p[1], ratio, least)
			}
		}
	}
}

// luminance is the relative luminance of a colour (WCAG 2.2).
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(hex[2*i:2*i+2], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		c := float64(n) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}
