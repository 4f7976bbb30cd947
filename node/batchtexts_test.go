package node

import (
	"bytes"
	"fmt"
	"testing"

	"concord"
)

// Whoever reads a batch piece by piece has it built once, whoever else reads another meanwhile; nothing is kept of what was read to its end, and
// little of what was not.
func TestBatchTexts(t *testing.T) {
	built := map[string]int{}
	texts := map[string][]byte{}
	for i, size := range []int{0, 5, ledgerPageBytes, ledgerPageBytes + 1, 3*ledgerPageBytes + 4, 5 * ledgerPageBytes} {
		text := make([]byte, size)
		for j := range text {
			text[j] = byte(i + j*j>>8)
		}
		texts[fmt.Sprintf("batch %d", i)] = text
	}
	build := func(attest []byte) ([]byte, error) {
		built[string(attest)]++
		text, ok := texts[string(attest)]
		if !ok {
			return nil, concord.Errorf(concord.NotFound, "no such batch")
		}
		return text, nil
	}
	var b batchTexts
	read := map[string][]byte{}
	more := texts
	for len(more) > 0 { // one piece of each in turn
		next := map[string][]byte{}
		for name := range more {
			p, err := b.piece(batchQuestion{[]byte(name), len(read[name])}, build)
			if err != nil {
				t.Fatal(err)
			}
			if read[name] = append(read[name], p.Data...); p.More {
				next[name] = nil
			}
		}
		more = next
	}
	for name, text := range texts {
		if !bytes.Equal(read[name], text) || built[name] != 1 {
			t.Errorf("%s: %d of %d bytes, or others, built %d times", name, len(read[name]), len(text), built[name])
		}
	}
	if len(b.kept) > 0 {
		t.Errorf("%d texts are kept after they were read", len(b.kept))
	}
	if _, err := b.piece(batchQuestion{[]byte("another"), 0}, build); concord.KindOf(err) != concord.NotFound {
		t.Errorf("a batch that is not there: %v", err)
	}

	long := texts["batch 5"] // readers that do not come back
	for i := range maxBatchTexts + 3 {
		if p, err := b.piece(batchQuestion{fmt.Appendf(nil, "left %d", i), 0}, func([]byte) ([]byte, error) { return long, nil }); err != nil || !p.More {
			t.Fatal(err)
		}
	}
	if len(b.kept) != maxBatchTexts {
		t.Errorf("%d texts are kept, want %d", len(b.kept), maxBatchTexts)
	}
	if p, err := b.piece(batchQuestion{[]byte("batch 5"), 4 * ledgerPageBytes}, build); err != nil || p.More || !bytes.Equal(p.Data, long[4*ledgerPageBytes:]) {
		t.Errorf("the end of a text that is not kept: %v", err)
	}
}
