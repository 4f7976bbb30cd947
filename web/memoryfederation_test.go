package web

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"concord"
	"concord/anchor"
	"concord/federation"
	"concord/receipt"
	"concord/replica"
)

// memoryFederation is operators in memory: a search of all of them finds what this one has, one page of it seen by bob as well, and one that
// only carol has.
type memoryFederation struct {
	*memory
	status FederationStatus
	told   []concord.OperatorAnswer
}

func newMemoryFederation(m *memory) *memoryFederation {
	return &memoryFederation{memory: m, told: []concord.OperatorAnswer{{Name: "bob.example", Answered: true, Verified: 1},
		{Name: "carol.example", Answered: true, Verified: 1, Dropped: map[string]int{"text": 2}}, {Name: "dave.example", Failure: "it took too long"}},
		status: FederationStatus{State: FederationRunning, Chain: testChain, Origin: testOrigin, Self: testOperator, Height: 1190, Size: 1188, Agreed: 1188, Time: testNow, Epoch: 8,
			Voters: 4, Need: 3, VotersUp: 3, Decide: 3, AskOthers: true,
			Members: []FederationMember{{Name: testOperator, State: "active", Power: 1, Up: true, Cosigned: 1188, URL: "https://alice.example/"},
				{Name: "bob.example", State: "active", Power: 1, Up: true, Cosigned: 1187, URL: "javascript:alert(1)"}, {Name: "carol.example", State: "faulted", Power: 1, Up: true},
				{Name: "dave.example", State: "candidate"}},
			Ballots: []FederationBallot{{ID: "3f9c41d07ab3", Epoch: 9, Action: "drop carol.example\n" + strings.Repeat("x", 200), Signed: []string{testOperator}, Need: 3, Missing: []string{"cons"}}},
			Searches: []federation.Counters{{Operator: "bob.example", Asked: 4100, Answered: 4100, Verified: 21200},
				{Operator: "carol.example", Asked: 40, Answered: 38, Verified: 12, Dropped: map[string]uint64{"text": 7, "receipt": 31}, Failed: map[string]uint64{"malformed": 2}, Rested: 812,
					Until: testNow.Add(4 * time.Minute), Last: "a result was dropped: the text is not the attested one"},
				{Operator: "dave.example", Asked: 3, Failed: map[string]uint64{"unreachable": 3}, Last: "connection refused"}},
			Replicas: replica.Summary{Limit: 1 << 30, Bytes: 4_915_200, Batches: 1200, Missing: 7, Alone: 3, Own: 410, OwnAlone: 12, Broken: 1, Polls: 310, Damaged: 2, Repaired: 1, Paused: "the disk is full",
				Operators: []replica.Standing{{Operator: "bob.example", Batches: 1200, Bytes: 4_915_200, Fetched: 1201, Asked: 310, Agreed: 309, Absent: 1},
					{Operator: "carol.example", Missing: 7, Asked: 9, Wrong: 4, Lost: 5, Refused: map[string]uint64{"root": 11}, Last: hostile}}},
			Outside: []anchor.Tally{{Name: "witness.example/w1", URL: "https://witness.example/w1", Asked: 42, Cosigned: 41, Failed: map[string]uint64{"unreachable": 1}, Size: 1188, Time: testNow},
				{Name: "elsewhere.example", Failed: map[string]uint64{"forged": 2}, Last: hostile}}}}
}

// client is of a server that has f.
func (f *memoryFederation) client(t *testing.T) *client {
	t.Helper()
	c := newClient(t, f.memory)
	cfg := f.memory.config()
	cfg.Operators, cfg.Federation, cfg.Replicas = f, f, replicasOf{f}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	c.h = s.Handler()
	return c
}

// replicasOf has one batch, and receipts of dave, who does not answer.
type replicasOf struct{ f *memoryFederation }

const batchText = "entry …\nentry …\n"

