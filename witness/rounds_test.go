package witness

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"concord"
	"concord/ledger"
	"concord/note"
)

const (
	story = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen and so the page goes on " +
		"with many more words about one thing and another until it ends at last"
	lie = "buy cheap things here today only because nobody will ever see this text but one of all who ask for it and that is how it was meant to be"
)

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(90 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not in time: " + what)
		}
	}
}

// book is the ledger's own state machine, one transaction a block, with a clock that the test moves.
type book struct {
	t *testing.T

	mu      sync.Mutex
	m       *ledger.Machine
	entries []concord.LedgerEntry
	now     int64
}

const bookChain = "net-1:9f2c41d07ab3"

func signer(t *testing.T, operator, which, name string, typ note.Type) *note.Signer {
	t.Helper()
	seed := sha256.Sum256([]byte("concord test key " + operator + " " + which))
	s, err := note.NewSigner(name, typ, seed[:])
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// bookOf founds a ledger of some operators, of which the first has the vote.
func bookOf(t *testing.T, operators ...string) (*book, []*member) {
	t.Helper()
	var notes [][]byte
	var list []*member
	sign := func(g *ledger.Gov, keys ...*note.Signer) {
		g.Chain, g.Epoch = ledger.FoundingID("net-1"), uint64(len(notes)+1)
		text := g.String()
		var sigs []note.Sig
		for _, k := range keys {
			s, err := k.Sign(text)
			if k.Key().Type == note.Cosignature {
				s, err = k.Cosign(text, 1795310000)
			}
			if err != nil {
				t.Fatal(err)
			}
			sigs = append(sigs, s)
		}
		notes = append(notes, note.Join(text, sigs...))
	}
	for i, o := range operators {
		k := &note.Keys{Op: signer(t, o, "op", o, note.Ed25519), Cosign: signer(t, o, "cosign", o, note.Cosignature), Log: signer(t, o, "log", "net-1.example/log", note.Ed25519)}
		cons := signer(t, o, "cons", o, note.Ed25519)
		admit := &ledger.Gov{Admit: &ledger.Admission{Operator: o, Op: k.Op.Key(), Cosign: k.Cosign.Key(), Log: k.Log.Key(), Cons: cons.Key().Public, Node: fmt.Sprintf("%040d", i)}}
		keys := []*note.Signer{k.Op, k.Cosign, k.Log, cons}
		m := &member{t: t, name: o, dir: t.TempDir(), page: story}
		m.cfg.Keys = k
		list = append(list, m)
		if i > 0 {
			keys = append(keys, list[0].cfg.Keys.Op)
		}
		sign(admit, keys...)
		if i == 0 {
			sign(&ledger.Gov{Powers: []ledger.Power{{Operator: o, Power: 1}}}, k.Op)
		}
	}
	b := &book{t: t, now: 1795320000}
	var err error
	if b.m, err = ledger.Found(bookChain, notes); err != nil {
		t.Fatal(err)
	}
	for _, n := range notes {
		b.append(n)
	}
	b.block(nil)
	for _, m := range list {
		m.begin(b)
	}
	return b, list
}

// begin opens a member's witness on its directory, and runs it.
func (m *member) begin(b *book) {
	m.t.Helper()
	w, err := Open(Config{Dir: m.dir, Ledger: bookReader{b, m.name}, Keys: m.cfg.Keys, Operator: m.name, Profile: profile, Logger: quiet(), Look: m.look, Announce: m.announce})
	if err != nil {
		m.t.Fatal(err)
	}
	w.now = func() time.Time { return b.clock().Add(m.skew) }
	m.w = w
	m.run()
}

func (b *book) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Unix(b.now, 0)
}

func (b *book) pass(seconds int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now += seconds
}

