package replica

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	mathrand "math/rand/v2"
	"net/url"
	"slices"
	"sync"
	"time"

	"concord"
	"concord/receipt"
)

const (
	maxVotes  = 4               // votes and batches that are read for others at a time
	maxVoters = 16              // operators asked in one poll
	tickPolls = 16              // polls at a time: in a day more than a gigabyte has batches
	pollTime  = 5 * time.Second // for one vote: a voter reads and hashes 16 MiB at most
	maxVote   = 4 << 10         // bytes of one
	voteHead  = "concord/vote/v1\n"
	voteType  = "application/json"
)

// Vote is an operator's answer to a poll.
type Vote struct {
	Nonce   concord.Digest `json:"nonce,omitzero" doc:"The voter's nonce."`
	Hash    concord.Digest `json:"hash,omitzero" doc:"SHA-256 of \"concord/vote/v1\", a line feed, the poller's nonce, the voter's, and the batch's text."`
	Damaged bool           `json:"damaged,omitempty" doc:"The voter's copy is damaged; it is mended."`
}

// VoteHash returns what a voter that has a batch's text answers.
func VoteHash(poller, voter concord.Digest, text []byte) (d concord.Digest) {
	h := sha256.New()
	h.Write([]byte(voteHead))
	h.Write(poller[:])
	h.Write(voter[:])
	h.Write(text)
	h.Sum(d[:0])
	return d
}

func newNonce() (n concord.Digest) {
	rand.Read(n[:])
	return n
}

// Batch returns the text of the batch that an entry of the ledger is about, this operator's own or one that is kept. NotFound: it has none; Unavailable: too many
// are asked for, or it is being mended.
func (k *Keeper) Batch(ctx context.Context, index uint64) ([]byte, error) {
	text, _, err := k.forOthers(ctx, index)
	if concord.KindOf(err) == concord.Corrupt {
		return nil, concord.Errorf(concord.Unavailable, "the copy of the batch of entry %d is damaged here; ask another operator, or again later", index)
	}
	return text, err
}

// Vote answers a poll on the batch of an entry. Errors: as Batch; a damaged copy is said in the vote.
func (k *Keeper) Vote(ctx context.Context, index uint64, poller concord.Digest) (Vote, error) {
	text, _, err := k.forOthers(ctx, index)
	if concord.KindOf(err) == concord.Corrupt {
		return Vote{Damaged: true}, nil
	}
	if err != nil {
		return Vote{}, err
	}
	v := Vote{Nonce: newNonce()}
	v.Hash = VoteHash(poller, v.Nonce, text)
	return v, nil
}

// forOthers reads a batch for somebody else.
func (k *Keeper) forOthers(ctx context.Context, index uint64) ([]byte, *receipt.Batch, error) {
	e, err := k.entry(index)
	if err != nil {
		return nil, nil, err
	}
	select {
	case k.votes <- struct{}{}:
		defer func() { <-k.votes }()
	case <-ctx.Done():
		return nil, nil, concord.Errorf(concord.Unavailable, "too many batches are being asked for; try again in a few seconds")
	}
	return k.text(ctx, &e)
}

// entry returns an entry of the ledger that is about a batch.
func (k *Keeper) entry(index uint64) (concord.LedgerEntry, error) {
	e, err := k.cfg.Ledger.Entry(index)
	if err == nil && e.Type != attestType {
		err = concord.Errorf(concord.NotFound, "entry %d of the ledger is about no batch", index)
	}
	return e, err
}

// text reads a batch, an own one or one that is kept, and checks it.
func (k *Keeper) text(ctx context.Context, e *concord.LedgerEntry) ([]byte, *receipt.Batch, error) {
	if e.From != k.cfg.Self {
		return k.read(e)
	}
	text, err := k.cfg.Own(ctx, []byte(e.Text))
	if err != nil {
		return nil, nil, err
	}
	b, err := receipt.ParseBatch([]byte(e.Text), text)
	if err != nil {
		k.cfg.Logger.Error("an own batch is damaged", "entry", e.Index, "error", err)
		return nil, nil, concord.Errorf(concord.Corrupt, "%w", err)
	}
	return text, b, nil
}

