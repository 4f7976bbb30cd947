package web

import (
	"encoding/json"
	"net/http"

	"concord"
)

const suggestType = "application/x-suggestions+json"

// suggest completes what is being typed in a browser's address bar (application/x-suggestions+json).
func (s *Server) suggest(w http.ResponseWriter, r *http.Request) {
	const maxSuggestions = 8
	q := r.URL.Query().Get("q")
	list := []string{}
	if s.cfg.Suggest != nil && q != "" && len(q) <= concord.MaxQueryBytes && s.limitSearch(w, r) {
		if found, err := s.cfg.Suggest(r.Context(), q, maxSuggestions); err == nil {
			list = append(list, found[:min(len(found), maxSuggestions)]...)
		}
	}
	writeSuggestions(w, q, list)
}

// writeSuggestions sends completions in the form browsers read: ["prefix", ["completion", …]].
func writeSuggestions(w http.ResponseWriter, prefix string, list []string) {
	data, err := json.Marshal([]any{prefix, list})
	if err != nil {
		data = []byte(`["",[]]`) // cannot be: strings always encode
	}
	w.Header().Set("Content-Type", suggestType)
	_, _ = w.Write(data) // the client went away: there is nobody to tell
}