func (b *book) append(data []byte) {
	e := concord.LedgerEntry{Index: uint64(len(b.entries)), Type: "block", Text: string(data)}
	if !ledger.IsRecord(data) {
		t, err := ledger.ParseTx(data)
		if err != nil {
			b.t.Error(err)
			return
		}
		e.Type, e.From = t.Type, t.From
	}
	b.entries = append(b.entries, e)
}

// block executes a block, and the empty one that follows it.
func (b *book) block(txs [][]byte) {
	for _, list := range [][][]byte{txs, nil} {
		height := b.m.Height() + 1
		out, err := b.m.Finalize(ledger.Block{Height: height, Hash: concord.Sum(fmt.Appendf(nil, "block %d", height)), Time: b.now, Txs: list})
		if err != nil {
			b.t.Error(err)
			return
		}
		for _, e := range out.Entries {
			b.append(e)
		}
		b.m = out.Next
	}
}

func (b *book) state() *ledger.State {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.m.State()
}

// bookReader is a book as one operator's witness has it.
type bookReader struct {
	*book
	self string
}

func (r bookReader) ID() string { return bookChain }

func (r bookReader) Next(operator string) (uint64, concord.Digest, error) {
	m := r.state().Member(operator)
	return m.Seq + 1, m.LastRoot, nil
}

func (r bookReader) Submit(ctx context.Context, tx []byte) (uint64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.entries {
		if e.Text == string(tx) {
			return e.Index, nil
		}
	}
	if err := r.m.Check(tx); err != nil {
		return 0, err
	}
	list := r.m.Prepare(ledger.Block{Time: r.now, Txs: [][]byte{tx}}, 1<<20)
	if len(list) == 0 {
		return 0, concord.Errorf(concord.Unavailable, "it is too early")
	}
	index := uint64(len(r.entries))
	r.block(list)
	return index, nil
}

func (r bookReader) Asks() (list []*ledger.Ask) {
	st := r.state()
	for _, a := range st.Asks {
		list = append(list, st.Ask(a.Index))
	}
	return list
}

func (r bookReader) Ask(index uint64) (*ledger.Ask, *ledger.State, error) {
	st := r.state()
	if a := st.Ask(index); a != nil {
		return a, st, nil
	}
	return nil, nil, concord.Errorf(concord.NotFound, "no ask %d", index)
}

func (r bookReader) Able() int { return len(r.state().Members) - 1 }

func (r bookReader) Noted(d concord.Digest, operator string) (first, own Noted, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.entries {
		t, err := ledger.ParseTx([]byte(e.Text))
		if err != nil || t.Doc == nil || !slices.Contains(t.Doc.Digests, d) {
			continue
		}
		n := Noted{e.Index, e.From}
		if first.From == "" {
			first = n
		}
		if own.From == "" && e.From == operator {
			own = n
		}
	}
	return first, own, nil
}

func (r bookReader) Entries(from uint64, n int) ([]concord.LedgerEntry, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	from = min(from, uint64(len(r.entries)))
	return slices.Clone(r.entries[from:min(from+uint64(n), uint64(len(r.entries)))]), nil
}

var errNoProofs = concord.Errorf(concord.Unavailable, "there are no checkpoints here")

func (r bookReader) Covering(uint64) (concord.Checkpoint, error) {
	return concord.Checkpoint{}, errNoProofs
}
func (r bookReader) Proof(uint64, uint64) ([]concord.Digest, error) { return nil, errNoProofs }
func (r bookReader) Admission(string, uint64) ([]byte, error)       { return nil, errNoProofs }

var names4 = []string{"alice.example", "bob.example", "carol.example", "dave.example"}

// reach waits until a round has so many seals, or reports.
func (b *book) reach(index uint64, round, seals, reports int) {
	b.t.Helper()
	until(b.t, fmt.Sprintf("%d seals and %d reports of round %d", seals, reports, round), func() bool {
		a := b.state().Ask(index)
		if a == nil || len(a.Rounds) < round {
			return false
		}
		s, p := 0, 0
		for _, x := range a.Rounds[round-1].Seats {
			if !x.Commit.IsZero() {
				s++
			}
			if x.Report != nil {
				p++
			}
		}
		return s == seals && p == reports
	})
}

