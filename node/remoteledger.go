package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"concord"
	"concord/chain"
)

const (
	// ledgerFresh is how old what is shown of the ledger (checkpoint, size, policy, members) may be while the node that keeps it answers.
	ledgerFresh = time.Second
	// ledgerAskTime bounds one question about the ledger, which takes milliseconds. ledgerReadTime bounds all that one read needs, more
	// than one question if it is long: a page that is shown to somebody waits for it.
	ledgerAskTime  = 2 * time.Second
	ledgerReadTime = 5 * time.Second
	// ledgerPatience is how long who asks for the newest of what is known waits for the answer, before it takes what was known last.
	ledgerPatience = 200 * time.Millisecond
	// ledgerPause is how long, after a question that nobody answered, further reads fail without asking: of all that a page asks, the
	// first waits.
	ledgerPause = time.Second
	// ledgerSearchPause is the time between two attempts to find the ledger for the first time.
	ledgerSearchPause = 250 * time.Millisecond
)

// remoteLedger is the ledger as the nodes see it that do not run the validator: they ask the one that does. It is safe for concurrent use.
//
//   - It is one chain for as long as it is open, also while nobody answers: an answer for another chain is a Conflict.
//   - What never changes (entries, tiles, proofs, the checkpoint that covers an entry) is asked once and kept, in bounded memory.
//   - Every read ends within seconds. When nobody answers, it is Unavailable. Reads that have no error (Status, Checkpoint, Policy,
//     Members) then give what was known last, which was true: a signed head stays one, if not the newest.
//   - An error of the chain has the kind and the words it has there.
type remoteLedger struct {
	to   asker
	id   string // of the chain
	kept keptAnswers

	mu     sync.Mutex
	asking *ledgerAsking // for last; nil: nobody does
	last   ledgerAbout
	at     time.Time // when last was asked for; zero: it must be asked for again
	silent error     // why the newest question had no answer; nil: it had one
	until  time.Time // until then no read asks
}

// errLedgerAway: nobody answers for the ledger.
var errLedgerAway = errors.New("the node that keeps the ledger does not answer")

// openRemoteLedger finds the ledger of this node's cluster and returns when it knows which chain it is. file remembers that, and what was
// known beside it, so that a node can start while the one that keeps the ledger is away; "": nothing is remembered. Without a memory it waits
// for the ledger, until ctx ends. Errors: Unavailable, Corrupt when file is damaged.
func openRemoteLedger(ctx context.Context, to asker, file string) (*remoteLedger, error) {
	l := &remoteLedger{to: to}
	for {
		var about ledgerAbout
		err := l.ask(ctx, ledgerAskTime, ledgerAboutService, none{}, &about)
		switch {
		case err == nil && about.Chain == "":
			return nil, concord.Errorf(concord.Corrupt, "the node that keeps the ledger does not say which chain it is")
		case err == nil:
			l.last, l.id, l.at = about, about.Chain, time.Now()
			return l, saveAbout(file, &about)
		case concord.KindOf(err) != concord.Unavailable:
			return nil, fmt.Errorf("find the ledger: %w", err)
		}
		known, fileErr := loadAbout(file)
		if fileErr != nil {
			return nil, fileErr
		}
		if known != nil {
			l.last, l.id = *known, known.Chain
			return l, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("find the ledger: %w", err)
		case <-time.After(ledgerSearchPause):
		}
	}
}

// ask puts one question to the node that keeps the ledger and decodes the answer into a.
func (l *remoteLedger) ask(ctx context.Context, within time.Duration, service string, q, a any) error {
	limited, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	answer, err := call[any, ledgerAnswer](limited, l.to, "", service, q)
	if err != nil && ctx.Err() != nil { // it was not given the time to answer
		return concord.Errorf(concord.Unavailable, "ask the node that keeps the ledger: %w", ctx.Err())
	}
	if err != nil && concord.KindOf(err) != concord.Unavailable && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("ask the node that keeps the ledger: %w", err)
	}
	if err != nil {
		err = concord.Errorf(concord.Unavailable, "%w: %w", errLedgerAway, err)
	}
	l.heard(err)
	switch {
	case err != nil:
		return err
	case l.id != "" && answer.Chain != l.id:
		return concord.Errorf(concord.Conflict, "the ledger of this cluster is chain %s now, this node knows %s: start this node again", concord.Clip(answer.Chain, 80), l.id)
	case answer.Kind != "":
		return concord.Errorf(kindNamed(answer.Kind), "%s", answer.Error)
	}
	if err := json.Unmarshal(answer.Value, a); err != nil {
		return concord.Errorf(concord.Corrupt, "the answer of the node that keeps the ledger to %s cannot be read: %w", service, err)
	}
	return nil
}

