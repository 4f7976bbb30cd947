package witness

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"concord"
	"concord/chain"
	"concord/ledger"
	"concord/note"
	"concord/receipt"
)

const profile = "text-1"

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// realLedger is a chain as a witness reads it.
type realLedger struct{ *chain.Chain }

func (l realLedger) Noted(d concord.Digest, operator string) (first, own Noted, err error) {
	list, err := l.Documents(d, 1000)
	for i, n := range list {
		if i == 0 {
			first = Noted(n)
		}
		if n.From == operator {
			return first, Noted(n), nil
		}
	}
	return first, own, err
}

// member is one operator with its chain and its witness.
type member struct {
	t    *testing.T
	name string
	dir  string
	cfg  chain.Config
	*chain.Chain
	w    *Witness
	stop func()

	mu        sync.Mutex
	page      string // what it is shown
	looks     int
	announced []string
	lookErr   error
	skew      time.Duration // of its clock
}

func (m *member) open(c *chain.Chain) {
	m.t.Helper()
	w, err := Open(Config{Dir: filepath.Join(m.dir, "witness"), Ledger: realLedger{c}, Keys: m.cfg.Keys, Operator: m.name, Profile: profile, Logger: quiet(),
		Look: m.look, Announce: m.announce})
	if err != nil {
		m.t.Fatal(err)
	}
	m.w = w
}

func (m *member) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	w := m.w
	go func() { done <- w.Run(ctx) }()
	m.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			m.t.Error(err)
		}
	})
	m.t.Cleanup(m.stop)
}

func (m *member) look(_ context.Context, url string) (Sight, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.looks++
	if m.lookErr != nil {
		return Sight{}, m.lookErr
	}
	return Sight{Status: 200, Final: url, Time: time.Now(), Raw: concord.Sum([]byte(m.page)), Text: m.page, Record: concord.Sum([]byte("record of " + m.name)),
		Captures: []*concord.Capture{{ID: "capture of " + m.name, URL: url}}}, nil
}

func (m *member) announce(_ context.Context, list []*concord.Capture) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range list {
		m.announced = append(m.announced, c.ID)
	}
	return nil
}

func (m *member) counts() (looks, announced int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.looks, len(m.announced)
}

// alone runs the chain of one operator.
func alone(t *testing.T) *member {
	t.Helper()
	dir := t.TempDir()
	m := &member{t: t, name: "alice.example", dir: dir}
	keys, err := note.LoadOrCreateKeys(filepath.Join(dir, "keys"), m.name, m.name+"/net-1")
	if err != nil {
		t.Fatal(err)
	}
	m.cfg = chain.Config{Dir: filepath.Join(dir, "chain"), Operator: m.name, ChainName: "net-1", Keys: keys, Logger: quiet()}
	m.startChain()
	m.open(m.Chain)
	return m
}

// startChain runs the member's chain until the test ends.
func (m *member) startChain() {
	m.t.Helper()
	c, err := chain.Open(m.cfg)
	if err != nil {
		m.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	m.t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, c.Close()); err != nil {
			m.t.Error(err)
		}
	})
	m.Chain = c
}

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestNotarise(t *testing.T) {
	m := alone(t)
	m.run()
	a, b := concord.Sum([]byte("a")), concord.Sum([]byte("b"))
	list, err := m.w.Notarise(soon(t), []concord.Digest{b, a, b}, "papers")
	if err != nil || len(list) != 3 || !list[0].Logged || list[0].Index != list[1].Index || list[0].First != (Noted{list[0].Index, m.name}) {
		t.Fatalf("%+v %v", list, err)
	}
	size := m.Status().Size
	again, err := m.w.Notarise(soon(t), []concord.Digest{a}, "other")
	if err != nil || again[0].Index != list[0].Index || m.Status().Size != size {
		t.Errorf("again: %+v %v, the log grew from %d to %d", again, err, size, m.Status().Size)
	}
	proof, err := m.w.Receipt(a)
	if err != nil {
		t.Fatal(err)
	}
	r, err := receipt.Verify(proof, []byte(m.Policy()), receipt.Options{})
	if err != nil || r.Level != 1 || r.Document.SHA256 != a || r.Document.Documents != 2 || r.Document.Label != "papers" || r.Index != list[0].Index {
		t.Errorf("%+v %v", r, err)
	}
	if _, err := m.w.Receipt(concord.Sum([]byte("c"))); concord.KindOf(err) != concord.NotFound {
		t.Errorf("nobody notarised it: %v", err)
	}
	if _, err := m.w.Notarise(soon(t), []concord.Digest{concord.Sum([]byte("c"))}, "two words"); concord.KindOf(err) != concord.Invalid {
		t.Errorf("a label of two words: %v", err)
	}
	if names, _ := m.w.names(""); len(names) != 0 {
		t.Errorf("left behind: %v", names)
	}
}