func begin(t *testing.T, m *member) uint64 {
	t.Helper()
	index, err := m.w.Ask(soon(t), Wanted{URL: "https://example.com/page", Until: ledger.MinUntil})
	if err != nil {
		t.Fatal(err)
	}
	return index
}

// One of three is shown another text; one is killed between its seal and its report.
func TestRound(t *testing.T) {
	b, list := bookOf(t, names4...)
	alice, bob, dave := list[0], list[1], list[3]
	dave.page = lie
	index := begin(t, alice)
	if again := begin(t, alice); again != index {
		t.Errorf("asked again: %d, not %d", again, index)
	}
	b.reach(index, 1, 4, 0)
	if _, err := bob.w.Text(index, 1); concord.KindOf(err) != concord.NotFound {
		t.Errorf("a sealed text is told: %v", err)
	}
	dave.stop()
	dave.page = "what it would see now"
	b.pass(11)
	b.reach(index, 1, 4, 3)
	for _, m := range list[:3] {
		until(t, m.name+" announces its capture", func() bool { _, n := m.counts(); return n == 1 })
	}
	if _, n := dave.counts(); n != 0 {
		t.Error("what is sealed was announced")
	}
	dave.begin(b)
	b.reach(index, 1, 4, 4)
	b.pass(11 + int64(endGrace/time.Second))
	until(t, "the ask is closed", func() bool { return !b.state().Ask(index).Open() })
	st := b.state()
	a := st.Ask(index)
	for i := range a.Rounds[0].Seats {
		s := &a.Rounds[0].Seats[i]
		want := ledger.Same
		if s.Operator == dave.name {
			want = ledger.Differ
		}
		if rel, _ := st.Relation(&a.Rounds[0], s); rel != want {
			t.Errorf("%s: %s, want %s", s.Operator, rel, want)
		}
	}
	if looks, _ := dave.counts(); a.Verdict() != ledger.Agree || looks != 1 {
		t.Errorf("%s, dave looked %d times", a.Verdict(), looks)
	}
	if text, err := dave.w.Text(index, 1); err != nil || text != lie {
		t.Errorf("%q %v", text, err)
	}
}

// haltedLedger orders nothing.
type haltedLedger struct{ Ledger }

func (haltedLedger) Submit(ctx context.Context, _ []byte) (uint64, error) {
	<-ctx.Done()
	return 0, concord.Errorf(concord.Unavailable, "submit transaction: %w", ctx.Err())
}

// Who asks while the ledger stands still is told so, in words, and that the ask may come into it all the same.
func TestAskWhileHalted(t *testing.T) {
	_, list := bookOf(t, names4...)
	w := list[0].w
	list[0].stop()
	w.cfg.Ledger = haltedLedger{w.cfg.Ledger}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := w.Ask(ctx, Wanted{URL: "https://example.com/page"})
	if concord.KindOf(err) != concord.Unavailable || !strings.Contains(err.Error(), "it stands still") || !strings.Contains(err.Error(), "look there before you ask again") {
		t.Error(err)
	}
}

// All differ, twice: the second panel looks anew, and the page is split. Who asked is away: another ends the rounds.
func TestSecondRound(t *testing.T) {
	b, list := bookOf(t, names4...)
	list[2].page, list[3].page = lie, "a third text that has nothing to do with the other two and is long enough to be taken for itself"
	index := begin(t, list[0])
	b.reach(index, 1, 4, 0)
	list[0].stop()
	b.pass(11)
	b.reach(index, 1, 4, 3)
	b.pass(11)
	time.Sleep(2 * lookEvery)
	if len(b.state().Ask(index).Rounds) != 1 {
		t.Error("a seat did not wait for its turn")
	}
	b.pass(int64(4 * endTurn / time.Second))
	b.reach(index, 2, 3, 0)
	b.pass(11)
	b.reach(index, 2, 3, 3)
	b.pass(11 + int64(5*endTurn/time.Second))
	until(t, "the ask is closed", func() bool { return !b.state().Ask(index).Open() })
	if v := b.state().Ask(index).Verdict(); v != ledger.Split {
		t.Errorf("%s", v)
	}
	for _, m := range list[1:] {
		if looks, _ := m.counts(); looks != 2 {
			t.Errorf("%s looked %d times", m.name, looks)
		}
	}
}

