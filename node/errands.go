package node

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"concord"
	"concord/chain"
	"concord/replica"
	"concord/web"
)

// Decisions, notes and witnessing need the operator's whole ledger and what lies beside it, which one node of a cluster keeps. Asked for at
// another node, they are an errand: that node asks the one that keeps the ledger, over the cluster's own channel, and hands back its answer or
// its error. Who may ask for them is decided where they are asked for; nodes of one operator trust each other.

// errand is the service for one of these: a question Q and its answer A. Each may be sent again when no answer came: done twice, it
// has the effect that it has done once.
type errand[Q, A any] string

const (
	federationStatusErrand  errand[none, web.FederationStatus]            = "federation-status"
	federationBundleErrand  errand[none, []byte]                          = "federation-bundle"
	federationInviteErrand  errand[[]byte, web.FederationBallot]          = "federation-invite"
	federationProposeErrand errand[string, web.FederationBallot]          = "federation-propose"
	federationRotateErrand  errand[string, web.FederationBallot]          = "federation-rotate"
	federationSignErrand    errand[string, web.FederationBallot]          = "federation-sign"
	notariseErrand          errand[notariseWhat, []web.NotarisedDocument] = "notary-notarise"
	documentErrand          errand[concord.Digest, web.NotarisedDocument] = "notary-document"
	documentReceiptErrand   errand[concord.Digest, []byte]                = "notary-receipt"
	witnessAskErrand        errand[web.WitnessSpec, web.WitnessAsk]       = "witness-ask"
	witnessAskedErrand      errand[uint64, web.WitnessAsk]                = "witness-asked"
	witnessAsksErrand       errand[ledgerSpan, []web.WitnessAsk]          = "witness-asks" // below From, or from the newest
	witnessReceiptErrand    errand[uint64, []byte]                        = "witness-receipt"
	witnessTextErrand       errand[witnessReportOf, string]               = "witness-text"

	// errandRestService hands out what did not fit into the answer of an errand.
	errandRestService = "ledger-rest" // errandRest: ledgerPiece
)

// notariseWhat are digests to be notarised, under a label.
type notariseWhat struct {
	Digests []concord.Digest `json:"digests"`
	Label   string           `json:"label"`
}

// witnessReportOf is this operator's report in a round of an ask.
type witnessReportOf struct {
	Ask   uint64 `json:"ask"`
	Round int    `json:"round"`
}

const (
	// errandTime bounds an errand that changes something, which may wait for blocks; one that only reads has ledgerReadTime.
	errandTime = 20 * time.Second
	// errandMargin is how much sooner than who asks gives up an errand ends, so that it is told what there is by then.
	errandMargin = 500 * time.Millisecond
	// maxRests are the answers of more than one piece that are kept at a time, for restLife each, until they were fetched.
	maxRests = 16
	restLife = 30 * time.Second
)

// errandAnswer is the JSON of an answer, or its first part.
type errandAnswer struct {
	ledgerPiece
	Rest string `json:"rest,omitempty"` // names the whole, when More
}

// errandRest asks for a part of an answer from a byte on.
type errandRest struct {
	Name string `json:"name"`
	From int    `json:"from"`
}

// read sends an errand that changes nothing.
func (e errand[Q, A]) read(ctx context.Context, n *Node, q Q) (A, error) {
	return e.send(ctx, n, ledgerReadTime, q)
}

// do sends an errand that may change something.
func (e errand[Q, A]) do(ctx context.Context, n *Node, q Q) (A, error) {
	return e.send(ctx, n, errandTime, q)
}

// send asks the node that keeps the ledger. Errors: those that it has there; Unavailable while it does not answer.
func (e errand[Q, A]) send(ctx context.Context, n *Node, within time.Duration, q Q) (a A, err error) {
	data, err := n.remoteLedger.fetch(ctx, within, string(e), q)
	if errors.Is(err, errLedgerAway) {
		return a, n.keeperAway()
	}
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(data, &a); err != nil {
		return a, concord.Errorf(concord.Corrupt, "the answer of the node that keeps the ledger to %s cannot be read: %w", string(e), err)
	}
	return a, nil
}

