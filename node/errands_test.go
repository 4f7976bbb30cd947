package node

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"concord"
	"concord/web"

	"github.com/google/go-cmp/cmp"
)

// keeperAndOther are two nodes of a cluster as far as errands need them: the one that keeps a ledger, and another that reaches it.
func keeperAndOther(t *testing.T, connect func(map[string]handler) wire) (keeper, other *Node, w wire) {
	t.Helper()
	cfg := testConfig(t.TempDir())
	keeper = &Node{cfg: cfg, layout: layout{Operator: ledgerOperatorName, Chain: "net-1"}, keys: operatorKeys(t, cfg.Data)}
	keeper.chain = runningChain(t, cfg.Data)
	if err := keeper.openWitness(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- keeper.witness.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil && ctx.Err() == nil {
			t.Error(err)
		}
	})
	handlers := ledgerServices(keeper.chain)
	for name, h := range keeper.errandServices() {
		handlers[name] = h
	}
	w = connect(handlers)
	other = &Node{cfg: cfg, layout: keeper.layout, remoteLedger: openRemote(t, w, "")}
	if err := other.openWitness(t.Context()); err != nil {
		t.Fatal(err)
	}
	return keeper, other, w
}

// What needs the ledger is done from any node, with the same answers and the same errors.
func TestErrands(t *testing.T) {
	onWires(t, func(t *testing.T, connect func(map[string]handler) wire) {
		keeper, other, w := keeperAndOther(t, connect)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()

		doc := concord.Sum([]byte("a contract"))
		list, err := other.notary().Notarise(ctx, []concord.Digest{doc}, "contract")
		if err != nil || len(list) != 1 || list[0].State != web.NotarisedLogged || list[0].FirstFrom != ledgerOperatorName {
			t.Fatalf("notarised: %+v, %v", list, err)
		}
		for _, err := keeper.notary().DocumentReceipt(ctx, doc); concord.KindOf(err) == concord.Unavailable; _, err = keeper.notary().DocumentReceipt(ctx, doc) {
			time.Sleep(time.Millisecond) // until a checkpoint covers it
		}
		same := func(what string, f func(n *Node) (any, error)) {
			t.Helper()
			here, herr := f(keeper)
			there, terr := f(other)
			if diff := cmp.Diff(result(here, herr), result(there, terr)); diff != "" {
				t.Errorf("%s: the node that keeps the ledger and the other one differ (-keeper +other):\n%s", what, diff)
			}
		}
		same("document", func(n *Node) (any, error) { return n.notary().Document(ctx, doc) })
		same("a document that nobody has", func(n *Node) (any, error) { return n.notary().Document(ctx, concord.Sum([]byte("?"))) })
		same("receipt", func(n *Node) (any, error) { return n.notary().DocumentReceipt(ctx, doc) })
		same("status", func(n *Node) (any, error) { return n.federation().Status(ctx) })
		same("bundle", func(n *Node) (any, error) { return n.federation().Bundle(ctx) })
		same("a foreign file as identity", func(n *Node) (any, error) { return n.federation().Invite(ctx, []byte("GIF89a")) })
		same("no decision", func(n *Node) (any, error) { return n.federation().Propose(ctx, "make tea") })
		same("no ballot", func(n *Node) (any, error) { return n.federation().Sign(ctx, "3f9c41d07ab3") })
		same("no key", func(n *Node) (any, error) { return n.federation().Rotate(ctx, "front-door") })
		same("nobody to ask", func(n *Node) (any, error) {
			return n.witnesses().Ask(ctx, web.WitnessSpec{URL: "https://example.org/", Need: 1, Of: 1})
		})
		same("asks", func(n *Node) (any, error) { return n.witnesses().Asks(ctx, 0, 10) })
		same("no ask", func(n *Node) (any, error) { return n.witnesses().Asked(ctx, 1) })
		same("no outcome", func(n *Node) (any, error) { return n.witnesses().OutcomeReceipt(ctx, 1) })
		same("no text", func(n *Node) (any, error) { return n.witnesses().OwnText(ctx, 1, 1) })

		// A decision that is made elsewhere is one of this ledger.
		b, err := other.federation().Propose(ctx, "set txbytes 16384\n")
		if err != nil || b.Need != 1 {
			t.Errorf("proposed: %+v, %v", b, err)
		}

		w.leave()
		for what, f := range map[string]func() error{
			"status":   func() error { _, err := other.federation().Status(ctx); return err },
			"notarise": func() error { _, err := other.notary().Notarise(ctx, []concord.Digest{doc}, ""); return err },
			"asks":     func() error { _, err := other.witnesses().Asks(ctx, 0, 1); return err },
		} {
			err := f()
			if concord.KindOf(err) != concord.Unavailable || !strings.Contains(err.Error(), "start it again") {
				t.Errorf("%s while the ledger's node is away: %v", what, err)
			}
		}
		w.back()
		time.Sleep(ledgerPause)
		same("document when it is back", func(n *Node) (any, error) { return n.notary().Document(ctx, doc) })
	})
}

