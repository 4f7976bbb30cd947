package ledger

import (
	"bytes"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"concord"
	"concord/note"
)

// log is a Merkle log of a test, with its stored hashes.
type log struct {
	t      testing.TB
	hashes []tlog.Hash
	n      int64
}

func (l *log) ReadHashes(ix []int64) (list []tlog.Hash, _ error) {
	for _, i := range ix {
		list = append(list, l.hashes[i])
	}
	return list, nil
}

func newLog(t testing.TB, lines ...string) *log {
	l := &log{t: t}
	for _, s := range lines {
		more, err := tlog.StoredHashes(l.n, []byte(s), l)
		if err != nil {
			t.Fatal(err)
		}
		l.hashes, l.n = append(l.hashes, more...), l.n+1
	}
	return l
}

func (l *log) root(n int64) concord.Digest {
	h, err := tlog.TreeHash(n, l)
	if err != nil {
		l.t.Fatal(err)
	}
	return concord.Digest(h)
}

func digests(list []tlog.Hash) (d []concord.Digest) {
	for _, h := range list {
		d = append(d, concord.Digest(h))
	}
	return d
}

func cosigned(t testing.TB, o *operator, c note.Checkpoint, at int64) []byte {
	t.Helper()
	sig, err := o.cosign.Cosign(c.String(), at)
	if err != nil {
		t.Fatal(err)
	}
	return note.Join(c.String(), sig)
}

// two orders a pair of proofs.
func two(f *FaultTx, a, b []byte) *FaultTx {
	if bytes.Compare(a, b) > 0 {
		a, b = b, a
	}
	f.A, f.B = a, b
	return f
}

