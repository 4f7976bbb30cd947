package warc

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"concord"
)

// namePattern is what the archive's own files are called. Other files in the directory are left alone.
var namePattern = regexp.MustCompile(`^concord-[0-9]{14}-([0-9]{5,})-[a-z0-9]{6}\.warc\.gz$`)

// Open opens the archive in cfg.Dir, which it makes when it is missing. Files without an index are read through: behind
// their last whole record, what a crash left is cut off (and logged); damage in front of whole records is kept, logged,
// and listed by Files. Another process that has the archive open is a Conflict.
func Open(cfg Config) (*Archive, error) {
	cfg = cfg.withDefaults()
	if cfg.Dir == "" {
		return nil, concord.Errorf(concord.Invalid, "archive needs a directory")
	}
	if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("make archive directory: %w", err)
	}
	lock, err := lockDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	a := &Archive{cfg: cfg, lock: lock, reads: make(chan struct{}, cfg.Reads), files: map[string]*FileInfo{}}
	if err := a.load(); err != nil {
		return nil, errors.Join(err, lock.release())
	}
	return a, nil
}

// load lists the files and recovers those that are not sealed.
func (a *Archive) load() error {
	entries, err := os.ReadDir(a.cfg.Dir)
	if err != nil {
		return fmt.Errorf("list archive: %w", err)
	}
	sealed := map[string]bool{}
	for _, e := range entries {
		sealed[e.Name()] = true
	}
	for _, e := range entries {
		m := namePattern.FindStringSubmatch(e.Name())
		if m == nil || !e.Type().IsRegular() {
			continue
		}
		serial, _ := strconv.Atoi(m[1])
		a.serial = max(a.serial, serial)
		info, err := e.Info()
		if err != nil {
			return fmt.Errorf("list archive: %w", err)
		}
		a.files[e.Name()] = &FileInfo{Name: e.Name(), Bytes: info.Size(), Sealed: sealed[indexName(e.Name())]}
	}
	names := a.namesLocked()
	for i, name := range names {
		if !a.files[name].Sealed {
			if err := a.recover(name, i == len(names)-1); err != nil {
				return fmt.Errorf("recover %s: %w", name, err)
			}
		}
	}
	return nil
}

// namesLocked returns the file names in the order of their serial numbers.
func (a *Archive) namesLocked() []string {
	names := make([]string, 0, len(a.files))
	for name := range a.files {
		names = append(names, name)
	}
	sort.Slice(names, func(i, j int) bool {
		x, y := serialOf(names[i]), serialOf(names[j])
		if x != y {
			return x < y
		}
		return names[i] < names[j]
	})
	return names
}

func serialOf(name string) int {
	if m := namePattern.FindStringSubmatch(name); m != nil {
		n, _ := strconv.Atoi(m[1])
		return n
	}
	return 0
}

// recover reads a file that has no index. The newest one is gone on with, when it is neither full nor damaged; the others
// get their index.
func (a *Archive) recover(name string, newest bool) error {
	f, err := os.OpenFile(filepath.Join(a.cfg.Dir, name), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	s, err := scanFile(f, name, a.cfg.MaxBlock)
	if err == nil {
		err = a.cutTail(f, name, s)
	}
	if err != nil || s.end == 0 {
		f.Close()
		if err == nil {
			err = a.removeEmpty(name)
		}
		return err
	}
	info := a.files[name]
	info.Bytes, info.Damages = s.size(), s.damages
	for _, d := range s.damages {
		a.cfg.Log.Error("archive file is damaged; whole records before and behind the place are kept", "file", name, "damage", d)
	}
	a.out = &output{f: f, name: name, size: s.end, lines: s.lines}
	if newest && len(s.damages) == 0 && s.end < a.cfg.MaxFile {
		return nil
	}
	return a.seal()
}

// fileScan is what reading a file through found.
type fileScan struct {
	end     int64    // behind the last whole record
	stored  int64    // bytes of the file
	lines   []string // CDXJ lines
	damages []string // in front of end
	tail    []string // behind it
}

// size is how much of the file is kept.
func (s *fileScan) size() int64 { return s.end }

// scanFile reads a file of the archive, in which every record is a gzip member of its own.
func scanFile(f *os.File, name string, maxBlock int64) (*fileScan, error) {
	s := new(fileScan)
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	s.stored = info.Size()
	r := NewReader(f, Limits{MaxBlock: maxBlock})
	for {
		rec, err := r.Next()
		if err == io.EOF {
			return s, nil
		}
		if d, ok := errors.AsType[*Damage](err); ok {
			s.tail = append(s.tail, d.Error())
			continue
		}
		if err != nil && concord.KindOf(err) != concord.Corrupt {
			return nil, err
		}
		if err != nil { // too many damages: what follows is not looked at
			s.tail = append(s.tail, err.Error())
			s.damages, s.tail = append(s.damages, s.tail...), nil
			s.end = s.stored
			return s, nil
		}
		s.damages, s.tail = append(s.damages, s.tail...), nil
		s.add(rec, name)
	}
}

func (s *fileScan) add(rec *Record, name string) {
	if !rec.Whole {
		s.damages = append(s.damages, fmt.Sprintf("at offset %d: record is not a gzip member of its own", rec.Offset))
		s.end = max(s.end, rec.Offset+rec.Length)
		return
	}
	s.end = rec.Offset + rec.Length
	if line, ok := indexLine(rec); ok {
		line.Location = concord.Location{File: name, Offset: rec.Offset, Length: rec.Length}
		s.lines = append(s.lines, line.String())
	}
}

// cutTail cuts what stands behind the last whole record: an append that was never acknowledged.
func (a *Archive) cutTail(f *os.File, name string, s *fileScan) error {
	if s.end == s.stored {
		return nil
	}
	a.cfg.Log.Warn("cut the unfinished end of an archive file", "file", name, "kept", s.end, "cut", s.stored-s.end,
		"found", strings.Join(s.tail, "; "))
	if err := f.Truncate(s.end); err != nil {
		return err
	}
	return f.Sync()
}

// removeEmpty removes a file that holds no record at all.
func (a *Archive) removeEmpty(name string) error {
	delete(a.files, name)
	if err := os.Remove(filepath.Join(a.cfg.Dir, name)); err != nil {
		return err
	}
	return syncDir(a.cfg.Dir)
}
