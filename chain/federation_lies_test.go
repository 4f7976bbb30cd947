//go:build e2e

package chain

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/mempool"
	"github.com/cometbft/cometbft/p2p"
	memproto "github.com/cometbft/cometbft/proto/tendermint/mempool"

	"concord"
	"concord/ledger"
	"concord/note"
)

// The liar is dave, a member and a voter, whose node says over its own connections what no honest node would.

// send has a party say something to all others on a channel, past everything that its own node would check.
func (p *party) send(channel byte, list ...[]byte) (sent int) {
	e := p.Chain.running.Load()
	for _, peer := range e.node.Switch().Peers().Copy() {
		if send(peer, channel, list...) {
			sent++
		}
	}
	return sent
}

func send(to p2p.Peer, channel byte, list ...[]byte) bool {
	return to.Send(p2p.Envelope{ChannelID: channel, Message: &memproto.Txs{Txs: list}})
}

// connected waits until everybody is connected with everybody.
func (f *federation) connected() {
	f.t.Helper()
	f.until("all are connected", func() bool {
		for _, p := range f.list {
			if len(p.Status().Up) != len(f.list)-1 {
				return false
			}
		}
		return true
	})
}

// once checks that every transaction is in the log once at most, and returns how many are.
func (f *federation) once(p *party) (txs int) {
	f.t.Helper()
	seen := map[string]uint64{}
	for at := uint64(0); ; {
		list, err := p.Entries(at, MaxEntries)
		if err != nil {
			f.t.Fatal(err)
		}
		if len(list) == 0 {
			return txs
		}
		for _, e := range list {
			if old, ok := seen[e.Text]; ok && e.Type != "block" {
				f.t.Errorf("%s: entry %d is that of %d once more", p.name, e.Index, old)
			}
			seen[e.Text] = e.Index
			if e.Type != "block" {
				txs++
			}
		}
		at += uint64(len(list))
	}
}

// attestations signs several transactions of a party that follow one another.
func (f *federation) attestations(p *party, chain string, from uint64, count int) (list [][]byte) {
	f.t.Helper()
	_, prev, err := p.next(patience)
	if err != nil {
		f.t.Fatal(err)
	}
	for i := range count {
		a := concord.Attestation{Chain: chain, From: p.name, Seq: from + uint64(i), Count: 1, Root: concord.Sum(fmt.Appendf(nil, "%s %d", p.name, from+uint64(i))), First: 1, Last: 2, Prev: prev}
		tx, err := note.Sign(a.String(), p.cfg.Keys.Op)
		if err != nil {
			f.t.Fatal(err)
		}
		list, prev = append(list, tx), a.Root
	}
	return list
}

// A member replays the transactions of others, old and of another ledger, and sends its own in the wrong order: the first change nothing, the last
// come in, in order.
func TestFederationReplays(t *testing.T) {
	t.Parallel()
	f := newFederation(t, 4)
	f.promote()
	alice, bob, dave := f.list[0], f.list[1], f.list[3]
	var old [][]byte
	for range 3 {
		for _, p := range []*party{alice, bob, dave} {
			tx, _ := f.attest(p)
			old = append(old, tx)
		}
	}
	f.agree()
	f.connected()
	before := f.once(alice)
	seq, _, err := bob.next(patience)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := f.attestations(bob, "net-2:000000000000", seq, 3)
	for range 3 {
		slices.Reverse(old)
		dave.send(mempool.MempoolChannel, old...)
		dave.send(mempool.MempoolChannel, elsewhere...)
	}
	if seq, _, err = dave.next(patience); err != nil {
		t.Fatal(err)
	}
	own := f.attestations(dave, dave.ID(), seq, 8)
	slices.Reverse(own)
	f.until("what came in the wrong order is in the log", func() bool {
		dave.send(mempool.MempoolChannel, own...) // again, as its node does: what is too early is not kept
		_, ok := alice.Lookup(ledger.LeafHash(own[0]))
		return ok
	})
	f.attest(alice)
	f.attest(bob)
	f.agree()
	if got, want := f.once(alice), before+len(own)+2; got != want {
		t.Errorf("%d transactions are in the log, want %d", got, want)
	}
	var last uint64
	for _, tx := range slices.Backward(own) {
		index, ok := alice.Lookup(ledger.LeafHash(tx))
		if !ok || index <= last {
			t.Errorf("a transaction of dave has index %d after %d", index, last)
		}
		last = index
	}
}

