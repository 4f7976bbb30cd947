package loopweb

import (
	"io"
	"net/http"
	"testing"
)

func TestWebServesAndRecords(t *testing.T) {
	hosts := append(Odd(), Generated("plain", 20))
	w, err := Start(90, hosts...)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for _, h := range hosts {
		for _, p := range h.Index {
			resp, err := http.Get(h.URL(p))
			if err != nil {
				t.Fatalf("%s%s: %v", h.Name, p, err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				t.Errorf("%s%s: %v", h.Name, p, err)
			}
			resp.Body.Close()
			if resp.StatusCode != 200 && h.Name != "flaky" {
				t.Errorf("%s%s answers %d", h.Name, p, resp.StatusCode)
			}
		}
		if len(h.Requests()) < len(h.Index) || h.Overlaps() != 0 {
			t.Errorf("%s: %d requests, %d at once", h.Name, len(h.Requests()), h.Overlaps())
		}
	}
	plain := hosts[len(hosts)-1]
	found, err := Reachable(plain, 100)
	if err != nil || len(found) != 20 {
		t.Errorf("%d pages reachable, want 20: %v", len(found), err)
	}
}
