package node

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"concord"
	"concord/note"
)

// A batch that is signed with a key which was changed meanwhile waits until this node has the new one, and says what is missing; then it can be
// signed again.
func TestAttestedLedgerFollowsKeys(t *testing.T) {
	dir, there := t.TempDir(), t.TempDir()
	keys := operatorKeys(t, dir)
	path := filepath.Join(dir, "keys", note.KeysFile)
	copied, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(there, "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := note.WritePrivate(filepath.Join(there, "keys", note.KeysFile), copied); err != nil {
		t.Fatal(err)
	}
	c := runningChainOf(t, dir, keys)
	n := &Node{cfg: testConfig(there), layout: layout{Operator: ledgerOperatorName, Chain: "net-1"}, keys: operatorKeys(t, there)}
	n.remoteLedger = openRemote(t, &direct{handlers: ledgerServices(c)}, "")
	l := attestedLedger{n.remoteLedger, n.followKeys}
	attestNext(t, l, n.keys)
	if err := n.followKeys(t.Context()); err != nil || n.keyring.problem() != nil {
		t.Fatal("keys that are those of the ledger:", err)
	}

	was := keys.Op.Key()
	if _, err := c.Rotate("op"); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); keys.Op.Key() == was; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the key was not changed")
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	seq, prev, err := l.Next(ledgerOperatorName)
	for ; concord.KindOf(err) == concord.Unavailable && ctx.Err() == nil; seq, prev, err = l.Next(ledgerOperatorName) {
		time.Sleep(time.Millisecond) // until this node's copy of the ledger has the new key
	}
	if err != nil {
		t.Fatal(err)
	}
	old := attestation(t, c.ID(), n.keys, seq, prev)
	if _, err := l.Submit(ctx, old); concord.KindOf(err) != concord.Unavailable || !strings.Contains(err.Error(), "key (op) was changed") || !strings.Contains(err.Error(), "copy keys/operator.keys") {
		t.Errorf("submitted with the old key: %v", err)
	}
	if err := n.keyring.problem(); err == nil {
		t.Error("the status does not say what is missing")
	}
	now, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.keys.Follow(string(now)); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Submit(ctx, old); concord.KindOf(err) != concord.Conflict || n.keyring.problem() != nil {
		t.Errorf("submitted with the old key when the new one is here: %v; %v", err, n.keyring.problem())
	}
	attestNext(t, l, n.keys)
}
