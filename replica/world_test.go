package replica

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"concord"
	"concord/note"
	"concord/receipt"
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

func key(name, which string, typ note.Type) *note.Signer {
	seed := concord.Sum([]byte("concord test key " + name + " " + which))
	return must(note.NewSigner(name, typ, seed[:]))
}

type hashes []tlog.Hash

func (h hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		out[i] = h[x]
	}
	return out, nil
}

// log is a ledger in memory: entries, tree and cosigned heads are real.
type log struct {
	mu      sync.Mutex
	entries []concord.LedgerEntry
	hashes  hashes
	admits  map[string][]byte
	log     *note.Signer
	cosign  []*note.Signer
	last    map[string]concord.Attestation
}

func newLog(operators ...string) *log {
	l := &log{admits: map[string][]byte{}, log: key(testOrigin, "log", note.Ed25519), last: map[string]concord.Attestation{}}
	for i, name := range operators {
		op, cosign, cons := key(name, "op", note.Ed25519), key(name, "cosign", note.Cosignature), concord.Sum([]byte("cons "+name))
		text := fmt.Sprintf("concord/tx/v1 gov\nchain net-1:000000000000\nepoch %d\nadmit %s\nop %s\ncosign %s\nlog %s\ncons %s\nnode 5f0f\n",
			i+1, name, op.Key(), cosign.Key(), l.log.Key(), base64.StdEncoding.EncodeToString(cons[:]))
		gov := note.Join(text, must(op.Sign(text)), must(cosign.Cosign(text, testNow.Unix())))
		l.admits[name] = must(receipt.AdmitNote(gov))
		l.cosign = append(l.cosign, cosign)
		l.append("gov", name, string(gov))
	}
	return l
}

func (l *log) append(kind, from, text string) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := int64(len(l.entries))
	l.hashes = append(l.hashes, must(tlog.StoredHashes(n, []byte(text), l.hashes))...)
	l.entries = append(l.entries, concord.LedgerEntry{Index: uint64(n), Type: kind, From: from, Text: text})
	return uint64(n)
}

func (l *log) ID() string { return testChain }

func (l *log) Entry(index uint64) (concord.LedgerEntry, error) {
	list, err := l.Entries(index, 1)
	if err == nil && len(list) == 0 {
		err = concord.Errorf(concord.NotFound, "entry %d is not there", index)
	}
	if err != nil {
		return concord.LedgerEntry{}, err
	}
	return list[0], nil
}

func (l *log) Entries(from uint64, n int) ([]concord.LedgerEntry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	from = min(from, uint64(len(l.entries)))
	return slices.Clone(l.entries[from:min(from+uint64(n), uint64(len(l.entries)))]), nil
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

func (l *log) Proof(index, size uint64) (list []concord.Digest, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range must(tlog.ProveRecord(int64(size), int64(index), l.hashes)) {
		list = append(list, concord.Digest(h))
	}
	return list, nil
}

// Admission is not there after a change of the operator's keys.
func (l *log) Admission(operator string, _ uint64) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.admits[operator]; a != nil {
		return a, nil
	}
	return nil, concord.Errorf(concord.NotFound, "its keys were changed since")
}

// rotate changes the cosigning key of an operator; it returns the admission as the operator signs it now.
func (l *log) rotate(operator string) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	text, _, _ := strings.Cut(string(l.admits[operator]), "\n\n")
	text += "\n"
	cosign := key(operator, "cosign 2", note.Cosignature)
	i := slices.IndexFunc(l.cosign, func(s *note.Signer) bool { return s.Key().Name == operator })
	l.cosign[i] = cosign
	delete(l.admits, operator)
	return note.Join(text, must(cosign.Cosign(text, testNow.Unix())))
}

func (l *log) policy() []byte { return []byte(l.Policy()) }

func (l *log) Policy() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var keys []note.Key
	for _, c := range l.cosign {
		keys = append(keys, c.Key())
	}
	return receipt.FormatPolicy([]note.Key{l.log.Key()}, keys, len(keys)/2+1)
}

// entriesOf makes the entries of pages, and the text of their batch.
func entriesOf(operator string, at int64, pages ...string) (list []concord.Entry, text []byte) {
	for i, page := range pages {
		salt := concord.Sum([]byte(operator + page))
		e := concord.Entry{Salt: [concord.SaltSize]byte(salt[:concord.SaltSize]), Time: at + int64(i), Status: 200, Raw: concord.Sum([]byte(page)), Record: concord.Sum([]byte("record " + page)), URL: page}
		list, text = append(list, e), fmt.Appendln(text, e.String())
	}
	return list, text
}