// heard notes whether a question had an answer.
func (l *remoteLedger) heard(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.silent = err; err != nil {
		l.until = time.Now().Add(ledgerPause)
	}
}

// silence returns why nobody answers, for as long as nobody should be asked.
func (l *remoteLedger) silence() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.silent != nil && time.Now().Before(l.until) {
		return l.silent
	}
	return nil
}

// read asks within the time that a whole read has, which ctx ends.
func (l *remoteLedger) read(ctx context.Context, service string, q, a any) error {
	if err := l.silence(); err != nil {
		return err
	}
	return l.ask(ctx, ledgerAskTime, service, q, a)
}

// reading is the context of one read.
func reading() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), ledgerReadTime)
}

// recall is read for an answer that never changes: the second time it is asked of memory.
func recall[A any](ctx context.Context, l *remoteLedger, service string, q any) (a A, err error) {
	key, err := keyOf(service, q)
	if err != nil {
		return a, err
	}
	data, ok := l.kept.get(key)
	if !ok {
		var raw json.RawMessage
		if err := l.read(ctx, service, q, &raw); err != nil {
			return a, err
		}
		data = raw
	}
	if err := json.Unmarshal(data, &a); err != nil {
		return a, concord.Errorf(concord.Corrupt, "the answer of the node that keeps the ledger to %s cannot be read: %w", service, err)
	}
	if !ok {
		l.kept.put(key, data)
	}
	return a, nil
}

// ledgerAsking is a question for what can be known without an error, which many wait for.
type ledgerAsking struct {
	began time.Time
	done  chan struct{}
	ok    bool // it had an answer, when done
}

// about returns what can be known without an error, and whether the node that keeps the ledger answers. While it does, what is returned is
// at most ledgerFresh old. Nobody waits for longer than ledgerPatience for a node that has become silent, and only who asks first of one that was: the others
// get what was known last. After Submit, which knows of something newer, all wait for the answer.
func (l *remoteLedger) about() (known ledgerAbout, answers bool) {
	known, answers, ask := l.known()
	if !ask {
		return known, answers
	}
	l.mu.Lock()
	asking, first := l.asking, l.asking == nil
	if first {
		asking = &ledgerAsking{began: time.Now(), done: make(chan struct{})}
		l.asking = asking
		go l.askAbout(asking)
	}
	newer := l.at.IsZero()
	l.mu.Unlock()
	var patience <-chan time.Time
	switch {
	case !first && !answers:
		return known, false
	case !newer || !answers:
		patience = time.After(time.Until(asking.began.Add(ledgerPatience)))
	}
	select {
	case <-asking.done:
		known, _, _ = l.known()
		return known, asking.ok
	case <-patience:
		return known, false
	}
}

// askAbout asks for what can be known without an error. It ends within ledgerAskTime.
func (l *remoteLedger) askAbout(a *ledgerAsking) {
	ctx, cancel := reading()
	defer cancel()
	var next ledgerAbout
	err := l.read(ctx, ledgerAboutService, none{}, &next)
	l.mu.Lock()
	defer l.mu.Unlock()
	a.ok = err == nil
	if l.asking == a { // nobody has submitted meanwhile
		l.asking = nil
		if a.ok {
			l.last, l.at = next, time.Now()
		}
	}
	close(a.done)
}

// known returns what was known last, whether the newest question had an answer, and whether to ask again.
func (l *remoteLedger) known() (known ledgerAbout, answers, ask bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ask = time.Since(l.at) > ledgerFresh
	if l.silent != nil {
		ask = !time.Now().Before(l.until)
	}
	return l.last, l.silent == nil, ask
}

// ID returns the chain, also while nobody answers.
func (l *remoteLedger) ID() string { return l.id }

// Founded returns when the chain began.
func (l *remoteLedger) Founded() time.Time {
	known, _, _ := l.known()
	return known.Founded
}

// Policy returns the policy under which receipts verify; it changes with the members only.
func (l *remoteLedger) Policy() string {
	a, _ := l.about()
	return a.Policy
}

// Members returns the operators of the ledger. The list is the caller's.
func (l *remoteLedger) Members() []chain.Member {
	a, _ := l.about()
	return slices.Clone(a.Members)
}

// Checkpoint returns the newest head that is known here.
func (l *remoteLedger) Checkpoint() concord.Checkpoint {
	a, _ := l.about()
	return a.Checkpoint
}

// Status returns the chain's condition as its node told it last. Running says that this node answers and the validator runs; when it is
// false, receipts wait. Halted is always empty: it says of a ledger of this process that the process must be started again, and would make
// a node not ready that searches, fetches and archives as before, at each restart of another.
func (l *remoteLedger) Status() chain.Status {
	a, answers := l.about()
	st := a.Status
	st.Running, st.Halted = st.Running && st.Halted == "" && answers, ""
	return st
}
