package web

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"concord"
	"concord/ledger"
	"concord/note"
	"concord/receipt"
)

// memoryLedger is a log of one operator, in memory: its receipts verify with package receipt.
type memoryLedger struct {
	others  []OperatorInfo // members beside the one that keeps it
	lmu     sync.Mutex
	entries []concord.LedgerEntry
	hashes  []tlog.Hash // as tlog.StoredHashes orders them
	points  []concord.Checkpoint
	seq     uint64
	prev    concord.Digest
	pending []concord.Capture
	places  map[string]place // by capture ID

	op, cosign, log *note.Signer
	asks            []*ledger.Ask
	admit           []byte
	genesis         time.Time
}

type place struct {
	entry  concord.Entry
	index  uint64 // in the batch
	count  uint64
	path   []concord.Digest
	ledger uint64
}

const (
	testChain  = "net-1:9f2c41d07ab3"
	testOrigin = "net-1.example/log"
)

func newMemoryLedger(genesis time.Time) *memoryLedger {
	l := &memoryLedger{places: map[string]place{}, genesis: genesis}
	key := func(name, which string, typ note.Type) *note.Signer {
		seed := concord.Sum([]byte("concord test key " + name + " " + which))
		return must(note.NewSigner(name, typ, seed[:]))
	}
	l.op, l.cosign, l.log = key(testOperator, "op", note.Ed25519), key(testOperator, "cosign", note.Cosignature), key(testOrigin, "log", note.Ed25519)
	cons := concord.Sum([]byte("cons"))
	text := fmt.Sprintf("concord/tx/v1 gov\nchain net-1\nepoch 1\nadmit %s\nop %s\ncosign %s\nlog %s\ncons %s\nnode 5f0f\n",
		testOperator, l.op.Key(), l.cosign.Key(), l.log.Key(), base64.StdEncoding.EncodeToString(cons[:]))
	gov := note.Join(text, must(l.op.Sign(text)), must(l.cosign.Cosign(text, genesis.Unix())))
	l.admit = must(receipt.AdmitNote(gov))
	l.append("gov", testOperator, string(gov), genesis)
	l.checkpoint(genesis)
	return l
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

type hashReader []tlog.Hash

func (r hashReader) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, 0, len(indexes))
	for _, i := range indexes {
		out = append(out, r[i])
	}
	return out, nil
}

func (l *memoryLedger) append(kind, from, text string, at time.Time) uint64 {
	n := int64(len(l.entries))
	l.hashes = append(l.hashes, must(tlog.StoredHashes(n, []byte(text), hashReader(l.hashes)))...)
	l.entries = append(l.entries, concord.LedgerEntry{Index: uint64(n), Type: kind, From: from, Height: n + 2, Time: at,
		Leaf: concord.Digest(tlog.RecordHash([]byte(text))), Text: text})
	return uint64(n)
}

func (l *memoryLedger) checkpoint(at time.Time) {
	size := int64(len(l.entries))
	root := concord.Digest(must(tlog.TreeHash(size, hashReader(l.hashes))))
	text := note.Checkpoint{Origin: testOrigin, Size: uint64(size), Root: root}.String()
	msg := note.Join(text, must(l.log.Sign(text)), must(l.cosign.Cosign(text, at.Unix())))
	l.points = append(l.points, concord.Checkpoint{Origin: testOrigin, Size: uint64(size), Root: root, Height: size + 1, Time: at, Note: string(msg)})
}

// seal attests what is pending, as one batch, and makes a checkpoint.
func (l *memoryLedger) seal(at time.Time) {
	l.lmu.Lock()
	defer l.lmu.Unlock()
	if len(l.pending) == 0 {
		return
	}
	var hashes []tlog.Hash
	var list []concord.Entry
	a := concord.Attestation{Chain: testChain, From: testOperator, Seq: l.seq, Count: uint64(len(l.pending)), First: 1 << 60, Prev: l.prev}
	for i := range l.pending {
		e := concord.EntryOf(&l.pending[i], saltOf(&l.pending[i]))
		hashes = append(hashes, must(tlog.StoredHashes(int64(i), []byte(e.String()), hashReader(hashes)))...)
		list = append(list, e)
		a.First, a.Last = min(a.First, e.Time), max(a.Last, e.Time)
	}
	a.Root = concord.Digest(must(tlog.TreeHash(int64(len(list)), hashReader(hashes))))
	text := a.String()
	index := l.append("attest", testOperator, string(note.Join(text, must(l.op.Sign(text)))), at)
	for i, e := range list {
		l.places[l.pending[i].ID] = place{e, uint64(i), a.Count, digests(must(tlog.ProveRecord(int64(len(list)), int64(i), hashReader(hashes)))), index}
	}
	l.seq++
	l.prev, l.pending = a.Root, nil
	l.checkpoint(at)
}

func digests(p tlog.RecordProof) (out []concord.Digest) {
	for _, h := range p {
		out = append(out, concord.Digest(h))
	}
	return out
}

