package warc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"concord"
	"concord/durable"
)

func noteRecord(i int) Record {
	return NewNote(time.Unix(1e9, 0), Field{"note", fmt.Sprint(i)})
}

// appendNotes appends n records and returns where they lie.
func appendNotes(t *testing.T, a *Archive, n int) (locs []concord.Location) {
	t.Helper()
	for i := range n {
		places, err := a.Append([][]Record{{noteRecord(i)}})
		if err != nil {
			t.Fatal(err)
		}
		locs = append(locs, places[0][0])
	}
	return locs
}

func checkNotes(t *testing.T, a *Archive, locs []concord.Location) {
	t.Helper()
	for i, loc := range locs {
		rec, err := a.Read(loc)
		if err != nil {
			t.Fatal(err)
		}
		if got := rec.Metadata().Get("note"); got != fmt.Sprint(i) {
			t.Fatalf("record %d reads %q", i, got)
		}
	}
}

func TestBytesOutOfAnArchive(t *testing.T) {
	a, err := Open(Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	locs := appendNotes(t, a, 3)
	loc := locs[1]
	p := make([]byte, loc.Length)
	if err := a.ReadAt(loc.File, p, loc.Offset); err != nil {
		t.Fatal(err)
	}
	rec, err := a.Parse(loc, p)
	if err != nil || rec.Metadata().Get("note") != "1" || rec.Offset != loc.Offset || rec.Length != loc.Length {
		t.Fatalf("%v %v", rec, err)
	}
	for i := range p {
		bad := bytes.Clone(p)
		bad[i] ^= 1
		if rec, err := a.Parse(loc, bad); err == nil && !bytes.Equal(rec.Block, noteRecord(1).Block) {
			t.Errorf("byte %d was changed, and the record with it", i)
		}
	}
	if _, err := a.Parse(loc, p[1:]); concord.KindOf(err) != concord.Corrupt {
		t.Errorf("got %v", err)
	}
	info, ok := a.File(loc.File)
	if !ok {
		t.Fatal("no file")
	}
	for _, off := range []int64{-1, info.Bytes - 1, info.Bytes, 1<<63 - 1} {
		if err := a.ReadAt(loc.File, make([]byte, 2), off); concord.KindOf(err) != concord.NotFound {
			t.Errorf("at %d: %v", off, err)
		}
	}
	for _, l := range []concord.Location{{}, {File: "x", Length: 1}, {File: loc.File}, {File: loc.File, Length: 1 << 40}, {File: loc.File, Length: 5, Offset: 1<<63 - 2}} {
		if a.Fits(l) {
			t.Errorf("%+v fits", l)
		}
	}
	if !a.Fits(loc) {
		t.Error("a location of its own does not fit")
	}
	a.Close()
	if err := a.ReadAt(loc.File, p, loc.Offset); concord.KindOf(err) != concord.Unavailable {
		t.Errorf("closed: %v", err)
	}
}

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	a, err := Open(Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { a.Close() }()
	locs := appendNotes(t, a, 5)
	file := locs[0].File
	path := filepath.Join(dir, file)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	bad := bytes.Clone(good)
	bad[locs[2].Offset+30] ^= 4
	if err := os.WriteFile(path, bad, 0o640); err != nil {
		t.Fatal(err)
	}
	write := func(b []byte) func(io.Writer) error {
		return func(w io.Writer) error { _, err := w.Write(b); return err }
	}
	broken := errors.New("the source broke")
	for what, err := range map[string]error{
		"damaged":  a.Replace(file, write(bad)),
		"shorter":  a.Replace(file, write(good[:locs[4].Offset])),
		"not WARC": a.Replace(file, write(bytes.Repeat([]byte("x"), 1<<20))),
		"cut":      a.Replace(file, write(good[:len(good)-1])),
	} {
		if concord.KindOf(err) != concord.Corrupt || err == nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := a.Replace(file, func(io.Writer) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, bad) {
		t.Fatal("the file was changed", err)
	}
	if err := a.Replace(file, write(good)); err != nil {
		t.Fatal(err)
	}
	checkNotes(t, a, locs)
	if info, _ := a.File(file); !info.Sealed || info.Bytes != int64(len(good)) || len(info.Damages) > 0 {
		t.Errorf("%+v", info)
	}
	if after := appendNotes(t, a, 1); after[0].File == file {
		t.Error("appended to a file that was replaced")
	}
	if err := a.Replace("concord-20260101000000-00001-aaaaaa.warc.gz", write(good)); concord.KindOf(err) != concord.NotFound {
		t.Errorf("got %v", err)
	}
	a.Close()
	names, err := durable.OS.ReadDir(dir)
	if err != nil || slices.ContainsFunc(names, func(n string) bool { return strings.Contains(n, ".tmp") }) {
		t.Errorf("left behind: %v %v", names, err)
	}
	if a, err = Open(Config{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	checkNotes(t, a, locs)
}

// The machine stops at every step of a replacement: the records are there all the same.
func TestReplaceSurvivesACrash(t *testing.T) {
	for step := 0; ; step++ {
		fsys := durable.NewCrashFS()
		cfg := Config{Dir: "archive", FS: fsys}
		a, err := Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		locs := appendNotes(t, a, 5)
		file := locs[0].File
		good, err := fsys.ReadFile(filepath.Join("archive", file))
		if err != nil {
			t.Fatal(err)
		}
		var more bytes.Buffer
		extra := noteRecord(5)
		if _, _, err := NewWriter(&more, true).Write(&extra); err != nil {
			t.Fatal(err)
		}
		fsys.CrashAfter(step)
		err = a.Replace(file, func(w io.Writer) error {
			_, err := w.Write(append(bytes.Clone(good), more.Bytes()...))
			return err
		})
		done := err == nil
		if !done && !errors.Is(err, durable.ErrCrashed) {
			t.Fatal(err)
		}
		a.Close()
		fsys.Crash(rand.New(rand.NewPCG(uint64(step), 7)))
		if a, err = Open(cfg); err != nil {
			t.Fatalf("step %d: %v", step, err)
		}
		checkNotes(t, a, locs)
		if done {
			checkNotes(t, a, append(locs, concord.Location{File: file, Offset: int64(len(good)), Length: int64(more.Len())}))
			if step < 5 {
				t.Errorf("only %d steps", step)
			}
			return
		}
		a.Close()
	}
}

func TestPlace(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "new")
	a, err := Open(Config{Dir: from})
	if err != nil {
		t.Fatal(err)
	}
	locs := appendNotes(t, a, 3)
	a.Close()
	data, err := os.ReadFile(filepath.Join(from, locs[0].File))
	if err != nil {
		t.Fatal(err)
	}
	write := func(w io.Writer) error { _, err := w.Write(data); return err }
	if _, err := Place(to, "../x", write); concord.KindOf(err) != concord.Invalid {
		t.Errorf("got %v", err)
	}
	if damages, err := Place(to, locs[0].File, write); err != nil || len(damages) > 0 {
		t.Fatal(damages, err)
	}
	b, err := Open(Config{Dir: to})
	if err != nil {
		t.Fatal(err)
	}
	checkNotes(t, b, locs)
	if info, _ := b.File(locs[0].File); !info.Sealed {
		t.Error("not sealed")
	}
	b.Close()
	// Damaged as it is, it is placed with its list of damages, and whole again later.
	data[locs[1].Offset+20] ^= 1
	if damages, err := Place(to, locs[0].File, write); err != nil || len(damages) != 1 {
		t.Fatal(damages, err)
	}
	if b, err = Open(Config{Dir: to}); err != nil {
		t.Fatal(err)
	}
	if info, _ := b.File(locs[0].File); len(info.Damages) != 1 {
		t.Errorf("%+v", info)
	}
	b.Close()
	data[locs[1].Offset+20] ^= 1
	if _, err := Place(to, locs[0].File, write); err != nil {
		t.Fatal(err)
	}
	if b, err = Open(Config{Dir: to}); err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if info, _ := b.File(locs[0].File); len(info.Damages) != 0 {
		t.Errorf("%+v", info)
	}
}
