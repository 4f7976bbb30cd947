package ledger

import (
	"strings"
	"testing"

	"concord"
	"concord/note"
)

// Every kind of transaction leads to its terms, and the terms of what is no transaction are none.
func TestTerms(t *testing.T) {
	h := Head{Chain: "net-1:0123456789ab", From: "alice.example", Seq: 3}
	d := func(s string) concord.Digest { return concord.Sum([]byte(s)) }
	key := d("key")
	op, err := note.NewSigner("alice.example", note.Ed25519, key[:])
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		body Body
		want string
	}{
		{&AskTx{Head: h, URL: "https://a.example/x", Profile: "text-1", Need: 2, Of: 3, Until: 60, Pay: 1}, "operator alice.example, type ask, url https://a.example/x"},
		{&SealTx{Head: h, Ask: 7, Round: 1, Commit: d("c")}, "operator alice.example, type seal, ask 7, digest " + d("c").String()},
		{&DocTx{Head: h, Digests: []concord.Digest{d("doc")}}, "operator alice.example, type doc, digest " + d("doc").String() + ", document " + d("doc").String()},
		{&PayTx{Head: h, To: "bob.example", Amount: 3, Ref: d("r")}, "operator alice.example, type pay, operator bob.example, digest " + d("r").String()},
		{&PayTx{Head: h, To: "bob.example", Amount: 3}, "operator alice.example, type pay, operator bob.example"},
		{&Gov{Chain: h.Chain, Epoch: 2, Powers: []Power{{Operator: "bob.example", Power: 1}, {Operator: "carol.example", Power: 1}}}, "type gov, operator bob.example, operator carol.example"},
		{&Gov{Chain: h.Chain, Epoch: 2, Drop: "bob.example"}, "type gov, operator bob.example"},
	} {
		tx, err := Sign(c.body, op)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, x := range Terms(tx) {
			got = append(got, x.Kind+" "+x.Value)
		}
		if s := strings.Join(got, ", "); s != c.want {
			t.Errorf("%T: %s, want %s", c.body, s, c.want)
		}
	}
	if got := Terms([]byte("no transaction")); len(got) > 0 {
		t.Errorf("terms of nothing: %v", got)
	}
}

// FuzzTerms reads any bytes: what an entry names is bounded by its length, each once.
func FuzzTerms(f *testing.F) {
	f.Add([]byte((&Record{Height: 3, Bad: []Evidence{{"DUPLICATE_VOTE", "bob.example", 2}}}).String()))
	f.Add([]byte("concord/tx/v1 doc\nchain net-1:0123456789ab\nfrom a.example\nseq 1\nsha256 " + concord.Sum(nil).String() + "\n\n— a.example AAAA\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		seen := map[concord.LedgerTerm]bool{}
		for _, x := range Terms(b) {
			if seen[x] || x.Kind == "" || x.Value == "" {
				t.Errorf("%q: term %v is empty, or there twice", b, x)
			}
			seen[x] = true
		}
		if len(seen) > len(b)+2 {
			t.Errorf("%d terms in %d bytes", len(seen), len(b))
		}
	})
}
