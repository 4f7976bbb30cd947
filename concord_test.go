package concord

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func testEntry() Entry {
	return Entry{Salt: [SaltSize]byte{1, 2, 3}, Time: 1795320042, Status: 200, Raw: Sum([]byte("raw")), Text: Sum([]byte("text")),
		Profile: "text-1", Record: Sum([]byte("record")), URL: "https://example.com/page/1187"}
}

func TestEntryRoundTrip(t *testing.T) {
	bare := testEntry()
	bare.Text, bare.Profile = Digest{}, ""
	for _, e := range []Entry{testEntry(), bare} {
		got, err := ParseEntry(e.String())
		if err != nil || got != e {
			t.Errorf("%q: %+v, %v", e, got, err)
		}
	}
}

func TestEntryRefusesEveryOtherForm(t *testing.T) {
	line := testEntry().String()
	for name, bad := range map[string]string{
		"empty": "", "two spaces": strings.Replace(line, " 200 ", "  200 ", 1), "leading zero": strings.Replace(line, " 200 ", " 0200 ", 1),
		"plus": strings.Replace(line, " 1795", " +1795", 1), "line feed": line + "\n", "space in URL": line + " x",
		"no text but a profile": strings.Replace(line, Sum([]byte("text")).String(), "-", 1), "url-safe digest": strings.ReplaceAll(line, "/", "_"),
	} {
		if e, err := ParseEntry(bad); err == nil && bad != e.String() {
			t.Errorf("%s: accepted %q", name, bad)
		} else if err == nil && name != "url-safe digest" {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzParseEntry(f *testing.F) {
	f.Add(testEntry().String())
	f.Fuzz(func(t *testing.T, line string) {
		if e, err := ParseEntry(line); err == nil && e.String() != line {
			t.Fatalf("%q re-encodes to %q", line, e)
		}
	})
}

func FuzzParseAttestation(f *testing.F) {
	f.Add(Attestation{Chain: "net-1:9f2c41d07ab3", From: "alice.example", Seq: 1842, Count: 4096, Root: Sum(nil), First: 1, Last: 2}.String())
	f.Fuzz(func(t *testing.T, text string) {
		if a, err := ParseAttestation(text); err == nil && a.String() != text {
			t.Fatalf("%q re-encodes to %q", text, a)
		}
	})
}

func TestKinds(t *testing.T) {
	err := fmt.Errorf("open: %w", Errorf(NotFound, "no segment %d", 7))
	if KindOf(err) != NotFound || err.Error() != "open: no segment 7" {
		t.Errorf("%v is %v", err, KindOf(err))
	}
	if KindOf(errors.New("x")) != Internal {
		t.Error("an error without a kind is internal")
	}
}

func TestPartitionOfIsStable(t *testing.T) {
	// The mapping is part of every data directory: changing it loses pages.
	for key, want := range map[string]int{"https://example.com/": 1, "example.org": 2, "127.0.0.1": 0, "": 0} {
		if got := PartitionOf(key, 4); got != want {
			t.Errorf("PartitionOf(%q, 4) = %d, want %d", key, got, want)
		}
	}
}

func TestDecodeCapture(t *testing.T) {
	whole := Event{Capture: &Capture{ID: "id", URL: "https://example.com/", Status: 200}, Page: &Page{Title: "a page", Body: "text"}}
	data, err := whole.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if c, err := DecodeCapture(data); err != nil || *c != *whole.Capture {
		t.Errorf("capture %+v, %v", c, err)
	}
	if c, err := DecodeCapture([]byte(`{"anchors":[]}`)); err != nil || c != nil {
		t.Errorf("an event without a capture: %+v, %v", c, err)
	}
	if _, err := DecodeCapture([]byte(`{`)); KindOf(err) != Corrupt {
		t.Errorf("damaged: %v", err)
	}
}
