package main

import (
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"concord"
	"concord/bench/game"
	"concord/page"
	"concord/weburl"
)

// defaultSites is where .ci/run unpacks documentation packages.
func defaultSites() string {
	if dir := os.Getenv("CONCORD_SITES"); dir != "" {
		return dir
	}
	cache, _ := os.UserCacheDir()
	return filepath.Join(cache, "concord-sites")
}

// openPages returns a corpus of the HTML files under a directory as the crawler's extraction reads them, in order of their paths. Pages
// without text are left out. Errors: NotFound when there are none.
func openPages(dir string) (io.ReadCloser, error) {
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && strings.HasSuffix(path, ".html") {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) == 0 {
		return nil, concord.Errorf(concord.NotFound, "no pages below %s: .ci/run fetches them, --sites names another directory (%v)", dir, err)
	}
	r, w := io.Pipe()
	go func() {
		out := json.NewEncoder(w)
		var err error
		for _, path := range files {
			if err = writePage(out, dir, path); err != nil {
				break
			}
		}
		w.CloseWithError(err) // nil is the end of the corpus
	}()
	return r, nil
}

func writePage(out *json.Encoder, dir, path string) error {
	body, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	rel, err := filepath.Rel(dir, path)
	if err != nil {
		return err
	}
	u, err := weburl.Parse("http://docs.example/" + strings.ReplaceAll(filepath.ToSlash(rel), " ", "%20"))
	if err != nil {
		return err
	}
	const contentType = "text/html"
	p, err := page.Extract(page.Input{URL: u, ContentType: contentType, Header: http.Header{"Content-Type": {contentType}}, Body: body, Product: "concord"})
	if err != nil || p.Body == "" {
		return nil // nothing to read on it
	}
	return out.Encode(game.Document{ID: rel, Title: p.Title, Text: p.Body})
}
