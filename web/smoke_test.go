package web

import (
	"io"
	"net/http"
	"testing"
)

func TestSmoke(t *testing.T) {
	_, base := serve(t, newLibrary())
	for _, p := range []string{"/", "/search?q=receipt", "/crawl", "/ledger", "/status", "/bot", "/manual/", "/api", "/signin", "/nowhere", "/metrics", "/openapi.json"} {
		resp, err := http.Get(base + p)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		t.Log(p, resp.StatusCode, len(b))
		if p == "/status" {
			t.Log(string(b))
		}
	}
}
