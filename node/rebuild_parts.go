package node

import (
	"context"
	"errors"
	"fmt"
	"os"

	"concord"
	"concord/attest"
	"concord/bus"
	"concord/chain"
	"concord/crawl"
	"concord/shard"
)

// makeReceipts makes the attestor's store again from the batches on record, each checked against the ledger.
func (r *rebuilder) makeReceipts() error {
	if !r.makes(PartReceipts) {
		return nil
	}
	r.show("making the receipts again", r.report.Bytes)
	b, err := attest.NewRebuilder(attest.RebuildConfig{Dir: r.fresh("attest"), Keys: r.keys, Operator: r.layout.Operator, Chain: r.chain.ID(),
		Lookup: r.chain.Lookup, Next: r.chain.Next, Capture: r.scratch.capture})
	if err != nil {
		return err
	}
	err = r.scratch.each('b', func(lines []string) error {
		n, err := b.Add([]byte(lines[0]), lines[1:])
		if concord.KindOf(err) == concord.Corrupt {
			r.problem(err.Error())
			return nil
		}
		r.report.Receipts += int64(n)
		return err
	})
	position := uint64(0)
	if !r.makes(PartLogs) {
		for i := range r.layout.Shards {
			position = max(position, r.trimmed.upTo(i))
		}
	}
	if err := errors.Join(err, b.Close(position)); err != nil {
		return err
	}
	attested, err := r.attested()
	r.report.NoReceipts = max(attested-r.report.Receipts, 0)
	return err
}

// attested counts the captures that the operator has attested in the ledger.
func (r *rebuilder) attested() (captures int64, err error) {
	for from, size := uint64(0), r.chain.Status().Size; from < size; {
		list, err := r.chain.Entries(from, chain.MaxEntries)
		if err != nil || len(list) == 0 {
			return captures, err
		}
		for _, e := range list {
			if e.Type == "attest" && e.From == r.layout.Operator {
				b := attest.Batch{Note: e.Text}
				captures += int64(b.Captures())
			}
		}
		from += uint64(len(list))
	}
	return captures, nil
}

// makeLogs makes new logs, if they are wanted. The captures log gets what the attestor has not seen, and each log a
// message of each of its followers, so that their positions lie within it. It returns where the shards stand.
func (r *rebuilder) makeLogs(ctx context.Context) (heads []uint64, err error) {
	if !r.makes(PartLogs) {
		for i := range r.layout.Shards {
			heads = append(heads, r.trimmed.upTo(i)) // what the log still has is applied once more
		}
		r.positions, err = r.frontierHeads(ctx)
		return heads, err
	}
	r.show("making the logs again", r.report.Bytes)
	b, err := bus.Open(ctx, bus.Config{Dir: r.fresh("bus"), NodeName: r.layout.Node, Logger: quiet()})
	if err != nil {
		return nil, err
	}
	defer b.Close()
	captures, err := b.Log(ctx, "CAPTURES", "capture.*")
	if err != nil {
		return nil, err
	}
	if err := r.announce(ctx, captures); err != nil {
		return nil, err
	}
	for i := range r.layout.Shards {
		data, err := (&concord.Event{}).Encode()
		if err != nil {
			return nil, err
		}
		seq, err := captures.Append(ctx, concord.Message{Subject: concord.CaptureSubject(i), Data: data})
		if err != nil {
			return nil, err
		}
		heads = append(heads, seq)
	}
	frontier, err := b.Log(ctx, "FRONTIER", "frontier.*")
	if err != nil {
		return nil, err
	}
	for i := range r.layout.Frontiers {
		seq, err := frontier.Append(ctx, crawl.NoMessage(i))
		if err != nil {
			return nil, err
		}
		r.positions = append(r.positions, seq)
	}
	return heads, nil
}

// frontierHeads returns where the partitions stand whose log stays.
func (r *rebuilder) frontierHeads(ctx context.Context) (list []uint64, err error) {
	log, err := r.bus.Log(ctx, "FRONTIER", "frontier.*")
	if err != nil {
		return nil, err
	}
	for i := range r.layout.Frontiers {
		last, err := log.Last(ctx, concord.FrontierSubject(i))
		if err != nil {
			return nil, err
		}
		list = append(list, last)
	}
	return list, nil
}

// announceBatch is how many captures are announced in one append.
const announceBatch = 500

// announce puts the operator's own captures that no batch has into a new captures log, for the attestor. The shards have
// them already and stand behind them.
func (r *rebuilder) announce(ctx context.Context, log concord.Log) (err error) {
	dir := r.path("attest")
	if r.makes(PartReceipts) {
		dir = r.fresh("attest")
	}
	has, done, err := attest.Known(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	var msgs []concord.Message
	send := func(least int) error {
		if len(msgs) < least {
			return nil
		}
		_, err := log.Append(ctx, msgs...)
		msgs = msgs[:0]
		return err
	}
	err = r.scratch.each('o', func(lines []string) error {
		known, err := has(lines[0])
		if known || err != nil {
			return err
		}
		c, err := r.scratch.capture(lines[0])
		if c == nil || err != nil {
			return err
		}
		data, err := (&concord.Event{Capture: c}).Encode()
		if err != nil {
			return err
		}
		msgs = append(msgs, concord.Message{Subject: concord.CaptureSubject(concord.PartitionOf(c.URL, r.layout.Shards)), Data: data})
		return send(announceBatch)
	})
	if err != nil {
		return err
	}
	return send(1)
}

// verify opens every new part as a node would.
func (r *rebuilder) verify(ctx context.Context) error {
	if r.makes(PartIndex) {
		if err := r.verifyIndex(ctx); err != nil {
			return err
		}
	}
	if r.makes(PartFrontier) {
		cfg := r.crawlConfig(concord.NoLog{}, concord.NoLog{})
		cfg.Dir, cfg.Logger = r.fresh("frontier"), quiet()
		c, err := crawl.Open(cfg)
		if err != nil {
			return err
		}
		t, err := c.Totals(ctx)
		r.report.Waiting = t.Queued
		if err := errors.Join(err, c.Close()); err != nil {
			return err
		}
	} else if err := os.RemoveAll(r.fresh("frontier")); err != nil {
		return err
	}
	if r.makes(PartReceipts) {
		a, err := attest.Open(attest.Config{Dir: r.fresh("attest"), Log: concord.NoLog{}, Ledger: r.chain, Keys: r.keys, Operator: r.layout.Operator, Logger: quiet()})
		if err != nil {
			return err
		}
		return a.Close()
	}
	return nil
}

// verifyIndex opens the new shards and looks whether they hold every capture that was read.
func (r *rebuilder) verifyIndex(ctx context.Context) error {
	var have uint64
	for i := range r.layout.Shards {
		s, err := shard.Open(ctx, shard.Config{Dir: r.fresh("shard", fmt.Sprint(i)), Shard: i, Log: concord.NoLog{}, Logger: quiet()})
		if err != nil {
			return err
		}
		have += s.Status().Captures
		if err := s.Close(); err != nil {
			return err
		}
	}
	want, err := r.scratch.count('c')
	if err == nil && have < want {
		err = concord.Errorf(concord.Internal, "the index has %d captures of %d", have, want)
	}
	return err
}
