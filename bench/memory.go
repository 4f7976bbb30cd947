package main

import (
	"bufio"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// memoryResult is what a node held in memory and on disk while one crawl went on.
type memoryResult struct {
	Hosts   int           `json:"hosts"`
	Pages   int           `json:"pages"`
	Seconds float64       `json:"seconds"` // until everything was attested
	Points  []memoryPoint `json:"points"`
	Peak    int64         `json:"peakBytes"`
	CPU     float64       `json:"cpuMillisecondsPerPage"`
	Idle    float64       `json:"idleCPUPercent"` // of one processor, with nothing to do
}

// memoryPoint is one look at the node.
type memoryPoint struct {
	Pages      int64            `json:"pages"` // fetched so far
	Seconds    float64          `json:"seconds"`
	Note       string           `json:"note,omitempty"`
	Resident   resident         `json:"resident"`
	HeapLive   int64            `json:"heapLive"`   // what the last collection left, from its goal for the next
	HeapInUse  int64            `json:"heapInUse"`  // spans in use, garbage included
	Goroutines int64            `json:"goroutines"` //
	Disk       map[string]int64 `json:"disk"`       // bytes by part of the data directory
}

// restTime is how long the node is left alone before the last look: merges of segments and compaction of stores end.
const restTime = 45 * time.Second

// idleTime is how long the node is then watched doing nothing.
const idleTime = 30 * time.Second

func measureMemory(ctx context.Context, c config) (*memoryResult, error) {
	spec, step := webSpec{Hosts: 500, Pages: 100}, int64(5000)
	if c.small {
		spec.Hosts, step = 50, 500
	}
	w, err := startWeb(spec)
	if err != nil {
		return nil, err
	}
	defer w.close()
	n, err := startNode(c, 0)
	if err != nil {
		return nil, err
	}
	defer n.remove()
	r := &memoryResult{Hosts: spec.Hosts}
	began := time.Now()
	look := func(pages int64, note string) error {
		p, err := n.look()
		if err != nil {
			return err
		}
		p.Pages, p.Note, p.Seconds = pages, note, time.Since(began).Seconds()
		r.Points = append(r.Points, p)
		logf("%6d pages %-12s RSS %4d MB (own %d, mapped %d), heap live %d MB, in use %d MB, disk %v", pages, note, p.Resident.RSS>>20,
			p.Resident.Anon>>20, p.Resident.File>>20, p.HeapLive>>20, p.HeapInUse>>20, p.Disk)
		return nil
	}
	s, err := memoryCrawl(ctx, n, w, step, look)
	if err == nil {
		r.Pages, r.Seconds = int(s.Fetched), time.Since(began).Seconds()
		if err = look(s.Fetched, "attested"); err == nil {
			if err = pause(ctx, restTime); err == nil {
				err = look(s.Fetched, "at rest")
			}
			if err == nil {
				r.Idle, err = n.idle(ctx)
			}
		}
	}
	use := n.stop()
	r.Peak, r.CPU = use.Peak, use.CPU.Seconds()*1000/float64(max(r.Pages, 1))
	return r, err
}

func memoryCrawl(ctx context.Context, n *process, w *web, step int64, look func(int64, string) error) (crawlState, error) {
	if err := look(0, "started"); err != nil {
		return crawlState{}, err
	}
	id, err := n.start(w.seeds)
	if err != nil {
		return crawlState{}, err
	}
	next := step
	s, _, _, err := n.await(ctx, id, func(s crawlState) error {
		if s.Fetched < next {
			return nil
		}
		next = (s.Fetched/step + 1) * step
		return look(s.Fetched, "")
	})
	return s, err
}

// look reads the node's memory and disk use.
func (n *process) look() (p memoryPoint, err error) {
	if p.Resident, err = residentOf(n.cmd.Process.Pid); err != nil {
		return p, err
	}
	resp, err := n.sock.Get("http://node/metrics")
	if err != nil {
		return p, err
	}
	defer resp.Body.Close()
	var goal int64
	fields := map[string]*int64{"go_memstats_next_gc_bytes": &goal, "go_memstats_heap_inuse_bytes": &p.HeapInUse, "go_goroutines": &p.Goroutines}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if to := fields[name]; to != nil {
			f, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return p, fmt.Errorf("metric %s: %w", name, err)
			}
			*to = int64(f)
		}
	}
	p.HeapLive = goal / 2 // GOGC is 100: the goal is twice what was live
	p.Disk = diskUse(n.dir)
	return p, lines.Err()
}

// idle returns the percentage of one processor that the node uses while nobody asks anything of it.
func (n *process) idle(ctx context.Context) (float64, error) {
	before, err := cpuOf(n.cmd.Process.Pid)
	if err != nil {
		return 0, err
	}
	if err := pause(ctx, idleTime); err != nil {
		return 0, err
	}
	after, err := cpuOf(n.cmd.Process.Pid)
	return 100 * (after - before).Seconds() / idleTime.Seconds(), err
}
