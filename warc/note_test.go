package warc

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Walk hands out captures with what belongs to them, and notes, in the order in which they were appended; a damaged place
// costs what is in it and is named.
func TestWalk(t *testing.T) {
	dir := t.TempDir()
	a, err := Open(Config{Dir: dir, MaxFile: 2000})
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range 20 {
		list, info, err := Build(Exchange{URL: fmt.Sprintf("http://a.example/%d", i), Time: time.Unix(1e9, 0), IP: netip.MustParseAddr("192.0.2.1"),
			Request: []byte("GET / HTTP/1.1\r\n\r\n"), Response: []byte("HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("x", i)), Metadata: []Field{{"crawl", "c"}}})
		if err != nil {
			t.Fatal(err)
		}
		list = Annotate(list, Field{"more", fmt.Sprint(i)})
		if len(list) != 3 {
			t.Fatalf("%d records", len(list))
		}
		if _, err := a.Append([][]Record{list, {NewNote(time.Unix(1e9, 0), Field{"note", fmt.Sprint(i)})}}); err != nil {
			t.Fatal(err)
		}
		want = append(want, info.ID+" "+fmt.Sprint(i), "note "+fmt.Sprint(i))
	}
	walk := func() (got, damaged []string) {
		t.Helper()
		if err := a.Walk(t.Context(), func(e Entry) error {
			if e.Note != nil {
				got = append(got, "note "+e.Note.Metadata().Get("note"))
				return nil
			}
			if len(e.Item.Related) != 2 {
				t.Errorf("%s has %d records beside it", e.Item.URL, len(e.Item.Related))
			} else if check := e.Item.Related[1].Verify(); check.Block != Verified {
				t.Errorf("%s: %+v", e.Item.URL, check)
			}
			if rec, err := a.Read(e.Location); err != nil || rec.ID() != e.Item.ID {
				t.Errorf("at %v: %v", e.Location, err)
			}
			got = append(got, e.Item.ID+" "+e.Item.Related[len(e.Item.Related)-1].Metadata().Get("more"))
			return nil
		}, nil, func(p string) { damaged = append(damaged, p) }); err != nil {
			t.Fatal(err)
		}
		return got, damaged
	}
	got, damaged := walk()
	if diff := cmp.Diff(want, got); diff != "" || len(damaged) > 0 {
		t.Fatalf("%v\n%s", damaged, diff)
	}
	if len(a.Files()) < 3 {
		t.Fatal("all in one file: the test does not test their order")
	}
	path := filepath.Join(dir, a.Files()[1].Name)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-30] ^= 1 // in its last record, which is a note
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	got, damaged = walk()
	if len(got) != len(want)-1 || len(damaged) == 0 || !strings.Contains(damaged[0], a.Files()[1].Name+": at offset") {
		t.Errorf("%d of %d entries after damage, told: %v", len(got), len(want), damaged)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
}

func FuzzMetadata(f *testing.F) {
	f.Add("a: b\r\nc: {\"d\":1}\r\n")
	f.Add("::\n\x00: x")
	f.Fuzz(func(t *testing.T, block string) {
		r := Record{Header: Fields{{"WARC-Type", TypeMetadata}, {"Content-Type", "application/warc-fields"}}, Block: []byte(block)}
		fields := r.Metadata()
		again := Record{Header: r.Header, Block: encodeFields(fields)}
		for i, g := range again.Metadata() {
			if i < len(fields) && !strings.ContainsAny(fields[i].Name+fields[i].Value, "\r\x00") && g != fields[i] {
				t.Errorf("%q came back as %q", fields[i], g)
			}
		}
	})
}
