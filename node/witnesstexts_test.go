package node

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Other operators' answers are bounded, read strictly, and never fetched from private addresses unless that is allowed.
func TestTextsOfOthers(t *testing.T) {
	answers := map[string]func(w http.ResponseWriter){
		"/ok":       func(w http.ResponseWriter) { fmt.Fprint(w, `{"operator":"bob.example","text":"true things"}`) },
		"/empty":    func(w http.ResponseWriter) { fmt.Fprint(w, `{}`) },
		"/nonsense": func(w http.ResponseWriter) { fmt.Fprint(w, `<html>`) },
		"/gone":     func(w http.ResponseWriter) { w.WriteHeader(404) },
		"/moved":    func(w http.ResponseWriter) { w.Header().Set("Location", "/ok"); w.WriteHeader(302) },
		"/long":     func(w http.ResponseWriter) { fmt.Fprintf(w, `{"text":%q}`, strings.Repeat("x", maxTextBytes)) },
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		base, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		if rest != "api/v1/witness/7/reports/1" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		answers["/"+base](w)
	}))
	defer srv.Close()
	open := newTexts(true)
	if text, err := open.ask(t.Context(), srv.URL+"/ok/", 7, 1); err != nil || text != "true things" {
		t.Errorf("%q %v", text, err)
	}
	for path, want := range map[string]string{"/empty": "cannot be read", "/nonsense": "cannot be read", "/gone": "status 404", "/moved": "status 302", "/long": "too long"} {
		if _, err := open.ask(t.Context(), srv.URL+path, 7, 1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	for _, base := range []string{"", "ftp://example.org/", "http://user:word@127.0.0.1/", "://", srv.URL} {
		if _, err := newTexts(false).ask(t.Context(), base, 7, 1); err == nil {
			t.Errorf("%q was asked", base)
		}
	}
}

func FuzzDecodeText(f *testing.F) {
	f.Add([]byte(`{"text":"x"}`))
	f.Fuzz(func(t *testing.T, b []byte) { _, _ = decodeText(b) })
}
