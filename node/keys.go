package node

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"concord"
	"concord/join"
	"concord/note"
)

// The operator's keys are changed on the node that keeps the ledger. The others of its cluster see in the ledger that they have been, and fetch
// them there: from the door, as they got them when they joined, over TLS between the two nodes alone. A message engine of the operator's own
// is not told secrets.

const (
	keysPath = "/node/v1/keys"
	// keysEvery is how often a node looks whether its keys are those of the ledger.
	keysEvery = 2 * time.Second
)

// keys hands out the file of the operator's keys to nodes of the cluster.
func (d *door) keys(w http.ResponseWriter, r *http.Request) {
	if _, ok := join.PeerOf(r.TLS); !ok {
		http.Error(w, "only nodes of the cluster are answered here", http.StatusForbidden)
		return
	}
	if !d.n.keepsLedger() {
		http.Error(w, "another node keeps the ledger, and has the keys first", http.StatusNotFound)
		return
	}
	data, err := os.ReadFile(d.n.path("keys", note.KeysFile))
	if err != nil {
		http.Error(w, "the keys cannot be read; the log of this node says why", http.StatusInternalServerError)
		d.n.cfg.Logger.Error("the operator's keys are not handed to another node", "error", err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(data) // who left asks again
}

// keyring is how a node that does not keep the ledger has the operator's keys.
type keyring struct {
	following sync.Mutex // held by who fetches
	mu        sync.Mutex
	missing   error // why it has not those that the ledger knows; nil: it has
}

func (k *keyring) set(err error) (news bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	news = (k.missing == nil) != (err == nil)
	k.missing = err
	return news
}

func (k *keyring) problem() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.missing
}

// watchKeys keeps this node's keys those of the ledger.
func (n *Node) watchKeys(ctx context.Context) error {
	if n.remoteLedger == nil {
		return nil
	}
	for {
		_ = n.followKeys(ctx) // told in the log and in the status, and tried again
		if sleep(ctx, keysEvery) != nil {
			return nil
		}
	}
}

// followKeys fetches the operator's keys if the ledger knows others than this node. Unavailable: they could not be had.
func (n *Node) followKeys(ctx context.Context) error {
	n.keyring.following.Lock()
	defer n.keyring.following.Unlock()
	labels := n.outdated()
	var err error
	if len(labels) > 0 {
		if err = n.fetchKeys(ctx); err == nil {
			if labels = n.outdated(); len(labels) > 0 {
				err = fmt.Errorf("they are not the ones that the ledger knows")
			}
		}
		if err != nil {
			err = concord.Errorf(concord.Unavailable, "this operator's key (%s) was changed, and this node has not the new one: the node that keeps the ledger was asked for it: %w. "+
				"What this node attests waits on its disk. It asks again by itself; otherwise stop it, copy keys/%s from there with mode 0600, and start it", strings.Join(labels, ", "), err, note.KeysFile)
		} else {
			n.cfg.Logger.Info("the operator's keys were changed, and this node has the new ones")
		}
	}
	if n.keyring.set(err) && err != nil && ctx.Err() == nil {
		n.cfg.Logger.Warn("the operator's keys", "error", err)
	}
	return err
}

// outdated names the keys of which the ledger knows another than this node, and not one that this node had before.
func (n *Node) outdated() (labels []string) {
	for _, m := range n.remoteLedger.Members() {
		if m.Name != n.layout.Operator {
			continue
		}
		for label, s := range map[string]*note.Signer{"op": n.keys.Op, "cosign": n.keys.Cosign, "log": n.keys.Log} {
			the, err := note.ParseKey(m.Keys[label])
			if err == nil && the != s.Key() && !n.keys.Was(the) {
				labels = append(labels, label)
			}
		}
	}
	slices.Sort(labels)
	return labels
}

// fetchKeys takes up the keys of the node that keeps the ledger.
func (n *Node) fetchKeys(ctx context.Context) error {
	keeper, ok := ledgerKeeper(n.view())
	if !ok || keeper.Addrs[addrCluster] == "" {
		return fmt.Errorf("it is not among the nodes that are known")
	}
	file, err := n.keysAt(ctx, keeper.Addrs[addrCluster])
	if err == nil {
		err = n.keys.Follow(file)
	}
	if err != nil {
		return fmt.Errorf("node %s: %w", keeper.Name, err)
	}
	return nil
}

// keysAt asks at a node's door for the file of the operator's keys.
func (n *Node) keysAt(ctx context.Context, addr string) (file string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+addr+keysPath, nil)
	if err != nil {
		return "", err
	}
	resp, err := doorClient(n.identity, askTimeout).Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, doorBodyBytes+1))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, concord.Clip(strings.TrimSpace(string(data)), 200))
	}
	return string(data), err
}

// attestedLedger is the ledger as this node's attestor puts batches into it. One that was signed with a key that is not the operator's any more is a
// Conflict once the new key is here, and is signed again; until then it waits, durably, as when the ledger is away.
type attestedLedger struct {
	*remoteLedger
	follow func(context.Context) error // fetches the operator's keys, if they were changed
}

func (l attestedLedger) Submit(ctx context.Context, tx []byte) (index uint64, err error) {
	index, err = l.remoteLedger.Submit(ctx, tx)
	if concord.KindOf(err) == concord.Conflict {
		l.forget()
		if away := l.follow(ctx); away != nil {
			return 0, away
		}
	}
	return index, err
}
