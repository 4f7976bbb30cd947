package node

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"concord"
	"concord/warc"
)

// An archive from before anything but exchanges was put into it is made use of as far as it goes: what was found is found,
// nothing is attested twice, and what is lacking is counted.
func TestRebuildOldArchive(t *testing.T) {
	t.Parallel()
	s := newSite(t, 12, 0)
	dir := shortDir(t)
	r := runNode(t, dir)
	r.crawl(t, concord.CrawlSpec{Seeds: []string{s.URL}})
	until(t, "it is attested", func() bool {
		last, err := r.captures.Last(t.Context(), "capture.*")
		return err == nil && r.attestor.a.Position() >= last && r.attestor.a.Stats().Pending == 0
	})
	want := stateOf(t, r.Node)
	r.stop()
	forgetNotes(t, dir)
	lost := copyDir(t, dir)
	if err := os.RemoveAll(filepath.Join(lost, "attest")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		dir      string
		receipts bool
	}{{dir, true}, {lost, false}} {
		report, err := Rebuild(t.Context(), testConfig(c.dir), RebuildOptions{Only: map[bool][]string{true: {PartLogs}, false: {PartLogs, PartReceipts}}[c.receipts]})
		if err != nil {
			t.Fatal(err)
		}
		attested := int64(len(want.Captures))
		if report.Found.Undecided != attested || !c.receipts && report.NoReceipts != attested || c.receipts && report.NoReceipts > 0 {
			t.Errorf("receipts %v: what is lacking is not said: %+v", c.receipts, report)
		}
		r := runNode(t, c.dir)
		last, err := r.captures.Last(t.Context(), "capture.*")
		if err != nil {
			t.Fatal(err)
		}
		until(t, "the attestor has seen the log", func() bool { return r.attestor.a.Position() >= last })
		got := stateOf(t, r.Node)
		for url, d := range want.Documents {
			if now, ok := got.Documents[url]; !ok || now.Capture != d.Capture || now.Body != d.Body {
				t.Errorf("receipts %v: %s is not in the index as it was", c.receipts, url)
			}
		}
		for id := range want.Captures {
			if now := got.Captures[id]; now.Text != want.Captures[id].Text || now.Record != want.Captures[id].Record {
				t.Errorf("capture %s: %+v, was %+v", id, now, want.Captures[id])
			}
			if c.receipts && got.Receipts[id] != want.Receipts[id] {
				t.Errorf("receipt of %s is not the same", id)
			}
		}
		if !c.receipts {
			if n := r.attestor.a.Stats().Attested; n > 0 {
				t.Errorf("%d captures attested a second time", n)
			}
			_, err := receipts{r.Node}.Receipt(t.Context(), want.Documents[s.page(0)].Capture)
			if concord.KindOf(err) != concord.NotFound || !strings.Contains(err.Error(), "lost") {
				t.Errorf("a receipt that is lost: %v", err)
			}
		}
		r.stop()
	}
}

// forgetNotes writes the archive anew as earlier versions of the program wrote it.
func forgetNotes(t *testing.T, dir string) {
	t.Helper()
	path := filepath.Join(dir, "archive")
	old, err := warc.Open(warc.Config{Dir: path})
	if err != nil {
		t.Fatal(err)
	}
	anew, err := warc.Open(warc.Config{Dir: path + "-anew"})
	if err != nil {
		t.Fatal(err)
	}
	err = old.Walk(t.Context(), func(e warc.Entry) error {
		if e.Note != nil {
			return nil
		}
		group := []warc.Record{e.Item.Record}
		for _, r := range e.Item.Related {
			if f := r.Metadata(); f != nil {
				f = slices.DeleteFunc(f, func(f warc.Field) bool { return strings.HasPrefix(f.Name, "concord-") })
				r = warc.NewCompanion(&e.Item.Record, e.Item.Time, f...)
			}
			group = append(group, r)
		}
		_, err := anew.Append([][]warc.Record{group})
		return err
	}, nil, func(p string) { t.Error(p) })
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []*warc.Archive{old, anew} {
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+"-anew", path); err != nil {
		t.Fatal(err)
	}
}
