package node

import (
	"encoding/json"
	"errors"
	"io/fs"
	"sync"

	"concord"
	"concord/durable"
)

const (
	// maxKeptBytes bounds the answers that a remoteLedger keeps: the tiles and entries of some ten thousand batches. maxKeptAnswer leaves
	// room for many.
	maxKeptBytes  = 16 << 20
	maxKeptAnswer = 1 << 20
	keptOverhead  = 100 // bytes of an answer beside its own and its key's, roughly
)

// keptAnswers are answers that never change, in JSON, by service and question. The zero value is empty and ready.
type keptAnswers struct {
	mu    sync.Mutex
	byKey map[string][]byte
	bytes int
}

// keyOf is what an answer is kept under.
func keyOf(service string, q any) (string, error) {
	data, err := json.Marshal(q)
	return service + " " + string(data), err
}

func (k *keptAnswers) get(key string) ([]byte, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	data, ok := k.byKey[key]
	return data, ok
}

// put keeps an answer. When there is no room it forgets all others: what is in use comes back with one question each.
func (k *keptAnswers) put(key string, data []byte) {
	size := len(key) + len(data) + keptOverhead
	if size > maxKeptAnswer {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, twice := k.byKey[key]; twice {
		return
	}
	if k.byKey == nil || k.bytes+size > maxKeptBytes {
		k.byKey, k.bytes = map[string][]byte{}, 0
	}
	k.byKey[key] = data
	k.bytes += size
}

// saveAbout writes what is known of the ledger.
func saveAbout(file string, a *ledgerAbout) error {
	if file == "" {
		return nil
	}
	return durable.WriteJSON(file, 0o600, a)
}

// loadAbout reads what saveAbout wrote; nil: there is nothing.
func loadAbout(file string) (*ledgerAbout, error) {
	if file == "" {
		return nil, nil
	}
	a := &ledgerAbout{}
	err := durable.ReadJSON(file, a)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil && concord.KindOf(err) != concord.Corrupt {
		return nil, err
	}
	if err != nil || a.Chain == "" {
		return nil, concord.Errorf(concord.Corrupt, "%s is damaged; remove it, and start the node that keeps the ledger before this one", file)
	}
	return a, nil
}

// kindNamed reads the name of a kind; one that is not known, from a newer node say, is Internal.
func kindNamed(name string) concord.Kind {
	for k := concord.Internal; k <= concord.Corrupt; k++ {
		if k.String() == name {
			return k
		}
	}
	return concord.Internal
}
