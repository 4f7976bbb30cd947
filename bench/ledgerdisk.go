package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"
	dbm "github.com/cometbft/cometbft-db"
)

// ledgerDisk is what attestations leave on one operator's disk, each in a block of its own, as when captures come slowly.
type ledgerDisk struct {
	Operators int              `json:"operators"`
	Batches   int              `json:"batches"`
	Entries   uint64           `json:"entries"` // attestations, block records and what founded the ledger
	Blocks    int64            `json:"blocks"`  // with the empty one after each
	Log       map[string]int64 `json:"logBytes"`
	Files     map[string]int64 `json:"fileBytes"` // after compaction, which the databases do by themselves as they grow
}

// measureDisk attests batch after batch and looks at what is on disk.
func measureDisk(ctx context.Context, c config) (list []ledgerDisk, err error) {
	z := ledgerSizesOf(c)
	for _, n := range z.operators {
		if z.batches[n] == 0 {
			continue
		}
		d, err := diskOf(ctx, c, n, z.batches[n])
		if err != nil {
			return nil, fmt.Errorf("%d operators: %w", n, err)
		}
		list = append(list, *d)
		logf("disk, %d operators, %d batches: log %v, files %v", n, d.Batches, d.Log, d.Files)
	}
	return list, nil
}

func diskOf(ctx context.Context, c config, n, batches int) (*ledgerDisk, error) {
	l, err := foundLedger(ctx, c, n)
	if err != nil {
		return nil, err
	}
	defer l.end()
	first := l.list[0]
	if _, err := l.loadEach(l.list[:1], loadSpec{Count: batches, AtOnce: 1, Attest: true}); err != nil {
		return nil, err
	}
	a, err := first.tell(order{Do: "status"})
	if err != nil {
		return nil, err
	}
	d := &ledgerDisk{Operators: n, Batches: batches, Entries: a.Status.Size, Blocks: a.Status.Height}
	if _, err := first.tell(order{Do: "close"}); err != nil {
		return nil, err
	}
	dir := filepath.Join(first.dir, "chain")
	if d.Log, err = compactLog(ctx, filepath.Join(dir, "log")); err != nil {
		return nil, err
	}
	for _, name := range []string{"blockstore", "state"} {
		if err := compactEngine(name, filepath.Join(dir, "engine", "data")); err != nil {
			return nil, err
		}
	}
	d.Files = chainFiles(dir)
	return d, nil
}

// chainFiles are the bytes of a chain's directory by part.
func chainFiles(dir string) map[string]int64 {
	data := filepath.Join(dir, "engine", "data")
	m := map[string]int64{"log": fileBytes(filepath.Join(dir, "log")), "blocks": fileBytes(filepath.Join(data, "blockstore.db")),
		"state": fileBytes(filepath.Join(data, "state.db")), "wal": fileBytes(filepath.Join(data, "cs.wal"))}
	m["other"] = fileBytes(dir) - m["log"] - m["blocks"] - m["state"] - m["wal"]
	return m
}

// logKinds are the parts of the log's store by the first byte of their keys (chain/store.go).
var logKinds = map[byte]string{'e': "entries", 'h': "tiles", 'l': "leaf index", 't': "term index", 'c': "checkpoints", 's': "state"}

// compactLog compacts the store of a log, and returns the bytes of keys and values by their kind.
func compactLog(ctx context.Context, dir string) (m map[string]int64, err error) {
	db, err := pebble.Open(dir, &pebble.Options{FormatMajorVersion: pebble.FormatNewest, Logger: quietStore{}})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := errors.Join(db.Flush(), db.Compact(ctx, []byte{0}, []byte{255}, false)); err != nil {
		return nil, err
	}
	it, err := db.NewIter(nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	m = map[string]int64{}
	for ok := it.First(); ok; ok = it.Next() {
		kind := logKinds[it.Key()[0]]
		if kind == "" {
			kind = "other"
		}
		m[kind] += int64(len(it.Key()) + len(it.Value()))
	}
	return m, it.Error()
}

// quietStore drops Pebble's notes about its compactions.
type quietStore struct{}

func (quietStore) Infof(string, ...any)              {}
func (quietStore) Errorf(string, ...any)             {}
func (quietStore) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// compactEngine compacts a database of CometBFT's.
func compactEngine(name, dir string) error {
	db, err := dbm.NewGoLevelDB(name, dir)
	if err != nil {
		return err
	}
	return errors.Join(db.Compact(nil, nil), db.Close())
}
