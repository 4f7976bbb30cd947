package witness

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"concord"
	"concord/durable"
	"concord/ledger"
)

const (
	notePrefix = "note-"
	fileSuffix = ".json"
	// maxFile bounds a file of ours: a report with the longest text that a page has.
	maxFile = 16 << 20
)

// writeFile writes a value durably, readable by this user only.
func (w *Witness) writeFile(name string, v any) error {
	return durable.WriteJSON(filepath.Join(w.cfg.Dir, name), 0o600, v)
}

// readFile reads a file; found is false when it is not there.
func (w *Witness) readFile(name string, v checked) (found bool, err error) {
	path := filepath.Join(w.cfg.Dir, name)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil && info.Size() > maxFile {
		err = concord.Errorf(concord.Corrupt, "%s: %d bytes is too long for this file", path, info.Size())
	}
	if err != nil {
		return false, err
	}
	if err := durable.ReadJSON(path, v); err != nil {
		return false, err
	}
	if err := v.check(); err != nil {
		return false, concord.Errorf(concord.Corrupt, "%s is damaged: %w", path, err)
	}
	return true, nil
}

// checked is what a file holds.
type checked interface{ check() error }

func (w *Witness) removeFile(name string) error {
	err := os.Remove(filepath.Join(w.cfg.Dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// names returns our files that begin with a prefix.
func (w *Witness) names(prefix string) (list []string, err error) {
	all, err := os.ReadDir(w.cfg.Dir)
	for _, e := range all {
		if strings.HasPrefix(e.Name(), prefix) && strings.HasSuffix(e.Name(), fileSuffix) {
			list = append(list, e.Name())
		}
	}
	return list, err
}

func (w *Witness) loadNotes() error {
	names, err := w.names(notePrefix)
	if err != nil {
		return err
	}
	for _, name := range names {
		n := new(waiting)
		if _, err := w.readFile(name, n); err != nil {
			return fmt.Errorf("%w; the note that was on its way is lost with it: delete the file, and notarise again", err)
		}
		w.notes[name] = n
	}
	return nil
}

// check refuses what no note was ever made of.
func (n *waiting) check() error {
	if len(n.Digests) == 0 || len(n.Digests) > ledger.MaxDocs {
		return fmt.Errorf("%d documents, want 1 to %d", len(n.Digests), ledger.MaxDocs)
	}
	return nil
}
