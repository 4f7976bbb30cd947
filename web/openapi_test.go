package web

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestOpenAPI checks that the description is OpenAPI 3.1 as a client generator needs it: every operation is named, told
// of and exemplified, every reference leads somewhere.
func TestOpenAPI(t *testing.T) {
	c := newClient(t, newMemory(testNow))
	text := c.get("/openapi.json", 200)
	var doc map[string]any
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	if v, _ := doc["openapi"].(string); !strings.HasPrefix(v, "3.1.") {
		t.Errorf("openapi %q", v)
	}
	checkRefs(t, doc, doc)
	ids := map[string]bool{}
	calls := map[string]bool{}
	for path, item := range doc["paths"].(map[string]any) {
		for method, op := range item.(map[string]any) {
			op := op.(map[string]any)
			what := strings.ToUpper(method) + " " + path
			calls[what] = true
			id, _ := op["operationId"].(string)
			if id == "" || ids[id] {
				t.Errorf("%s: operationId %q is missing or taken", what, id)
			}
			ids[id] = true
			if op["summary"] == nil || op["tags"] == nil {
				t.Errorf("%s: no summary or tags", what)
			}
			checkParameters(t, what, path, op)
			checkResponses(t, what, op)
		}
	}
	for _, want := range []string{"GET /api/v1/search", "GET /api/v1/captures", "GET /api/v1/captures/{id}/content", "GET /api/v1/receipts", "POST /api/v1/crawls", "GET /api/v1/crawls",
		"GET /api/v1/crawls/{id}", "DELETE /api/v1/crawls/{id}", "GET /api/v1/hosts", "GET /api/v1/urls", "GET /api/v1/events", "GET /api/v1/status", "GET /api/v1/ledger",
		"GET /api/v1/ledger/entries", "GET /api/v1/ledger/entries/{index}", "GET /api/v1/ledger/entries/{index}/proof", "GET /api/v1/ledger/checkpoint",
		"GET /api/v1/ledger/checkpoints", "GET /api/v1/ledger/search", "GET /api/v1/ledger/entries/{index}/text", "GET /api/v1/ledger/blocks/{height}", "GET /api/v1/ledger/events", "GET /api/v1/policy", "DELETE /api/v1/pages", "POST /api/v1/archive/import", "POST /api/v1/archive/export",
		"GET /api/v1/federation", "GET /api/v1/federation/bundle", "POST /api/v1/federation/invitations", "POST /api/v1/federation/ballots",
		"POST /api/v1/federation/signatures", "GET /api/v1/cluster", "POST /api/v1/cluster/tokens", "POST /api/v1/cluster/nodes/{name}/drain", "DELETE /api/v1/cluster/nodes/{name}/drain",
		"DELETE /api/v1/cluster/nodes/{name}", "POST /api/v1/notes", "GET /api/v1/documents", "GET /api/v1/documents/receipt", "POST /api/v1/witness", "GET /api/v1/witness",
		"GET /api/v1/witness/{index}", "GET /api/v1/witness/{index}/texts", "GET /api/v1/witness/{index}/receipt", "GET /api/v1/batches/{index}", "GET /api/v1/batches/{index}/vote", "GET /api/v1/batches/{index}/admission", "GET /api/v1/witness/{index}/reports/{round}"} {
		if !calls[want] {
			t.Errorf("%s is not described", want)
		}
	}
}

// checkRefs finds every $ref in the document.
func checkRefs(t *testing.T, doc map[string]any, v any) {
	t.Helper()
	switch v := v.(type) {
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			at := any(doc)
			for _, part := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
				m, _ := at.(map[string]any)
				at = m[part]
			}
			if at == nil {
				t.Errorf("%s leads nowhere", ref)
			}
		}
		for _, k := range v {
			checkRefs(t, doc, k)
		}
	case []any:
		for _, k := range v {
			checkRefs(t, doc, k)
		}
	}
}

func checkParameters(t *testing.T, what, path string, op map[string]any) {
	t.Helper()
	list, _ := op["parameters"].([]any)
	named := map[string]bool{}
	for _, p := range list {
		p := p.(map[string]any)
		named[p["name"].(string)] = true
		if p["example"] == nil && p["schema"].(map[string]any)["examples"] == nil {
			t.Errorf("%s: parameter %v has no example", what, p["name"])
		}
	}
	for _, part := range strings.Split(path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok && !named[strings.TrimSuffix(name, "}")] {
			t.Errorf("%s: path parameter %s is not described", what, part)
		}
	}
}

func checkResponses(t *testing.T, what string, op map[string]any) {
	t.Helper()
	good := false
	for code, r := range op["responses"].(map[string]any) {
		content, _ := r.(map[string]any)["content"].(map[string]any)
		if code == "default" {
			if content[problemType] == nil {
				t.Errorf("%s: errors are not problems", what)
			}
			continue
		}
		good = good || strings.HasPrefix(code, "2")
		for mime, m := range content {
			m := m.(map[string]any)
			if m["example"] == nil || m["schema"] == nil {
				t.Errorf("%s: the answer %s %s has no example or schema", what, code, mime)
			}
		}
		if code != "204" && len(content) == 0 {
			t.Errorf("%s: the answer %s has no content", what, code)
		}
	}
	if !good {
		t.Errorf("%s: no good answer is described", what)
	}
}
