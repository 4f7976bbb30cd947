package anchor

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"concord"
	"concord/note"
)

const testOrigin = "alice.example/net-1"

func signer(t testing.TB, name string, typ note.Type) *note.Signer {
	t.Helper()
	seed := sha256.Sum256([]byte("concord test key " + name))
	s, err := note.NewSigner(name, typ, seed[:])
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// book is a log in memory. It takes what witnesses signed as package chain does: after it has checked it.
type book struct {
	t      testing.TB
	signer *note.Signer
	known  []note.Key

	mu     sync.Mutex
	hashes []tlog.Hash
	size   int64
	lines  map[string]concord.Checkpoint
}

func newBook(t testing.TB, known ...note.Key) *book {
	return &book{t: t, signer: signer(t, testOrigin, note.Ed25519), known: known, lines: map[string]concord.Checkpoint{}}
}

func (b *book) ReadHashes(indexes []int64) (list []tlog.Hash, err error) {
	for _, i := range indexes {
		list = append(list, b.hashes[i])
	}
	return list, nil
}

func (b *book) grow(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range n {
		h, err := tlog.StoredHashes(b.size, fmt.Appendf(nil, "entry %d", b.size), b)
		if err != nil {
			b.t.Fatal(err)
		}
		b.hashes, b.size = append(b.hashes, h...), b.size+1
	}
}

func (b *book) ToAnchor() concord.Checkpoint {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.size == 0 {
		return concord.Checkpoint{}
	}
	root, err := tlog.TreeHash(b.size, b)
	if err != nil {
		b.t.Fatal(err)
	}
	cp := note.Checkpoint{Origin: testOrigin, Size: uint64(b.size), Root: concord.Digest(root)}
	sig, err := b.signer.Sign(cp.String())
	if err != nil {
		b.t.Fatal(err)
	}
	return concord.Checkpoint{Origin: cp.Origin, Size: cp.Size, Root: cp.Root, Note: string(note.Join(cp.String(), sig))}
}

func (b *book) AnchoredBy(k note.Key) (concord.Checkpoint, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lines[k.Name], nil
}

func (b *book) Consistency(old, size uint64) (list []concord.Digest, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p, err := tlog.ProveTree(int64(size), int64(old), b)
	for _, h := range p {
		list = append(list, concord.Digest(h))
	}
	return list, err
}

func (b *book) Anchor(_ context.Context, data []byte) error {
	n, err := note.Open(data, b.known...)
	if err != nil {
		b.t.Errorf("a line that does not hold was handed over: %v", err)
		return nil
	}
	cp, err := note.ParseCheckpoint(n.Text)
	if err != nil {
		b.t.Error(err)
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines[n.Sigs[0].Name] = concord.Checkpoint{Origin: cp.Origin, Size: cp.Size, Root: cp.Root, Note: string(data)}
	return nil
}

// server is a witness that follows the protocol as far as it is told.
type server struct {
	*httptest.Server
	signer *note.Signer
	mu     sync.Mutex
	size   uint64
	asked  int
	lie    func(http.ResponseWriter, note.Checkpoint) bool // true: it has answered
}

func newServer(t testing.TB, s *note.Signer) *server {
	w := &server{signer: s}
	w.Server = httptest.NewServer(w)
	t.Cleanup(w.Close)
	return w
}

func (w *server) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
	body, err := io.ReadAll(io.LimitReader(r.Body, 10<<10))
	head, rest, ok := strings.Cut(string(body), "\n\n")
	lines := strings.Split(head, "\n")
	text, _, _ := strings.Cut(rest, "\n\n")
	cp, err2 := note.ParseCheckpoint(text + "\n")
	old, err3 := strconv.ParseUint(strings.TrimPrefix(lines[0], "old "), 10, 64)
	if err != nil || !ok || err2 != nil || err3 != nil || r.URL.Path != "/w/add-checkpoint" || r.Method != http.MethodPost {
		http.Error(rw, "malformed", http.StatusBadRequest)
		return
	}
	if w.lie != nil && w.lie(rw, cp) {
		return
	}
	if old != w.size {
		rw.Header().Set("Content-Type", "text/x.tlog.size")
		rw.WriteHeader(http.StatusConflict)
		fmt.Fprintf(rw, "%d\n", w.size)
		return
	}
	if (len(lines) > 1) != (old > 0 && old < cp.Size) {
		http.Error(rw, "proof", http.StatusUnprocessableEntity)
		return
	}
	w.size = cp.Size
	io.WriteString(rw, w.line(cp, time.Now()))
}

func (w *server) line(cp note.Checkpoint, at time.Time) string {
	s, err := w.signer.Cosign(cp.String(), at.Unix())
	if err != nil {
		panic(err)
	}
	return s.String() + "\n"
}

// logged collects what is logged.
type logged struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(b)
}

func (l *logged) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.String()
}

func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

func run(t testing.TB, cfg Config) *Anchor {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	a := New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = a.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return a
}

