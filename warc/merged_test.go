package warc

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// Files of several machines are read in the order of time, each in its own order, whatever their names say.
func TestWalkMerged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	begin := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var want []string
	for m := range 3 { // machines, which take turns
		src := t.TempDir()
		a, err := Open(Config{Dir: src})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			at := begin.Add(time.Duration(3*i+m) * time.Second)
			if i == 7 {
				at = at.Add(-1000 * time.Hour) // imported: older than what is around it
			}
			list, _, err := Build(Exchange{URL: fmt.Sprintf("http://m%d.example/%d", m, i), Time: at, Request: []byte("GET / HTTP/1.1\r\n\r\n"), Response: []byte("HTTP/1.1 200 OK\r\n\r\nx")})
			if err == nil {
				_, err = a.Append([][]Record{list})
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := a.Seal(); err != nil {
			t.Fatal(err)
		}
		if list, _, err := Build(Exchange{URL: "http://late.example/", Time: begin, Request: []byte("GET / HTTP/1.1\r\n\r\n"), Response: []byte("HTTP/1.1 200 OK\r\n\r\nx")}); err != nil {
			t.Fatal(err)
		} else if _, err := a.Append([][]Record{list}); err != nil {
			t.Fatal(err)
		}
		files := a.Files()
		if err := a.Close(); err != nil || len(files) != 2 || !files[0].Sealed {
			t.Fatal("sealed, it is appended to:", files, err)
		}
		for k, suffix := range []string{fileSuffix, indexSuffix} {
			data, err := os.ReadFile(filepath.Join(src, files[0].Name[:len(files[0].Name)-len(fileSuffix)]+suffix))
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, fmt.Sprintf("concord-20260301120000-%05d-abcde%d%s", 1, m, suffix)), data, 0o644)
			}
			if err != nil {
				t.Fatal(k, err)
			}
		}
	}
	for i := range 20 {
		for m := range 3 {
			want = append(want, fmt.Sprintf("http://m%d.example/%d", m, i))
		}
	}
	a, err := Open(Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	var got []string
	var read int64
	err = a.WalkMerged(t.Context(), func(e Entry) error { got = append(got, e.Item.URL); return nil }, func(n int64) { read = n }, func(p string) { t.Error(p) })
	if err != nil || read != a.Stats().Bytes {
		t.Fatalf("%d of %d bytes: %v", read, a.Stats().Bytes, err)
	}
	for m := range 3 { // what was imported stands with what came before it: of it only the order within its file counts
		url := fmt.Sprintf("http://m%d.example/7", m)
		if k := slices.Index(got, url); k < 1 || slices.Index(got, fmt.Sprintf("http://m%d.example/6", m)) > k || slices.Index(got, fmt.Sprintf("http://m%d.example/8", m)) < k {
			t.Errorf("%s is out of order: %v", url, got)
		}
		got, want = without(got, url), without(want, url)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	n := 0
	stop := fmt.Errorf("enough")
	if err := a.WalkMerged(t.Context(), func(Entry) error { n++; return stop }, nil, nil); err != stop || n != 1 {
		t.Errorf("an error ends it: %v after %d", err, n)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.WalkMerged(ended, func(Entry) error { return nil }, nil, nil); err == nil {
		t.Error("it goes on after its context ended")
	}
}

func without(list []string, s string) (out []string) {
	for _, x := range list {
		if x != s {
			out = append(out, x)
		}
	}
	return out
}