func (l *memoryLedger) Receipt(_ context.Context, id string) ([]byte, error) {
	l.lmu.Lock()
	defer l.lmu.Unlock()
	p, ok := l.places[id]
	if !ok {
		if l.waits(id) {
			return nil, concord.Errorf(concord.Unavailable, "capture %s waits for its batch", id)
		}
		return nil, concord.Errorf(concord.NotFound, "there is no capture %q", concord.Clip(id, 60))
	}
	last := l.points[len(l.points)-1]
	return receipt.Build(receipt.Parts{Entry: p.entry, BatchIndex: p.index, BatchCount: p.count, BatchPath: p.path,
		Attest: []byte(l.entries[p.ledger].Text), Admit: l.admit, Index: p.ledger,
		Path: digests(must(tlog.ProveRecord(int64(last.Size), int64(p.ledger), hashReader(l.hashes)))), Checkpoint: []byte(last.Note)})
}

func (l *memoryLedger) Promise(ctx context.Context, id string) ([]byte, error) {
	proof, err := l.Receipt(ctx, id)
	if concord.KindOf(err) != concord.Unavailable {
		return proof, err
	}
	l.lmu.Lock()
	defer l.lmu.Unlock()
	for i := range l.pending {
		if c := &l.pending[i]; c.ID == id {
			e := concord.EntryOf(c, saltOf(c))
			return receipt.BuildPromise(receipt.Promise{Entry: e, Note: must(note.Sign(receipt.PromiseText(e, testChain, testOperator), l.op)), Admit: l.admit})
		}
	}
	return nil, err
}

func saltOf(c *concord.Capture) [concord.SaltSize]byte {
	sum := concord.Sum([]byte("salt " + c.ID))
	return [concord.SaltSize]byte(sum[:concord.SaltSize])
}

func (l *memoryLedger) waits(id string) bool {
	for _, c := range l.pending {
		if c.ID == id {
			return true
		}
	}
	return false
}

func (l *memoryLedger) Attested(_ context.Context, id string) (AttestState, error) {
	l.lmu.Lock()
	defer l.lmu.Unlock()
	if p, ok := l.places[id]; ok {
		return AttestState{Done: true, Index: p.ledger}, nil
	}
	if l.waits(id) {
		return AttestState{Wait: 4 * time.Second}, nil
	}
	return AttestState{}, concord.Errorf(concord.NotFound, "there is no capture %q", concord.Clip(id, 60))
}

func (l *memoryLedger) Policy() string {
	return receipt.FormatPolicy([]note.Key{l.log.Key()}, []note.Key{l.cosign.Key()}, 1)
}

func (l *memoryLedger) Info() LedgerInfo {
	return LedgerInfo{Chain: testChain, Origin: testOrigin, Height: int64(len(l.entries)) + 1, Quorum: "1 of 1 operators must cosign", Genesis: l.genesis,
		Held: l.held(), Operators: append([]OperatorInfo{{Name: testOperator, State: "active", Power: 10, Cosigned: l.Checkpoint().Size, Seq: l.seq, LastBatch: l.prev, Balance: -l.held(), Limit: 1000, URL: "https://alice.example", ASN: "AS64500", Region: "RIPE", Keys: map[string]string{"op": l.op.Key().String(), "cosign": l.cosign.Key().String(), "log": l.log.Key().String()}}}, l.others...)}
}

func (l *memoryLedger) held() (sum int64) {
	for _, a := range l.asks {
		sum += a.Locked
	}
	return sum
}

func (l *memoryLedger) Size() uint64 {
	l.lmu.Lock()
	defer l.lmu.Unlock()
	return uint64(len(l.entries))
}

func (l *memoryLedger) Checkpoint() concord.Checkpoint {
	l.lmu.Lock()
	defer l.lmu.Unlock()
	return l.points[len(l.points)-1]
}

func (l *memoryLedger) Checkpoints(upTo uint64, n int) (out []concord.Checkpoint, err error) {
	for i := len(l.points) - 1; i >= 0 && len(out) < n; i-- {
		if upTo == 0 || l.points[i].Size <= upTo {
			out = append(out, l.points[i])
		}
	}
	return out, nil
}

func (l *memoryLedger) Covering(index uint64) (concord.Checkpoint, error) {
	for _, p := range l.points {
		if p.Size > index {
			return p, nil
		}
	}
	return concord.Checkpoint{}, concord.Errorf(concord.Unavailable, "no checkpoint covers entry %d yet", index)
}

func (l *memoryLedger) Find(t concord.LedgerTerm, below uint64, n int) (out []concord.LedgerEntry, err error) {
	for i := min(below, l.Size()); i > 0 && len(out) < n; i-- {
		e := l.entries[i-1]
		if slices.Contains(ledger.Terms([]byte(e.Text)), t) || t.Kind == concord.TermDigest && t.Value == e.Leaf.String() {
			out = append(out, e)
		}
	}
	return out, nil
}

