//go:build e2e && linux

package e2e

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"concord/e2e/loopweb"
	"concord/web"
)

const (
	peerPort      = 7670
	operatorDelay = 150 * time.Millisecond
	// ceremonyLimit is how long one step of the ceremony may take.
	ceremonyLimit = time.Minute
)

// operatorConfig is that of operators on a field: as fieldConfig, on a web that answers at once.
const operatorConfig = `operator: %s
chain: net-1
contact: http://127.0.0.1/bot
crawl:
  min_delay: %v
  max_delay: 2s
  address_delay: 1ms
  retry_after: [1s, 1s, 2s, 2s, 3s, 3s, 4s, 4s, 5s, 5s, 5s, 5s, 5s, 5s, 5s, 5s]
  backoff_unit: 50ms
  patience: 60s
  free_space: %d
federation:
  allow_private: true
  search_timeout: 5s
`

// operator is a node on a host that is one operator of a federation.
type operator struct {
	*fieldNode
	sites []*loopweb.Host // that it was told to crawl
	port  int             // at which the others reach its API, when something stands between; 0: its own
}

// name is that of the operator, as others know it.
func (o *operator) name() string { return o.Name + ".example" }

// federationField is a field whose nodes are operators of one ledger.
type federationField struct {
	*field
	ops   []*operator
	fresh []*loopweb.Host // nobody has crawled them yet
}

// newOperators makes a field with operators that do not run yet, and so many sites of a few pages.
func newOperators(t *testing.T, seed uint64, count, sites int) *federationField {
	t.Helper()
	f := &federationField{field: newFieldOf(t, seed, count, sites, 4*sites, fieldDisk, "")}
	f.fresh = slices.Clone(f.web.Hosts)
	for _, n := range f.nodes {
		o := &operator{fieldNode: n}
		if err := os.WriteFile(n.cfg, fmt.Appendf(nil, operatorConfig, o.name(), operatorDelay, diskFloor), 0o600); err != nil {
			t.Fatal(err)
		}
		n.args = []string{"--federation-addr", o.peer()}
		f.ops = append(f.ops, o)
	}
	return f
}

func (o *operator) peer() string { return fmt.Sprintf("%s:%d", o.Addr, peerPort) }

func (o *operator) url() string {
	return fmt.Sprintf("http://%s:%d/", o.Addr, cmp.Or(o.port, nodePort))
}

// concord runs a command on the operator's host, against its node.
func (o *operator) concord(args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), ceremonyLimit)
	defer cancel()
	return o.Run(ctx, binary(o.f.t), append(args, "--data", o.data())...)
}

func (o *operator) federation() (s web.FederationStatus, err error) {
	return s, o.json("/api/v1/federation", nil, &s)
}

// post asks the node to do something, over its socket.
func (o *operator) post(path string, spec, answer any) error {
	body, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	resp, err := o.client().Post("http://concord"+path, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("status %d: %s", resp.StatusCode, b)
	}
	if err == nil {
		err = json.Unmarshal(b, answer)
	}
	if err != nil {
		return fmt.Errorf("POST %s on %s: %w", path, o.Name, err)
	}
	return nil
}

// all waits until something holds for every operator.
func (f *federationField) all(ctx context.Context, what string, limit time.Duration, list []*operator, holds func(*operator, *web.FederationStatus) error) error {
	err := within(ctx, limit, func() error {
		for _, o := range list {
			s, err := o.federation()
			if err == nil {
				err = holds(o, &s)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", o.Name, err)
			}
		}
		return nil
	})
	if err != nil {
		err = fmt.Errorf("%s: %w", what, err)
	}
	return err
}

// must ends the test when a step of the ceremony did not work.
func (f *federationField) must(out []byte, err error) []byte {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
	return out
}

