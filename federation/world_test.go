package federation

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"concord"
	"concord/index"
	"concord/note"
	"concord/receipt"
	"concord/text"
	"concord/weburl"
)

const (
	testChain  = "net-1:9f2c41d07ab3"
	testOrigin = "alice.example/net-1"
)

var testNow = time.Date(2026, 11, 22, 10, 15, 0, 0, time.UTC)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

type hashes []tlog.Hash

func (h hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		out[i] = h[x]
	}
	return out, nil
}

func digests(p []tlog.Hash) (list []concord.Digest) {
	for _, h := range p {
		list = append(list, concord.Digest(h))
	}
	return list
}

// log is a ledger in memory: entries, tree and cosigned heads are real.
type log struct {
	mu      sync.Mutex
	entries []string
	hashes  hashes
	admits  map[string][]byte
	log     *note.Signer
	cosign  []*note.Signer
	prev    map[string]concord.Digest
	seq     map[string]uint64
	change  func(*concord.Entry) // what is attested otherwise than it should be; nil: nothing
}

func key(name, which string, typ note.Type) *note.Signer {
	seed := concord.Sum([]byte("concord test key " + name + " " + which))
	return must(note.NewSigner(name, typ, seed[:]))
}

func newLog(operators ...string) *log {
	l := &log{admits: map[string][]byte{}, log: key(testOrigin, "log", note.Ed25519), prev: map[string]concord.Digest{}, seq: map[string]uint64{}}
	for i, name := range operators {
		op, cosign, cons := key(name, "op", note.Ed25519), key(name, "cosign", note.Cosignature), concord.Sum([]byte("cons "+name))
		text := fmt.Sprintf("concord/tx/v1 gov\nchain net-1:000000000000\nepoch %d\nadmit %s\nop %s\ncosign %s\nlog %s\ncons %s\nnode 5f0f\n",
			i+1, name, op.Key(), cosign.Key(), l.log.Key(), base64.StdEncoding.EncodeToString(cons[:]))
		gov := note.Join(text, must(op.Sign(text)), must(cosign.Cosign(text, testNow.Unix())))
		l.admits[name] = must(receipt.AdmitNote(gov))
		l.cosign = append(l.cosign, cosign)
		l.append(string(gov))
	}
	return l
}

func (l *log) append(entry string) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := int64(len(l.entries))
	l.hashes = append(l.hashes, must(tlog.StoredHashes(n, []byte(entry), l.hashes))...)
	l.entries = append(l.entries, entry)
	return uint64(n)
}

func (l *log) Entry(index uint64) (concord.LedgerEntry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if index >= uint64(len(l.entries)) {
		return concord.LedgerEntry{}, concord.Errorf(concord.NotFound, "entry %d: the log has %d", index, len(l.entries))
	}
	return concord.LedgerEntry{Index: index, Text: l.entries[index]}, nil
}

func (l *log) Covering(uint64) (concord.Checkpoint, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	size := int64(len(l.entries))
	root := concord.Digest(must(tlog.TreeHash(size, l.hashes)))
	text := note.Checkpoint{Origin: testOrigin, Size: uint64(size), Root: root}.String()
	sigs := []note.Sig{must(l.log.Sign(text))}
	for _, c := range l.cosign {
		sigs = append(sigs, must(c.Cosign(text, testNow.Unix())))
	}
	return concord.Checkpoint{Origin: testOrigin, Size: uint64(size), Root: root, Note: string(note.Join(text, sigs...))}, nil
}

func (l *log) Proof(index, size uint64) ([]concord.Digest, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return digests(must(tlog.ProveRecord(int64(size), int64(index), l.hashes))), nil
}

func (l *log) Admission(operator string, _ uint64) ([]byte, error) { return l.admits[operator], nil }

func (l *log) policy() []byte {
	var keys []note.Key
	for _, c := range l.cosign {
		keys = append(keys, c.Key())
	}
	return []byte(receipt.FormatPolicy([]note.Key{l.log.Key()}, keys, len(keys)/2+1))
}

