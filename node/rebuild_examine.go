package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"concord"
	"concord/attest"
	"concord/crawl"
	"concord/shard"
)

// examine looks at each part as Open would, and notes those that are missing, damaged or older than their log.
func (r *rebuilder) examine(ctx context.Context) error {
	if !r.makes(PartLogs) {
		r.check(PartLogs, func() error {
			if !exists(r.path("bus")) {
				return errGone
			}
			if err := r.openBusAsItIs(ctx); err != nil {
				return err
			}
			return r.reaches(ctx, slices.Max(append([]uint64{0}, r.trimmed...)))
		})
	}
	if !r.makes(PartLogs) {
		r.check(PartFrontier, func() error { return r.examineFrontier(ctx) })
		r.check(PartIndex, func() error { return r.examineIndex(ctx) })
	}
	r.check(PartReceipts, func() error { return r.examineReceipts(ctx) })
	return ctx.Err()
}

// lookTime is how long reaches waits for messages; an end that comes too early is said at once.
const lookTime = 20 * time.Millisecond

// reaches refuses a captures log that ends before a message that was in it.
func (r *rebuilder) reaches(ctx context.Context, seq uint64) error {
	short, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	err := r.captures.Follow(short, "capture.*", seq, func([]concord.Message) error { return context.Canceled })
	if concord.KindOf(err) == concord.Corrupt {
		return err
	}
	return ctx.Err()
}

var errGone = errors.New("its files are gone")

// check notes a part that does not open. Stores that break down over damage instead of refusing it count as damaged too.
func (r *rebuilder) check(part string, open func() error) {
	err := func() (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("damaged: %v", p)
			}
		}()
		return open()
	}()
	if err != nil {
		reason, _, _ := strings.Cut(err.Error(), ": put them back") // which is not what somebody does here
		r.report.Made[part] = concord.Clip(reason, 300)
	}
}

func (r *rebuilder) examineFrontier(ctx context.Context) error {
	log, err := r.bus.Log(ctx, "FRONTIER", "frontier.*")
	if err != nil {
		return err
	}
	for i := range r.layout.Frontiers {
		if !exists(r.path("frontier", concord.FrontierSubject(i))) {
			return errGone
		}
	}
	cfg := r.crawlConfig(log, r.captures)
	cfg.Logger = quiet()
	c, err := crawl.Open(cfg)
	if err != nil {
		return err
	}
	return errors.Join(c.Check(ctx), c.Close())
}

func (r *rebuilder) examineIndex(ctx context.Context) error {
	for i := range r.layout.Shards {
		if !exists(r.path("shard", fmt.Sprint(i))) {
			return errGone
		}
		s, err := shard.Open(ctx, shard.Config{Dir: r.path("shard", fmt.Sprint(i)), Shard: i, Log: r.captures, Logger: quiet()})
		if err != nil {
			return err
		}
		if err := errors.Join(r.trimmed.covered(i, s.Position()), s.Close()); err != nil {
			return err
		}
	}
	return nil
}

func (r *rebuilder) examineReceipts(ctx context.Context) error {
	if !exists(r.path("attest")) {
		return errGone
	}
	a, err := attest.Open(attest.Config{Dir: r.path("attest"), Log: concord.NoLog{}, Ledger: r.chain, Keys: r.keys, Operator: r.layout.Operator, Logger: quiet()})
	if err != nil {
		return err
	}
	err = nil
	if !r.makes(PartLogs) {
		err = r.trimmed.covers(a.Position(), r.layout.Shards)
		if older := r.reaches(ctx, a.Position()); older != nil {
			r.report.Made[PartLogs] = older.Error() // the store is whole, it is the log that is not
		}
	}
	return errors.Join(err, a.Close())
}
