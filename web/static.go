package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
)

//go:embed static/*
var staticFiles embed.FS

// static serves the style sheet, the script and the icon. Their addresses carry a hash of their bytes, so that browsers
// may keep them for ever and still see a new version at once.
type static struct {
	files map[string][]byte
	hash  map[string]string
}

func newStatic() (*static, error) {
	st := &static{files: map[string][]byte{}, hash: map[string]string{}}
	entries, err := staticFiles.ReadDir("static")
	if err != nil {
		return nil, fmt.Errorf("read static files: %w", err)
	}
	for _, e := range entries {
		data, err := staticFiles.ReadFile("static/" + e.Name())
		if err != nil {
			return nil, fmt.Errorf("read static files: %w", err)
		}
		sum := sha256.Sum256(data)
		st.files[e.Name()], st.hash[e.Name()] = data, hex.EncodeToString(sum[:6])
	}
	return st, nil
}

func (st *static) address(name string) string { return "/static/" + name + "?v=" + st.hash[name] }

var staticTypes = map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}

// serve answers /static/{name}.
func (st *static) serve(s *Server) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		st.file(s, w, r, r.PathValue("name"))
	}
}

func (st *static) file(s *Server, w http.ResponseWriter, r *http.Request, name string) {
	data, ok := st.files[name]
	if !ok {
		s.fail(w, r, newProblem(http.StatusNotFound, "there is nothing at "+r.URL.Path))
		return
	}
	w.Header().Set("Content-Type", staticTypes[path.Ext(name)])
	if r.URL.Query().Get("v") == st.hash[name] {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		w.Header().Set("Cache-Control", "no-cache")
	}
	_, _ = w.Write(data) // the client went away: there is nobody to tell
}
