package receipt

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"

	"concord"
	"concord/note"

	"golang.org/x/mod/sumdb/tlog"
)

// batchOf makes the attest transaction and the text of n entries.
func batchOf(n int) (attest, text []byte) {
	var leaves []concord.Digest
	for i := range n {
		e := concord.Entry{Time: 1795320000 + int64(i), Status: 200, Raw: concord.Sum([]byte{byte(i)}), Record: concord.Sum([]byte("r")), URL: fmt.Sprintf("https://example.org/%d", i)}
		leaves = append(leaves, concord.Digest(tlog.RecordHash([]byte(e.String()))))
		text = fmt.Appendln(text, e.String())
	}
	a := concord.Attestation{Chain: "net-1:9f2c41d07ab3", From: "alice.example", Seq: 1, Count: uint64(n), Root: BatchRoot(leaves), First: 1795320000, Last: 1795320000 + int64(n) - 1}
	seed := concord.Sum([]byte("key"))
	k, err := note.NewSigner("alice.example", note.Ed25519, seed[:])
	if err != nil {
		panic(err)
	}
	if attest, err = note.Sign(a.String(), k); err != nil {
		panic(err)
	}
	return attest, text
}

// A batch of any size gives for each of its entries what the entry's receipt needs of it.
func TestBatchParts(t *testing.T) {
	for n := 1; n < 20; n++ {
		attest, text := batchOf(n)
		b, err := ParseBatch(attest, text)
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			p := b.Parts(i)
			if att, err := p.Attested(); err != nil || att.Count != uint64(n) || p.Entry.URL != fmt.Sprintf("https://example.org/%d", i) {
				t.Errorf("entry %d of %d: %v, %+v", i, n, err, p)
			}
		}
	}
}

// What anybody sends as a batch costs no more memory than its length lets one expect.
func TestBatchOfOneLongLine(t *testing.T) {
	attest, _ := batchOf(1)
	text := bytes.Repeat([]byte{' '}, MaxBatchBytes)
	text[len(text)-1] = '\n'
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := ParseBatch(attest, text)
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; concord.KindOf(err) != concord.Invalid || took > 2*MaxBatchBytes {
		t.Errorf("%d bytes, %v", took, err)
	}
}

// Only one text is the batch of an attestation.
func FuzzParseBatch(f *testing.F) {
	attest, text := batchOf(3)
	f.Add(text)
	f.Add(text[:len(text)-1])
	f.Add(append(bytes.Clone(text), '\n'))
	f.Add(bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n")))
	f.Add([]byte(nil))
	f.Add([]byte("\n\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := ParseBatch(attest, data)
		if (err == nil) != bytes.Equal(data, text) {
			t.Fatalf("%v: %q", err, data)
		}
		if err == nil && len(b.Entries) != 3 {
			t.Fatal(b)
		}
		if _, err := ParseBatch(data, text); err == nil {
			t.Fatalf("%q is an attestation", data)
		}
	})
}
