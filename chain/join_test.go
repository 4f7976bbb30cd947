package chain

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"concord"
)

// An operator that is invited again, with another address, is expected there.
func TestInviteAgain(t *testing.T) {
	t.Parallel()
	f := newFederation(t, 1)
	alice := f.list[0]
	b, err := alice.Bundle()
	if err != nil {
		t.Fatal(err)
	}
	id, err := Join(partyConfig(t, "bob", b.Origin), &b)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		id.Addr = freeAddr(t)
		if _, err := alice.Invite(id); err != nil {
			t.Fatal(err)
		}
		if list := alice.book.all(); len(list) != 1 || list[0] != (Peer{id.Operator, id.Node, id.Addr}) {
			t.Errorf("bob is at %s, alice knows %v", id.Addr, list)
		}
	}
	if list := alice.Ballots(); len(list) != 1 {
		t.Errorf("one admission waits, not %d", len(list))
	}
}

// A genesis file that is damaged is an error that names it: nothing else says so much about the ledger.
func TestOriginOfDamagedGenesis(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, t.TempDir())
	c := start(t, cfg)
	if err := c.stop(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(cfg.Dir, genesisFile)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(good); at += 37 {
		bad := bytes.Clone(good)
		bad[at] ^= 0x80
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Origin(cfg.Dir)
		if err == nil {
			_, err = Open(cfg)
		}
		if err == nil || !strings.Contains(err.Error(), path) || concord.KindOf(err) == concord.Internal {
			t.Errorf("byte %d: %v", at, err)
		}
	}
}
