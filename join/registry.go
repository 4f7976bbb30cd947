package join

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"concord"
	"concord/durable"
)

// Names of the values in concord.Manifests.
const (
	valuePrefix = "join/"
	nodePrefix  = valuePrefix + "node/"  // + name: a nodeRecord
	tokenPath   = valuePrefix + "token/" // + id: a tokenRecord
)

const (
	// casTries bounds the tries against others who change the same value.
	casTries = 10
	// rewatchPause is the wait before a watch that broke is begun again.
	rewatchPause = time.Second
)

// nodeRecord says which key a name belongs to.
type nodeRecord struct {
	Generation uint64    `json:"generation"`
	Key        string    `json:"key"` // SHA-256 of the public key
	Joined     time.Time `json:"joined"`
	Removed    bool      `json:"removed,omitempty"`
}

// admitted returns the lowest generation that may connect.
func (n *nodeRecord) admitted() uint64 {
	if n.Removed {
		return n.Generation + 1
	}
	return n.Generation
}

// Registry keeps the names and tokens of a cluster, and knows who was removed. Safe for concurrent use.
type Registry struct {
	store concord.Manifests
	path  string // of the list of admitted generations
	log   *slog.Logger
	now   func() time.Time

	mu       sync.Mutex
	admitted map[string]uint64
}

// admittedFile keeps the list for the time before the store can be reached, which is reached through connections that
// the list decides on.
const admittedFile = "admitted.json"

// NewRegistry opens the registry; dir is that of the identity.
func NewRegistry(store concord.Manifests, dir string, logger *slog.Logger) (*Registry, error) {
	r := &Registry{store: store, path: filepath.Join(dir, admittedFile), log: logger, now: time.Now, admitted: map[string]uint64{}}
	err := durable.ReadJSON(r.path, &r.admitted)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return r, nil
	case concord.KindOf(err) == concord.Corrupt:
		return nil, fmt.Errorf("%w: delete it; it is made again from the cluster", err)
	case err != nil:
		return nil, err
	}
	return r, nil
}

// Run follows who joins and who is removed until ctx ends, through outages of the store.
func (r *Registry) Run(ctx context.Context) error {
	for {
		err := r.store.Watch(ctx, valuePrefix, func(name string, m concord.Manifest) error {
			if node, ok := strings.CutPrefix(name, nodePrefix); ok && m.Revision != 0 {
				r.told(node, m.Data)
			} else if strings.HasPrefix(name, tokenPath) && m.Revision != 0 {
				r.forget(ctx, name, m)
			}
			return nil
		})
		if ctx.Err() != nil {
			return nil
		}
		r.log.Warn("list of nodes not watched, trying again", "error", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(rewatchPause):
		}
	}
}

func (r *Registry) told(name string, data []byte) {
	var rec nodeRecord
	if err := json.Unmarshal(data, &rec); err != nil || CheckName(name) != nil {
		r.log.Warn("entry of node not understood", "node", concord.Clip(name, MaxName), "error", err)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.admitted[name] >= rec.admitted() {
		return
	}
	r.admitted[name] = rec.admitted()
	if err := durable.WriteJSON(r.path, 0o600, r.admitted); err != nil {
		r.log.Error("list of admitted nodes not written", "error", err)
	}
}

// Revoked reports whether a node was removed, or is an earlier one of its name. See Identity.Trust.
func (r *Registry) Revoked(p Peer) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return p.Generation < r.admitted[p.Name]
}

// Register puts the first node of a cluster on record; every other one is by joining. It can be repeated. Errors: Conflict
// when the name belongs to another key.
func (r *Registry) Register(ctx context.Context, id *Identity) error {
	_, err := r.register(ctx, id.Peer().Name, id.key.Public())
	return err
}

// register gives a name to a key: a new name, one that was removed, or one that the key has.
func (r *Registry) register(ctx context.Context, name string, key crypto.PublicKey) (generation uint64, err error) {
	hash, err := keyHash(key)
	if err != nil {
		return 0, err
	}
	rec, revision, has, err := r.find(ctx, name, hash)
	if err != nil || has {
		return rec.Generation, err
	}
	rec = nodeRecord{Generation: rec.Generation + 1, Key: hash, Joined: r.now().UTC()}
	if err := r.put(ctx, nodePrefix+name, rec, revision); err != nil {
		if concord.KindOf(err) == concord.Conflict {
			err = errNameTaken(name)
		}
		return 0, err
	}
	return rec.Generation, nil
}

func errNameTaken(name string) error {
	return concord.Errorf(concord.Conflict, "another node of this cluster has the name %s: choose another name, or remove that node first (concord cluster remove %s)", name, name)
}

// free says whether a key may have a name, and whether it has it already.
func (r *Registry) free(ctx context.Context, name string, key crypto.PublicKey) (has bool, err error) {
	hash, err := keyHash(key)
	if err != nil {
		return false, err
	}
	_, _, has, err = r.find(ctx, name, hash)
	return has, err
}

// find reads what is on record of a name, if anything, for the key of that hash. Errors: Conflict when the name is another key's.
func (r *Registry) find(ctx context.Context, name, hash string) (rec nodeRecord, revision uint64, has bool, err error) {
	revision, err = r.get(ctx, nodePrefix+name, &rec)
	switch {
	case err != nil:
		return nodeRecord{}, 0, false, err
	case revision == 0 || rec.Removed:
		return rec, revision, false, nil
	case rec.Key != hash:
		return nodeRecord{}, 0, false, errNameTaken(name)
	}
	return rec, revision, true, nil
}

// Remove keeps out a node, from the next handshake on: running connections are not cut. A name nobody has is no error.
func (r *Registry) Remove(ctx context.Context, name string) error {
	var rec nodeRecord
	return r.change(ctx, nodePrefix+name, &rec, func() error {
		if rec.Generation == 0 {
			rec.Generation = 1 // a node from before there were names on record
		}
		rec.Removed = true
		return nil
	})
}

// change replaces the value of a name by what f makes of it, against others who do the same.
func (r *Registry) change(ctx context.Context, name string, value any, f func() error) error {
	var err error
	for range casTries {
		var revision uint64
		if revision, err = r.get(ctx, name, value); err != nil {
			return err
		}
		if err = f(); err != nil {
			return err
		}
		if err = r.put(ctx, name, value, revision); concord.KindOf(err) != concord.Conflict {
			return err
		}
	}
	return concord.Errorf(concord.Unavailable, "too many changes at once, try again: %w", err)
}

// get reads a value; revision 0 says that there is none.
func (r *Registry) get(ctx context.Context, name string, value any) (revision uint64, err error) {
	m, err := r.store.Get(ctx, name)
	if concord.KindOf(err) == concord.NotFound {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if err := json.Unmarshal(m.Data, value); err != nil {
		return 0, concord.Errorf(concord.Corrupt, "value %s: %w", name, err)
	}
	return m.Revision, nil
}

func (r *Registry) put(ctx context.Context, name string, value any, revision uint64) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	_, err = r.store.Put(ctx, name, data, revision)
	return err
}

func keyHash(key crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", err
	}
	h := sha256.Sum256(der)
	return hex.EncodeToString(h[:]), nil
}
