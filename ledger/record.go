package ledger

import (
	"fmt"
	"slices"
	"strings"

	"concord"
	"concord/note"
)

// Record is the entry that closes a block in the log. It makes the log replayable on its own: what consensus decided
// outside the transactions (order into blocks, time, evidence) is in it.
//
//	concord/block/v1
//	height <height>
//	hash <block hash>
//	time <unix seconds>                       lower end of the bracket in which the block was ordered
//	after <height> <hash> <unix seconds>      first block after the previous record: the upper end of that one's bracket
//	txs <transactions of this block>
//	bad <kind> <operator> <height>            evidence; zero or more, see fit
//	state <state hash after this block>
//	validators <hash of the validators of the next height>
type Record struct {
	Height     int64
	Hash       concord.Digest
	Time       int64
	After      Mark
	Txs        uint64
	Bad        []Evidence
	State      concord.Digest
	Validators concord.Digest
}

// Evidence is misbehaviour that consensus proved.
type Evidence struct {
	Kind     string // "DUPLICATE_VOTE", "LIGHT_CLIENT_ATTACK"
	Operator string // "-": not a member any more
	Height   int64  // where it happened
}

const (
	recordHead = "concord/block/v1"
	maxKind    = 64
)

// IsRecord reports whether an entry of the log is a block record and not a transaction.
func IsRecord(entry []byte) bool {
	return strings.HasPrefix(string(entry[:min(len(entry), 32)]), recordHead+"\n")
}

// String returns the record's bytes.
func (r *Record) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nheight %d\nhash %s\ntime %d\nafter %s\ntxs %d\n", recordHead, r.Height, r.Hash, r.Time, &r.After, r.Txs)
	for _, e := range r.Bad {
		fmt.Fprintf(&b, "bad %s %s %d\n", e.Kind, e.Operator, e.Height)
	}
	fmt.Fprintf(&b, "state %s\nvalidators %s\n", r.State, r.Validators)
	return b.String()
}

// fit keeps of evidence that is too long for an entry (CometBFT allows about 1 MiB of it) the first against each
// operator. No other changed the state, so replay comes to the same record from what is left.
func (r *Record) fit() {
	if len(r.String()) <= note.MaxBytes {
		return
	}
	seen := map[string]bool{}
	r.Bad = slices.DeleteFunc(r.Bad, func(e Evidence) bool {
		again := seen[e.Operator]
		seen[e.Operator] = true
		return again
	})
}

// ParseRecord reads a record written by String. Anything that does not re-encode to itself is refused.
func ParseRecord(text string) (*Record, error) {
	const maxInt = 1<<63 - 1
	if len(text) > note.MaxBytes {
		return nil, concord.Errorf(concord.Invalid, "block record of %d bytes: an entry has at most %d", len(text), note.MaxBytes)
	}
	l := splitLines("block record", text)
	l.literal(recordHead)
	r := &Record{Height: int64(l.number("height", maxInt)), Hash: l.digest(l.value("hash"), "hash"), Time: int64(l.number("time", maxInt))}
	if m := l.mark("after"); m != nil {
		r.After = *m
	}
	r.Txs = l.number("txs", maxInt)
	for l.has("bad") {
		f := strings.Split(l.value("bad"), " ")
		if len(f) != 3 || !validKind(f[0]) || (f[1] != "-" && !ValidOperator(f[1])) {
			l.fail("bad is not a kind, an operator and a height")
			break
		}
		r.Bad = append(r.Bad, Evidence{f[0], f[1], int64(l.parse(f[2], "bad", maxInt))})
	}
	r.State = l.digest(l.value("state"), "state")
	r.Validators = l.digest(l.value("validators"), "validators")
	if err := l.end(); err != nil {
		return nil, err
	}
	if r.String() != text {
		return nil, concord.Errorf(concord.Invalid, "block record: not in canonical form")
	}
	return r, nil
}

func validKind(s string) bool {
	return s != "" && len(s) <= maxKind && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == ""
}