// fetch asks once and puts the parts of the answer together.
func (l *remoteLedger) fetch(ctx context.Context, within time.Duration, service string, q any) (data []byte, err error) {
	if err := l.silence(); err != nil {
		return nil, err
	}
	var first errandAnswer
	if err := l.ask(ctx, within, service, q, &first); err != nil {
		return nil, err
	}
	data = first.Data
	for more := first.More; more; {
		var piece ledgerPiece
		if err := l.ask(ctx, ledgerAskTime, errandRestService, errandRest{first.Rest, len(data)}, &piece); err != nil {
			return nil, err
		}
		data, more = append(data, piece.Data...), piece.More && len(piece.Data) > 0
	}
	return data, nil
}

// keeperAway says what to do when the node that keeps the ledger does not answer.
func (n *Node) keeperAway() error {
	name := "the node"
	if m, ok := ledgerKeeper(n.view()); ok {
		name = "node " + m.Name
	}
	return concord.Errorf(concord.Unavailable, "%s that keeps this operator's ledger does not answer, and only there can this be done: start it again (concord cluster status shows "+
		"which nodes are up), then ask again, which does no harm if it was done after all. Searching and crawling go on meanwhile", name)
}

// desk is where errands are done.
type desk struct {
	c     *chain.Chain
	mu    sync.Mutex
	rests map[string]rest
}

// rest is an answer of more than one piece.
type rest struct {
	data  []byte
	until time.Time
}

// errandServices are the errands that the node which keeps the ledger does for the others.
func (n *Node) errandServices() map[string]handler {
	d := &desk{c: n.chain, rests: map[string]rest{}}
	f, x, w := members{n.chain, n}, notary{n.witness}, witnesses{n}
	return map[string]handler{
		errandRestService: tells(d.c, func(_ context.Context, q errandRest) (ledgerPiece, error) { return d.rest(q) }),

		string(federationStatusErrand):  federationStatusErrand.at(d, func(ctx context.Context, _ none) (web.FederationStatus, error) { return f.Status(ctx) }),
		string(federationBundleErrand):  federationBundleErrand.at(d, func(ctx context.Context, _ none) ([]byte, error) { return f.Bundle(ctx) }),
		string(federationInviteErrand):  federationInviteErrand.at(d, f.Invite),
		string(federationProposeErrand): federationProposeErrand.at(d, f.Propose),
		string(federationRotateErrand):  federationRotateErrand.at(d, f.Rotate),
		string(federationSignErrand):    federationSignErrand.at(d, f.Sign),

		string(notariseErrand): notariseErrand.at(d, func(ctx context.Context, q notariseWhat) ([]web.NotarisedDocument, error) {
			return x.Notarise(ctx, q.Digests, q.Label)
		}),
		string(documentErrand):        documentErrand.at(d, x.Document),
		string(documentReceiptErrand): documentReceiptErrand.at(d, x.DocumentReceipt),

		string(batchErrand):     batchErrand.at(d, n.replicas.Batch),
		string(admissionErrand): admissionErrand.at(d, n.replicas.Admission),
		string(voteErrand): voteErrand.at(d, func(ctx context.Context, q voteOn) (replica.Vote, error) {
			return n.replicas.Vote(ctx, q.Entry, q.Nonce)
		}),
		string(replicaReceiptErrand): replicaReceiptErrand.at(d, func(ctx context.Context, q receiptOfOther) ([]byte, error) {
			return n.replicas.Receipt(ctx, q.Operator, q.URL)
		}),

		string(witnessAskErrand):   witnessAskErrand.at(d, w.Ask),
		string(witnessAskedErrand): witnessAskedErrand.at(d, w.Asked),
		string(witnessAsksErrand): witnessAsksErrand.at(d, func(ctx context.Context, q ledgerSpan) ([]web.WitnessAsk, error) {
			return w.Asks(ctx, q.From, q.Count)
		}),
		string(witnessReceiptErrand): witnessReceiptErrand.at(d, w.OutcomeReceipt),
		string(witnessTextErrand): witnessTextErrand.at(d, func(ctx context.Context, q witnessReportOf) (string, error) {
			return w.OwnText(ctx, q.Ask, q.Round)
		}),
	}
}

// at makes the handler that does an errand.
func (e errand[Q, A]) at(d *desk, f func(context.Context, Q) (A, error)) handler {
	return tells(d.c, func(ctx context.Context, q Q) (errandAnswer, error) {
		if end, ok := ctx.Deadline(); ok {
			sooner, cancel := context.WithDeadline(ctx, end.Add(-errandMargin))
			defer cancel()
			ctx = sooner
		}
		a, err := f(ctx, q)
		if err != nil {
			return errandAnswer{}, err
		}
		data, err := json.Marshal(a)
		if err != nil {
			return errandAnswer{}, fmt.Errorf("encode the answer to %s: %w", string(e), err)
		}
		return d.answer(data, time.Now())
	})
}

