package node

import (
	"context"
	"encoding/json"
	"time"

	"concord"
	"concord/chain"
)

// The services by which the node that runs the validator lets the others of its cluster read the ledger and put attestations into it.
// remoteLedger asks them. Each is a method of chain.Chain, or several that are asked together.
const (
	ledgerAboutService       = "ledger-about"       // none: ledgerAbout
	ledgerNextService        = "ledger-next"        // operator: ledgerNext
	ledgerSubmitService      = "ledger-submit"      // transaction: ledgerPlace
	ledgerAdmissionService   = "ledger-admission"   // ledgerOperator: note
	ledgerCoveringService    = "ledger-covering"    // index: checkpoint
	ledgerCheckpointsService = "ledger-checkpoints" // ledgerSpan, newest first: ledgerPage
	ledgerProofService       = "ledger-proof"       // ledgerProof: digests
	ledgerEntryService       = "ledger-entry"       // index: entry
	ledgerEntriesService     = "ledger-entries"     // ledgerSpan: ledgerPage
	ledgerFindService        = "ledger-find"        // ledgerFind, newest first: ledgerPage
	ledgerBlockService       = "ledger-block"       // height: concord.LedgerBlock
	ledgerTileService        = "ledger-tile"        // ledgerTile: hashes
	ledgerBundleService      = "ledger-bundle"      // ledgerTile: ledgerPiece
)

const (
	// ledgerPageBytes bounds the JSON of a page and the bytes of a piece, which are a third longer in JSON, so that an answer with one
	// more entry of 64 KB, each byte of it escaped, stays below what a message of the bus takes (4 MB).
	ledgerPageBytes = 2 << 20
	// submitTurn is how long one question waits for a transaction to come into the log. Who asks asks again at once, so that the
	// validator knows nearly all the time that somebody waits, as it must to notice that it stands still (chain.Config.StallAfter); and
	// a question that died with the validator costs no more than this.
	submitTurn = 5 * time.Second
	// maxLedgerError bounds the message of an error that travels, in bytes.
	maxLedgerError = 2 << 10
)

// ledgerAnswer is the answer of every ledger service. The chain's own errors are in it, apart from those of the way to it.
type ledgerAnswer struct {
	Chain string          `json:"chain"` // so that nobody takes the entries of one for another's
	Value json.RawMessage `json:"value,omitempty"`
	Kind  string          `json:"kind,omitempty"` // of the error
	Error string          `json:"error,omitempty"`
}

// ledgerAbout is what can be known of the ledger without an error.
type ledgerAbout struct {
	Chain      string             `json:"chain"`
	Founded    time.Time          `json:"founded"`
	Policy     string             `json:"policy"`
	Members    []chain.Member     `json:"members"`
	Status     chain.Status       `json:"status"`
	Checkpoint concord.Checkpoint `json:"checkpoint"`
}

type ledgerNext struct {
	Seq  uint64         `json:"seq"`
	Prev concord.Digest `json:"prev"`
}

// ledgerPlace is what became of a transaction. Waiting: nothing yet, ask again.
type ledgerPlace struct {
	Index   uint64 `json:"index"`
	Waiting bool   `json:"waiting,omitempty"`
}

// ledgerOperator asks for an operator's admission. Keys is what the asker knows of its keys: the answer does not depend on it, but what
// is kept of answers does.
type ledgerOperator struct {
	Name  string            `json:"name"`
	Index uint64            `json:"index"` // entries of the log when the keys are wanted
	Keys  map[string]string `json:"keys,omitempty"`
}

type ledgerProof struct {
	Index uint64 `json:"index"`
	Size  uint64 `json:"size"`
}

// ledgerSpan asks for count items from a place on.
type ledgerSpan struct {
	From  uint64 `json:"from"`
	Count int    `json:"count"`
}

// ledgerFind asks for count entries that name a term.
type ledgerFind struct {
	Term  concord.LedgerTerm `json:"term"`
	Below uint64             `json:"below"`
	Count int                `json:"count"`
}

// ledgerPage is as many of the items asked for as fit, at least one. More: it did not hold all there are of them.
type ledgerPage[T any] struct {
	Items []T  `json:"items"`
	More  bool `json:"more,omitempty"`
}

// ledgerTile asks for a tile of hashes, or for a bundle of entries (Level 0) from a byte on.
type ledgerTile struct {
	Level int    `json:"level"`
	N     uint64 `json:"n"`
	Width int    `json:"width"`
	From  int    `json:"from,omitempty"`
}

// ledgerPiece is a part of a bundle's bytes.
type ledgerPiece struct {
	Data []byte `json:"data"`
	More bool   `json:"more,omitempty"`
}

