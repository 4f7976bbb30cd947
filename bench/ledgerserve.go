package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"concord"
	"concord/chain"
	"concord/ledger"
	"concord/note"
)

// serveLedger is the argument that makes this program one node of a ledger under test: package chain as `concord up` runs it, without what
// else a node does, so that it can be compared with the peer, which has nothing else either. Orders come as lines of JSON on its input,
// one answer for each goes to its output, and it ends with its input.
const serveLedger = "serve-ledger"

// order tells a node what to do.
type order struct {
	Do       string          `json:"do"`
	Dir      string          `json:"dir,omitempty"`
	Operator string          `json:"operator,omitempty"`
	Addr     string          `json:"addr,omitempty"`
	Bundle   *chain.Bundle   `json:"bundle,omitempty"`
	Identity *chain.Identity `json:"identity,omitempty"`
	Action   string          `json:"action,omitempty"`
	Load     *loadSpec       `json:"load,omitempty"`
	Count    int             `json:"count,omitempty"`
	Genesis  []byte          `json:"genesis,omitempty"` // of the peer
	Peers    string          `json:"peers,omitempty"`   // of the peer
}

// answer is what came of it.
type answer struct {
	Error    string          `json:"error,omitempty"`
	Bundle   *chain.Bundle   `json:"bundle,omitempty"`
	Identity *chain.Identity `json:"identity,omitempty"`
	Status   *chain.Status   `json:"status,omitempty"`
	Load     *loadResult     `json:"load,omitempty"`
	Captures *captureResult  `json:"captures,omitempty"`
	Document []byte          `json:"document,omitempty"` // a receipt
	Policy   []byte          `json:"policy,omitempty"`
	Proofs   *proofResult    `json:"proofs,omitempty"`
	Opened   float64         `json:"openedSeconds,omitempty"`
	Height   int64           `json:"height,omitempty"` // of the peer
	Met      int             `json:"met,omitempty"`    // of the peer: nodes it is connected with
	Key      []byte          `json:"key,omitempty"`    // of the peer: consensus key
	Node     string          `json:"node,omitempty"`   // of the peer: its ID
}

// serveOrders is the program of a node.
func serveOrders(in io.Reader, out io.Writer) error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	n := &ledgerNode{}
	peer := &kvNode{}
	dec, enc := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var o order
		if err := dec.Decode(&o); errors.Is(err, io.EOF) {
			return errors.Join(n.close(), peer.close())
		} else if err != nil {
			return err
		}
		do := n.do
		if strings.HasPrefix(o.Do, "kv-") {
			do = peer.do
		}
		a, err := do(ctx, o)
		if err != nil {
			a.Error = err.Error()
		}
		if err := enc.Encode(a); err != nil {
			return err
		}
	}
}

// ledgerChain is the name of the chain under test.
const ledgerChain = "bench-1"

// ledgerNode is one operator's node.
type ledgerNode struct {
	cfg    chain.Config
	chain  *chain.Chain
	cancel context.CancelFunc
	done   chan error
	// what the next load submits
	prepared func() ([]byte, error)

	began concord.Digest // of the documents notarised here, so that no two are the same
	count uint64
}

func (n *ledgerNode) do(ctx context.Context, o order) (a answer, err error) {
	switch o.Do {
	case "found", "open":
		began := time.Now()
		if err = n.configure(o, o.Operator+"/"+ledgerChain); o.Do == "open" && err == nil {
			_, err = chain.Origin(n.cfg.Dir) // without one it would be founded
		}
		if err == nil {
			err = n.start(ctx)
		}
		a.Opened = time.Since(began).Seconds()
	case "join":
		if err = n.configure(o, o.Bundle.Origin); err != nil {
			return a, err
		}
		var id chain.Identity
		if id, err = chain.Join(n.cfg, o.Bundle); err != nil {
			return a, err
		}
		a.Identity = &id
		err = n.start(ctx)
	case "bundle":
		var b chain.Bundle
		b, err = n.chain.Bundle()
		a.Bundle = &b
	case "invite":
		_, err = n.chain.Invite(*o.Identity)
	case "propose":
		_, err = n.chain.Propose(o.Action)
	case "sign":
		for _, b := range n.chain.Ballots() {
			_, _ = n.chain.Sign(b.ID) // what it has no say in it cannot sign
		}
	case "status":
		s := n.chain.Status()
		a.Status = &s
	case "prepare":
		var sign func() ([]byte, error)
		if sign, err = n.signs(ctx, *o.Load); err == nil {
			n.prepared, err = ahead(o.Load.Count, sign)
		}
	case "load":
		a.Load, err = load(ctx, target{n.chain.Submit, n.agreed}, *o.Load, n.prepared)
	case "captures":
		a.Captures, err = n.captures(ctx, o.Dir, o.Count)
		a.Policy = []byte(n.chain.Policy())
	case "document":
		a.Document, err = n.document(ctx)
		a.Policy = []byte(n.chain.Policy())
	case "proofs":
		a.Proofs, err = n.proofs(o.Count)
	case "close":
		err = n.close()
	default:
		err = fmt.Errorf("no order %q", o.Do)
	}
	return a, err
}

