package witness

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(w.cfg.Dir, name), 0o600, func(out io.Writer) error {
		_, err := out.Write(data)
		return err
	})
}

// readFile returns a file's bytes, nil when it is not there.
func (w *Witness) readFile(name string) ([]byte, error) {
	path := filepath.Join(w.cfg.Dir, name)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && info.Size() > maxFile {
		err = concord.Errorf(concord.Corrupt, "%s: %d bytes is too long for this file", path, info.Size())
	}
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

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
		data, err := w.readFile(name)
		if err != nil {
			return err
		}
		n, err := decodeNote(data)
		if err != nil {
			return fmt.Errorf("%s: %w; a note that was on its way is lost with it: delete the file, and notarise again", filepath.Join(w.cfg.Dir, name), err)
		}
		w.notes[name] = n
	}
	return nil
}

// decodeNote reads what writeFile wrote of a note.
func decodeNote(data []byte) (*waiting, error) {
	n := new(waiting)
	if err := strictJSON(data, n); err != nil {
		return nil, err
	}
	if len(n.Digests) == 0 || len(n.Digests) > ledger.MaxDocs {
		return nil, concord.Errorf(concord.Corrupt, "%d documents, want 1 to %d", len(n.Digests), ledger.MaxDocs)
	}
	return n, nil
}

func strictJSON(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil && d.More() {
		err = errors.New("more than one value")
	}
	if err != nil {
		return concord.Errorf(concord.Corrupt, "the file is damaged: %w", err)
	}
	return nil
}
