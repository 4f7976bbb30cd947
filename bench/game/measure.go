package game

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"
)

// Protocol says how engines are measured.
type Protocol struct {
	Commands []string
	Warmup   time.Duration // at least, for each command; of engines that compile themselves meanwhile, five times as long
	Passes   int           // over all queries in random order; the best of each query counts
	CPU      int           // the processor that the server and who asks it are kept on; -1: any
	Seed     uint64        // of the orders
}

// Game is what the game does, with the commands compared here; there every engine has a minute to warm up.
var Game = Protocol{Commands: []string{"TOP_10", "TOP_100", "TOP_1000", "TOP_100_COUNT", "COUNT"}, Warmup: 8 * time.Second, Passes: 10, CPU: runtime.NumCPU() - 1, Seed: 1}

// Run is what one engine took.
type Run struct {
	Engine    string            `json:"engine"`
	Version   string            `json:"version"`
	At        time.Time         `json:"at"`
	Busy      float64           `json:"busy"`   // processors that worked before, as the caller says
	Warmup    time.Duration     `json:"warmup"` // for each command, at least
	Empty     time.Duration     `json:"empty"`  // the median round trip of a command that does nothing
	Open      time.Duration     `json:"open"`   // from the start of the process to its first answer
	Peak      int64             `json:"peak"`   // largest resident set, bytes
	Commands  map[string][]Took `json:"commands"`
	Documents map[string]string `json:"documents,omitempty"` // answers to DOCS_k by query, where they were asked for
}

// Took is the best time of one query, and the answer.
type Took struct {
	Best   time.Duration `json:"ns"`
	Answer string        `json:"answer"`
}

// Supported reports whether the engine could answer.
func (t Took) Supported() bool { return t.Answer != unsupported && t.Answer != "" }

const (
	// emptyTrips is how many round trips of an empty command are made in each turn; their median counts.
	emptyTrips = 50
	// jitWarmup is how many times as long as others an engine warms up that compiles itself meanwhile.
	jitWarmup = 5
)

// Server is an engine that takes part, with the command that starts it on its index.
type Server struct {
	Engine, Version string
	JIT             bool // it compiles itself while it runs
	Argv            []string
}

// contest is a server that runs, and what it took so far.
type contest struct {
	Server
	*Child
	run   *Run
	empty []time.Duration
}

// Measure asks all servers all queries with all commands. The servers run side by side and take turns, pass by pass, so that a machine that is slower
// for a while is so for all of them.
func Measure(ctx context.Context, p Protocol, queries []Query, servers []Server, log *slog.Logger) ([]*Run, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer pin(p.CPU)()
	var field []*contest
	var err error
	for _, s := range servers {
		var c *contest
		if c, err = p.start(ctx, s); err != nil {
			err = fmt.Errorf("start %s: %w", s.Engine, err)
			break
		}
		field = append(field, c)
	}
	for i := 0; i < len(p.Commands) && err == nil; i++ {
		log.Info("measuring", "command", p.Commands[i], "engines", len(field))
		err = p.measure(ctx, field, p.Commands[i], queries)
	}
	var runs []*Run
	for _, c := range field {
		var e error
		if c.run.Peak, e = c.Close(); e != nil && err == nil {
			err = fmt.Errorf("stop %s: %w", c.Engine, e)
		}
		slices.Sort(c.empty)
		if len(c.empty) > 0 {
			c.run.Empty = c.empty[len(c.empty)/2]
		}
		runs = append(runs, c.run)
	}
	if err != nil {
		return nil, err
	}
	return runs, nil
}

// start starts a server and waits until it answers.
func (p Protocol) start(ctx context.Context, s Server) (*contest, error) {
	c := &contest{Server: s, run: &Run{Engine: s.Engine, Version: s.Version, At: time.Now().UTC().Truncate(time.Second), Commands: map[string][]Took{}, Warmup: p.Warmup}}
	if s.JIT {
		c.run.Warmup *= jitWarmup
	}
	began := time.Now()
	var err error
	if c.Child, err = StartChild(ctx, pinned(p.CPU, s.Argv)...); err != nil {
		return nil, err
	}
	if _, _, err := c.Ask(noop + "\t"); err != nil {
		_, e := c.Close()
		return nil, errors.Join(err, e)
	}
	c.run.Open = time.Since(began)
	return c, nil
}

// measure takes the times of one command.
func (p Protocol) measure(ctx context.Context, field []*contest, command string, queries []Query) error {
	for _, c := range field {
		if err := c.warm(ctx, command, queries); err != nil {
			return fmt.Errorf("%s warms up for %s: %w", c.Engine, command, err)
		}
	}
	order := rand.New(rand.NewPCG(p.Seed, uint64(len(command))))
	for range p.Passes {
		turn := order.Perm(len(queries))
		for _, i := range order.Perm(len(field)) {
			if err := field[i].pass(command, queries, turn); err != nil {
				return fmt.Errorf("%s is asked for %s: %w", field[i].Engine, command, err)
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// warm asks all queries, for as long as the server warms up, and keeps its last answers.
func (c *contest) warm(ctx context.Context, command string, queries []Query) error {
	out := make([]Took, len(queries))
	for began := time.Now(); ; {
		for i, q := range queries {
			answer, _, err := c.Ask(command + "\t" + q.Text)
			if err != nil {
				return err
			}
			out[i] = Took{Answer: answer, Best: time.Hour}
		}
		if time.Since(began) >= c.run.Warmup || ctx.Err() != nil {
			c.run.Commands[command] = out
			return ctx.Err()
		}
	}
}

// pass asks all queries once, in an order.
func (c *contest) pass(command string, queries []Query, order []int) error {
	for range emptyTrips {
		_, took, err := c.Ask(noop + "\t")
		if err != nil {
			return err
		}
		c.empty = append(c.empty, took)
	}
	out := c.run.Commands[command]
	for _, i := range order {
		if !out[i].Supported() {
			continue
		}
		_, took, err := c.Ask(command + "\t" + queries[i].Text)
		if err != nil {
			return err
		}
		out[i].Best = min(out[i].Best, took)
	}
	return nil
}

// Documents asks a server for the best k documents of each query.
func Documents(ctx context.Context, command string, queries []Query, argv ...string) (answers map[string]string, err error) {
	c, err := StartChild(ctx, argv...)
	if err != nil {
		return nil, err
	}
	defer func() {
		if _, e := c.Close(); err == nil {
			err = e
		}
	}()
	answers = map[string]string{}
	for _, q := range queries {
		if answers[q.Text], _, err = c.Ask(command + "\t" + q.Text); err != nil {
			return nil, err
		}
	}
	return answers, nil
}

// Select returns the run as if it had been made with other queries, those it was made with being had; what it did not measure counts
// as not answered.
func (r *Run) Select(had, queries []Query, commands []string) *Run {
	place := map[string]int{}
	for i, q := range had {
		place[q.Text] = i
	}
	out := *r
	out.Commands = map[string][]Took{}
	for _, command := range commands {
		took := make([]Took, len(queries))
		for i, q := range queries {
			if at, ok := place[q.Text]; ok && at < len(r.Commands[command]) {
				took[i] = r.Commands[command][at]
			}
		}
		out.Commands[command] = took
	}
	return &out
}
