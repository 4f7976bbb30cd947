package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"concord/chain"

	"golang.org/x/sync/errgroup"
)

// party is a node under test as the benchmark sees it: a process that is this program in another role.
type party struct {
	name, dir, addr string
	cmd             *exec.Cmd
	in              io.WriteCloser
	dec             *json.Decoder
	mu              sync.Mutex // one order at a time
	ended           bool
}

// launchParty starts a process that waits for orders.
func launchParty(name, dir string) (*party, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &party{name: name, dir: dir, cmd: exec.Command(self, serveLedger)}
	if p.addr, err = freePorts(); err != nil {
		return nil, err
	}
	p.cmd.Stderr = os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.dec = json.NewDecoder(out)
	return p, p.cmd.Start()
}

// tell gives an order and waits for the answer.
func (p *party) tell(o order) (a answer, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := json.NewEncoder(p.in).Encode(o); err != nil {
		return a, fmt.Errorf("%s: %s: %w", p.name, o.Do, err)
	}
	if err := p.dec.Decode(&a); err != nil {
		return a, fmt.Errorf("%s: %s: it ended: %w", p.name, o.Do, err)
	}
	if a.Error != "" {
		return a, fmt.Errorf("%s: %s: %s", p.name, o.Do, a.Error)
	}
	return a, nil
}

// endWithin bounds the orderly end of a process.
const endWithin = 30 * time.Second

// end ends the process in order.
func (p *party) end() error {
	if p.ended {
		return nil
	}
	p.ended = true
	p.in.Close()
	done := make(chan error, 1)
	go func() { done <- p.cmd.Wait() }()
	select {
	case err := <-done:
		return err
	case <-time.After(endWithin):
		_ = p.cmd.Process.Kill()
		return fmt.Errorf("%s did not end within %s; %w", p.name, endWithin, <-done)
	}
}

// kill ends the process as a power cut would, but for what the kernel still writes.
func (p *party) kill() {
	p.ended = true
	_ = p.cmd.Process.Signal(syscall.SIGKILL)
	_ = p.cmd.Wait()
}

// parties are the operators of one ledger under test, or the nodes of the peer.
type parties struct {
	dir  string
	kv   bool
	list []*party
}

func (l *parties) end() {
	for _, p := range l.list {
		if err := p.end(); err != nil {
			logf("%s: %v", p.name, err)
		}
	}
	os.RemoveAll(l.dir)
}

// cpu is what all of them have used.
func (l *parties) cpu() (sum time.Duration, err error) {
	for _, p := range l.list {
		d, err := cpuOf(p.cmd.Process.Pid)
		if err != nil {
			return 0, err
		}
		sum += d
	}
	return sum, nil
}

// add starts the process of one more.
func (l *parties) add() (*party, error) {
	names := []string{"alice", "bob", "carol", "dave", "erin", "frank", "grace"}
	name := names[len(l.list)] + ".example"
	p, err := launchParty(name, filepath.Join(l.dir, name))
	if err == nil {
		l.list = append(l.list, p)
	}
	return p, err
}

// foundLedger starts n operators, of whom all vote.
func foundLedger(ctx context.Context, c config, n int) (l *parties, err error) {
	l = &parties{}
	if l.dir, err = os.MkdirTemp(c.work, "ledger-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			l.end()
		}
	}()
	first, err := l.add()
	if err != nil {
		return l, err
	}
	o := order{Do: "found", Dir: first.dir, Operator: first.name, Addr: first.addr}
	if n == 1 {
		o.Addr = "" // one operator alone opens no port
	}
	if _, err = first.tell(o); err != nil {
		return l, err
	}
	for len(l.list) < n {
		if err = l.join(ctx); err != nil {
			return l, err
		}
		switch have := len(l.list); {
		case have == 4: // one voter and three more at once: two or three would be worse than one
			err = l.decide(ctx, powers(l.list[1:4]))
		case have > 4:
			err = l.decide(ctx, powers(l.list[have-1:]))
		}
		if err != nil {
			return l, err
		}
	}
	return l, l.connected(ctx)
}

func powers(list []*party) string {
	var b strings.Builder
	for _, p := range list {
		fmt.Fprintf(&b, "power %s 1\n", p.name)
	}
	return b.String()
}

// join lets one more operator become a candidate.
func (l *parties) join(ctx context.Context) error {
	p, err := l.add()
	if err != nil {
		return err
	}
	a, err := l.list[0].tell(order{Do: "bundle"})
	if err != nil {
		return err
	}
	// A node alone is told to listen by its first invitation, so that it is known before anybody dials it.
	if a, err = p.tell(order{Do: "join", Dir: p.dir, Operator: p.name, Addr: p.addr, Bundle: a.Bundle}); err != nil {
		return err
	}
	epoch, err := l.epoch()
	if err != nil {
		return err
	}
	if _, err := l.list[0].tell(order{Do: "invite", Identity: a.Identity}); err != nil {
		return err
	}
	return l.await(ctx, p.name+" is a candidate", l.signed(epoch+1))
}

