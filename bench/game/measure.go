package game

import (
	"context"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"
)

// Protocol says how engines are measured.
type Protocol struct {
	Commands []string
	Warmup   time.Duration // at least, for each command
	Passes   int           // over all queries in random order; the best of each query counts
	CPU      int           // the processor that the server and who asks it are kept on; -1: any
	Seed     uint64        // of the orders
}

// Game is what the game does, with the commands compared here; there every engine has a minute to warm up.
var Game = Protocol{Commands: []string{"TOP_10", "TOP_100", "TOP_1000", "TOP_100_COUNT", "COUNT"}, Warmup: 12 * time.Second, Passes: 10, CPU: runtime.NumCPU() - 1, Seed: 1}

// Run is what one engine took.
type Run struct {
	Engine    string            `json:"engine"`
	Version   string            `json:"version"`
	At        time.Time         `json:"at"`
	Busy      float64           `json:"busy"`   // processors that worked before
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

// emptyTrips is how many round trips of an empty command their median is taken of.
const emptyTrips = 2000

// Measure asks a server all queries with all commands.
func Measure(ctx context.Context, p Protocol, queries []Query, argv ...string) (*Run, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer pin(p.CPU)()
	run := &Run{At: time.Now().UTC().Truncate(time.Second), Commands: map[string][]Took{}, Busy: BusyBefore(), Warmup: p.Warmup}
	began := time.Now()
	c, err := StartChild(ctx, pinned(p.CPU, argv)...)
	if err != nil {
		return nil, err
	}
	err = run.measure(ctx, p, c, queries, began)
	var e error
	if run.Peak, e = c.Close(); err == nil {
		err = e
	}
	if err != nil {
		return nil, err
	}
	return run, nil
}

// measure fills in what a server that was started at a time takes.
func (run *Run) measure(ctx context.Context, p Protocol, c *Child, queries []Query, began time.Time) (err error) {
	if _, _, err := c.Ask(noop + "\t"); err != nil {
		return err
	}
	run.Open = time.Since(began)
	for _, command := range p.Commands {
		if run.Commands[command], err = measureCommand(ctx, p, c, command, queries); err != nil {
			return err
		}
	}
	trips := make([]time.Duration, emptyTrips)
	for i := range trips {
		if _, trips[i], err = c.Ask(noop + "\t"); err != nil {
			return err
		}
	}
	slices.Sort(trips)
	run.Empty = trips[len(trips)/2]
	return nil
}

func measureCommand(ctx context.Context, p Protocol, c *Child, command string, queries []Query) ([]Took, error) {
	out := make([]Took, len(queries))
	for began := time.Now(); ; {
		for i, q := range queries {
			answer, _, err := c.Ask(command + "\t" + q.Text)
			if err != nil {
				return nil, err
			}
			out[i] = Took{Answer: answer, Best: time.Hour}
		}
		if time.Since(began) >= p.Warmup || ctx.Err() != nil {
			break
		}
	}
	order := rand.New(rand.NewPCG(p.Seed, uint64(len(command))))
	for range p.Passes {
		for _, i := range order.Perm(len(queries)) {
			if !out[i].Supported() {
				continue
			}
			_, took, err := c.Ask(command + "\t" + queries[i].Text)
			if err != nil {
				return nil, err
			}
			out[i].Best = min(out[i].Best, took)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	return out, nil
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