func (r replicasOf) Batch(_ context.Context, index uint64) ([]byte, error) {
	if index != 7 {
		return nil, concord.Errorf(concord.NotFound, "the batch of entry %d is not kept here", index)
	}
	return []byte(batchText), nil
}

func (r replicasOf) Vote(ctx context.Context, index uint64, poller concord.Digest) (replica.Vote, error) {
	text, err := r.Batch(ctx, index)
	v := replica.Vote{Nonce: concord.Sum([]byte("voter"))}
	v.Hash = replica.VoteHash(poller, v.Nonce, text)
	return v, err
}

func (r replicasOf) Admission(_ context.Context, index uint64) ([]byte, error) {
	if index != 7 {
		return nil, concord.Errorf(concord.NotFound, "its keys were changed since")
	}
	return []byte("concord/tx/v1 gov\n"), nil
}

func (r replicasOf) Receipt(ctx context.Context, operator, pageURL string) ([]byte, error) {
	if operator != "dave.example" || pageURL != "https://docs.example.org/" {
		return nil, concord.Errorf(concord.NotFound, "no batch of %s that is kept here has a capture of it", operator)
	}
	return r.f.memory.Receipt(ctx, r.f.pages[pageURL].captures[0].ID)
}

const carolURL = "https://only.carol.example/receipts"

func (f *memoryFederation) Search(ctx context.Context, req concord.Request) (*concord.Answer, error) {
	a, err := f.memory.Search(ctx, req)
	if err != nil {
		return nil, err
	}
	a.Operators = f.told
	for i := range a.Hits {
		if h := &a.Hits[i]; h.URL == "https://docs.example.org/" {
			h.Seen = []concord.Sighting{{Operator: testOperator, Capture: h.Capture, Fetched: h.Fetched}, {Operator: "bob.example", Capture: "b-1", Fetched: testNow}}
		}
	}
	a.Hits = append([]concord.Hit{{URL: carolURL, Title: hostile, Site: "carol.example", Fetched: testNow, NoArchive: true,
		Seen: []concord.Sighting{{Operator: "carol.example", Capture: `c"1`, Fetched: testNow}}}}, a.Hits[:min(len(a.Hits), pageSize-1)]...)
	a.Total++
	return a, nil
}

func (f *memoryFederation) Receipt(ctx context.Context, operator, capture, pageURL string) ([]byte, error) {
	if operator != "bob.example" {
		return nil, concord.Errorf(concord.Unavailable, "no receipt from %s: it took too long", operator)
	}
	return f.memory.Receipt(ctx, f.pages["https://docs.example.org/"].captures[0].ID)
}

func (f *memoryFederation) Status(context.Context) (FederationStatus, error) { return f.status, nil }
func (f *memoryFederation) Bundle(context.Context) ([]byte, error)           { return []byte("{}"), nil }
func (f *memoryFederation) Invite(context.Context, []byte) (FederationBallot, error) {
	return FederationBallot{}, nil
}
func (f *memoryFederation) Propose(context.Context, string) (FederationBallot, error) {
	return FederationBallot{}, nil
}
func (f *memoryFederation) Rotate(_ context.Context, key string) (FederationBallot, error) {
	return FederationBallot{Action: "rotate " + testOperator + " " + key + " …\n"}, nil
}
func (f *memoryFederation) Sign(context.Context, string) (FederationBallot, error) {
	return FederationBallot{}, nil
}