func TestAsks(t *testing.T) {
	key := signer(t, "witness.example/w1", note.Cosignature)
	b, s := newBook(t, key.Key()), newServer(t, key)
	s.size = 3 // another operator asked it before
	cfg := Config{Log: b, Witnesses: []Witness{{key.Key(), s.URL + "/w"}, {signer(t, "passed.on.example", note.Cosignature).Key(), ""}}, Interval: 5 * time.Millisecond}
	a := run(t, cfg)
	time.Sleep(20 * time.Millisecond)
	b.grow(5)
	for range 3 {
		until(t, "the newest head is anchored", func() bool { return a.Tallies()[0].Size == b.ToAnchor().Size })
		b.grow(7)
	}
	until(t, "the newest head is anchored", func() bool { return a.Tallies()[0].Size == 26 })
	c := a.Tallies()
	if c[0].Cosigned != 4 || c[0].Asked != 4 || len(c[0].Failed) > 0 || c[0].Last != "" || time.Since(c[0].Time) > time.Minute || c[1].Asked != 0 || c[1].URL != "" {
		t.Errorf("tally: %+v", c)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked != 5 {
		t.Errorf("asked %d times; want each head once, and the first once more for its size", s.asked)
	}
}

// A witness is asked no more often than allowed, whatever the log does.
func TestAsksSeldom(t *testing.T) {
	key := signer(t, "witness.example/w1", note.Cosignature)
	b, s := newBook(t, key.Key()), newServer(t, key)
	b.grow(1)
	a := run(t, Config{Log: b, Witnesses: []Witness{{key.Key(), s.URL + "/w"}}, Interval: time.Hour})
	until(t, "the first", func() bool { return a.Tallies()[0].Size == 1 })
	for range 20 {
		b.grow(1)
		time.Sleep(5 * time.Millisecond)
	}
	if c := a.Tallies()[0]; c.Asked != 1 || c.Size != 1 {
		t.Errorf("within the hour it was asked again: %+v", c)
	}
}

// What does not hold is refused, counted, and said once in plain words; when the witness comes to its senses it counts again.
func TestLies(t *testing.T) {
	key, other := signer(t, "witness.example/w1", note.Cosignature), signer(t, "witness.example/other", note.Cosignature)
	same, err := note.NewSigner("witness.example/w1", note.Cosignature, bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	status := func(code int, body string) func(*server, http.ResponseWriter, note.Checkpoint) {
		return func(_ *server, rw http.ResponseWriter, _ note.Checkpoint) {
			rw.WriteHeader(code)
			io.WriteString(rw, body)
		}
	}
	for _, c := range []struct {
		name, reason, words string
		lie                 func(*server, http.ResponseWriter, note.Checkpoint)
	}{
		{"for another head", Forged, "signed another head", func(s *server, rw http.ResponseWriter, cp note.Checkpoint) {
			cp.Root[0] ^= 1
			io.WriteString(rw, s.line(cp, time.Now()))
		}},
		{"a flipped bit", Forged, "no signature of this head", func(s *server, rw http.ResponseWriter, cp note.Checkpoint) {
			sig, _ := s.signer.Cosign(cp.String(), time.Now().Unix())
			sig.Data[40] ^= 1
			io.WriteString(rw, sig.String()+"\n")
		}},
		{"by another key", Malformed, "no line by its key", func(s *server, rw http.ResponseWriter, cp note.Checkpoint) {
			io.WriteString(rw, (&server{signer: other}).line(cp, time.Now()))
		}},
		{"by another key of its name", Malformed, "no line by its key", func(s *server, rw http.ResponseWriter, cp note.Checkpoint) {
			io.WriteString(rw, (&server{signer: same}).line(cp, time.Now()))
		}},
		{"of next year", Untimely, "more than 1h0m0s", func(s *server, rw http.ResponseWriter, cp note.Checkpoint) {
			io.WriteString(rw, s.line(cp, time.Now().AddDate(1, 0, 0)))
		}},
		{"junk", Malformed, "no lines of signatures", status(200, "<html>\x00\xff")},
		{"nothing", Malformed, "no lines of signatures", status(200, "")},
		{"a text more", Malformed, "no lines of signatures", func(s *server, rw http.ResponseWriter, cp note.Checkpoint) {
			io.WriteString(rw, "more\n\n"+s.line(cp, time.Now()))
		}},
		{"huge", Malformed, "longer than", func(_ *server, rw http.ResponseWriter, _ note.Checkpoint) {
			for range 1000 {
				if _, err := rw.Write(make([]byte, 32<<10)); err != nil {
					return
				}
			}
		}},
		{"slow", Unreachable, "took too long", func(*server, http.ResponseWriter, note.Checkpoint) { time.Sleep(300 * time.Millisecond) }},
		{"cut off", Unreachable, "cannot be reached", func(_ *server, rw http.ResponseWriter, _ note.Checkpoint) { panic(http.ErrAbortHandler) }},
		{"elsewhere", Unwilling, "status 307", func(_ *server, rw http.ResponseWriter, _ note.Checkpoint) {
			rw.Header().Set("Location", "http://127.0.0.1:1/")
			rw.WriteHeader(http.StatusTemporaryRedirect)
		}},
		{"who are you", Unwilling, "ask who runs it to add the log", status(404, "unknown log\n")},
		{"another key of ours", Unwilling, "by another key", status(403, "")},
		{"contradicted", Inconsistent, "another history", status(422, "bad proof")},
		{"busy", Unwilling, "status 503", status(503, strings.Repeat("x", 500))},
		{"another size for ever", Malformed, "times in a row", status(409, "2\n")},
		{"a size that is none", Malformed, "not which", status(409, "-1\n")},
		{"a longer log", Ahead, "longer than", status(409, "9999\n")},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var out logged
			b, s := newBook(t, key.Key()), newServer(t, key)
			s.lie = func(rw http.ResponseWriter, cp note.Checkpoint) bool { c.lie(s, rw, cp); return true }
			b.grow(4)
			a := run(t, Config{Log: b, Witnesses: []Witness{{key.Key(), s.URL + "/w"}}, Interval: time.Millisecond, Timeout: 100 * time.Millisecond,
				Logger: slog.New(slog.NewTextHandler(&out, nil))})
			until(t, "it is counted twice", func() bool { return a.Tallies()[0].Failed[c.reason] >= 2 })
			got := a.Tallies()[0]
			if got.Size != 0 || got.Cosigned != 0 || !strings.Contains(got.Last, c.words) {
				t.Errorf("tally: %+v; want a reason with %q", got, c.words)
			}
			if said := out.text(); strings.Count(said, "\n") != 1 || !strings.Contains(said, "has not cosigned") {
				t.Errorf("logged, not once: %s", said)
			}
			s.mu.Lock()
			s.lie = nil
			s.mu.Unlock()
			until(t, "it counts again", func() bool { return a.Tallies()[0].Size == 4 })
			until(t, "that is said", func() bool { return strings.Contains(out.text(), "has cosigned") })
		})
	}
}

