package node

import (
	"encoding/json"
	"time"

	"concord/warc"
)

// fieldBatch is in the archive's note of a batch: batchNote as JSON. The IDs of the captures follow, each in a field of
// the name fieldCapture, in the order of their entries.
const (
	fieldBatch   = "concord-batch"
	fieldCapture = "capture"
)

// batchNote is the attest transaction of a batch.
type batchNote struct {
	Attest string `json:"attest"`
}

// keepBatch puts a batch on record in the archive before it is attested: with it and the operator's key, the receipts of
// its captures can be made again.
func (n *Node) keepBatch(attest []byte, captures []string) error {
	data, err := json.Marshal(batchNote{string(attest)})
	if err != nil {
		return err
	}
	fields := []warc.Field{{Name: fieldBatch, Value: string(data)}}
	for _, id := range captures {
		fields = append(fields, warc.Field{Name: fieldCapture, Value: id})
	}
	_, err = n.archive.Append([][]warc.Record{{warc.NewNote(time.Now(), fields...)}})
	return err
}

// readBatch reads what keepBatch wrote; ok is false when it is something else.
func readBatch(f warc.Fields) (attest []byte, captures []string, ok bool) {
	var b batchNote
	if len(f) == 0 || f[0].Name != fieldBatch || json.Unmarshal([]byte(f[0].Value), &b) != nil || b.Attest == "" {
		return nil, nil, false
	}
	return []byte(b.Attest), f.Values(fieldCapture), true
}
