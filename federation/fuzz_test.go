package federation

import (
	"encoding/json"
	"testing"

	"concord/receipt"
	"concord/text"
)

// Whatever comes, it is refused or within bounds; and what passes the checks against a ledger is attested there.
func FuzzDecode(f *testing.F) {
	l := newLog("alice.example", "bob.example")
	good := l.honest("bob.example", harbour, boats)
	f.Add(must(json.Marshal(map[string]any{"results": good})))
	f.Add(must(json.Marshal(map[string]any{"results": l.honest("alice.example", nets)})))
	for _, s := range []string{``, `{}`, `{"results":[]}`, `{"results":[{"capture":"x","proof":{"receipt":"","text":"a b","title":1}}]}`, `{"results":[null]}`,
		`{"results":[{"capture":"x","proof":{"title":1e99}}]}`, "{\"results\":[{\"capture\":\"\\u0000\"}]}"} {
		f.Add([]byte(s))
	}
	fed := &Federation{cfg: Config{Ledger: l}}
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := decode(data, MaxResults)
		if err != nil {
			return
		}
		if len(list) > MaxResults {
			t.Fatalf("%d results", len(list))
		}
		for i := range list {
			c, why := fed.verify("bob.example", &list[i], map[uint64]string{})
			if why != "" {
				continue
			}
			if c.doc.URL != harbour.url && c.doc.URL != boats.url || c.doc.Title != "" && text.Normalise(c.doc.Title) != c.doc.Title {
				t.Fatalf("verified: %+v", c.doc)
			}
		}
	})
}

// What we hand out is what others accept, whatever title and text are.
func FuzzProof(f *testing.F) {
	f.Add("The harbour wall", "The council\nvoted.")
	f.Add("", "body")
	f.Add("title", "")
	f.Add("e", "\u0301 and more")
	f.Add("\u202e\ufeff", "\u00ad")
	f.Add("a\xff", " \u2003b")
	f.Fuzz(func(t *testing.T, title, body string) {
		l := newLog("bob.example")
		r := l.attest("bob.example", doc{"https://a.example/", title, body})[0]
		p, ok := NewProof(r, title, body)
		if _, other := NewProof(r, title, body+"x"); !ok || other {
			t.Fatalf("%q, %q: attested %v, another text %v", title, body, ok, other)
		}
		parts := must(receipt.Parse(r))
		d, why := document(&parts.Entry, p)
		if why != "" {
			t.Fatalf("%q, %q: %v", title, body, why)
		}
		if t1 := text.Normalise(title); p.Title > 0 && d.Title != t1 || p.Title == 0 && d.Title != "" {
			t.Fatalf("title %q of %q", d.Title, title)
		}
	})
}
