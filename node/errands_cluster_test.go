//go:build e2e

package node

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"concord"
	"concord/receipt"
	"concord/replica"
	"concord/web"
)

// What needs the ledger is done at any node of a cluster. While the node that keeps it is away it is refused with what to do, and people
// go on searching.
func TestLedgerAtAnyNode(t *testing.T) {
	c := newCluster(t, 3)
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(`<title>Harbour</title><p>Ferries leave from the northern quay every hour.`))
	}))
	defer site.Close()
	c.nodes[0].post("/api/v1/crawls", `{"seeds":["`+site.URL+`/"],"allowPrivate":true}`)

	notarise := func(i int, text string) {
		t.Helper()
		digest, err := concord.Sum([]byte(text)).MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var done struct{ Documents []web.NotarisedDocument }
		if err := json.Unmarshal(c.nodes[i].post("/api/v1/notes", `{"digests":["`+string(digest)+`"]}`), &done); err != nil || len(done.Documents) != 1 || done.Documents[0].State != web.NotarisedLogged {
			t.Errorf("node %d notarises: %+v, %v", i+1, done, err)
		}
	}
	all := []string{"/federation", "/witness", "/api/v1/federation", "/api/v1/witness"}
	for i, p := range c.nodes {
		notarise(i, p.addr)
		for _, path := range all {
			if b, status := p.get(path, nil); status != http.StatusOK {
				t.Errorf("node %d, %s: %d %s", i+1, path, status, b)
			}
		}
		var st web.FederationStatus
		p.json("/api/v1/federation", nil, &st)
		if len(st.Members) != 1 || !st.Members[0].Up || st.Self != "node.example" {
			t.Errorf("node %d knows the federation as %+v", i+1, st)
		}
		c.await("the page is found", func() bool { return len(p.search("ferries")) > 0 })
	}
	if b, status, err := c.nodes[1].send("/api/v1/witness", strings.NewReader(`{"url":"https://example.org/"}`)); err != nil || status != http.StatusUnprocessableEntity || !strings.Contains(string(b), "invite operators") {
		t.Errorf("a witness asked for where nobody else is: %d %v %s", status, err, b)
	}

	// Batches lie where the attestor runs, which may be another node than the ledger's, and are handed out by all.
	var entries struct{ Entries []concord.LedgerEntry }
	var attested concord.LedgerEntry
	c.await("the page is attested", func() bool {
		c.nodes[0].json("/api/v1/ledger/entries", url.Values{"limit": {"200"}}, &entries)
		for _, e := range entries.Entries {
			if e.Type == "attest" {
				attested = e
			}
		}
		return attested.Type != ""
	})
	nonce := concord.Sum([]byte("poller"))
	for i, p := range c.nodes {
		path := "/api/v1/batches/" + strconv.FormatUint(attested.Index, 10)
		text, status := p.get(path, nil)
		if _, err := receipt.ParseBatch([]byte(attested.Text), text); err != nil || status != http.StatusOK {
			t.Errorf("node %d hands out of entry %d: %d, %v, %s", i+1, attested.Index, status, err, text)
		}
		var v replica.Vote
		p.json(path+"/vote", url.Values{"nonce": {nonce.String()}}, &v)
		if v.Hash != replica.VoteHash(nonce, v.Nonce, text) {
			t.Errorf("node %d votes %+v", i+1, v)
		}
	}

	c.stop(0)
	for _, i := range []int{1, 2} {
		p := c.nodes[i]
		for _, path := range all {
			resp, err := http.Get(p.addr + path)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
				t.Errorf("node %d, %s while node 1 is away: %d, %v", i+1, path, resp.StatusCode, resp.Header)
			}
		}
		if b, _ := p.get("/api/v1/federation", nil); !strings.Contains(string(b), "node n1 that keeps this operator's ledger does not answer") || !strings.Contains(string(b), "start it again") {
			t.Errorf("node %d says only %s", i+1, b)
		}
		c.await("a page is found without the ledger", func() bool { return len(p.search("ferries")) > 0 })
	}
	c.start(0)
	c.await("the ledger is back at node 2", func() bool { _, status := c.nodes[1].get("/api/v1/federation", nil); return status == http.StatusOK })
	notarise(1, "again")
}