// pollDue holds the polls whose time has come.
func (k *Keeper) pollDue(ctx context.Context) {
	k.mu.Lock()
	now := k.cfg.Now()
	type subject struct {
		index uint64
		due   time.Time
	}
	var list []subject
	for _, batches := range []map[uint64]*held{k.held, k.own} {
		for i, h := range batches {
			if !h.due.After(now) {
				list = append(list, subject{i, h.due})
			}
		}
	}
	slices.SortFunc(list, func(a, b subject) int { return cmp.Or(a.due.Compare(b.due), cmp.Compare(a.index, b.index)) })
	list = list[:min(len(list), tickPolls)]
	for _, s := range list {
		k.subject(s.index).due = now.Add(k.cfg.Every)
	}
	k.mu.Unlock()
	var all sync.WaitGroup
	for _, s := range list {
		all.Go(func() { k.poll(ctx, s.index) })
	}
	all.Wait()
}

// subject returns what is known of a batch that polls are about, nil: it is not kept any more. The mutex is held.
func (k *Keeper) subject(index uint64) *held {
	if h := k.own[index]; h != nil {
		return h
	}
	return k.held[index]
}

// poll has the others vote on a batch that is kept, or is this operator's own. A copy that turns out damaged is mended first.
func (k *Keeper) poll(ctx context.Context, index uint64) {
	e, err := k.cfg.Ledger.Entry(index)
	if err != nil {
		return // of a ledger that has become shorter: it is looked at again when it has grown
	}
	text, b, err := k.text(ctx, &e)
	if concord.KindOf(err) == concord.Corrupt && e.From != k.cfg.Self {
		k.mu.Lock()
		w := k.wants[index]
		k.mu.Unlock()
		if w != nil {
			k.fetch(ctx, w)
		}
		text, b, err = k.text(ctx, &e)
	}
	if err != nil {
		return
	}
	if e.From != k.cfg.Self {
		k.vouch(ctx, &e, b)
	}
	var voters []string
	for _, name := range k.cfg.Peers.Others() {
		if !k.rests(name) {
			voters = append(voters, name)
		}
	}
	mathrand.Shuffle(len(voters), func(i, j int) { voters[i], voters[j] = voters[j], voters[i] })
	said := make([]answer, min(len(voters), maxVoters))
	var all sync.WaitGroup
	for i := range said {
		all.Go(func() { said[i] = k.ask(ctx, voters[i], &e, text) })
	}
	all.Wait()
	if ctx.Err() != nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.totals.polls++
	if h := k.subject(index); h != nil && slices.Max(append(said, unknown)) > unknown {
		h.alone = !slices.Contains(said, has)
	}
}

// answer is what is known of an operator's copy after it was asked.
type answer int

const (
	unknown answer = iota
	hasNot         // or it is damaged
	has
)

// ask asks one operator for its vote.
func (k *Keeper) ask(ctx context.Context, name string, e *concord.LedgerEntry, text []byte) answer {
	nonce := newNonce()
	asking, cancel := context.WithTimeout(ctx, pollTime)
	defer cancel()
	data, err := k.cfg.Peers.Get(asking, name, batchPath(e.Index)+"/vote", url.Values{"nonce": {nonce.String()}}, voteType, maxVote)
	if ctx.Err() != nil {
		return unknown
	}
	k.mu.Lock()
	k.of(name).Asked++
	k.mu.Unlock()
	switch {
	case concord.KindOf(err) == concord.NotFound && name == e.From:
		k.count(name, "", func(p *peer) {
			p.Lost++
			p.Last = fmt.Sprintf("entry %d: it has lost its own batch", e.Index)
		})
		return hasNot
	case concord.KindOf(err) == concord.NotFound:
		k.count(name, "", func(p *peer) { p.Absent++ })
		return hasNot
	case err != nil:
		k.countError(name, e.Index, err)
		return unknown
	}
	v, err := decodeVote(data)
	switch {
	case err != nil:
		k.countError(name, e.Index, err)
	case v.Damaged:
		k.count(name, "", func(p *peer) { p.Damaged++ })
	case v.Hash != VoteHash(nonce, v.Nonce, text):
		k.cfg.Logger.Warn("an operator's vote is not one that the attested batch gives", "operator", name, "entry", e.Index)
		k.count(name, fmt.Sprintf("entry %d: its vote is not one that the attested batch gives", e.Index), func(p *peer) { p.Wrong++ })
	default:
		k.count(name, "", func(p *peer) { p.Agreed++ })
		return has
	}
	return hasNot
}

// decodeVote reads an operator's vote.
func decodeVote(data []byte) (v Vote, err error) {
	if err := json.Unmarshal(data, &v); err != nil {
		return v, concord.Errorf(concord.Invalid, "its vote cannot be read: %w", err)
	}
	if !v.Damaged && (v.Nonce.IsZero() || v.Hash.IsZero()) {
		return v, concord.Errorf(concord.Invalid, "its vote has no nonce or no hash")
	}
	return v, nil
}
