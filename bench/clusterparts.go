package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"concord/node"
)

// partsResult is where the processor time of a crawl goes, with some nodes in this process: the same code as in processes of
// their own, and the only way to profile it, since the program cannot be asked to.
type partsResult struct {
	Nodes int        `json:"nodes"`
	Pages int        `json:"pages"`
	What  []partCost `json:"what"` // by whose function it was: the innermost package on the stack
	Who   []partCost `json:"who"`  // by whose goroutine it was: the outermost part on the stack
}

// partCost is one line.
type partCost struct {
	Name string  `json:"name"`
	CPU  float64 `json:"cpuMillisecondsPerPage"`
}

func measureParts(ctx context.Context, c config) (list []partsResult, err error) {
	z := sizesOf(c)
	for _, n := range []int{1, 3} {
		r, err := profileNodes(ctx, c, n, z.web)
		if err != nil {
			return nil, fmt.Errorf("%d nodes: %w", n, err)
		}
		list = append(list, *r)
	}
	return list, nil
}

func profileNodes(ctx context.Context, c config, count int, spec webSpec) (*partsResult, error) {
	w, err := startWeb(spec)
	if err != nil {
		return nil, err
	}
	defer w.close()
	f, err := os.CreateTemp(c.work, "*.pprof")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	run, stop := context.WithCancel(ctx)
	g := &innerNodes{c: c, ctx: run, copies: defaultCopies}
	if c.small {
		g.copies = count // with fewer there is a minute's wait for copies too many
	}
	defer g.end(stop)
	if err := g.start(count); err != nil {
		return nil, err
	}
	if err := crawlProfiled(ctx, g.list[0].dir, w, f); err != nil {
		return nil, err
	}
	seen, err := w.seen()
	if err != nil {
		return nil, err
	}
	r := &partsResult{Nodes: count, Pages: len(seen.Pages)}
	err = r.read(f.Name())
	logf("parts: %d nodes, %d pages, %.2f ms/page", count, r.Pages, total(r.What))
	return r, err
}

// innerNodes are nodes in this process.
type innerNodes struct {
	c      config
	ctx    context.Context
	copies int // of each shard
	list   nodes
	ended  []chan error
}

func (g *innerNodes) start(count int) error {
	addr, err := freePorts()
	if err != nil {
		return err
	}
	if err := g.add(addr, "", ""); err != nil || count == 1 {
		return err
	}
	token, err := g.list[0].token(count - 1)
	for i := 1; i < count && err == nil; i++ {
		var own string
		if own, err = freePorts(); err == nil {
			err = g.add(own, addr, token)
		}
	}
	if err != nil {
		return err
	}
	return g.list.settle(g.ctx, g.copies)
}

// add starts a node. The first is waited for; those that join serve when there are enough of them.
func (g *innerNodes) add(addr, join, token string) error {
	dir, err := os.MkdirTemp(g.c.work, "node-")
	if err != nil {
		return err
	}
	cfg := node.Defaults()
	cfg.Data, cfg.HTTP, cfg.Operator, cfg.Node = filepath.Join(dir, "d"), "127.0.0.1:0", "bench.example", fmt.Sprintf("n%d", len(g.list)+1)
	cfg.Crawl.Concurrency, cfg.Crawl.MinDelay, cfg.Crawl.MaxDelay, cfg.Crawl.AddressDelay = concurrency, 1, 1, 1
	cfg.Cluster.Replicas = g.copies
	cfg.Cluster.Addr, cfg.Join, cfg.Token = addr, join, token
	cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError + 1}))
	g.list = append(g.list, &process{dir: cfg.Data, sock: socketClient(cfg.Data)})
	ready, ended := make(chan struct{}, 10), make(chan error, 1)
	g.ended = append(g.ended, ended)
	go func() {
		ended <- node.Serve(g.ctx, cfg, func(string) {
			select {
			case ready <- struct{}{}:
			default:
			}
		})
	}()
	if join != "" {
		return nil
	}
	select {
	case err := <-ended:
		ended <- err
		return fmt.Errorf("the node ended: %w", cmp.Or(err, context.Canceled)) // nil is an orderly end
	case <-ready:
		return nil
	}
}

func (g *innerNodes) end(stop context.CancelFunc) {
	stop()
	for _, e := range g.ended {
		<-e
	}
	for _, n := range g.list {
		n.remove()
	}
}

// wholeParts are whose goroutines there are: of the parts of the program, of the engines, of the runtime.
var wholeParts = regexp.MustCompile(`^(?:concord/((?:attest|shard|crawl|vault|state|cluster|bus|chain|search|web|blob|join)(?:\.\(\*?[A-Za-z]+\))?)|github\.com/(nats-io|cometbft|cockroachdb)|(runtime\.(?:gcBgMarkWorker|bgsweep|bgscavenge|mcall|sysmon|mstart))|(net/http))`)

var wholePartNames = map[string]string{
	"nats-io": "NATS", "cometbft": "CometBFT", "cockroachdb": "Pebble in the background", "net/http": "HTTP",
	"runtime.gcBgMarkWorker": "garbage collection", "runtime.bgsweep": "garbage collection", "runtime.bgscavenge": "garbage collection",
	"runtime.mcall": "scheduler", "runtime.sysmon": "scheduler", "runtime.mstart": "scheduler",
}

// wholePart names the part whose goroutine has this stack, innermost function first.
func wholePart(stack []string) string {
	for _, f := range slices.Backward(stack) {
		m := wholeParts.FindStringSubmatch(f)
		if m == nil {
			continue
		}
		name := cmp.Or(m[1], m[2], m[3], m[4])
		if n, ok := wholePartNames[name]; ok {
			return n
		}
		return strings.NewReplacer("(*", "", "(", "", ")", "").Replace(name)
	}
	return "other"
}

// leastPart is what a part must take to have a line, milliseconds a page.
const leastPart = 0.001

// read sums a profile up.
func (r *partsResult) read(file string) error {
	what, who := map[string]time.Duration{}, map[string]time.Duration{}
	err := eachSample(file, func(d time.Duration, stack []string) {
		what[ownerOf(stack)] += d
		who[wholePart(stack)] += d
	})
	r.What, r.Who = costsOf(what, r.Pages), costsOf(who, r.Pages)
	return err
}

func costsOf(m map[string]time.Duration, pages int) (list []partCost) {
	for name, d := range m {
		if ms := d.Seconds() * 1000 / float64(max(pages, 1)); ms >= leastPart {
			list = append(list, partCost{name, ms})
		}
	}
	slices.SortFunc(list, func(a, b partCost) int { return cmp.Or(cmp.Compare(b.CPU, a.CPU), cmp.Compare(a.Name, b.Name)) })
	return list
}

func total(list []partCost) (ms float64) {
	for _, p := range list {
		ms += p.CPU
	}
	return ms
}
