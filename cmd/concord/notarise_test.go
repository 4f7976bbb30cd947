package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"concord/receipt"
)

// A receipt that fixes the time much closer than the better one that takes its place is kept, once.
func TestKeepEarly(t *testing.T) {
	dir := t.TempDir()
	at := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name  string
		level int
		later time.Duration
		kept  bool
	}{{"promise", 0, 24 * time.Hour, false}, {"soon", 2, time.Minute, false}, {"late", 2, 24 * time.Hour, true}, {"lone", 1, time.Hour, true}} {
		p := paper{Receipt: filepath.Join(dir, c.name+".pdf.tlog-proof"), before: []byte(c.name), Report: &receipt.Report{Level: 4, NotAfter: at.Add(c.later)}}
		if err := p.keepEarly(&receipt.Report{Level: c.level, NotAfter: at}); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(dir, c.name+".pdf.early.tlog-proof"))
		if kept := err == nil && string(b) == c.name; kept != c.kept || kept != (p.Early != "") {
			t.Errorf("%s: kept %v, want %v (%v, %q)", c.name, kept, c.kept, err, p.Early)
		}
		p.before, p.Early = []byte("a later one"), ""
		if err := p.keepEarly(&receipt.Report{Level: c.level, NotAfter: at}); err != nil || p.Early != "" && c.kept {
			t.Errorf("%s: the earliest was overwritten: %v, %q", c.name, err, p.Early)
		}
	}
}