// While nothing comes into the ledger a note is on disk, and its receipt is a promise; a process that ends loses nothing.
func TestNoteWaits(t *testing.T) {
	m := alone(t)
	d := concord.Sum([]byte("a"))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	list, err := m.w.Notarise(ctx, []concord.Digest{d}, "") // Run does not run
	if err != nil || list[0].Logged || !list[0].Queued {
		t.Fatalf("%+v %v", list, err)
	}
	proof, err := m.w.Receipt(d)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := receipt.Verify(proof, []byte(m.Policy()), receipt.Options{}); err != nil || r.Level != 0 {
		t.Fatalf("%+v %v", r, err)
	}
	if info, err := os.Stat(filepath.Join(m.dir, "witness", (&waiting{Digests: []concord.Digest{d}}).name())); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info, err)
	}
	m.open(m.Chain) // another process
	m.run()
	list, err = m.w.Notarise(soon(t), []concord.Digest{d}, "")
	if err != nil || !list[0].Logged {
		t.Fatalf("%+v %v", list, err)
	}
	if all, _ := m.Documents(d, 10); len(all) != 1 {
		t.Errorf("notes: %v", all)
	}
}

// Many at once, with others of the operator's transactions between them: all come in, each once.
func TestManyNotes(t *testing.T) {
	m := alone(t)
	m.run()
	other := make(chan struct{})
	go func() {
		defer close(other)
		for range 20 {
			seq, prev, err := m.Next(m.name)
			if err != nil {
				t.Error(err)
			}
			att := concord.Attestation{Chain: m.ID(), From: m.name, Seq: seq, Count: 1, Root: concord.Sum([]byte{byte(seq)}), First: 1, Last: 1, Prev: prev}
			tx, err := ledger.Sign(att, m.cfg.Keys.Op)
			if err != nil {
				t.Error(err)
			}
			if _, err := m.Submit(soon(t), tx); err != nil && concord.KindOf(err) != concord.Conflict {
				t.Error(err)
			}
		}
	}()
	var wait sync.WaitGroup
	for i := range 20 {
		wait.Go(func() {
			d := concord.Sum([]byte{byte(i)})
			if list, err := m.w.Notarise(soon(t), []concord.Digest{d}, ""); err != nil || !list[0].Logged {
				t.Errorf("%d: %+v %v", i, list, err)
			}
			if all, _ := m.Documents(d, 10); len(all) != 1 {
				t.Errorf("%d: notes %v", i, all)
			}
		})
	}
	wait.Wait()
	<-other
}

func TestAskNeedsOthers(t *testing.T) {
	m := alone(t)
	if _, err := m.w.Ask(soon(t), Wanted{URL: "https://example.com/"}); concord.KindOf(err) != concord.Invalid || !strings.Contains(err.Error(), "0 other operators") {
		t.Errorf("%v", err)
	}
}

func FuzzFiles(f *testing.F) {
	keys, err := note.LoadOrCreateKeys(f.TempDir(), "alice.example", "alice.example/net-1")
	if err != nil {
		f.Fatal(err)
	}
	show, err := ledger.Sign(&ledger.ShowTx{Head: ledger.Head{Chain: "net-1:9f2c41d07ab3", From: "alice.example"}, Ask: 7, Round: 1, Status: 200, Final: "https://example.com/",
		Text: concord.Sum([]byte("text")), ASN: "-", Region: "-"}, keys.Op)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"digests":["DR2lE4wDX/t6hIz6EIqQGy1+RBlfEd3EdeH+fBz52LM="],"label":"x"}`))
	whole := []byte(`{"show":` + jsonString(string(show)) + `,"text":"text"}`)
	f.Add(whole)
	dir := f.TempDir()
	w := &Witness{cfg: Config{Dir: dir}}
	read := func(t testing.TB, b []byte, v checked) error {
		if err := os.WriteFile(filepath.Join(dir, "x"), b, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := w.readFile("x", v)
		return err
	}
	if err := read(f, whole, new(report)); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if n := new(waiting); read(t, b, n) == nil && len(n.Digests) == 0 {
			t.Error("a note without documents")
		}
		if r := new(report); read(t, b, r) == nil && (r.show == nil || r.show.Text != textDigest(r.Text)) {
			t.Error("a report whose parts do not belong together")
		}
	})
}

func jsonString(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}