// attestation is the attest transaction for a batch.
func (l *log) attestation(operator string, entries []concord.Entry) []byte {
	a := concord.Attestation{Chain: testChain, From: operator, Seq: l.last[operator].Seq + 1, Count: uint64(len(entries)), Prev: l.last[operator].Root,
		First: entries[0].Time, Last: entries[len(entries)-1].Time}
	var leaves []concord.Digest
	for _, e := range entries {
		leaves = append(leaves, concord.Digest(tlog.RecordHash([]byte(e.String()))))
	}
	a.Root = receipt.BatchRoot(leaves)
	l.last[operator] = a
	return must(note.Sign(a.String(), key(operator, "op", note.Ed25519)))
}

// world is operators that share a ledger and talk to each other without a network.
type world struct {
	t testing.TB
	*log
	names []string
	by    map[string]*one
	clock time.Time
	mu    sync.Mutex // of clock, and of what others answer
}

// one is an operator.
type one struct {
	*Keeper
	w    *world
	name string
	own  map[string][]byte // texts by transaction
	gone bool
	// lies answers instead of the operator, unless it returns nil.
	lies func(path string) []byte
}

var operators = []string{"alice.example", "bob.example", "carol.example", "dave.example"}

func newWorld(t testing.TB, n int, change ...func(*Config)) *world {
	w := &world{t: t, log: newLog(operators[:n]...), names: operators[:n], by: map[string]*one{}, clock: testNow}
	for _, name := range w.names {
		w.by[name] = &one{w: w, name: name, own: map[string][]byte{}}
		w.open(name, t.TempDir(), change...)
	}
	return w
}

// open opens an operator's replicas, as at a start.
func (w *world) open(name, dir string, change ...func(*Config)) {
	w.t.Helper()
	o := w.by[name]
	cfg := Config{Dir: dir, Self: name, Ledger: w.log, Peers: o, Bytes: DefaultBytes, Every: time.Hour, Logger: slog.New(slog.DiscardHandler),
		Own: func(_ context.Context, attest []byte) ([]byte, error) {
			if text := o.own[string(attest)]; text != nil {
				return text, nil
			}
			return nil, concord.Errorf(concord.NotFound, "there is no such batch")
		},
		Now: func() time.Time { w.mu.Lock(); defer w.mu.Unlock(); return w.clock }}
	for _, c := range change {
		c(&cfg)
	}
	k, err := Open(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	o.Keeper = k
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(d)
}

// attest has an operator attest pages.
func (w *world) attest(operator string, pages ...string) (index uint64) {
	entries, text := entriesOf(operator, testNow.Unix(), pages...)
	tx := w.attestation(operator, entries)
	w.by[operator].own[string(tx)] = text
	return w.append(attestType, operator, string(tx))
}

// keepAll has operators fetch what is due, a while later.
func (w *world) keepAll(names ...string) {
	for range 3 {
		w.pass(time.Hour + time.Minute)
		for _, name := range names {
			w.by[name].keep(w.t.Context())
		}
	}
}

// Others implements Peers.
func (o *one) Others() (list []string) {
	for _, name := range o.w.names {
		if name != o.name {
			list = append(list, name)
		}
	}
	return list
}

// Get implements Peers: it has the other operator's Keeper answer.
func (o *one) Get(ctx context.Context, operator, path string, params url.Values, wanted string, limit int) ([]byte, error) {
	p := o.w.by[operator]
	o.w.mu.Lock()
	gone, lies := p.gone, p.lies
	o.w.mu.Unlock()
	if gone {
		return nil, concord.Errorf(concord.Unavailable, "it cannot be reached")
	}
	if lies != nil {
		if b := lies(path); b != nil {
			return b[:min(len(b), limit)], nil
		}
	}
	rest, _ := strings.CutPrefix(path, "api/v1/batches/")
	rest, admission := strings.CutSuffix(rest, "/admission")
	number, vote := strings.CutSuffix(rest, "/vote")
	index := must(strconv.ParseUint(number, 10, 64))
	if admission {
		return p.Admission(ctx, index)
	}
	if !vote {
		if wanted != "text/plain" {
			o.w.t.Errorf("%s asks for a batch as %s", o.name, wanted)
		}
		return p.Batch(ctx, index)
	}
	v, err := p.Vote(ctx, index, must(concord.ParseDigest(params.Get("nonce"))))
	if err != nil {
		return nil, err
	}
	return json.Marshal(v)
}

func (w *world) set(name string, gone bool, lies func(string) []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.by[name].gone, w.by[name].lies = gone, lies
}

// file is where an operator keeps a batch.
func (o *one) file(index uint64) string {
	list := must(filepath.Glob(filepath.Join(o.dir, strconv.FormatUint(index, 10)+"-*.batch")))
	if len(list) != 1 {
		o.w.t.Fatalf("%s has the files %v for entry %d", o.name, list, index)
	}
	return list[0]
}

// counted is what an operator counted of another.
func (o *one) counted(of string) Standing {
	for _, c := range o.Status().Operators {
		if c.Operator == of {
			return c
		}
	}
	return Standing{}
}