// A member floods the others with transactions, good ones beyond any measure and thousands that are none. The others go on with theirs, keep little
// of it, and the log has no more of the flooder than its window lets in.
func TestFederationSpam(t *testing.T) {
	t.Parallel()
	f := newFederation(t, 4)
	f.promote()
	alice, bob, dave := f.list[0], f.list[1], f.list[3]
	f.attest(dave)
	f.agree()
	f.connected()
	runtime.GC()
	var start, end runtime.MemStats
	runtime.ReadMemStats(&start)
	seq, _, err := dave.next(patience)
	if err != nil {
		t.Fatal(err)
	}
	good := f.attestations(dave, dave.ID(), seq, 2000)
	ctx, cancel := context.WithCancel(t.Context())
	flood := make(chan int)
	go func() {
		n := 0
		for i := 0; ctx.Err() == nil && i < 4000; i++ {
			bad := fmt.Appendf(bytes.Repeat([]byte{'x'}, 1000), "%d", i)
			if i%2 == 0 { // signed, and of another's name
				bad = bytes.Replace(good[i%len(good)], []byte("from dave.example"), []byte("from bob.example"), 1)
			}
			n += dave.send(mempool.MempoolChannel, bad, good[len(good)-1-i%len(good)])
		}
		flood <- n
	}()
	var slowest time.Duration
	for range 5 {
		begun := time.Now()
		f.attest(alice)
		f.attest(bob)
		slowest = max(slowest, time.Since(begun))
	}
	cancel()
	sent := <-flood
	f.connected() // whoever was hung up on is back
	f.agree(f.list[:3]...)
	for _, p := range f.list[:3] {
		m := p.Chain.running.Load().node.Mempool()
		if m.Size() > ledger.SeqWindow || m.SizeBytes() > ledger.SeqWindow*note.MaxBytes {
			t.Errorf("%s keeps %d transactions, %d bytes", p.name, m.Size(), m.SizeBytes())
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&end)
	if grown := int64(end.HeapAlloc) - int64(start.HeapAlloc); grown > 128<<20 {
		t.Errorf("the four nodes hold %d MiB more than before", grown>>20)
	}
	if sent == 0 {
		t.Error("nothing was sent")
	}
	t.Logf("%d messages; two transactions of others took %v at most; %d transactions in the log", sent, slowest, f.once(alice))
}

// A member sends what is too long, no message of ours, or nonsense in the form of one. Who sends what cannot be a message is hung up on and may
// come back; nonsense is dropped; nothing of it is kept, and the ledger goes on.
func TestFederationMalformedMessages(t *testing.T) {
	t.Parallel()
	f := newFederation(t, 4)
	f.promote()
	alice, dave := f.list[0], f.list[3]
	f.attest(dave)
	f.agree()
	f.connected()
	st := alice.machine.Load().State()
	forged := func(origin string, size uint64, keys *note.Keys) []byte {
		cp := note.Checkpoint{Origin: origin, Size: size, Root: concord.Sum([]byte("false"))}
		sig, err := keys.Cosign.Cosign(cp.String(), time.Now().Unix())
		if err != nil {
			t.Fatal(err)
		}
		return note.Join(cp.String(), sig)
	}
	stranger := partyConfig(t, "mallory", st.Origin).Keys
	var far [][]byte
	for i := range 2 * maxEarly {
		far = append(far, forged(st.Origin, 1<<40+uint64(i), dave.cfg.Keys))
	}
	peers := make([]Peer, 10*maxPeers)
	for i := range peers {
		peers[i] = Peer{"alice.example", fmt.Sprintf("%040x", i), "127.0.0.1:1"}
	}
	many, err := json.Marshal(peers)
	if err != nil {
		t.Fatal(err)
	}
	long := bytes.Repeat([]byte{'a'}, maxGossip+1)
	cases := []struct {
		name string
		list [][]byte
	}{
		{"no kind", nil},
		{"too many notes", slices.Repeat([][]byte{[]byte("x")}, maxGossipNotes+2)},
		{"too long", [][]byte{[]byte(kindHeads), long}},
		{"an unknown kind", [][]byte{[]byte("nonsense"), []byte("x")}},
		{"an empty kind", [][]byte{nil, nil}},
		{"heads that are none", [][]byte{[]byte(kindHeads), nil, []byte("x"), []byte(kindHeads), bytes.Repeat([]byte("— \n"), 1000)}},
		{"heads of another log", [][]byte{[]byte(kindHeads), forged("other.example/log", 3, dave.cfg.Keys)}},
		{"heads of a stranger", [][]byte{[]byte(kindHeads), forged(st.Origin, 3, stranger)}},
		{"a head beyond all numbers", [][]byte{[]byte(kindHello), forged(st.Origin, 1<<62, dave.cfg.Keys)}},
		{"ballots that are none", [][]byte{[]byte(kindGov), nil, []byte("x"), long[:maxGossip/2]}},
		{"addresses that are none", [][]byte{[]byte(kindPeers), []byte("[{"), []byte("null"), []byte(`{"a":1}`)}},
		{"too many addresses", [][]byte{[]byte(kindPeers), many}},
	}
	for len(far) > 0 {
		n := min(maxGossipNotes, len(far))
		cases = append(cases, struct {
			name string
			list [][]byte
		}{"heads of a future that never comes", append([][]byte{[]byte(kindHeads)}, far[:n]...)})
		far = far[n:]
	}
	for _, c := range cases {
		f.connected()
		if dave.send(gossipChannel, c.list...) == 0 {
			t.Errorf("%s: could not be sent", c.name)
		}
	}
	f.attest(alice)
	f.connected()
	f.attest(dave)
	f.agree()
	for _, p := range f.list[:3] {
		if s := p.Status(); s.Halted != "" || s.Barred != "" || len(p.Ballots()) > 0 || len(p.book.all()) > maxPeers {
			t.Errorf("%s: %+v, %d decisions, %d addresses", p.name, s, len(p.Ballots()), len(p.book.all()))
		}
		for _, a := range p.book.all() {
			if a.Addr == "127.0.0.1:1" {
				t.Errorf("%s keeps an address that is nobody's", p.name)
			}
		}
	}
	for _, p := range f.list {
		p.halt(t)
	}
	for _, p := range f.list[:3] { // read when its loop has ended
		if p.earlyCount > maxEarly {
			t.Errorf("%s keeps %d heads of a future that never comes", p.name, p.earlyCount)
		}
	}
}

// A member cosigns a head that is not of the log. Nobody adds it to a checkpoint, and with a true one that it signed, of the same size or larger, it is the
// proof with which the others take its vote away.
func TestFederationFalseHead(t *testing.T) {
	t.Parallel()
	f := newFederation(t, 4)
	f.promote()
	alice, bob, dave := f.list[0], f.list[1], f.list[3]
	for _, p := range f.list {
		f.attest(p)
	}
	f.agree()
	f.connected()
	var real *note.Note
	f.until("dave has cosigned the head that alice has", func() bool {
		n, err := note.Parse([]byte(alice.Checkpoint().Note))
		real = n
		return err == nil && slices.ContainsFunc(n.Sigs, dave.cfg.Keys.Cosign.Key().Made)
	})
	cp, err := note.ParseCheckpoint(real.Text)
	if err != nil {
		t.Fatal(err)
	}
	lie := cp
	lie.Root = concord.Sum([]byte("another history"))
	sig, err := dave.cfg.Keys.Cosign.Cosign(lie.String(), time.Now().Unix())
	if err != nil {
		t.Fatal(err)
	}
	logSig, err := dave.cfg.Keys.Log.Sign(lie.String())
	if err != nil {
		t.Fatal(err)
	}
	dave.send(gossipChannel, []byte(kindHeads), note.Join(lie.String(), logSig, sig))
	f.attest(alice)
	f.attest(bob)
	f.agree()
	for _, p := range f.list[:3] {
		list, err := p.Checkpoints(0, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range list {
			if c.Size == lie.Size && (c.Root == lie.Root || strings.Contains(c.Note, lie.Root.String())) {
				t.Errorf("%s took a false head over", p.name)
			}
		}
	}
	f.attest(alice)
	f.charged(dave, "fork", "tree")
}

// liar is an application that proposes blocks in which not all is right, when it is its turn.
type liar struct {
	abci.Application
	invent func() [][]byte
	turns  chan struct{} // one for each proposal
}

func (l *liar) PrepareProposal(ctx context.Context, req *abci.RequestPrepareProposal) (*abci.ResponsePrepareProposal, error) {
	res, err := l.Application.PrepareProposal(ctx, req)
	if err == nil {
		res.Txs = append(l.invent(), res.Txs...)
		select {
		case l.turns <- struct{}{}:
		default:
		}
	}
	return res, err
}

// A voter proposes blocks with transactions that are none, are in the log already, or are forged. The others vote against them, the next proposes,
// and none of it comes into the log.
func TestFederationFalseProposals(t *testing.T) {
	t.Parallel()
	f := newFederation(t, 4)
	f.promote()
	alice, bob, dave := f.list[0], f.list[1], f.list[3]
	taken, _ := f.attest(alice)
	f.agree()
	seq, _, err := bob.next(patience)
	if err != nil {
		t.Fatal(err)
	}
	forged := f.attestations(bob, bob.ID(), seq+1000, 1)[0]
	foreign := bytes.Replace(taken, []byte("from alice.example"), []byte("from carol.example"), 1)
	lies := [][]byte{[]byte("nonsense"), taken, forged, foreign, {}, bytes.Repeat([]byte{'x'}, 60_000)}
	dave.halt(t)
	turn, turns := 0, make(chan struct{}, 100)
	dave.running = startWith(t, dave.cfg, func(app abci.Application) abci.Application {
		return &liar{Application: app, turns: turns, invent: func() [][]byte {
			turn++
			return [][]byte{lies[turn%len(lies)]}
		}}
	})
	honest := f.list[:3]
	for i := 0; len(turns) < len(lies); i++ {
		if i > 100 {
			t.Fatalf("dave had %d turns in %d transactions", len(turns), i)
		}
		f.attest(honest[i%3])
	}
	f.agree(honest...)
	for at := uint64(0); ; {
		list, err := alice.Entries(at, MaxEntries)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			break
		}
		for _, e := range list {
			for _, l := range lies {
				if e.Text == string(l) && e.Text != string(taken) {
					t.Errorf("entry %d is a lie", e.Index)
				}
			}
		}
		at += uint64(len(list))
	}
	f.once(alice)
	for _, m := range alice.Members() {
		if m.Status != string(ledger.Active) {
			t.Errorf("%s is %s: a refused proposal proves nothing", m.Name, m.Status)
		}
	}
	t.Logf("%d false proposals", len(turns))
}