// answer is the first part of an answer; the rest is kept until it was fetched.
func (d *desk) answer(data []byte, now time.Time) (errandAnswer, error) {
	a := errandAnswer{ledgerPiece: pieceOf(data, 0)}
	if !a.More {
		return a, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, r := range d.rests {
		if now.After(r.until) {
			delete(d.rests, name)
		}
	}
	if len(d.rests) >= maxRests {
		return errandAnswer{}, concord.Errorf(concord.Unavailable, "%d long answers are being fetched, the limit; try again in a few seconds", len(d.rests))
	}
	a.Rest = rand.Text()
	d.rests[a.Rest] = rest{data, now.Add(restLife)}
	return a, nil
}

func (d *desk) rest(q errandRest) (ledgerPiece, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, ok := d.rests[q.Name]
	if !ok {
		return ledgerPiece{}, concord.Errorf(concord.Unavailable, "the answer is not kept any more; ask again")
	}
	p := pieceOf(r.data, q.From)
	if !p.More {
		delete(d.rests, q.Name)
	}
	return p, nil
}

// membersThere implements web.Federation on a node that does not keep the ledger.
type membersThere struct{ n *Node }

func (f membersThere) Status(ctx context.Context) (web.FederationStatus, error) {
	st, err := federationStatusErrand.read(ctx, f.n, none{})
	f.n.countSearches(&st) // each node asks other operators for those who search there
	return st, err
}
func (f membersThere) Bundle(ctx context.Context) ([]byte, error) {
	return federationBundleErrand.read(ctx, f.n, none{})
}
func (f membersThere) Invite(ctx context.Context, identity []byte) (web.FederationBallot, error) {
	return federationInviteErrand.do(ctx, f.n, identity)
}
func (f membersThere) Propose(ctx context.Context, action string) (web.FederationBallot, error) {
	return federationProposeErrand.do(ctx, f.n, action)
}
func (f membersThere) Rotate(ctx context.Context, key string) (web.FederationBallot, error) {
	return federationRotateErrand.do(ctx, f.n, key)
}
func (f membersThere) Sign(ctx context.Context, idOrNote string) (web.FederationBallot, error) {
	return federationSignErrand.do(ctx, f.n, idOrNote)
}

// notaryThere implements web.Notary on a node that does not keep the ledger.
type notaryThere struct{ n *Node }

func (x notaryThere) Notarise(ctx context.Context, digests []concord.Digest, label string) ([]web.NotarisedDocument, error) {
	return notariseErrand.do(ctx, x.n, notariseWhat{digests, label})
}
func (x notaryThere) Document(ctx context.Context, digest concord.Digest) (web.NotarisedDocument, error) {
	return documentErrand.read(ctx, x.n, digest)
}
func (x notaryThere) DocumentReceipt(ctx context.Context, digest concord.Digest) ([]byte, error) {
	return documentReceiptErrand.read(ctx, x.n, digest)
}

// witnessesThere implements web.Witnesses on a node that does not keep the ledger.
type witnessesThere struct{ n *Node }

func (x witnessesThere) Ask(ctx context.Context, spec web.WitnessSpec) (web.WitnessAsk, error) {
	return witnessAskErrand.do(ctx, x.n, spec)
}
func (x witnessesThere) Asked(ctx context.Context, index uint64) (web.WitnessAsk, error) {
	return witnessAskedErrand.read(ctx, x.n, index)
}
func (x witnessesThere) Asks(ctx context.Context, before uint64, n int) ([]web.WitnessAsk, error) {
	return witnessAsksErrand.read(ctx, x.n, ledgerSpan{before, n})
}
func (x witnessesThere) OutcomeReceipt(ctx context.Context, index uint64) ([]byte, error) {
	return witnessReceiptErrand.read(ctx, x.n, index)
}
func (x witnessesThere) OwnText(ctx context.Context, index uint64, round int) (string, error) {
	return witnessTextErrand.read(ctx, x.n, witnessReportOf{index, round})
}
func (x witnessesThere) Texts(ctx context.Context, a *web.WitnessAsk) []web.WitnessText {
	return x.n.witnessTexts(ctx, a, x.OwnText)
}
