package node

import (
	"log/slog"
	"testing"
	"time"

	"concord/blob"
	"concord/vault"
	"concord/warc"
)

func TestShareArchive(t *testing.T) {
	a, err := warc.Open(warc.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	if alone, v, err := shareArchive(a, nil, nil, nil, nil, log); err != nil || v != nil || alone != archiver(a) {
		t.Fatal("a node that is alone does not use its archive as it is", err)
	}
	blobs, err := blob.Dir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer blobs.Close()
	shared, v, err := shareArchive(a, blobs, nil, nil, nil, log)
	if err != nil {
		t.Fatal(err)
	}
	defer shared.Close()
	ran := make(chan error, 1)
	go func() { ran <- v.Run(t.Context()) }()
	places, err := shared.Append([][]warc.Record{{warc.NewNote(time.Now(), warc.Field{Name: "note", Value: "x"})}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := shared.Read(places[0][0]); err != nil {
		t.Error(err)
	}
	if archiveServices(v)[vault.Service] == nil {
		t.Error("nothing is served")
	}
	if files, err := vault.Stored(t.Context(), blobs); err != nil || len(files) != 1 || files[0].Missing != 0 {
		t.Errorf("%+v %v", files, err)
	}
}
