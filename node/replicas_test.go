package node

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"concord"
	"concord/receipt"
	"concord/replica"
)

// standing is what an operator counted of another.
func (p *partner) standing(of string) replica.Standing {
	for _, s := range p.replicas.Status().Operators {
		if s.Operator == of {
			return s
		}
	}
	return replica.Standing{}
}

// An operator keeps another's batches, refuses what is not what was attested, mends a flipped bit, and makes a receipt when the other is gone.
func TestReplicas(t *testing.T) {
	t.Parallel()
	cfg := partnerConfig(t, "alice")
	cfg.Federation.Audit = time.Second
	alice := startPartner(t, cfg)
	bob, way := alice.invites("bob")
	way.replaces("/harbour-wall", "/harbour-bank")
	page := onePage(t, "<html lang=en><title>Harbour</title><main><p><a href=\"/harbour-wall\">The wall</a> was built. "+filler("a")+"</main>")
	bob.has(page)

	alice.until("a wrong batch is refused", func() bool { return alice.standing("bob.example").Refused[replica.BadRoot] > 0 })
	if s := alice.standing("bob.example"); s.Missing == 0 || !strings.Contains(s.Last, "not what was attested") {
		t.Errorf("%+v", s)
	}
	way.replaces("", "")
	st, err := bob.attestStats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	batches := int(st.Batches)
	alice.until("alice has all of bob's batches", func() bool { s := alice.replicas.Status(); return s.Batches == batches && s.Missing == 0 })

	files, err := filepath.Glob(alice.path("replicas", "*", "*-bob.example.batch"))
	if err != nil || len(files) != batches {
		t.Fatalf("%v, %v", files, err)
	}
	good, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	bad := append([]byte(nil), good...)
	bad[len(bad)/2] ^= 1
	if err := os.WriteFile(files[0], bad, 0o600); err != nil {
		t.Fatal(err)
	}
	alice.until("the damage is found by a poll and mended", func() bool { s := alice.replicas.Status(); return s.Damaged == 1 && s.Repaired == 1 && s.Broken == 0 })
	if now, err := os.ReadFile(files[0]); err != nil || string(now) != string(good) {
		t.Errorf("%v: %s", err, now)
	}
	alice.until("bob votes for his batches", func() bool { s := alice.standing("bob.example"); return s.Agreed > 0 && s.Wrong == 0 && s.Lost == 0 })

	// A receipt takes bob's own word for his old key after he changed his cosigning key: alice asks him while he is there.
	index, err := strconv.ParseUint(strings.SplitN(filepath.Base(files[0]), "-", 2)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	ballot, err := bob.federation().Rotate(t.Context(), "cosign")
	if err != nil {
		t.Fatal(err)
	}
	alice.until("alice signs bob's new key", func() bool { _, err := alice.federation().Sign(t.Context(), ballot.ID); return err == nil })
	alice.until("bob's new key is in use", func() bool {
		_, err := alice.chain.Admission("bob.example", index)
		return concord.KindOf(err) == concord.NotFound
	})
	alice.until("bob vouches for his old key", func() bool { _, err := alice.replicas.Admission(t.Context(), index); return err == nil })

	way.Close() // bob cannot be reached any more
	proof := alice.get("/api/v1/receipts", url.Values{"url": {page}, "operator": {"bob.example"}}, http.StatusOK)
	r, err := receipt.Verify(proof, alice.get("/api/v1/policy", nil, http.StatusOK), receipt.Options{URL: page})
	if err != nil || r.Operator != "bob.example" {
		t.Errorf("%v, %+v", err, r)
	}
	alice.get("/api/v1/receipts", url.Values{"url": {page + "other"}, "operator": {"bob.example"}}, http.StatusServiceUnavailable)

	manual, err := os.ReadFile("../web/manual/74-federation.md")
	if err != nil {
		t.Fatal(err)
	}
	m := string(alice.get("/metrics", nil, http.StatusOK))
	for _, name := range regexp.MustCompile(`(?m)^concord_replicas_[a-z_]+`).FindAllString(m, -1) {
		if !strings.Contains(string(manual), "`"+name+"`") {
			t.Errorf("the manual does not name %s", name)
		}
	}
	if !strings.Contains(m, `concord_replicas_refused_total{operator="bob.example",reason="root"}`) {
		t.Error("no metrics of replicas")
	}
}