// doc is a page that an operator captured.
type doc struct{ url, title, body string }

// attest makes the receipts of an operator's captures, in one batch.
func (l *log) attest(operator string, docs ...doc) (receipts [][]byte) {
	var tree hashes
	var list []concord.Entry
	a := concord.Attestation{Chain: testChain, From: operator, Seq: l.seq[operator] + 1, Count: uint64(len(docs)), Prev: l.prev[operator],
		First: testNow.Unix(), Last: testNow.Unix()}
	for i, d := range docs {
		salt := concord.Sum([]byte(operator + d.url))
		e := concord.Entry{Salt: [concord.SaltSize]byte(salt[:concord.SaltSize]), Time: testNow.Unix(), Status: 200, Raw: concord.Sum([]byte(d.body)),
			Text: concord.Sum([]byte(text.Normalise(d.title + "\n" + d.body))), Profile: text.Profile, Record: concord.Sum([]byte("record " + d.url)), URL: d.url}
		if l.change != nil {
			l.change(&e)
		}
		list = append(list, e)
		tree = append(tree, must(tlog.StoredHashes(int64(i), []byte(e.String()), tree))...)
	}
	a.Root = concord.Digest(must(tlog.TreeHash(int64(len(docs)), tree)))
	l.seq[operator], l.prev[operator] = a.Seq, a.Root
	tx := must(note.Sign(a.String(), key(operator, "op", note.Ed25519)))
	index := l.append(string(tx))
	head := must(l.Covering(index))
	for i := range docs {
		p := receipt.Parts{Entry: list[i], BatchIndex: uint64(i), BatchCount: a.Count, BatchPath: digests(must(tlog.ProveRecord(int64(len(docs)), int64(i), tree))),
			Attest: tx, Admit: l.admits[operator], Index: index, Path: must(l.Proof(index, head.Size)), Checkpoint: []byte(head.Note)}
		receipts = append(receipts, must(receipt.Build(p)))
	}
	return receipts
}

// shelf is a searcher over documents in memory: a page matches when each word is in it, and counts how often.
type shelf []*index.Document

func (s shelf) Stats(context.Context, string) (concord.Stats, error) {
	return concord.Stats{Docs: uint64(len(s))}, nil
}

func (s shelf) Search(ctx context.Context, req concord.Request) (*concord.Answer, error) {
	if req.Query == "explode" {
		return nil, concord.Errorf(concord.Unavailable, "the index is away")
	}
	a := &concord.Answer{Shards: 1, Answered: 1}
	for _, d := range s {
		h := concord.Hit{URL: d.URL, Title: d.Title, Site: d.Site, Language: d.Language, Fetched: d.Fetched, Capture: d.Capture, NoArchive: d.NoArchive}
		all, matches := strings.ToLower(d.Title+" "+d.Body), true
		for _, w := range strings.Fields(req.Query) {
			n := strings.Count(all, w)
			h.Score += float64(n)
			matches = matches && n > 0
		}
		switch {
		case req.Only != nil && slices.Contains(req.Only, d.URL):
			h.Explanation = &concord.Explanation{Matches: matches}
			a.Hits = append(a.Hits, h)
		case req.Only == nil && matches:
			h.Snippet = []concord.Fragment{{Text: d.Body}}
			a.Hits = append(a.Hits, h)
		}
	}
	slices.SortFunc(a.Hits, func(x, y concord.Hit) int {
		if x.Score != y.Score {
			return int(y.Score - x.Score)
		}
		return strings.Compare(x.URL, y.URL)
	})
	a.Total = uint64(len(a.Hits))
	if req.Only == nil {
		from := min(req.Offset, len(a.Hits))
		a.Hits = a.Hits[from:min(from+req.Limit, len(a.Hits))]
	}
	return a, nil
}

