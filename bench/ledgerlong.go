package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// longLog is a log of a million entries of a ledger of one operator. Its blocks were made without consensus (see feeder), and executed by a
// node that had lost its log.
type longLog struct {
	Wanted   int              `json:"wanted"`
	Entries  uint64           `json:"entries"`
	Blocks   int64            `json:"blocks"`
	TxBytes  int              `json:"bytesEach"`
	Made     float64          `json:"madeSeconds"`
	Seconds  float64          `json:"seconds"`             // until all were executed and in the log
	CPU      float64          `json:"cpuMillisecondsEach"` // of executing
	Points   []longPoint      `json:"points"`
	Proofs   *proofResult     `json:"proofs"`
	Files    map[string]int64 `json:"fileBytes"` // as they were when the node had stopped
	Stopped  float64          `json:"stoppedSeconds"`
	Restarts []restart        `json:"restarts"`
}

// longPoint is a look at the node on the way.
type longPoint struct {
	Entries   uint64   `json:"entries"`
	PerSecond float64  `json:"perSecond"` // since the last
	Resident  resident `json:"resident"`
	Files     int64    `json:"logBytes"` // of its files
}

// restart is how long it took to be back.
type restart struct {
	After    string   `json:"after"`
	Process  float64  `json:"processSeconds"` // from the start of the process until the log was open
	Opened   float64  `json:"openedSeconds"`  // of that the ledger alone
	Final    float64  `json:"finalSeconds"`   // from the start of the process until a new transaction was final
	Resident resident `json:"resident"`       // then
	Proofs   float64  `json:"inclusionMicroseconds"`
}

// feedAtMost bounds the making of the blocks. What is there by then is measured, and the report says how many entries it has.
const feedAtMost = 4 * time.Minute

// followAtMost bounds the execution of the blocks: ten times what it takes.
const followAtMost = 20 * time.Minute

// measureLong makes a long log and looks at what it costs.
func measureLong(ctx context.Context, c config) (*longLog, error) {
	z := ledgerSizesOf(c)
	l, err := foundLedger(ctx, c, 1)
	if err != nil {
		return nil, err
	}
	defer func() { l.end() }()
	p := l.list[0]
	if _, err := l.loadEach(l.list, loadSpec{Count: 1, AtOnce: 1}); err != nil { // its first blocks come as they do
		return nil, err
	}
	if _, err := p.tell(order{Do: "close"}); err != nil {
		return nil, err
	}
	r := &longLog{Wanted: z.long}
	if err := r.feed(ctx, p); err != nil {
		return nil, err
	}
	if _, err := p.tell(order{Do: "open", Dir: p.dir, Operator: p.name}); err != nil {
		return nil, err
	}
	if err := r.follow(ctx, p); err != nil {
		return nil, err
	}
	if _, err := l.loadEach(l.list, loadSpec{Count: 1, AtOnce: 1}); err != nil { // it goes on
		return nil, err
	}
	a, err := p.tell(order{Do: "proofs", Count: z.proofs})
	if err != nil {
		return nil, err
	}
	r.Proofs = a.Proofs
	logf("long log: inclusion %.0f µs, consistency %.0f µs", r.Proofs.Inclusion.Median, r.Proofs.Consistency.Median)
	began := time.Now()
	if _, err := p.tell(order{Do: "close"}); err != nil {
		return nil, err
	}
	r.Stopped = time.Since(began).Seconds()
	r.Files = chainFiles(filepath.Join(p.dir, "chain"))
	if err := p.end(); err != nil {
		return nil, err
	}
	for _, after := range []string{"an orderly stop", "kill -9"} {
		if err := r.restart(ctx, l, after, z.proofs); err != nil {
			return nil, fmt.Errorf("restart after %s: %w", after, err)
		}
	}
	return r, nil
}

// feed makes the blocks.
func (r *longLog) feed(ctx context.Context, p *party) error {
	f, err := openFeeder(p.dir, p.name)
	if err != nil {
		return err
	}
	began := time.Now()
	txs, bytes, err := f.fill(ctx, uint64(r.Wanted), feedAtMost)
	if err = errors.Join(err, f.close()); err != nil {
		return err
	}
	r.Made, r.Entries, r.Blocks, r.TxBytes = time.Since(began).Seconds(), f.machine.Size(), f.machine.Height(), int(bytes)/max(txs, 1)
	logf("long log: %d blocks for %d entries made in %.0f s", r.Blocks, r.Entries, r.Made)
	return ctx.Err()
}

// follow waits until a node has executed the blocks, and looks at it meanwhile.
func (r *longLog) follow(ctx context.Context, p *party) error {
	const points = 10
	ctx, cancel := context.WithTimeout(ctx, followAtMost)
	defer cancel()
	began := time.Now()
	cpu, err := cpuOf(p.cmd.Process.Pid)
	if err != nil {
		return err
	}
	at, last := began, uint64(0)
	for done := false; !done; {
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
		a, err := p.tell(order{Do: "status"})
		if err != nil {
			return err
		}
		if a.Status.Halted != "" {
			return errors.New(a.Status.Halted)
		}
		have := a.Status.Size
		if done = have >= r.Entries && a.Status.Running; !done && have < last+r.Entries/points {
			continue
		}
		now := time.Now()
		x := longPoint{Entries: have, PerSecond: float64(have-last) / now.Sub(at).Seconds(), Files: fileBytes(filepath.Join(p.dir, "chain", "log"))}
		if x.Resident, err = residentOf(p.cmd.Process.Pid); err != nil {
			return err
		}
		if have > last {
			r.Points = append(r.Points, x)
			logf("long log: %d entries, %.0f/s, RSS %d MB, log %d MB", x.Entries, x.PerSecond, x.Resident.RSS>>20, x.Files>>20)
		}
		at, last = now, have
	}
	r.Seconds = time.Since(began).Seconds()
	used, err := cpuOf(p.cmd.Process.Pid)
	r.CPU = (used - cpu).Seconds() * 1000 / float64(r.Entries)
	return err
}

// restart starts the node again, has it do one thing, and ends it: the first time in order, so that the second comes after a kill.
func (r *longLog) restart(ctx context.Context, l *parties, after string, proofs int) error {
	old := l.list[0]
	began := time.Now()
	p, err := launchParty(old.name, old.dir)
	if err != nil {
		return err
	}
	l.list[0] = p
	a, err := p.tell(order{Do: "open", Dir: p.dir, Operator: p.name})
	if err != nil {
		return err
	}
	x := restart{After: after, Process: time.Since(began).Seconds(), Opened: a.Opened}
	if _, err := l.loadEach(l.list, loadSpec{Count: 1, AtOnce: 1}); err != nil {
		return err
	}
	x.Final = time.Since(began).Seconds()
	if x.Resident, err = residentOf(p.cmd.Process.Pid); err != nil {
		return err
	}
	if a, err = p.tell(order{Do: "proofs", Count: proofs}); err != nil {
		return err
	}
	x.Proofs = a.Proofs.Inclusion.Median
	r.Restarts = append(r.Restarts, x)
	logf("long log: restart after %s: open %.2f s, a transaction final %.2f s after the start, RSS %d MB", after, x.Process, x.Final, x.Resident.RSS>>20)
	p.kill()
	return nil
}