func (n *ledgerNode) configure(o order, origin string) error {
	keys, err := note.LoadOrCreateKeys(filepath.Join(o.Dir, "keys"), o.Operator, origin)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	n.cfg = chain.Config{Dir: filepath.Join(o.Dir, "chain"), Operator: o.Operator, ChainName: ledgerChain, Keys: keys, Logger: log, Addr: o.Addr}
	return nil
}

// start opens the chain and runs it.
func (n *ledgerNode) start(ctx context.Context) (err error) {
	if n.chain, err = chain.Open(n.cfg); err != nil {
		return err
	}
	ctx, n.cancel = context.WithCancel(ctx)
	n.done = make(chan error, 1)
	go func() {
		err := n.chain.Run(ctx)
		if err != nil {
			fmt.Fprintln(os.Stderr, n.cfg.Operator, err)
		}
		n.done <- err
	}()
	return nil
}

func (n *ledgerNode) close() error {
	if n.chain == nil {
		return nil
	}
	n.cancel()
	err := errors.Join(<-n.done, n.chain.Close())
	n.chain = nil
	return err
}

// waitNext is how long a node may take to know its next seq.
const waitNext = time.Minute

// next returns the seq of the operator's next transaction, once the node knows it.
func (n *ledgerNode) next(ctx context.Context) (seq uint64, prev concord.Digest, err error) {
	for end := time.Now().Add(waitNext); ; {
		if seq, prev, err = n.chain.Next(n.cfg.Operator); concord.KindOf(err) != concord.Unavailable || time.Now().After(end) {
			return seq, prev, err
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return 0, prev, err
		}
	}
}

// signs returns what makes the operator's next transactions.
func (n *ledgerNode) signs(ctx context.Context, s loadSpec) (func() ([]byte, error), error) {
	seq, prev, err := n.next(ctx)
	if err != nil {
		return nil, err
	}
	sign := func() (tx []byte, err error) {
		if s.Attest {
			root := n.unique()
			tx, err = n.attestation(seq, prev, root)
			prev = root
		} else {
			tx, err = n.note(seq, n.unique())
		}
		seq++
		return tx, err
	}
	return sign, nil
}

// ahead makes all transactions at once, and returns what hands them out.
func ahead(count int, sign func() ([]byte, error)) (func() ([]byte, error), error) {
	list := make([][]byte, count)
	for i := range list {
		var err error
		if list[i], err = sign(); err != nil {
			return nil, err
		}
	}
	i := 0
	return func() ([]byte, error) { i++; return list[i-1], nil }, nil
}

// unique is a digest that nothing had before.
func (n *ledgerNode) unique() concord.Digest {
	if n.began.IsZero() {
		n.began = concord.Sum(fmt.Appendf(nil, "%s %d", n.cfg.Operator, time.Now().UnixNano()))
	}
	n.count++
	return concord.Sum(fmt.Appendf(n.began[:], "%d", n.count))
}

// note is a transaction that notarises one document.
func (n *ledgerNode) note(seq uint64, d concord.Digest) ([]byte, error) {
	return ledger.Sign(&ledger.DocTx{Head: ledger.Head{Chain: n.chain.ID(), From: n.cfg.Operator, Seq: seq}, Digests: []concord.Digest{d}}, n.cfg.Keys.Op)
}

// attestation is that of a full batch.
func (n *ledgerNode) attestation(seq uint64, prev, root concord.Digest) ([]byte, error) {
	now := time.Now().Unix()
	a := concord.Attestation{Chain: n.chain.ID(), From: n.cfg.Operator, Seq: seq, Count: fullBatch, Root: root, First: now - 2, Last: now, Prev: prev}
	return note.Sign(a.String(), n.cfg.Keys.Op)
}

// agreedPoll is how often is looked whether a quorum has cosigned.
const agreedPoll = time.Millisecond

// agreed waits until a quorum has cosigned a head that covers an entry.
func (n *ledgerNode) agreed(ctx context.Context, index uint64) error {
	ctx, cancel := context.WithTimeout(ctx, waitNext)
	defer cancel()
	for n.chain.Status().Agreed <= index {
		if err := pause(ctx, agreedPoll); err != nil {
			return fmt.Errorf("entry %d is not cosigned: %w", index, err)
		}
	}
	return nil
}