func TestSearchAcrossOperators(t *testing.T) {
	f := newMemoryFederation(newLibrary())
	c := f.client(t)
	body := c.get("/search?q=receipt", 200)
	holds(t, "results", body, "2 of 3 other operators answered", "dave.example did not answer: it took too long", "2 results of carol.example left out: the text is not the attested one",
		"receipt of bob.example", "receipt of carol.example", "operator=bob.example", "Only what alice.example has itself", `href="/search?q=receipt&amp;scope=own"`, "&lt;script&gt;alert(1)")
	own := c.get("/search?q=receipt&scope=own", 200)
	holds(t, "own results", own, "Ask the other operators as well", `href="/search?offset=10&amp;q=receipt&amp;scope=own"`, `scope=own">This answer as JSON`)
	lacks(t, "own results", own, "carol.example", "other operators answered")
	holds(t, "nothing found", c.get("/search?q=nothinglikeit&scope=own", 200), "Ask the other operators as well")

	c.accept = "application/json"
	var a SearchAnswer
	c.json("/api/v1/search?q=receipt", 200, &a)
	if len(a.Operators) != 3 || a.Operators[1].Dropped["text"] != 2 || a.Results[0].URL != carolURL || a.Results[0].Archived != "" || a.Results[0].Capture != "" ||
		a.Results[0].Receipt != "http://127.0.0.1:7667"+operatorReceiptFileLink("carol.example", `c"1`, carolURL) || a.Results[0].Receipt != a.Results[0].Operators[0].Receipt {
		t.Errorf("%+v", a)
	}
	for _, r := range a.Results {
		if r.URL == "https://docs.example.org/" && (len(r.Operators) != 2 || r.Operators[0].Operator != testOperator || r.Operators[0].Receipt != r.Receipt) {
			t.Errorf("%+v", r.Operators)
		}
	}
	var problem Problem
	c.json("/api/v1/search?q=receipt&proof=true", 422, &problem)
	c.json("/api/v1/search?q=receipt&scope=galaxy", 422, &problem)
	var p SearchAnswer
	c.json("/api/v1/search?q=receipt&proof=true&scope=own&limit=100", 200, &p)
	if len(p.Results) == 0 || len(p.Results) > len(library) {
		t.Errorf("%d proofs", len(p.Results))
	}
	for _, r := range p.Results {
		if r.Proof == nil || r.Operators != nil {
			t.Fatalf("%+v", r)
		}
		if _, err := receipt.Verify([]byte(r.Proof.Receipt), []byte(f.Policy()), receipt.Options{URL: r.URL}); err != nil {
			t.Errorf("%s: %v", r.URL, err)
		}
		if r.URL == "https://docs.example.org/just-now.html" || r.URL == "https://news.example.net/paywalled" {
			t.Errorf("%s is handed out", r.URL)
		}
	}

	const page = "https://docs.example.org/"
	c.get(strings.TrimPrefix(operatorReceiptFileLink("bob.example", "b-1", page), ""), 200)
	c.json(operatorReceiptFileLink("carol.example", "x", carolURL), 503, &problem)
	c.json(operatorReceiptFileLink("bob.example", "", "not a url at all"), 422, &problem)
	c.accept = "text/html"
	theirs := c.get(operatorReceiptLink("bob.example", "b-1", page), 200)
	holds(t, "bob's receipt", theirs, "bob.example made this capture", "operator=bob.example")
	lacks(t, "bob's receipt", theirs, "Archived copy")
	c.addr = "192.0.2.7:50000"
	for range 2 * DefaultSearchBurst {
		c.do(http.MethodGet, operatorReceiptFileLink("bob.example", "b-1", page), "", nil)
	}
	c.get(operatorReceiptFileLink("bob.example", "b-1", page), 429) // each may be a question to bob
	lone := newClient(t, f.memory)                                  // asks nobody
	lone.get(operatorReceiptLink("bob.example", "b-1", page), 503)
	lacks(t, "alone", lone.get("/search?q=receipt", 200), "other operators")
}

