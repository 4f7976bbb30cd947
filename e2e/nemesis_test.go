//go:build e2e && linux

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"concord/e2e/nemesis"
)

// One node crawls a web while it is killed, stopped, paused, cut off, slowed down, and its disk is filled and its power cut. At the end
// everything is there once, nothing was asked for too soon, and the archive is whole.
func TestNemesisOneNode(t *testing.T) {
	const hosts = 60
	s := seed(t)
	pages := int(2000 * max(1, *faultsFlag/(40*time.Second))) // enough to be at work all the time
	f := newField(t, s, 1, hosts, pages)
	n := f.nodes[0]
	if err := n.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	plan := nemesis.NewPlan(s, nemesis.PlanConfig{Hosts: []string{n.Name}, Length: *faultsFlag, MinFor: 300 * time.Millisecond, MaxFor: *longestFlag,
		Gap: 700 * time.Millisecond, Rest: 300 * time.Millisecond, MaxDown: 1, Weights: map[nemesis.Kind]int{
			nemesis.Kill: 2, nemesis.Stop: 1, nemesis.Pause: 1, nemesis.Power: 2, nemesis.Isolate: 1, nemesis.Deaf: 1, nemesis.Mute: 1, nemesis.Slow: 1,
			nemesis.LowDisk: 1, nemesis.FullDisk: 1}})
	t.Log(plan)
	id := n.crawl()
	shown := &promises{seen: map[string]string{}}
	queries := nemesis.NewProbe(200*time.Millisecond, 10*time.Second, func(context.Context) error {
		var a struct{ Total int }
		return n.json("/api/v1/search", url.Values{"q": {"page"}}, &a)
	})
	began := time.Now()
	err := plan.Run(t.Context(), nemesis.Field{Net: f.net, LowDisk: diskFloor * 3 / 4,
		Start:  func(ctx context.Context, _ *nemesis.Host) error { return n.start(ctx) },
		Settle: func(ctx context.Context, _ *nemesis.Host) error { return n.settle(ctx) },
		Check: func(_ context.Context, _ nemesis.Fault) (string, error) {
			asked, err := shown.check(n, promisesChecked)
			if err == nil {
				err = shown.collect(n)
			}
			return fmt.Sprintf("search and %d of the captures shown so far", asked), err
		},
		Log: func(line string) { t.Log(line) },
	})
	queries.Close()
	t.Logf("queries meanwhile: %v", queries.Between(began, time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	c := n.await(id, 2*time.Minute+*faultsFlag)
	t.Logf("%d faults; %v after the last the crawl is done: %+v", len(plan.Faults), time.Since(start).Round(time.Second), c)

	ends := 0 // of the process, at each of which a host may be asked again for what was in flight
	for _, x := range plan.Faults {
		switch x.Kind {
		case nemesis.Kill, nemesis.Stop, nemesis.Power, nemesis.FullDisk:
			ends++
		}
	}
	asked, err := shown.check(n, len(shown.seen))
	if err != nil {
		t.Error(err)
	}
	t.Logf("all %d captures that were shown are there", asked)
	report(t, nemesis.Searchable(n.get, f.web))
	if took, err := n.Terminate(); err != nil {
		t.Errorf("SIGTERM: %v after %v", err, took)
	}
	report(t, nemesis.Manners(f.web, hostDelay))
	archives := nemesis.Archives(f.web, n.Path(filepath.Join(n.data(), "archive")))
	report(t, archives)
	if limit := ends * hosts; archives.Repeats > limit {
		t.Errorf("%d pages were kept again, at most %d were in flight at %d ends", archives.Repeats, limit, ends)
	}
}

func report(t *testing.T, r *nemesis.Report) {
	t.Helper()
	t.Log(r)
	if err := r.Err(); err != nil {
		t.Error(err)
	}
}

// The power of a node goes while it is new, when everything it has was just made. It must come up again each time, and its pages are there.
func TestPowerCutOfNewNode(t *testing.T) {
	s := seed(t)
	rng := rand.New(rand.NewPCG(s, 11))
	for round := range 2 {
		f := newField(t, s, 1, 4, 40)
		n := f.nodes[0]
		if err := n.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		id := n.crawl()
		for cut := range 3 {
			after := time.Duration(rng.IntN(1500)) * time.Millisecond
			time.Sleep(after)
			if err := nemesis.PowerCut(n.Host); err != nil {
				t.Fatal(err)
			}
			if err := n.start(t.Context()); err != nil {
				t.Fatalf("round %d, cut %d, %v after the start: %v", round, cut, after, err)
			}
		}
		c := n.await(id, time.Minute)
		report(t, nemesis.Searchable(n.get, f.web))
		t.Logf("round %d: %+v", round, c)
		f.close()
	}
}