func (l *memoryLedger) Block(height int64) (b concord.LedgerBlock, err error) {
	for _, e := range l.entries {
		switch {
		case e.Height == height && b.Count == 0:
			b = concord.LedgerBlock{Height: height, First: e.Index, Count: 1, NotBefore: e.Time}
		case e.Height == height:
			b.Count++
		case b.Count > 0 && b.NotAfter.IsZero():
			b.NotAfter = e.Time
		}
	}
	if b.Count == 0 {
		err = concord.Errorf(concord.NotFound, "no entry of the log is of block %d", height)
	}
	return b, err
}

// say appends a transaction of the operator.
func (l *memoryLedger) say(b ledger.Body, at time.Time) uint64 {
	tx := must(ledger.Sign(b, l.op))
	return l.append(must(ledger.ParseTx(tx)).Type, testOperator, string(tx), at)
}

// explored puts one of each kind of transaction into the ledger, hostile where the grammar lets it, and returns their indexes.
func (l *memoryLedger) explored(at time.Time) map[string]uint64 {
	h := func() ledger.Head {
		l.seq++
		return ledger.Head{Chain: testChain, From: testOperator, Seq: l.seq + 100}
	}
	d := func(s string) concord.Digest { return concord.Sum([]byte(s)) }
	places := map[string]uint64{}
	places["ask"] = l.say(&ledger.AskTx{Head: h(), URL: hostileURL, Profile: "text-1", Need: 2, Of: 3, Until: 60, Pay: 5}, at)
	report := &ledger.ShowTx{Head: h(), Ask: places["ask"], Round: 1, Salt: d("salt"), Status: 200, Final: hostileURL, Time: at.Unix(), Raw: d("raw"), Text: d("text"),
		Cert: d("cert"), WARC: d("warc"), ASN: "AS64500", Region: "RIPE"}
	places["seal"] = l.say(&ledger.SealTx{Head: h(), Ask: places["ask"], Round: 1, Commit: report.Commit()}, at)
	places["show"] = l.say(report, at)
	places["doc"] = l.say(&ledger.DocTx{Head: h(), Digests: []concord.Digest{d("a paper")}, Label: "draft-3"}, at)
	places["pay"] = l.say(&ledger.PayTx{Head: h(), To: "bob.example", Amount: 12, Ref: d("invoice")}, at)
	places["gov"] = l.say(&ledger.Gov{Chain: testChain, Epoch: 3, Line: &ledger.Line{Operator: "bob.example", Limit: 50}}, at)
	l.asks = append(l.asks, &ledger.Ask{Index: places["ask"], From: testOperator, URL: hostileURL, Profile: "text-1", Need: 2, Of: 3, Until: 60, Pay: 5, Locked: 30,
		Rounds: []ledger.Round{{Beacon: d("beacon"), SealBy: at.Unix() + 60, ShowBy: at.Unix() + 120, Seats: []ledger.Seat{
			{Operator: "bob.example", ASN: "AS64501", Region: "ARIN", Commit: d("seal"), Report: &ledger.Report{Index: places["show"], Status: 200}}, {Operator: testOperator, ASN: "-", Region: "-"}}}}})
	l.checkpoint(at)
	return places
}

// hostileURL is as bad as the ledger's grammar lets a URL be.
const hostileURL = `https://evil.example/"><script>alert(1)</script>'{{.}}`

func (l *memoryLedger) Entry(index uint64) (*concord.LedgerEntry, error) {
	if index >= l.Size() {
		return nil, concord.Errorf(concord.NotFound, "the ledger has no entry %d, only %d", index, l.Size())
	}
	return &l.entries[index], nil
}

func (l *memoryLedger) Entries(from uint64, n int) ([]concord.LedgerEntry, error) {
	size := l.Size()
	from = min(from, size)
	l.lmu.Lock()
	defer l.lmu.Unlock()
	return l.entries[from:min(from+uint64(n), size)], nil
}

func (l *memoryLedger) Proof(index uint64) ([]byte, error) {
	if _, err := l.Entry(index); err != nil {
		return nil, err
	}
	last := l.Checkpoint()
	var b strings.Builder
	fmt.Fprintf(&b, "c2sp.org/tlog-proof@v1\nindex %d\n", index)
	for _, h := range digests(must(tlog.ProveRecord(int64(last.Size), int64(index), hashReader(l.hashes)))) {
		b.WriteString(h.String() + "\n")
	}
	b.WriteString("\n" + last.Note)
	return []byte(b.String()), nil
}

func (l *memoryLedger) has(level int, n uint64, width int) error {
	if have := l.Checkpoint().Size >> (8 * uint(level)); n > have || n*256+uint64(width) > have {
		return concord.Errorf(concord.NotFound, "there is no tile %d of width %d", n, width)
	}
	return nil
}

func (l *memoryLedger) HashTile(level int, n uint64, width int) ([]byte, error) {
	if err := l.has(level, n, width); err != nil {
		return nil, err
	}
	return tlog.ReadTileData(tlog.Tile{H: 8, L: level, N: int64(n), W: width}, hashReader(l.hashes))
}

func (l *memoryLedger) EntryBundle(n uint64, width int) (b []byte, err error) {
	if err := l.has(0, n, width); err != nil {
		return nil, err
	}
	for _, e := range l.entries[n*256:][:width] {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(e.Text))), e.Text...)
	}
	return b, nil
}