// A note that does not come into the ledger in the time of who asked is told as one that waits, and not as no answer.
func TestErrandEndsInTime(t *testing.T) {
	keeper, other, _ := keeperAndOther(t, func(h map[string]handler) wire { return &direct{handlers: h} })
	slow := errand[none, string]("slow")
	d := &desk{c: keeper.chain, rests: map[string]rest{}}
	other.remoteLedger.to.(*direct).handlers[string(slow)] = slow.at(d, func(ctx context.Context, _ none) (string, error) {
		<-ctx.Done()
		return "it waits", nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), 2*errandMargin)
	defer cancel()
	if a, err := slow.do(ctx, other, none{}); err != nil || a != "it waits" {
		t.Errorf("%q, %v", a, err)
	}
}

// An answer that does not fit into a message comes in parts; what nobody fetches is forgotten, and there is a bound.
func TestErrandLongAnswer(t *testing.T) {
	keeper, other, _ := keeperAndOther(t, func(h map[string]handler) wire { return &direct{handlers: h} })
	long := errand[int, []byte]("long")
	d := &desk{c: keeper.chain, rests: map[string]rest{}}
	to := other.remoteLedger.to.(*direct)
	to.handlers[string(long)] = long.at(d, func(_ context.Context, n int) ([]byte, error) { return bytes.Repeat([]byte("word"), n/4), nil })
	to.handlers[errandRestService] = tells(d.c, func(_ context.Context, q errandRest) (ledgerPiece, error) { return d.rest(q) })
	to.largest.Store(0)
	for _, n := range []int{0, 4, ledgerPageBytes, 3*ledgerPageBytes + 4} {
		if a, err := long.read(t.Context(), other, n); err != nil || len(a) != n {
			t.Errorf("of %d bytes %d came: %v", n, len(a), err)
		}
	}
	if len(d.rests) > 0 {
		t.Errorf("%d answers are kept that were fetched", len(d.rests))
	}
	if n := to.largest.Load(); n > 4<<20 {
		t.Errorf("a message of %d bytes", n)
	}
	now := time.Now()
	for i := range maxRests {
		if _, err := d.answer(make([]byte, ledgerPageBytes+1), now); err != nil {
			t.Fatal(i, err)
		}
	}
	if _, err := d.answer(make([]byte, ledgerPageBytes+1), now); concord.KindOf(err) != concord.Unavailable {
		t.Errorf("one more than the bound: %v", err)
	}
	if _, err := d.answer(make([]byte, ledgerPageBytes+1), now.Add(restLife+1)); err != nil || len(d.rests) != 1 {
		t.Errorf("after their time %d are kept: %v", len(d.rests), err)
	}
	if _, err := d.rest(errandRest{Name: fmt.Sprint(now)}); concord.KindOf(err) != concord.Unavailable {
		t.Errorf("a name that is none: %v", err)
	}
}
