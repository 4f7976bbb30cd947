//go:build e2e

package witness

import (
	"path/filepath"
	"slices"
	"testing"

	"concord"
	"concord/chain"
	"concord/e2e/ports"
	"concord/ledger"
	"concord/note"
	"concord/receipt"
)

func freeAddr(t *testing.T) string {
	t.Helper()
	addr, err := ports.Free("127.0.0.1", 1)
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// four runs the chains of four operators on loopback, with a vote each; their witnesses are open and do not run yet.
func four(t *testing.T) []*member {
	t.Helper()
	var list []*member
	for i, name := range []string{"alice.example", "bob.example", "carol.example", "dave.example"} {
		m := &member{t: t, name: name, dir: t.TempDir(), page: story}
		keys, err := note.LoadOrCreateKeys(filepath.Join(m.dir, "keys"), name, "alice.example/net-1")
		if err != nil {
			t.Fatal(err)
		}
		m.cfg = chain.Config{Dir: filepath.Join(m.dir, "chain"), Operator: name, ChainName: "net-1", Keys: keys, Logger: quiet(), Addr: freeAddr(t)}
		if i > 0 {
			b, err := list[0].Bundle()
			if err != nil {
				t.Fatal(err)
			}
			id, err := chain.Join(m.cfg, &b)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := list[0].Invite(id); err != nil {
				t.Fatal(err)
			}
		}
		m.startChain()
		list = append(list, m)
		until(t, name+" is known to all", func() bool {
			return !slices.ContainsFunc(list, func(m *member) bool { return len(m.Members()) != len(list) })
		})
	}
	if _, err := list[0].Propose("power bob.example 1\npower carol.example 1\npower dave.example 1\n"); err != nil {
		t.Fatal(err)
	}
	until(t, "four voters", func() bool {
		return !slices.ContainsFunc(list, func(m *member) bool { return m.Status().Validators != 4 })
	})
	for _, m := range list {
		m.open(m.Chain)
	}
	return list
}

func ask(t *testing.T, m *member, url string) uint64 {
	t.Helper()
	index, err := m.w.Ask(soon(t), Wanted{URL: url, Until: ledger.MinUntil})
	if err != nil {
		t.Fatal(err)
	}
	return index
}

func closed(t *testing.T, list []*member, index uint64) (*ledger.Ask, *ledger.State) {
	t.Helper()
	for _, m := range list {
		until(t, "the ask is closed for "+m.name, func() bool { a, _, err := m.Ask(index); return err == nil && !a.Open() })
	}
	a, st, err := list[0].Ask(index)
	if err != nil {
		t.Fatal(err)
	}
	return a, st
}

func seatOf(t *testing.T, r *ledger.Round, operator string) *ledger.Seat {
	t.Helper()
	i := slices.IndexFunc(r.Seats, func(s ledger.Seat) bool { return s.Operator == operator })
	if i < 0 {
		t.Fatalf("%s has no seat in %+v", operator, r)
	}
	return &r.Seats[i]
}

// A page that shows one operator another text: the panel agrees on the rest, and the dissent stays on record. Meanwhile one
// of them is killed between its seal and its report, another copies a seal, and the same is asked for twice.
func TestPanel(t *testing.T) {
	list := four(t)
	alice, bob, carol, dave := list[0], list[1], list[2], list[3]
	const url = "https://example.com/page"
	dave.page = lie
	carol.lookErr = concord.Errorf(concord.Unavailable, "not yet") // until the copy was tried
	for _, m := range list {
		m.run()
	}
	index := ask(t, alice, url)
	if again := ask(t, alice, url); again != index {
		t.Errorf("the same ask again is %d, not %d", again, index)
	}
	until(t, "bob has sealed", func() bool { return seal(t, carol, index, bob.name) != concord.Digest{} })
	copySeal(t, carol, index, seal(t, carol, index, bob.name))
	if _, err := bob.w.Text(index, 1); concord.KindOf(err) != concord.NotFound {
		t.Errorf("a sealed text is told: %v", err)
	}
	carol.mu.Lock()
	carol.lookErr = nil
	carol.mu.Unlock()

	until(t, "dave has sealed", func() bool { return seal(t, dave, index, dave.name) != concord.Digest{} })
	dave.stop() // and its process with all it knew but its disk
	sealed := seal(t, dave, index, dave.name)
	dave.page = "what it would see now"
	dave.open(dave.Chain)
	dave.run()

	a, st := closed(t, list, index)
	r := &a.Rounds[0]
	if a.Verdict() != ledger.Agree || len(a.Rounds) != 1 || len(r.Seats) != 4 {
		t.Fatalf("%s: %+v", a.Verdict(), r)
	}
	for name, want := range map[string]ledger.Relation{alice.name: ledger.Same, bob.name: ledger.Same, carol.name: ledger.Same, dave.name: ledger.Differ} {
		s := seatOf(t, r, name)
		if rel, _ := st.Relation(r, s); rel != want {
			t.Errorf("%s: %s, want %s", name, rel, want)
		}
	}
	if d := seatOf(t, r, dave.name); d.Commit != sealed || d.Report.Text != concord.Sum([]byte(lie)) {
		t.Errorf("dave's seal changed from %s: %+v", sealed, d)
	}
	for _, m := range list {
		if looks, _ := m.counts(); looks < 1 || m == dave && looks != 1 {
			t.Errorf("%s looked %d times", m.name, looks)
		}
		until(t, m.name+" announced its capture", func() bool { _, told := m.counts(); return told == 1 })
		want := m.page
		if m == dave {
			want = lie
		}
		if text, err := m.w.Text(index, 1); err != nil || text != want {
			t.Errorf("%s: text %q, %v", m.name, text, err)
		}
		checkOutcome(t, m, index)
		o, err := m.Outcome(index)
		if err != nil || o.Ask.Verdict() != ledger.Agree || concord.Sum([]byte(o.Text)) != recordOf(t, m, o.Record).State {
			t.Errorf("%s: the outcome is not that of the block record: %v", m.name, err)
		}
	}
}

func recordOf(t *testing.T, m *member, index uint64) *ledger.Record {
	t.Helper()
	e, err := m.Entry(index)
	if err != nil {
		t.Fatal(err)
	}
	rec, err := ledger.ParseRecord(e.Text)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// seal returns the seal of an operator, as another sees it; zero: there is none.
func seal(t *testing.T, m *member, index uint64, operator string) concord.Digest {
	t.Helper()
	a, _, err := m.Ask(index)
	if err != nil || len(a.Rounds[0].Seats) == 0 {
		return concord.Digest{}
	}
	return seatOf(t, &a.Rounds[0], operator).Commit
}

// copySeal tries to seal what another has sealed.
func copySeal(t *testing.T, m *member, index uint64, commit concord.Digest) {
	t.Helper()
	_, err := m.w.send(soon(t), func(h ledger.Head) ledger.Body { return &ledger.SealTx{Head: h, Ask: index, Round: 1, Commit: commit} })
	if concord.KindOf(err) != concord.Invalid {
		t.Errorf("a copied seal: %v", err)
	}
}

// checkOutcome makes the receipt of an outcome and verifies it.
func checkOutcome(t *testing.T, m *member, index uint64) {
	t.Helper()
	o, err := m.Outcome(index)
	if err != nil {
		t.Fatal(err)
	}
	var proof []byte
	until(t, "a quorum cosigned the outcome", func() bool {
		head, err := m.Covering(o.Record)
		if err != nil {
			return false
		}
		path, err := m.Proof(o.Record, head.Size)
		if err != nil {
			t.Fatal(err)
		}
		e, err := m.Entry(o.Record)
		if err != nil {
			t.Fatal(err)
		}
		proof, err = receipt.BuildOutcome(receipt.Outcome{Ask: index, Record: []byte(e.Text), State: o.Text, Index: o.Record, Path: path, Checkpoint: []byte(head.Note)})
		if err != nil {
			t.Fatal(err)
		}
		_, err = receipt.Verify(proof, []byte(m.Policy()), receipt.Options{})
		return err == nil
	})
	r, err := receipt.Verify(proof, []byte(m.Policy()), receipt.Options{URL: o.Ask.URL})
	if err != nil {
		t.Fatal(err)
	}
	if r.Level != 3 || r.Outcome.Verdict != string(o.Ask.Verdict()) || r.Outcome.Ask != index || len(r.Outcome.Seats) != 4 {
		t.Errorf("%+v %+v", r, r.Outcome)
	}
	round := &o.Ask.Rounds[0]
	for i, s := range r.Outcome.Seats {
		if rel, _ := o.State.Relation(round, &round.Seats[i]); string(rel) != s.Relation || s.Operator != round.Seats[i].Operator {
			t.Errorf("the receipt says that %s saw %q, the ledger %q", s.Operator, s.Relation, rel)
		}
	}
}