// ledgerServices are what the node that runs the validator offers to the others. They must have ended before c is closed.
func ledgerServices(c *chain.Chain) map[string]handler {
	return map[string]handler{
		ledgerAboutService: tells(c, func(context.Context, none) (ledgerAbout, error) {
			return ledgerAbout{c.ID(), c.Founded(), c.Policy(), c.Members(), c.Status(), c.Checkpoint()}, nil
		}),
		ledgerNextService: tells(c, func(_ context.Context, operator string) (a ledgerNext, err error) {
			a.Seq, a.Prev, err = c.Next(operator)
			return a, err
		}),
		ledgerSubmitService: tells(c, func(ctx context.Context, tx []byte) (ledgerPlace, error) { return submitFor(ctx, c, tx) }),
		ledgerAdmissionService: tells(c, func(_ context.Context, q ledgerOperator) ([]byte, error) {
			return c.Admission(q.Name, q.Index)
		}),
		ledgerCoveringService: tells(c, func(_ context.Context, index uint64) (concord.Checkpoint, error) { return c.Covering(index) }),
		ledgerCheckpointsService: tells(c, func(_ context.Context, q ledgerSpan) (ledgerPage[json.RawMessage], error) {
			list, err := c.Checkpoints(q.From, q.Count)
			return fitting(list, err)
		}),
		ledgerProofService: tells(c, func(_ context.Context, q ledgerProof) ([]concord.Digest, error) { return c.Proof(q.Index, q.Size) }),
		ledgerEntryService: tells(c, func(_ context.Context, index uint64) (concord.LedgerEntry, error) { return c.Entry(index) }),
		ledgerEntriesService: tells(c, func(_ context.Context, q ledgerSpan) (ledgerPage[json.RawMessage], error) {
			list, err := c.Entries(q.From, q.Count)
			return fitting(list, err)
		}),
		ledgerFindService: tells(c, func(_ context.Context, q ledgerFind) (ledgerPage[json.RawMessage], error) {
			list, err := c.Find(q.Term, q.Below, q.Count)
			return fitting(list, err)
		}),
		ledgerBlockService: tells(c, func(_ context.Context, height int64) (concord.LedgerBlock, error) { return c.Block(height) }),
		ledgerTileService:  tells(c, func(_ context.Context, q ledgerTile) ([]byte, error) { return c.HashTile(q.Level, q.N, q.Width) }),
		ledgerBundleService: tells(c, func(_ context.Context, q ledgerTile) (ledgerPiece, error) {
			b, err := c.EntryBundle(q.N, q.Width)
			return pieceOf(b, q.From), err
		}),
	}
}

// tells makes a handler that answers for a chain, with its error if there is one.
func tells[Q, A any](c *chain.Chain, f func(context.Context, Q) (A, error)) handler {
	return answers(func(ctx context.Context, q Q) (ledgerAnswer, error) {
		a := ledgerAnswer{Chain: c.ID()}
		v, err := f(ctx, q)
		if err == nil {
			a.Value, err = json.Marshal(v)
		}
		if err != nil {
			a.Value, a.Kind, a.Error = nil, concord.KindOf(err).String(), concord.Clip(err.Error(), maxLedgerError)
		}
		return a, nil
	})
}

// submitFor waits one turn for a transaction.
func submitFor(ctx context.Context, c *chain.Chain, tx []byte) (ledgerPlace, error) {
	turn, cancel := context.WithTimeout(ctx, submitTurn)
	defer cancel()
	index, err := c.Submit(turn, tx)
	if err != nil && turn.Err() != nil && ctx.Err() == nil && concord.KindOf(err) == concord.Unavailable {
		return ledgerPlace{Waiting: true}, nil
	}
	return ledgerPlace{Index: index}, err
}

// fitting returns the items, in JSON, that fit on a page.
func fitting[T any](list []T, err error) (page ledgerPage[json.RawMessage], _ error) {
	if err != nil {
		return page, err
	}
	size := 0
	for _, item := range list {
		data, err := json.Marshal(item)
		if err != nil {
			return page, err
		}
		if size += len(data); size > ledgerPageBytes && len(page.Items) > 0 {
			page.More = true
			break
		}
		page.Items = append(page.Items, data)
	}
	return page, nil
}

// pieceOf returns the part of b that begins at a byte.
func pieceOf(b []byte, from int) ledgerPiece {
	b = b[min(max(from, 0), len(b)):]
	n := min(len(b), ledgerPageBytes)
	return ledgerPiece{Data: b[:n], More: n < len(b)}
}