func (l *parties) epoch() (uint64, error) {
	a, err := l.list[0].tell(order{Do: "status"})
	if err != nil {
		return 0, err
	}
	return a.Status.Epoch, nil
}

// decide proposes an action and lets all sign it.
func (l *parties) decide(ctx context.Context, action string) error {
	epoch, err := l.epoch()
	if err != nil {
		return err
	}
	if _, err := l.list[0].tell(order{Do: "propose", Action: action}); err != nil {
		return err
	}
	return l.await(ctx, "decided: "+action, l.signed(epoch+1))
}

// signed has everybody sign what waits, and says whether all have seen an epoch.
func (l *parties) signed(epoch uint64) func(*party, *chain.Status) (bool, error) {
	return func(p *party, s *chain.Status) (bool, error) {
		if s.Epoch >= epoch {
			return true, nil
		}
		_, err := p.tell(order{Do: "sign"})
		return false, err
	}
}

// connected waits until everybody is connected with everybody.
func (l *parties) connected(ctx context.Context) error {
	return l.await(ctx, "all are connected and vote", func(_ *party, s *chain.Status) (bool, error) {
		return len(l.list) == 1 || s.Peers == len(l.list)-1 && s.Validators == len(l.list), nil
	})
}

// await waits until something holds for all.
func (l *parties) await(ctx context.Context, what string, ok func(*party, *chain.Status) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	for {
		all := true
		for _, p := range l.list {
			a, err := p.tell(order{Do: "status"})
			if err != nil {
				return err
			}
			yes, err := ok(p, a.Status)
			if err != nil {
				return err
			}
			all = all && yes
		}
		if all {
			return nil
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("not within %s: %s: %w", settleTime, what, err)
		}
	}
}

// same checks that all operators have the same log, all of it under a head that a quorum has cosigned, with at least so many entries: a rate is
// worth nothing otherwise.
func (l *parties) same(ctx context.Context, entries int) error {
	var first *chain.Status
	err := l.await(ctx, "all have the same log, cosigned", func(p *party, s *chain.Status) (bool, error) {
		if p == l.list[0] {
			first = s
		}
		return s.Size == first.Size && s.Root == first.Root && s.Agreed == s.Size, nil
	})
	if err == nil && first.Size < uint64(entries) {
		err = fmt.Errorf("%d transactions were acknowledged, the log has %d entries", entries, first.Size)
	}
	return err
}

// foundPeer starts n nodes of the kvstore.
func foundPeer(ctx context.Context, c config, n int) (l *parties, err error) {
	l = &parties{kv: true}
	if l.dir, err = os.MkdirTemp(c.work, "kvstore-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			l.end()
		}
	}()
	var keys [][]byte
	var addrs []string
	for range n {
		p, err := l.add()
		if err != nil {
			return l, err
		}
		a, err := p.tell(order{Do: "kv-keys", Dir: p.dir})
		if err != nil {
			return l, err
		}
		keys, addrs = append(keys, a.Key), append(addrs, a.Node+"@"+p.addr)
	}
	genesis, err := kvGenesis(keys)
	if err != nil {
		return l, err
	}
	for i, p := range l.list {
		var others []string
		others = append(append(others, addrs[:i]...), addrs[i+1:]...)
		if _, err := p.tell(order{Do: "kv-start", Addr: p.addr, Genesis: genesis, Peers: strings.Join(others, ",")}); err != nil {
			return l, err
		}
	}
	end, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	for _, p := range l.list {
		for {
			a, err := p.tell(order{Do: "kv-status"})
			if err != nil {
				return l, err
			}
			if a.Met == n-1 && a.Height > 0 {
				break
			}
			if err := pause(end, 20*time.Millisecond); err != nil {
				return l, fmt.Errorf("the kvstore's nodes have not met: %w", err)
			}
		}
	}
	return l, nil
}

// load loads nodes at once and returns what they did together.
func (l *parties) load(list []*party, s loadSpec) (loadSum, error) {
	if _, err := l.all("prepare", list, s); err != nil { // not in the account
		return loadSum{}, err
	}
	before, err := l.cpu()
	if err != nil {
		return loadSum{}, err
	}
	results, err := l.all("load", list, s)
	if err != nil {
		return loadSum{}, err
	}
	after, err := l.cpu()
	return sumLoads(results, after-before), err
}

// loadEach does the same and returns what each did.
func (l *parties) loadEach(list []*party, s loadSpec) ([]*loadResult, error) {
	if _, err := l.all("prepare", list, s); err != nil {
		return nil, err
	}
	return l.all("load", list, s)
}

// all gives an order to nodes at once.
func (l *parties) all(what string, list []*party, s loadSpec) ([]*loadResult, error) {
	if l.kv {
		what = "kv-" + what
	}
	results := make([]*loadResult, len(list))
	var g errgroup.Group
	for i, p := range list {
		g.Go(func() error {
			a, err := p.tell(order{Do: what, Load: &s})
			results[i] = a.Load
			return err
		})
	}
	return results, g.Wait()
}