// found runs the ceremony with the real commands: the first operator founds the ledger, the others join one after the other, and all come to
// vote in one step. before is called when all are members and one alone votes.
func (f *federationField) found(before func()) {
	t, ctx, first := f.t, f.t.Context(), f.ops[0]
	t.Helper()
	begun := time.Now()
	bundle := filepath.Join(f.dir, "net-1.bundle")
	f.must(nil, first.start(ctx))
	f.must(first.concord("federation", "init", "--out", bundle))
	s, err := first.federation()
	f.must(nil, err)
	f.must(first.concord("federation", "propose", "url", first.name(), first.url()))
	// A decision that is made meanwhile would make the next one void.
	f.must(nil, f.all(ctx, "the first operator's address is in the ledger", ceremonyLimit, f.ops[:1], func(_ *operator, s *web.FederationStatus) error {
		if len(s.Ballots) > 0 || s.Members[0].URL == "" {
			return fmt.Errorf("decisions %+v, members %+v", s.Ballots, s.Members)
		}
		return nil
	}))
	for _, o := range f.ops[1:] {
		identity := filepath.Join(f.dir, o.Name+".identity")
		f.must(o.concord("federation", "join", bundle, "--config", o.cfg, "--chain-id", s.Chain, "--operator", o.name(), "--federation-addr", o.peer(), "--url", o.url(), "--out", identity))
		f.must(first.concord("federation", "invite", identity))
		f.must(nil, o.start(ctx))
		f.must(nil, f.all(ctx, o.name()+" is a candidate", ceremonyLimit, []*operator{first, o}, func(_ *operator, s *web.FederationStatus) error {
			if !slices.ContainsFunc(s.Members, func(m web.FederationMember) bool { return m.Name == o.name() && m.State == "candidate" }) {
				return fmt.Errorf("epoch %d, size %d, height %d, decisions %+v, members %+v", s.Epoch, s.Size, s.Height, s.Ballots, s.Members)
			}
			return nil
		}))
	}
	before()
	propose := []string{"federation", "propose"}
	for _, o := range f.ops[1:] {
		propose = append(propose, "power", o.name(), "1")
	}
	f.must(first.concord(propose...))
	f.must(nil, f.all(ctx, "all vote", ceremonyLimit, f.ops, func(_ *operator, s *web.FederationStatus) error {
		if s.Voters != len(f.ops) || s.VotersUp != len(f.ops) {
			return fmt.Errorf("%d voters, %d of them up", s.Voters, s.VotersUp)
		}
		return nil
	}))
	t.Logf("%d operators share one ledger after %v", len(f.ops), time.Since(begun).Round(100*time.Millisecond))
}

// crawl has operators that run crawl one fresh site each, and does not wait.
func (f *federationField) crawl(list ...*operator) error {
	return f.each(list, func(o *operator, site *loopweb.Host) error {
		_, err := o.concord("crawl", "--allow-private", site.URL("/"))
		return err
	})
}

// crawlAndFind has operators crawl one fresh site each, and waits until they find the pages.
func (f *federationField) crawlAndFind(limit time.Duration, list ...*operator) error {
	return f.each(list, func(o *operator, site *loopweb.Host) error {
		if _, err := o.concord("crawl", "--allow-private", site.URL("/")); err != nil {
			return err
		}
		return within(o.f.t.Context(), limit, func() error { return o.finds(site) })
	})
}

func (f *federationField) each(list []*operator, do func(*operator, *loopweb.Host) error) error {
	errs := make([]error, len(list))
	var wg sync.WaitGroup
	for i, o := range list {
		if len(f.fresh) == 0 {
			return fmt.Errorf("no fresh site is left for %s", o.Name)
		}
		site := f.fresh[0]
		f.fresh, o.sites = f.fresh[1:], append(o.sites, site)
		wg.Go(func() { errs[i] = do(o, site) })
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			return fmt.Errorf("%s: %w", list[i].Name, err)
		}
	}
	return nil
}

// finds says whether the operator has every page of a site, asked of its own index.
func (o *operator) finds(site *loopweb.Host) error {
	var a struct{ Total int }
	if err := o.json("/api/v1/search", map[string][]string{"q": {"site:" + site.Addr}, "scope": {"own"}}, &a); err != nil {
		return err
	}
	if a.Total < len(site.Index) {
		return fmt.Errorf("%s finds %d of the %d pages of %s", o.Name, a.Total, len(site.Index), site.Addr)
	}
	return nil
}

// but are the operators that are not on these hosts.
func (f *federationField) but(hosts []string) (list []*operator) {
	for _, o := range f.ops {
		if !slices.Contains(hosts, o.Name) {
			list = append(list, o)
		}
	}
	return list
}

func (f *federationField) named(hosts []string) (list []*operator) {
	for _, o := range f.ops {
		if slices.Contains(hosts, o.Name) {
			list = append(list, o)
		}
	}
	return list
}

func namesOf(list []*operator) string {
	var names []string
	for _, o := range list {
		names = append(names, o.Name)
	}
	return strings.Join(names, " ")
}

// replay rebuilds the ledger of operators from its first entry with the real command.
func (f *federationField) replay(list ...*operator) error {
	for _, o := range list {
		if _, err := o.concord("ledger", "replay", "--quiet"); err != nil {
			return fmt.Errorf("replay of the ledger of %s: %w", o.Name, err)
		}
	}
	return nil
}