func TestUnreachable(t *testing.T) {
	key := signer(t, "witness.example/w1", note.Cosignature)
	b, s := newBook(t, key.Key()), newServer(t, key)
	s.Close()
	b.grow(1)
	a := run(t, Config{Log: b, Witnesses: []Witness{{key.Key(), s.URL + "/w"}}, Interval: time.Millisecond})
	until(t, "it is counted", func() bool { return a.Tallies()[0].Failed[Unreachable] > 0 })
	if c := a.Tallies()[0]; !strings.Contains(c.Last, "refused") {
		t.Errorf("tally: %+v", c)
	}
}

func TestParseWitness(t *testing.T) {
	vkey := signer(t, "witness.example/w1", note.Cosignature).Key().String()
	for in, want := range map[string]string{
		vkey: "", vkey + " https://w.example/a/": "https://w.example/a", vkey + "https://w.example": "https://w.example", vkey + " http://127.0.0.1:7380": "http://127.0.0.1:7380",
	} {
		if w, err := ParseWitness(in); err != nil || w.Key.String() != vkey || w.URL != want {
			t.Errorf("%q: %+v, %v", in, w, err)
		}
	}
	for _, in := range []string{"", "https://w.example", vkey[:40], vkey + " w.example", vkey + " ftp://w.example", vkey + " https://u:p@w.example", vkey + " https://w.example?a=b", "x" + vkey + " https://w.example",
		strings.Replace(vkey, "w1", "w 1", 1)} {
		if w, err := ParseWitness(in); concord.KindOf(err) != concord.Invalid {
			t.Errorf("%q: %+v, %v", in, w, err)
		}
	}
}

// Whatever a witness answers, what is taken from it is its own signature of this head.
func FuzzAnswer(f *testing.F) {
	key := signer(f, "witness.example/w1", note.Cosignature)
	b := newBook(f, key.Key())
	b.grow(3)
	head := b.ToAnchor()
	text, _, _ := strings.Cut(head.Note, "\n\n")
	good := (&server{signer: key}).line(note.Checkpoint{Origin: head.Origin, Size: head.Size, Root: head.Root}, time.Unix(1_795_320_000, 0))
	for _, s := range []string{good, good + good, "", "\n", "more\n\n" + good, good[:len(good)-1], strings.ToUpper(good), good + "— other AAAAAAAA\n"} {
		f.Add([]byte(s))
	}
	w := &asker{cfg: &Config{Now: func() time.Time { return time.Unix(1_795_320_000, 0) }}, Witness: Witness{Key: key.Key()}}
	f.Fuzz(func(t *testing.T, answer []byte) {
		s, err := w.line(head, answer)
		if err == nil && !key.Key().Verify(text+"\n", s) {
			t.Errorf("taken: %v", s)
		}
	})
}
