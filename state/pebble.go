package state

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"concord"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// PebbleManifestBytes is the MaxManifestFileSize that stores should be opened with. Pebble's own list of its tables is copied into every
// checkpoint and grows with each flush, by default up to 128 MB, which would be uploaded again and again.
const PebbleManifestBytes = 64 << 10

// CheckpointPebble makes dir, which must not exist, hold the store as it is now: hard links to tables, which never change, and copies of
// the small files. Everything written before the call is in it, also what was not synced.
//
// The store is flushed first, so that its tables have nearly everything, and the write-ahead log is cut behind what was written since:
// Pebble writes its logs over old ones without shortening them, and copies them at full length, which would be up to a memory table of
// old bytes to upload with each state.
func CheckpointPebble(db *pebble.DB, dir string) error {
	if err := db.Flush(); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	if err := db.Checkpoint(dir, pebble.WithFlushedWAL()); err != nil {
		return err
	}
	return cutLog(dir)
}

const logSuffix = ".log"

// cutLog cuts the newest write-ahead log in dir behind its last whole record. Older ones were ended by Pebble.
func cutLog(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	newest := uint64(0)
	for _, e := range entries {
		if number, isLog := strings.CutSuffix(e.Name(), logSuffix); isLog {
			if n, err := strconv.ParseUint(number, 10, 32); err == nil {
				newest = max(newest, n)
			}
		}
	}
	if newest == 0 {
		return nil
	}
	path := filepath.Join(dir, fmt.Sprintf("%06d%s", newest, logSuffix))
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	records := newLogReader(record.NewReader, f, newest)
	end := int64(0)
	for {
		r, err := records.Next()
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		if errors.Is(err, io.EOF) || record.IsInvalidRecord(err) {
			break
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		end = records.Offset()
	}
	return os.Truncate(path, end)
}

// newLogReader calls record.NewReader, whose type for log numbers cannot be named outside of Pebble.
func newLogReader[N ~uint64](make func(io.Reader, N) *record.Reader, r io.Reader, number uint64) *record.Reader {
	return make(r, N(number))
}

// PeekPebble opens the Pebble store in dir without changing it, lets read find out where it stands, and closes it. Errors: NotFound when
// there is no store; Corrupt when it is damaged.
func PeekPebble(dir string, read func(*pebble.DB) (Local, error)) (local Local, err error) {
	desc, err := pebble.Peek(dir, vfs.Default)
	switch {
	case errors.Is(err, os.ErrNotExist) || err == nil && !desc.Exists:
		return Local{}, concord.Errorf(concord.NotFound, "no store in %s", dir)
	case err != nil:
		return Local{}, damaged(dir, err)
	}
	defer func() {
		switch p := recover().(type) {
		case nil:
		case fatal:
			err = concord.Errorf(concord.Corrupt, "store in %s: %s", dir, string(p))
		default:
			panic(p)
		}
	}()
	db, err := pebble.Open(dir, &pebble.Options{ReadOnly: true, ErrorIfNotExists: true, Logger: quiet{}, FormatMajorVersion: pebble.FormatNewest})
	if err != nil {
		return Local{}, damaged(dir, err)
	}
	local, err = read(db)
	if err = errors.Join(err, db.Close()); err != nil {
		return Local{}, damaged(dir, err)
	}
	return local, nil
}

// damaged makes a Corrupt error of one that says so in Pebble's own way, or that a file is missing. Others, that the store is in use for
// one, are no damage.
func damaged(dir string, err error) error {
	if pebble.IsCorruptionError(err) || errors.Is(err, os.ErrNotExist) || errors.Is(err, io.ErrUnexpectedEOF) {
		return concord.Errorf(concord.Corrupt, "store in %s: %w", dir, err)
	}
	return fmt.Errorf("store in %s: %w", dir, err)
}

// quiet drops Pebble's notes; fatal ones become panics that PeekPebble turns into errors.
type quiet struct{}

type fatal string

func (quiet) Infof(string, ...any)           {}
func (quiet) Errorf(string, ...any)          {}
func (quiet) Fatalf(format string, a ...any) { panic(fatal(fmt.Sprintf(format, a...))) }