func TestFaults(t *testing.T) {
	honest := newLog(t, "a", "b", "c", "d", "e", "f", "g")
	forged := newLog(t, "a", "b", "X", "d", "e")
	point := func(l *log, n int64) note.Checkpoint {
		return note.Checkpoint{Origin: testLog, Size: uint64(n), Root: l.root(n)}
	}
	proof := func(n, old int64) []concord.Digest {
		p, err := tlog.ProveTree(n, old, honest)
		if err != nil {
			t.Fatal(err)
		}
		return digests(p)
	}
	inclusion, err := tlog.ProveRecord(7, 2, honest)
	if err != nil {
		t.Fatal(err)
	}
	att := func(o *operator, seq uint64, root concord.Digest) []byte {
		b, err := Sign(concord.Attestation{Chain: testID, From: o.name, Seq: seq, Count: 7, Root: root, First: 1, Last: 2}, o.op)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	reveal := func(o *operator, index uint64, entry string) []byte {
		v := &Reveal{Head{testID, o.name, 1}, index, entry, digests(inclusion)}
		return note.Join(v.String(), sign(t, o.op, v.String()))
	}
	signed := func(o *operator, k *note.Signer, b Body) []byte { return note.Join(b.String(), sign(t, k, b.String())) }
	seal := func(o *operator, seq uint64, round int, commit string) []byte {
		return signed(o, o.op, &SealTx{Head{testID, o.name, seq}, 9, round, concord.Sum([]byte(commit))})
	}
	show := func(o *operator, seq uint64, text string) []byte {
		s := report(o, 9, 1, text)
		s.Seq = seq
		return signed(o, o.op, s)
	}
	checkpoint := func(o *operator, c note.Checkpoint) []byte { return note.Join(c.String(), sign(t, o.log, c.String())) }
	elsewhere := point(forged, 5)
	elsewhere.Origin = "other.example/log"
	for _, c := range []struct {
		name, kind string
		make       func(bob, carol *operator) *FaultTx
		want       string // empty: bob is faulted
	}{
		{"two roots of one size", "fork", func(b, _ *operator) *FaultTx {
			return two(&FaultTx{}, cosigned(t, b, point(honest, 5), 1), cosigned(t, b, point(forged, 5), 2))
		}, ""},
		{"two roots, log key", "fork", func(b, _ *operator) *FaultTx {
			return two(&FaultTx{}, checkpoint(b, point(honest, 5)), checkpoint(b, point(forged, 5)))
		}, ""},
		{"one root, two times", "fork", func(b, _ *operator) *FaultTx {
			return two(&FaultTx{}, cosigned(t, b, point(honest, 5), 1), cosigned(t, b, point(honest, 5), 2))
		}, "the roots are the same"},
		{"two sizes", "fork", func(b, _ *operator) *FaultTx {
			return two(&FaultTx{}, cosigned(t, b, point(honest, 5), 1), cosigned(t, b, point(honest, 6), 2))
		}, "two sizes"},
		{"two logs", "fork", func(b, _ *operator) *FaultTx {
			return two(&FaultTx{}, cosigned(t, b, point(honest, 5), 1), cosigned(t, b, elsewhere, 2))
		}, "two logs"},
		{"two signers", "fork", func(b, c *operator) *FaultTx {
			return two(&FaultTx{}, cosigned(t, b, point(honest, 5), 1), cosigned(t, c, point(forged, 5), 2))
		}, "not both signed"},
		{"another's", "fork", func(_, c *operator) *FaultTx {
			return two(&FaultTx{}, cosigned(t, c, point(honest, 5), 1), cosigned(t, c, point(forged, 5), 2))
		}, "not both signed"},
		{"unsorted", "fork", func(b, _ *operator) *FaultTx {
			f := two(&FaultTx{}, cosigned(t, b, point(honest, 5), 1), cosigned(t, b, point(forged, 5), 2))
			f.A, f.B = f.B, f.A
			return f
		}, "must sort before"},
		{"not a note", "fork", func(_, _ *operator) *FaultTx { return &FaultTx{A: []byte("a"), B: []byte("b")} }, "must each be a signed note"},
		{"inconsistent", "tree", func(b, _ *operator) *FaultTx {
			return &FaultTx{A: cosigned(t, b, point(forged, 5), 1), B: cosigned(t, b, point(honest, 7), 2), Root: honest.root(5), Proof: proof(7, 5)}
		}, ""},
		{"consistent", "tree", func(b, _ *operator) *FaultTx {
			return &FaultTx{A: cosigned(t, b, point(honest, 5), 1), B: cosigned(t, b, point(honest, 7), 2), Root: honest.root(5), Proof: proof(7, 5)}
		}, "the roots are the same"},
		{"false proof", "tree", func(b, _ *operator) *FaultTx {
			return &FaultTx{A: cosigned(t, b, point(honest, 5), 1), B: cosigned(t, b, point(honest, 7), 2), Root: forged.root(5), Proof: proof(7, 5)}
		}, "does not hold"},
		{"two attestations", "attest", func(b, _ *operator) *FaultTx {
			return two(&FaultTx{}, att(b, 1, honest.root(7)), att(b, 1, forged.root(5)))
		}, ""},
		{"two seqs", "attest", func(b, _ *operator) *FaultTx {
			return two(&FaultTx{}, att(b, 1, honest.root(7)), att(b, 2, forged.root(5)))
		}, "differ in chain or seq"},
		{"two seals", "seal", func(b, _ *operator) *FaultTx { return two(&FaultTx{}, seal(b, 1, 1, "x"), seal(b, 2, 1, "y")) }, ""},
		{"one seal twice", "seal", func(b, _ *operator) *FaultTx { return two(&FaultTx{}, seal(b, 1, 1, "x"), seal(b, 2, 1, "x")) }, "say the same"},
		{"two rounds", "seal", func(b, _ *operator) *FaultTx { return two(&FaultTx{}, seal(b, 1, 1, "x"), seal(b, 1, 2, "y")) }, "round"},
		{"two reports", "show", func(b, _ *operator) *FaultTx { return two(&FaultTx{}, show(b, 1, "x"), show(b, 2, "y")) }, ""},
		{"one report twice", "show", func(b, _ *operator) *FaultTx { return two(&FaultTx{}, show(b, 1, "x"), show(b, 2, "x")) }, "say the same"},
		{"not seals", "seal", func(b, _ *operator) *FaultTx { return two(&FaultTx{}, show(b, 1, "x"), show(b, 2, "y")) }, "not of the type"},
		{"a false reveal", "leaf", func(b, _ *operator) *FaultTx {
			return &FaultTx{A: reveal(b, 2, "forged"), B: att(b, 1, honest.root(7))}
		}, ""},
		{"beyond the batch", "leaf", func(b, _ *operator) *FaultTx {
			return &FaultTx{A: reveal(b, 7, "c"), B: att(b, 1, honest.root(7))}
		}, ""},
		{"a true reveal", "leaf", func(b, _ *operator) *FaultTx {
			return &FaultTx{A: reveal(b, 2, "c"), B: att(b, 1, honest.root(7))}
		}, "lies under the attested root"},
		{"another batch", "leaf", func(b, _ *operator) *FaultTx {
			return &FaultTx{A: reveal(b, 2, "c"), B: att(b, 2, honest.root(7))}
		}, "not of this attestation"},
	} {
		f := newFed(t, 4)
		f.step(1, f.gov(&Gov{Powers: []Power{{"bob.example", 1}, {"carol.example", 1}, {"dave.example", 1}}}))
		bob := f.ops[1]
		x := c.make(bob, f.ops[2])
		x.Head, x.Who, x.Kind = f.head(f.ops[4]), bob.name, c.kind // erin, a candidate, tells
		tx := f.sign(f.ops[4], x)
		if c.want != "" {
			f.refuse(c.name, c.want, 1, tx)
			continue
		}
		out := f.step(1, tx)
		if m := f.m.State().Member(bob.name); m.Status != Faulted || m.Power != 0 || len(out.Updates) != 1 {
			t.Errorf("%s: %+v", c.name, m)
		}
		f.refuse(c.name+", after it", "the member is faulted", 1, f.doc(bob))
		x.Head = f.head(f.ops[4])
		f.refuse(c.name+", again", "is faulted already", 1, f.sign(f.ops[4], x))
		f.step(1, f.gov(&Gov{Clear: bob.name}))
		f.step(1, f.doc(bob))
		replayAll(t, f.node)
	}
}

// Who is caught between its report and the end of the round is neither counted nor paid.
func TestFaultedReportDoesNotCount(t *testing.T) {
	f := newFed(t, 5)
	id := f.ask(f.ops[0], 3, 4, 10)
	panel := names(&f.m.State().Ask(id).Rounds[0])
	liar := f.op(panel[0])
	var seals, shows [][]byte
	for _, p := range panel[:3] {
		seals = append(seals, f.sealOf(f.op(p), report(f.op(p), id, 1, pageText)))
	}
	f.step(1, seals...)
	for _, p := range panel[:3] {
		shows = append(shows, f.showOf(f.op(p), report(f.op(p), id, 1, pageText)))
	}
	f.step(121, shows...)
	second := &SealTx{Head{testID, liar.name, 99}, id, 1, concord.Sum([]byte("another"))}
	first, err := ParseTx(seals[0])
	if err != nil {
		t.Fatal(err)
	}
	x := two(&FaultTx{Head: f.head(f.ops[0]), Who: liar.name, Kind: "seal"}, first.Note.Bytes(), f.sign(liar, second))
	f.step(1, f.sign(f.ops[0], x))
	f.step(200, f.doc(f.ops[0]))
	a := f.m.State().Ask(id)
	if a.Verdict() != Unconfirmed || !a.Rounds[0].Seats[0].Forfeit || f.balance(liar.name) != 0 || f.balance(panel[1]) != 10 {
		t.Errorf("%s, %+v", a.Verdict(), a.Rounds[0].Seats[0])
	}
	replayAll(t, f.node)
}
