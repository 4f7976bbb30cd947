package node

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"concord/note"
	"concord/receipt"
	"concord/web"
)

// A node asks the witness of its configuration; receipts, policy, status and metrics tell of it. What real witnesses do is tested in package chain.
func TestOutsideWitness(t *testing.T) {
	key, err := note.NewSigner("witness.example/w1", note.Cosignature, bytes.Repeat([]byte{3}, 32))
	if err != nil {
		t.Fatal(err)
	}
	outside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		_, head, ok := strings.Cut(string(body), "\n\n")
		text, _, _ := strings.Cut(head, "\n\n")
		if _, err2 := note.ParseCheckpoint(text + "\n"); err != nil || !ok || err2 != nil || !strings.HasPrefix(string(body), "old ") {
			http.Error(w, "malformed", http.StatusBadRequest)
			return
		}
		s, err := key.Cosign(text+"\n", time.Now().Unix())
		if err != nil {
			t.Error(err)
		}
		fmt.Fprintln(w, s)
	}))
	t.Cleanup(outside.Close)
	site := onePage(t, "<title>Harbour</title><p>The harbour wall was built by fishermen from the northern quay.")
	cfg := partnerConfig(t, "alice")
	cfg.OutsideWitnesses = []string{key.Key().String() + " " + outside.URL}
	p := startPartner(t, cfg)
	status := func() web.FederationStatus {
		var st web.FederationStatus
		if err := json.Unmarshal(p.get("/api/v1/federation", nil, http.StatusOK), &st); err != nil || len(st.Outside) != 1 {
			t.Fatalf("%v: %+v", err, st.Outside)
		}
		return st
	}
	p.until("the first head is anchored", func() bool { return status().Outside[0].Cosigned == 1 })
	p.has(site)
	// It is not asked again for a minute: the receipt is under a head that nobody from outside has signed.
	policy := p.get("/api/v1/policy", nil, http.StatusOK)
	if !strings.Contains(string(policy), "\ngroup outside any witness.example/w1\n") {
		t.Errorf("policy:\n%s", policy)
	}
	verify := func() *receipt.Report {
		t.Helper()
		r, err := receipt.Verify(p.get("/api/v1/receipts", url.Values{"url": {site}}, http.StatusOK), policy, receipt.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := verify(); len(r.Anchored) != 0 || r.Cosigners != 1 || r.Witnesses != 1 {
		t.Errorf("%+v", r)
	}
	head := p.chain.ToAnchor()
	text := head.Note[:strings.Index(head.Note, "\n\n")+1]
	s, err := key.Cosign(text, time.Now().Unix())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.chain.Anchor(t.Context(), note.Join(text, s)); err != nil { // as another operator's node would pass it on
		t.Fatal(err)
	}
	p.until("the same receipt is anchored", func() bool { r := verify(); return len(r.Anchored) == 1 && r.Anchored[0].Name == key.Key().Name })
	if st := status().Outside[0]; st.Size != head.Size || st.Asked != 1 {
		t.Errorf("status: %+v", st)
	}
	metrics := string(p.get("/metrics", nil, http.StatusOK))
	for _, want := range []string{`concord_outside_asked_total{witness="witness.example/w1"} 1`, fmt.Sprintf(`concord_outside_cosigned_entries{witness="witness.example/w1"} %d`, head.Size)} {
		if !strings.Contains(metrics, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	if page := string(p.get("/federation", nil, http.StatusOK)); !strings.Contains(page, "witness.example/w1") {
		t.Error("the page of the federation does not name the witness")
	}
}
