package chain

import (
	"fmt"
	"os"
	"path/filepath"

	cmttypes "github.com/cometbft/cometbft/types"

	"concord"
	"concord/ledger"
	"concord/note"
)

// Log is the log of a chain whose node does not run, opened for reading alone: nothing in the directory is changed. Its
// methods are safe for concurrent use.
type Log struct {
	store   *store
	chain   string
	machine *ledger.Machine
}

// OpenLog opens the log in the chain's directory. Unavailable: a node runs on it. NotFound: there is no chain here.
func OpenLog(dir string) (*Log, error) {
	file, err := readSmall(filepath.Join(dir, genesisFile))
	if os.IsNotExist(err) {
		return nil, concord.Errorf(concord.NotFound, "there is no ledger in %s", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	doc, err := cmttypes.GenesisDocFromJSON(file)
	if err != nil {
		return nil, concord.Errorf(concord.Corrupt, "genesis file in %s: %w", dir, err)
	}
	st, err := openStoreAs(filepath.Join(dir, "log"), true)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	l := &Log{store: st, chain: ledger.ChainID(doc.ChainID, file)}
	if l.machine, err = st.machine(); err == nil && l.machine == nil {
		err = concord.Errorf(concord.NotFound, "the ledger in %s has no entries yet", dir)
	}
	if err != nil {
		_ = st.close() // the error before it says more
		return nil, fmt.Errorf("open log: %w", err)
	}
	return l, nil
}

// Close closes the log.
func (l *Log) Close() error { return l.store.close() }

// Chain returns the chain's ID, computed from its genesis file.
func (l *Log) Chain() string { return l.chain }

// Machine returns the state as it is stored, which nothing has been checked of.
func (l *Log) Machine() *ledger.Machine { return l.machine }

// HashTile and EntryBundle are those of Chain, for all entries of the stored state.
func (l *Log) HashTile(level int, n uint64, width int) ([]byte, error) {
	return l.store.tile(l.machine.Size(), level, n, width)
}

// EntryBundle returns entries; see Chain.EntryBundle.
func (l *Log) EntryBundle(n uint64, width int) ([]byte, error) {
	return l.store.bundle(l.machine.Size(), n, width)
}

// Checkpoint returns the newest signed head; the zero value when there is none.
func (l *Log) Checkpoint() (concord.Checkpoint, error) {
	cp, err := l.store.lastCheckpoint()
	if err != nil || cp == nil {
		return concord.Checkpoint{}, err
	}
	return *cp, nil
}

// Roots returns the root of every signed head by its size.
func (l *Log) Roots() (map[uint64]concord.Digest, error) {
	roots := map[uint64]concord.Digest{}
	err := l.store.scan(keyCheckpoint, 0, ^uint64(0), false, func(size uint64, v []byte) (bool, error) {
		cp, err := readCheckpoint(v)
		if err == nil && cp.Size != size {
			err = concord.Errorf(concord.Corrupt, "the checkpoint stored for %d entries is of %d", size, cp.Size)
		}
		roots[size] = cp.Root
		return true, err
	})
	return roots, err
}

// Signed checks a signed head with the keys that the members of a state have: every line must be by one of them, one by
// a log key, and a quorum of the active members must have cosigned. It returns how many of how many did.
func Signed(st *ledger.State, head []byte) (cosigned, members int, err error) {
	var keys []note.Key
	for _, m := range st.Members {
		keys = append(keys, m.Log, m.Cosign)
	}
	n, err := note.Open(head, keys...)
	if err != nil {
		return 0, 0, fmt.Errorf("checkpoint: %w", err)
	}
	logged := false
	for _, m := range st.Members {
		if m.Status == ledger.Active {
			members++
		}
		for _, s := range n.Sigs {
			logged = logged || m.Log.Made(s)
			if m.Status == ledger.Active && m.Cosign.Made(s) {
				cosigned++
			}
		}
	}
	if !logged || cosigned < ledger.Quorum(members) {
		return cosigned, members, concord.Errorf(concord.Invalid, "checkpoint: signed by the log: %v; cosigned by %d of %d members, want %d", logged, cosigned, members, ledger.Quorum(members))
	}
	return cosigned, members, nil
}