func indexed(d doc) *index.Document {
	u := must(weburl.Parse(d.url))
	return &index.Document{URL: d.url, Site: u.Site(), Host: u.HostPort(), Title: d.title, Body: d.body, Fetched: testNow.Add(-time.Hour), Capture: "own-" + d.url}
}

// remote is another operator: what its API sends, and how.
type remote struct {
	*httptest.Server
	name string

	mu     sync.Mutex
	asked  []string // the queries of requests
	answer func(w http.ResponseWriter, r *http.Request)
}

func (r *remote) set(answer func(http.ResponseWriter, *http.Request)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

func (r *remote) times() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.asked)
}

func newRemote(t testing.TB, name string) *remote {
	r := &remote{name: name}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		r.asked = append(r.asked, req.URL.Path+"?"+req.URL.RawQuery)
		answer := r.answer
		r.mu.Unlock()
		if answer == nil {
			http.NotFound(w, req)
			return
		}
		answer(w, req)
	}))
	t.Cleanup(r.Close)
	return r
}

// says answers with results.
func (r *remote) says(list ...result) {
	r.set(func(w http.ResponseWriter, _ *http.Request) { writeResults(w, list) })
}

func writeResults(w http.ResponseWriter, list []result) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"query": "x", "results": append([]result{}, list...), "total": len(list)})
}

// honest returns the results of an operator's captures.
func (l *log) honest(operator string, docs ...doc) (list []result) {
	for i, r := range l.attest(operator, docs...) {
		proof, ok := NewProof(r, docs[i].title, docs[i].body)
		if !ok { // a test changed what is attested
			n := text.Normalise(docs[i].title + "\n" + docs[i].body)
			proof = &Proof{string(r), n, len(docs[i].title)}
		}
		list = append(list, result{fmt.Sprintf("%s-%d", operator, i), proof})
	}
	return list
}

// world is alice.example, and others that she asks.
type world struct {
	t testing.TB
	*log
	own     shelf
	remotes []*remote
	fed     *Federation
	clock   time.Time
}

var names = []string{"alice.example", "bob.example", "carol.example", "dave.example"}

func newWorld(t testing.TB, others int, change ...func(*Config)) *world {
	w := &world{t: t, log: newLog(names[:others+1]...), clock: testNow}
	for _, name := range names[1 : others+1] {
		w.remotes = append(w.remotes, newRemote(t, name))
	}
	var mu sync.Mutex
	cfg := Config{Self: names[0], Own: ownShelf{w}, Ledger: w.log, AllowPrivate: true, UserAgent: "Concord/test", Timeout: 2 * time.Second,
		Others: func() (list []Operator) {
			for _, r := range w.remotes {
				list = append(list, Operator{r.name, r.URL + "/base/"})
			}
			return list
		},
		Beside: func(docs []*index.Document) (concord.Searcher, func(), error) {
			return append(slices.Clone(w.own), docs...), func() {}, nil
		},
		Now: func() time.Time { mu.Lock(); defer mu.Unlock(); return w.clock }}
	for _, c := range change {
		c(&cfg)
	}
	w.fed = must(New(cfg))
	t.Cleanup(w.fed.Close)
	return w
}

// ownShelf is the shelf as it is when it is asked.
type ownShelf struct{ w *world }

func (o ownShelf) Stats(ctx context.Context, q string) (concord.Stats, error) {
	return o.w.own.Stats(ctx, q)
}
func (o ownShelf) Search(ctx context.Context, req concord.Request) (*concord.Answer, error) {
	return o.w.own.Search(ctx, req)
}

func (w *world) search(query string) *concord.Answer {
	w.t.Helper()
	a, err := w.fed.Search(w.t.Context(), concord.Request{Query: query, Limit: 10})
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func urls(a *concord.Answer) (list []string) {
	for _, h := range a.Hits {
		list = append(list, h.URL)
	}
	return list
}
