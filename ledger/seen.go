package ledger

import (
	"sync"

	"concord/note"
)

// signedTx is a parsed transaction. It is never changed.
type signedTx struct {
	*Tx
	data []byte
	by   note.Key // whose signature, the only one, was verified; zero: nobody's
}

// seen remembers transactions that a member's key has signed. A node reads the same bytes at least five times: when they come into the
// mempool, when they are checked again there after a block, and when a block is prepared, judged and executed. Most of the processor time
// of each is the signature, and most of the rest the parsing.
//
// It only saves time. What it knows of some bytes follows from them alone (what they say, and one key under which their signature holds),
// so nothing is decided by it: who is a member, and with which key, is asked of the state each time, and another key has to be
// verified. It is safe for concurrent use.
type seen struct {
	mu       sync.Mutex
	new, old map[string]signedTx // by their bytes
	size     int                 // of the bytes in new
}

// seenBytes bounds the transactions in each of two maps, so that a full mempool of ordinary ones, and a block of any (2 MiB), fits. Parsed they take three
// times as much.
const seenBytes = 2 << 20

func newSeen() *seen { return &seen{new: map[string]signedTx{}} }

// parse reads a transaction, unless it is known.
func (s *seen) parse(b []byte) (t signedTx, err error) {
	s.mu.Lock()
	t, ok := s.new[string(b)]
	if !ok {
		t, ok = s.old[string(b)]
	}
	s.mu.Unlock()
	if !ok {
		t.Tx, err = ParseTx(b)
	}
	t.data = b
	return t, err
}

// add remembers that a key has signed a transaction. What was added longest ago is forgotten.
func (s *seen) add(t signedTx, by note.Key) {
	if t.by == by {
		return
	}
	b := string(t.data)
	t.data, t.by = nil, by // the bytes are the caller's
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.size += len(b); s.size > seenBytes {
		s.new, s.old, s.size = map[string]signedTx{}, s.new, len(b)
	}
	s.new[b] = t
}
