package chain

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"concord"
	"concord/ledger"
)

// A gov note is for one epoch: of several that wait, the first to be decided ends the others. So this node remembers what its operator proposed
// or supported, and proposes it anew for the next epoch, until it was decided, cannot be any more, or has waited for long. The other
// electors are asked for their signatures again: what they agreed to was for the ledger as it stood.

const (
	// proposedFor is how long a proposal is made anew.
	proposedFor = 30 * 24 * time.Hour
	// maxLapsed bounds the proposals that came to nothing, and are told of until the next start.
	maxLapsed = 8
)

// proposal is what this operator wants decided.
type proposal struct {
	Action string `json:"action"`
	Epoch  uint64 `json:"epoch"` // for which it was proposed first
	Since  int64  `json:"since"` // unix seconds
}

func (p proposal) key() []byte {
	id := concord.Sum([]byte(p.Action))
	return append([]byte{keyProposal}, id[:]...)
}

func (s *store) loadProposals() (list []proposal, err error) {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{keyProposal}, UpperBound: []byte{keyProposal + 1}})
	if err != nil {
		return nil, err
	}
	for ok := it.First(); ok; ok = it.Next() {
		var p proposal
		if err := json.Unmarshal(it.Value(), &p); err != nil {
			return nil, errors.Join(concord.Errorf(concord.Corrupt, "a stored proposal: %w", err), it.Close())
		}
		list = append(list, p)
	}
	return list, errors.Join(it.Error(), it.Close())
}

// wants remembers, durably, that this operator wants the action of a ballot decided.
func (c *Chain) wants(b Ballot) error {
	p := proposal{b.Action, b.Epoch, time.Now().Unix()}
	c.ballots.mu.Lock()
	defer c.ballots.mu.Unlock()
	if slices.ContainsFunc(c.ballots.proposals, func(x proposal) bool { return x.Action == p.Action }) {
		return nil
	}
	data, err := json.Marshal(p)
	if err == nil {
		err = c.store.db.Set(p.key(), data, pebble.Sync)
	}
	if err != nil {
		return fmt.Errorf("remember the proposal: %w", err)
	}
	c.ballots.proposals = append(c.ballots.proposals, p)
	return nil
}

// forget ends a proposal; why is empty when it was decided.
func (c *Chain) forget(p proposal, why string) {
	c.ballots.mu.Lock()
	defer c.ballots.mu.Unlock()
	c.ballots.proposals = slices.DeleteFunc(c.ballots.proposals, func(x proposal) bool { return x.Action == p.Action })
	_ = c.store.db.Delete(p.key(), pebble.NoSync) // it would be ended at the next start
	if why == "" {
		return
	}
	action := strings.ReplaceAll(strings.TrimSpace(p.Action), "\n", " ")
	c.cfg.Logger.Warn("what this operator proposed came to nothing", "action", action, "reason", why)
	c.ballots.lapsed = append(c.ballots.lapsed, concord.Clip(action, 200)+": "+why)
	c.ballots.lapsed = c.ballots.lapsed[max(0, len(c.ballots.lapsed)-maxLapsed):]
}

// renew proposes anew what another decision has ended.
func (c *Chain) renew(now time.Time) error {
	c.ballots.mu.Lock()
	list := slices.Clone(c.ballots.proposals)
	c.ballots.mu.Unlock()
	if len(list) == 0 || c.mayAttest() != nil {
		return nil
	}
	open := c.Ballots()
	for _, p := range list {
		if slices.ContainsFunc(open, func(b Ballot) bool { return b.Action == p.Action }) {
			continue
		}
		decided, err := c.decided(p)
		switch {
		case err != nil:
			return err
		case decided:
			c.forget(p, "")
			continue
		case now.Sub(time.Unix(p.Since, 0)) > proposedFor:
			c.forget(p, fmt.Sprintf("it was not decided within %d days", proposedFor/(24*time.Hour)))
			continue
		}
		epoch := c.machine.Load().State().Epoch
		b, err := c.propose(p.Action)
		switch {
		case err == nil:
			c.cfg.Logger.Info("another decision was made first: what this operator proposed is proposed again", "epoch", b.Epoch, "ballot", b.ID)
		case concord.KindOf(err) != concord.Unavailable && c.machine.Load().State().Epoch == epoch: // not because yet another came between
			c.forget(p, err.Error())
		}
	}
	return nil
}

// decided reports whether a decision with the action of a proposal is in the ledger, made since it was proposed.
func (c *Chain) decided(p proposal) (found bool, err error) {
	err = c.eachGov(c.machine.Load().Size(), func(_ uint64, _ rawEntry, g *ledger.Gov) bool {
		found = g.Epoch >= p.Epoch && actionOf(g.String()) == p.Action
		return found || g.Epoch < p.Epoch
	})
	return found, err
}

// actionOf returns the text of a gov note without its head.
func actionOf(text string) string {
	if lines := strings.SplitAfterN(text, "\n", 4); len(lines) == 4 {
		return lines[3]
	}
	return ""
}
