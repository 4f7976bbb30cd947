package chain

import "testing"

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