// Batches and votes are handed out; a receipt of an operator that does not answer is made from a batch, but not of one certain capture.
func TestBatches(t *testing.T) {
	f := newMemoryFederation(newLibrary())
	c := f.client(t)
	c.accept = "text/plain"
	if got := c.get("/api/v1/batches/7", 200); got != batchText {
		t.Errorf("got %q", got)
	}
	if got := c.get("/api/v1/batches/7/admission", 200); got != "concord/tx/v1 gov\n" {
		t.Errorf("got %q", got)
	}
	c.accept = "application/json"
	var problem Problem
	c.json("/api/v1/batches/8/admission", 404, &problem)
	c.json("/api/v1/batches/8", 404, &problem)
	c.json("/api/v1/batches/-1", 422, &problem)
	c.json("/api/v1/batches/7/vote", 422, &problem)
	c.json("/api/v1/batches/7/vote?nonce=abc", 422, &problem)
	nonce := concord.Sum([]byte("poller"))
	c.json("/api/v1/batches/8/vote?"+url.Values{"nonce": {nonce.String()}}.Encode(), 404, &problem)
	var v replica.Vote
	c.json("/api/v1/batches/7/vote?"+url.Values{"nonce": {nonce.String()}}.Encode(), 200, &v)
	if v.Hash != replica.VoteHash(nonce, v.Nonce, []byte(batchText)) {
		t.Errorf("%+v", v)
	}
	const page = "https://docs.example.org/"
	if proof := c.get("/api/v1/receipts?"+url.Values{"operator": {"dave.example"}, "url": {page}}.Encode(), 200); !strings.HasPrefix(proof, "c2sp.org/tlog-proof@v1\n") {
		t.Errorf("got %q", proof)
	}
	c.json("/api/v1/receipts?"+url.Values{"operator": {"dave.example"}, "url": {page}, "capture": {"d-1"}}.Encode(), 503, &problem)
	c.json("/api/v1/receipts?"+url.Values{"operator": {"dave.example"}, "url": {carolURL}}.Encode(), 503, &problem)
	lone := newClient(t, f.memory)
	lone.json("/api/v1/batches/7", 503, &problem)
	lone.json("/api/v1/batches/7/vote?"+url.Values{"nonce": {nonce.String()}}.Encode(), 503, &problem)
	c.addr = "192.0.2.7:50000"
	for range 2 * tileBurst {
		c.do(http.MethodGet, "/api/v1/batches/7", "", nil)
	}
	c.json("/api/v1/batches/7", 429, &problem)
}

func TestFederationPage(t *testing.T) {
	f := newMemoryFederation(newLibrary())
	c := f.client(t)
	body := c.get("/federation", 200)
	holds(t, "federation", body, "Running: 3 of 4 voters are up, 3 must be.", testChain, "bob.example", "faulted", "1 behind", "concord federation sign 3f9c41d07ab3", "signed by 1 of 3",
		"31 receipt, 7 text", "rests for 4 minutes", "812 left out", `http-equiv="refresh"`, "1,200 of them", "7 nobody gave yet", "1 damaged and not mended yet", "Own batches: 410, of which 12 no other", "310 polls, 2 copies found damaged, 1 mended",
		"Nothing new is kept: the disk is full", "309 of 310", "1 without a copy", "5 lost, 4 wrong", "11 root", "Witnesses from outside", "witness.example/w1", "1 unreachable", "2 forged", "asked by another operator")
	lacks(t, "federation", body, `href="javascript:`, "ZgotmplZ")
	holds(t, "foot", c.get("/", 200), `href="/federation"`)
	f.status.AskOthers, f.status.State, f.status.Barred = false, FederationAlone, "older than what the keys signed"
	holds(t, "alone", c.get("/federation", 200), "is the only operator of this ledger", "Older than what the keys signed.", "federation.search")
	f.status.Replicas = replica.Summary{}
	holds(t, "no replicas", c.get("/federation", 200), "federation.replicas")
	r := newClient(t, f.memory).do(http.MethodGet, "/federation", "", nil)
	if r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("where the ledger is not kept: %d", r.StatusCode)
	}
}

// A list with nothing in it is a list, as the API describes it, and not null.
func TestFederationStatusHasNoNull(t *testing.T) {
	f := newMemoryFederation(newLibrary())
	f.status = FederationStatus{State: FederationAlone, Self: testOperator}
	c := f.client(t)
	c.accept = "application/json"
	lacks(t, "status", c.get("/api/v1/federation", 200), "null")
}
