package warc

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"concord"
	"concord/durable"
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
	d := disk{FS: cfg.FS, dir: cfg.Dir}
	unlock, err := d.prepare()
	if err != nil {
		return nil, fmt.Errorf("open archive: %w", err)
	}
	a := &Archive{cfg: cfg, disk: d, unlock: unlock, reads: make(chan struct{}, cfg.Reads), files: map[string]*FileInfo{}}
	if err := a.load(); err != nil {
		if a.out != nil {
			a.out.f.Close()
		}
		return nil, fmt.Errorf("open archive: %w", errors.Join(err, unlock()))
	}
	return a, nil
}

// load lists the files and recovers those that are not sealed.
func (a *Archive) load() error {
	if err := durable.RemoveTemps(a.disk, a.disk.dir); err != nil {
		return err
	}
	names, err := a.disk.ReadDir(a.disk.dir)
	if err != nil {
		return fmt.Errorf("list: %w", err)
	}
	present := make(map[string]bool, len(names))
	for _, name := range names {
		present[name] = true
	}
	for _, name := range names {
		if namePattern.MatchString(name) {
			if err := a.admit(name, present); err != nil {
				return fmt.Errorf("list: %w", err)
			}
		}
	}
	names = a.namesLocked()
	for i, name := range names {
		if !a.files[name].Sealed {
			if err := a.recover(name, i == len(names)-1); err != nil {
				return fmt.Errorf("recover %s: %w", name, err)
			}
		}
	}
	return nil
}

// admit takes a file into the list.
func (a *Archive) admit(name string, present map[string]bool) error {
	_, size, closeFile, err := a.disk.open(name)
	if err != nil {
		return err
	}
	if err := closeFile(); err != nil {
		return err
	}
	info := &FileInfo{Name: name, Bytes: size, Sealed: present[indexName(name)]}
	if info.Sealed && present[name+damageSuffix] {
		b, err := a.disk.ReadFile(a.disk.path(name + damageSuffix))
		if err != nil {
			return err
		}
		info.Damages = strings.Split(strings.TrimSpace(string(b)), "\n")
	}
	a.serial = max(a.serial, serialOf(name))
	a.files[name] = info
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
	s, err := a.scanFile(name)
	if err != nil {
		return err
	}
	f, err := a.disk.OpenAppend(a.disk.path(name), filePerm)
	if err != nil {
		return err
	}
	if err = a.settle(f, name, s); err != nil || s.end == 0 {
		f.Close()
		if err == nil {
			err = a.removeEmpty(name)
		}
		return err
	}
	info := a.files[name]
	info.Bytes, info.Damages = s.end, s.damages
	a.out = &output{f: f, name: name, size: s.end, lines: s.lines}
	if len(s.damages) > 0 {
		if err := a.reportDamage(name, s.damages); err != nil {
			return err
		}
	} else if newest && s.end < a.cfg.MaxFile {
		return nil
	}
	return a.seal()
}

// reportDamage logs damaged places and keeps them on record beside the file, before it is sealed.
func (a *Archive) reportDamage(name string, damages []string) error {
	for _, d := range damages {
		a.cfg.Log.Error("archive file is damaged; whole records before and behind the place are kept", "file", name, "damage", d)
	}
	return durable.WriteFileTo(a.disk, a.disk.path(name+damageSuffix), filePerm, func(w io.Writer) error {
		return writeLines(w, damages)
	})
}

// fileScan is what reading a file through found.
type fileScan struct {
	end     int64    // behind the last whole record
	stored  int64    // bytes of the file
	lines   []string // CDXJ lines
	damages []string // in front of end
	tail    []string // behind it
	gaveUp  bool     // there were too many damages
}

// anyBlock is the limit under which the archive's own records are read through: what was accepted once is kept, even when
// the configured limit is lower now.
const anyBlock = 1 << 40

// scanFile reads a file of the archive, in which every record is a gzip member of its own.
func (a *Archive) scanFile(name string) (*fileScan, error) {
	f, size, closeFile, err := a.disk.open(name)
	if err != nil {
		return nil, err
	}
	defer closeFile()
	s, err := scanMembers(f, name)
	if err != nil {
		return nil, err
	}
	s.stored = size
	if s.gaveUp {
		s.end = size
	}
	return s, nil
}

// scanMembers reads the records of what is, or is to be, the archive file of that name.
func scanMembers(src io.Reader, name string) (*fileScan, error) {
	s := new(fileScan)
	r := NewReader(src, Limits{MaxBlock: anyBlock})
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
		s.damages, s.tail = append(s.damages, s.tail...), nil
		if err != nil { // too many damages: what follows is not looked at
			s.damages, s.gaveUp = append(s.damages, err.Error()), true
			return s, nil
		}
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

// settle cuts what stands behind the last whole record, an append that was never acknowledged, and makes durable what is
// kept: after a kill whole records may stand there that were written but not yet synced.
func (a *Archive) settle(f durable.File, name string, s *fileScan) error {
	if s.end < s.stored {
		a.cfg.Log.Warn("cut the unfinished end of an archive file", "file", name, "kept", s.end, "cut", s.stored-s.end,
			"found", strings.Join(s.tail, "; "))
		if err := f.Truncate(s.end); err != nil {
			return err
		}
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return a.disk.SyncDir(a.disk.dir)
}

// removeEmpty removes a file that holds no record at all.
func (a *Archive) removeEmpty(name string) error {
	delete(a.files, name)
	if err := a.disk.Remove(a.disk.path(name)); err != nil {
		return err
	}
	return a.disk.SyncDir(a.disk.dir)
}
