package ledger

import (
	"fmt"
	"strings"

	"concord"
)

// Replay rebuilds the ledger from the entries of its log alone and checks every block record on the way: its state hash,
// its count of transactions, and that it is what this machine would have written.
type Replay struct {
	chain    string
	founding [][]byte
	machine  *Machine // nil until the founding notes are all there
	pending  [][]byte // transactions whose block record has not come yet
	last     int64    // height of the last record
	count    uint64   // entries taken
	out      *Outcome // of the last block record
}

// maxPending bounds the transactions of one block: more than its bytes can hold.
const maxPending = 1 << 17

// NewReplay returns a replay of the log of a chain.
func NewReplay(chain string) *Replay { return &Replay{chain: chain} }

// Add takes the next entry.
func (p *Replay) Add(entry []byte) error {
	if err := p.add(entry); err != nil {
		return fmt.Errorf("replay entry %d: %w", p.count, err)
	}
	p.count++
	return nil
}

func (p *Replay) add(entry []byte) error {
	if p.machine == nil {
		name, _, _ := strings.Cut(p.chain, ":")
		if t, err := ParseTx(entry); err == nil && t.Chain == FoundingID(name) {
			p.founding = append(p.founding, entry)
			return nil
		}
		if err := p.found(); err != nil {
			return err
		}
	}
	if IsRecord(entry) {
		return p.record(entry)
	}
	if len(p.pending) == maxPending {
		return concord.Errorf(concord.Invalid, "more than %d transactions without a block record", maxPending)
	}
	p.pending = append(p.pending, entry)
	return nil
}

func (p *Replay) found() (err error) {
	p.machine, err = Found(p.chain, p.founding)
	return err
}

func (p *Replay) record(entry []byte) error {
	rec, err := ParseRecord(string(entry))
	if err != nil {
		return err
	}
	if rec.After.Height <= p.last || rec.After.Height > rec.Height || rec.After.Time > rec.Time {
		return concord.Errorf(concord.Invalid, "block record %d: the block after the previous record cannot be %d", rec.Height, rec.After.Height)
	}
	m := *p.machine
	m.state = m.state.clone()
	m.state.After = nil
	if rec.After.Height < rec.Height { // else it is this block itself, which was not known when it was executed
		m.state.After = &rec.After
	}
	b := Block{Height: rec.Height, Hash: rec.Hash, Time: rec.Time, Txs: p.pending, NextValidators: rec.Validators}
	for _, e := range rec.Bad {
		b.Bad = append(b.Bad, Misbehaviour{e.Kind, m.state.address(e.Operator), e.Height})
	}
	out, err := m.Finalize(b)
	if err != nil {
		return err
	}
	if len(out.Entries) == 0 || string(out.Entries[len(out.Entries)-1]) != string(entry) {
		return concord.Errorf(concord.Invalid, "block record %d does not follow from the entries before it", rec.Height)
	}
	p.machine, p.pending, p.last, p.out = out.Next, nil, rec.Height, out
	return nil
}

// Last returns what the last block record closed: the machine after it, and the asks that ended in it. It is nil before
// the first one.
func (p *Replay) Last() *Outcome { return p.out }

// End returns the machine after the last entry, which must be a block record or a founding note.
func (p *Replay) End() (*Machine, error) {
	if p.machine == nil {
		if err := p.found(); err != nil {
			return nil, err
		}
	}
	if len(p.pending) > 0 {
		return nil, concord.Errorf(concord.Invalid, "replay: the log ends with %d transactions without a block record", len(p.pending))
	}
	return p.machine, nil
}

// address returns the consensus address of a member, an unused one for "-".
func (s *State) address(operator string) (a [20]byte) {
	if m := s.Member(operator); m != nil {
		sum := concord.Sum(m.Cons[:])
		copy(a[:], sum[:])
	}
	return a
}