// Who may not look says nothing; who could not look yet tries again; another's seal cannot be copied.
func TestSilentAndCopied(t *testing.T) {
	b, list := bookOf(t, names4...)
	list[1].lookErr = concord.Errorf(concord.Unauthorized, "robots.txt forbids it")
	list[2].lookErr = concord.Errorf(concord.Unavailable, "not now")
	index := begin(t, list[0])
	b.reach(index, 1, 2, 0)
	a := b.state().Ask(index)
	i := slices.IndexFunc(a.Rounds[0].Seats, func(s ledger.Seat) bool { return s.Operator == list[3].name })
	_, err := list[2].w.send(soon(t), func(h ledger.Head) ledger.Body {
		return &ledger.SealTx{Head: h, Ask: index, Round: 1, Commit: a.Rounds[0].Seats[i].Commit}
	})
	if concord.KindOf(err) != concord.Invalid {
		t.Errorf("a copied seal: %v", err)
	}
	list[2].mu.Lock()
	list[2].lookErr = nil
	list[2].mu.Unlock()
	b.pass(int64(retryAfter/time.Second) + 1)
	b.reach(index, 1, 3, 0)
	if looks, _ := list[1].counts(); looks != 1 {
		t.Errorf("who may not look tried %d times", looks)
	}
	b.pass(11)
	b.reach(index, 1, 3, 3)
}

// A report that is damaged on disk is not made again: it might have been sealed.
func TestDamagedReport(t *testing.T) {
	b, list := bookOf(t, names4...)
	bob := list[1]
	bob.lookErr = concord.Errorf(concord.Unavailable, "not now")
	index := begin(t, list[0])
	b.reach(index, 1, 3, 0)
	if err := bob.w.writeFile(roundName(index, 1), map[string]string{"show": "nonsense"}); err != nil {
		t.Fatal(err)
	}
	bob.mu.Lock()
	bob.lookErr = nil
	before := bob.looks
	bob.mu.Unlock()
	b.pass(int64(retryAfter/time.Second) + 1)
	time.Sleep(3 * lookEvery)
	b.reach(index, 1, 3, 0)
	if looks, _ := bob.counts(); looks != before {
		t.Error("it looked again")
	}
	if _, err := bob.w.report(index, 1); concord.KindOf(err) != concord.Corrupt || !bytes.Contains([]byte(err.Error()), []byte("damaged")) {
		t.Errorf("%v", err)
	}
}

// Clocks that are wrong by an hour: all take part in time, and nobody floods the ledger.
func TestWrongClocks(t *testing.T) {
	b, list := bookOf(t, names4...)
	for i, skew := range []time.Duration{time.Hour, time.Hour, -time.Hour, 0} {
		list[i].stop()
		list[i].skew = skew
		list[i].begin(b)
	}
	index := begin(t, list[0])
	b.reach(index, 1, 4, 0)
	time.Sleep(3 * lookEvery)
	b.pass(13)
	b.reach(index, 1, 4, 4)
	b.pass(13)
	until(t, "the ask is closed", func() bool { return !b.state().Ask(index).Open() })
	if v := b.state().Ask(index).Verdict(); v != ledger.Agree {
		t.Errorf("%s", v)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	docs := 0
	for _, e := range b.entries {
		if e.Type == "doc" {
			docs++
		}
	}
	if docs > 2 {
		t.Errorf("%d notes to end one round", docs)
	}
}
