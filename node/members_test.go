package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"
	"testing"

	"concord"
	"concord/cluster"
)

// A node whose disk is nearly full leaves the work to others that have space, and does not come back at once.
func TestFillsUp(t *testing.T) {
	others := func(free ...uint64) *cluster.View {
		v := &cluster.View{Self: "a", Members: []cluster.Member{{Record: cluster.Record{Name: "a", Capacity: 1, DiskFree: 1 << 40}, Live: true}}}
		for i, f := range free {
			v.Members = append(v.Members, cluster.Member{Record: cluster.Record{Name: string(rune('b' + i)), Capacity: 1, DiskFree: f}, Live: true})
		}
		return v
	}
	dead, leaving, idle := others(500), others(500), others(500)
	dead.Members[1].Live, leaving.Members[1].Leaving, idle.Members[1].Capacity = false, true, noCapacity
	for _, c := range []struct {
		name string
		was  bool
		free uint64
		view *cluster.View
		want bool
	}{
		{"space", false, 100, others(500), false}, {"none", false, 99, others(500), true}, {"a little more", true, 124, others(500), true},
		{"enough more", true, 125, others(500), false}, {"nobody has", false, 50, others(50, 99), false}, {"one has", false, 50, others(50, 100), true},
		{"alone", false, 50, others(), false}, {"dead", false, 50, dead, false}, {"leaving", false, 50, leaving, false}, {"idle", false, 50, idle, false},
	} {
		if got := fillsUp(c.was, c.free, 100, c.view); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// Who keeps the ledger is one that is live, when a machine that kept it before did not come back to say that it does no more.
func TestLedgerKeeper(t *testing.T) {
	node := func(name string, live bool, keeps ...string) cluster.Member {
		return cluster.Member{Record: cluster.Record{Name: name, Keeps: keeps}, Live: live}
	}
	for _, c := range []struct {
		want    string
		members []cluster.Member
	}{
		{"", nil}, {"", []cluster.Member{node("a", true), node("b", true, logsKept)}},
		{"b", []cluster.Member{node("a", true), node("b", true, logsKept, ledgerKept)}}, {"b", []cluster.Member{node("a", true), node("b", false, ledgerKept)}},
		{"c", []cluster.Member{node("b", false, ledgerKept), node("c", true, ledgerKept)}}, {"b", []cluster.Member{node("b", true, ledgerKept), node("c", false, ledgerKept)}},
	} {
		if got, known := ledgerKeeper(&cluster.View{Members: c.members}); got.Name != c.want || known != (c.want != "") {
			t.Errorf("%+v: %q", c.members, got.Name)
		}
	}
}

// What a cluster makes good by itself does not end a member, whether its partition is to go on or was told to stop for another node.
func TestPartitionGoesOn(t *testing.T) {
	n := &Node{cfg: Config{Logger: slog.New(slog.DiscardHandler)}}
	n.place.Store(&membership{Stage: settled})
	stopped, stop := context.WithCancel(t.Context())
	stop()
	broken := errors.New("broken")
	for _, c := range []struct {
		name string
		ctx  context.Context
		err  error
		want error
	}{
		{"nothing", t.Context(), nil, nil},
		{"a store that does not answer, while it stops", stopped, concord.Errorf(concord.Unavailable, "get blob: no leader"), nil},
		{"a full disk, while it stops", stopped, fmt.Errorf("write: %w", syscall.ENOSPC), nil},
		{"damage, while it stops", stopped, concord.Errorf(concord.Corrupt, "flipped"), nil},
		{"that it stops", stopped, context.Canceled, context.Canceled},
		{"anything else", t.Context(), broken, broken},
	} {
		p := n.partition("frontier.0", t.TempDir(), func(context.Context, uint64) error { return c.err })
		if err := p.Run(c.ctx, 1); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestWhatPasses(t *testing.T) {
	full := &os.PathError{Op: "write", Path: "seg", Err: syscall.ENOSPC}
	for _, err := range []error{concord.Errorf(concord.Unavailable, "no leader"), fmt.Errorf("commit: %w", full), concord.Errorf(concord.Internal, "save: %w", full)} {
		if !passes(err) {
			t.Errorf("%v", err)
		}
	}
	for _, err := range []error{nil, errors.New("boom"), concord.Errorf(concord.Corrupt, "damaged"), concord.Errorf(concord.Conflict, "fenced off")} {
		if passes(err) {
			t.Errorf("%v", err)
		}
	}
}
