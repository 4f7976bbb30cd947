package vault

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"concord"
	"concord/warc"
)

func TestDamagedRecordIsReadFromTheCopyAndMended(t *testing.T) {
	s := newStore(t)
	dir := t.TempDir()
	n := start(t, dir, s, options{maxFile: 1 << 20})
	var all []kept
	for i := range uint64(30) {
		all = append(all, n.add(i, 50_000))
	}
	file := n.Files()[0]
	if !file.Sealed || all[2].loc.File != file.Name {
		t.Fatal("the first file was to be full")
	}
	flip(t, filepath.Join(dir, file.Name), all[2].loc.Offset+all[2].loc.Length/2)
	n.check(all...)
	eventually(t, "the file put right", func() bool { _, err := n.local.Read(all[2].loc); return err == nil })
	n.stop()
	n = start(t, dir, s, options{maxFile: 1 << 20}) // and it opens
	n.check(all...)
	for _, f := range n.Files() {
		if len(f.Damages) > 0 {
			t.Errorf("damages %v", f)
		}
	}
}

func TestOpenFileThatIsDamagedIsMended(t *testing.T) {
	s := newStore(t)
	dir := t.TempDir()
	n := start(t, dir, s, options{})
	var all []kept
	for i := range uint64(5) {
		all = append(all, n.add(i, 50_000))
	}
	flip(t, filepath.Join(dir, all[2].loc.File), all[2].loc.Offset+100)
	n.check(all...)
	eventually(t, "the file put right", func() bool { _, err := n.local.Read(all[2].loc); return err == nil })
	all = append(all, n.add(9, 1000))
	n.check(all...)
	eventually(t, "all in the blobs", func() bool { p := n.Progress(); return p.Done == p.Total })
	for _, f := range n.Files() {
		n.sameAsLocal(s, f.Name)
	}
}

// A flipped bit in the last record looks like an append that was cut short, and warc cuts it.
func TestLostEndIsPutBack(t *testing.T) {
	for name, spoil := range map[string]func(path string, last concord.Location){
		"flipped":   func(path string, last concord.Location) { flip(t, path, last.Offset+20) },
		"truncated": func(path string, last concord.Location) { os.Truncate(path, last.Offset-10) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			dir := t.TempDir()
			n := start(t, dir, s, options{})
			var all []kept
			for i := range uint64(5) {
				all = append(all, n.add(i, 5000))
			}
			n.stop()
			spoil(filepath.Join(dir, all[0].loc.File), all[4].loc)
			n = start(t, dir, s, options{})
			if n.Stats().Bytes >= all[4].loc.Offset+all[4].loc.Length {
				t.Fatal("nothing was cut")
			}
			after := n.add(100, 5000)
			if after.loc.File == all[0].loc.File {
				t.Error("appended to a file that had lost its end")
			}
			all = append(all, after)
			n.check(all...)
			for _, k := range all {
				if _, err := n.local.Read(k.loc); err != nil {
					t.Error(err)
				}
			}
			eventually(t, "all in the blobs", func() bool { p := n.Progress(); return p.Done == p.Total })
			start(t, t.TempDir(), s, options{}).check(all...)
		})
	}
}

func TestDamageDoesNotSpread(t *testing.T) {
	s := newStore(t)
	dir := t.TempDir()
	all := solo(t, dir, 1<<20, 12, 100_000)
	file := all[0].loc.File
	// Two records are in the blobs already when the local file is damaged, one of them and one that has no copy.
	half := all[2].loc.Offset
	data, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), piece{off: 0}.name(file), bytes.NewReader(data[:half]), half); err != nil {
		t.Fatal(err)
	}
	flip(t, filepath.Join(dir, file), all[1].loc.Offset+500)
	flip(t, filepath.Join(dir, file), all[4].loc.Offset+500)
	n := start(t, dir, s, options{maxFile: 1 << 20})
	eventually(t, "all in the blobs", func() bool { p := n.Progress(); return p.Done == p.Total && len(p.Problems) == 0 })
	n.stop()
	other := start(t, t.TempDir(), s, options{})
	for i, k := range all {
		_, err := other.Read(k.loc)
		if want := i == 4; (concord.KindOf(err) == concord.Corrupt && err != nil) != want {
			t.Errorf("record %d: %v", i, err)
		}
	}
	if ps := s.list(t, file); ps.hasWhole(0, int64(len(data))) {
		t.Error("a whole piece was made of damaged bytes")
	}
}

func TestDamagedBlobIsPutAgain(t *testing.T) {
	s := newStore(t)
	dir := t.TempDir()
	all := solo(t, dir, 1<<20, 12, 100_000)
	file := all[0].loc.File
	data, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	for off := int64(0); off < int64(len(data)); off += 200_000 {
		part := data[off:min(off+200_000, int64(len(data)))]
		if err := s.Put(t.Context(), piece{off: off}.name(file), bytes.NewReader(part), int64(len(part))); err != nil {
			t.Fatal(err)
		}
	}
	flip(t, filepath.Join(s.dir, piece{off: 200_000}.name(file)), 50)
	n := start(t, dir, s, options{maxFile: 1 << 20})
	eventually(t, "one whole piece", func() bool { ps := s.list(t, file); return len(ps) == 1 && ps[0].whole })
	n.sameAsLocal(s, file)
}

// nodes answers as other nodes would.
type nodes struct {
	byName map[string]*Vault
	asked  atomic.Int64
	spoil  string // this one answers with other bytes
}

func (n *nodes) Ask(ctx context.Context, name, service string, data []byte) ([]byte, error) {
	n.asked.Add(1)
	v := n.byName[name]
	if v == nil || service != Service {
		return nil, concord.Errorf(concord.Unavailable, "%s does not answer", name)
	}
	b, err := v.Serve(ctx, data)
	if name == n.spoil && err == nil {
		b[len(b)/2] ^= 1
	}
	return b, err
}

func TestRecordsOfOtherNodes(t *testing.T) {
	s, empty := newStore(t), newStore(t)
	a := start(t, t.TempDir(), s, options{})
	b := start(t, t.TempDir(), s, options{})
	all := []kept{a.add(1, 1000), a.add(2, 3<<20), b.add(3, 1000)}
	others := &nodes{byName: map[string]*Vault{"a": a.Vault, "b": b.Vault}}
	c := start(t, t.TempDir(), empty, options{asker: others, others: func() []string { return []string{"gone", "b", "a"} }})
	c.check(all...) // there are no blobs: it is the nodes that answered
	before := others.asked.Load()
	c.check(all[0])
	if n := others.asked.Load() - before; n != 1 {
		t.Errorf("%d questions for a file whose node is known", n)
	}
	if _, err := c.Read(concord.Location{File: "concord-20260101000000-00001-aaaaaa.warc.gz", Length: 10}); concord.KindOf(err) != concord.Unavailable {
		t.Errorf("a record that the node that is away may have: %v", err)
	}
	for _, loc := range []concord.Location{{}, {File: "../x", Length: 1}, {File: all[0].loc.File, Offset: -1, Length: 5}, {File: all[0].loc.File, Offset: 1 << 62, Length: 1 << 62}} {
		if _, err := c.Read(loc); concord.KindOf(err) != concord.NotFound {
			t.Errorf("%v: %v", loc, err)
		}
	}
	// What a node says is not believed, and then the blobs have it.
	others.spoil = "a"
	if _, err := c.Read(all[0].loc); err == nil {
		t.Error("spoilt bytes were believed")
	}
	d := start(t, t.TempDir(), s, options{asker: others, others: func() []string { return []string{"a"} }})
	d.check(all...)
}

func TestServeRefuses(t *testing.T) {
	n := start(t, t.TempDir(), newStore(t), options{})
	k := n.add(1, 100)
	for q, want := range map[string]concord.Kind{
		`{`: concord.Invalid, `{}`: concord.Invalid, `{"file":"x","offset":0,"length":1}`: concord.NotFound,
		`{"file":"` + k.loc.File + `","offset":-1,"length":1}`:                  concord.NotFound,
		`{"file":"` + k.loc.File + `","offset":9223372036854775807,"length":5}`: concord.NotFound,
		`{"file":"` + k.loc.File + `","offset":0,"length":9999999}`:             concord.Invalid,
	} {
		if _, err := n.Serve(t.Context(), []byte(q)); err == nil || concord.KindOf(err) != want {
			t.Errorf("%s: %v", q, err)
		}
	}
}

func TestRestore(t *testing.T) {
	s := newStore(t)
	dir := t.TempDir()
	n := start(t, dir, s, options{maxFile: 1 << 20})
	m := start(t, t.TempDir(), s, options{})
	var all []kept
	for i := range uint64(20) {
		all = append(all, n.add(i, 50_000), m.add(100+i, 100))
	}
	n.stop()
	m.stop()
	to := filepath.Join(t.TempDir(), "archive")
	sum, err := Restore(t.Context(), s, to, nil)
	if err != nil || sum.Missing != 0 || len(sum.Damages) > 0 || sum.Files < 3 {
		t.Fatalf("%+v %v", sum, err)
	}
	a, err := warc.Open(warc.Config{Dir: to})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range all {
		if rec, err := a.Read(k.loc); err != nil || !bytes.Equal(rec.Block, k.block) {
			t.Fatal(k.loc, err)
		}
	}
	for _, f := range a.Files() {
		if !f.Sealed {
			t.Errorf("%s of another node would be appended to", f.Name)
		}
	}
	if _, err := Restore(t.Context(), s, to, nil); concord.KindOf(err) != concord.Conflict {
		t.Errorf("into an archive that is open: %v", err)
	}
	a.Close()
	if again, err := Restore(t.Context(), s, to, nil); err != nil || again.Files != 0 || again.Kept != sum.Files {
		t.Errorf("%+v %v", again, err)
	}
}

func TestRestoreWithHoles(t *testing.T) {
	s := newStore(t)
	dir := t.TempDir()
	all := solo(t, dir, 1<<30, 10, 1000)
	file := all[0].loc.File
	data, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []span{{all[2].loc.Offset, all[5].loc.Offset}, {all[7].loc.Offset, int64(len(data))}} {
		if err := s.Put(t.Context(), piece{off: r.from}.name(file), bytes.NewReader(data[r.from:r.to]), r.to-r.from); err != nil {
			t.Fatal(err)
		}
	}
	sum, err := Restore(t.Context(), s, t.TempDir(), nil)
	if err != nil || sum.Missing == 0 || len(sum.Damages) == 0 {
		t.Fatalf("%+v %v", sum, err)
	}
	to := t.TempDir()
	if _, err := Restore(t.Context(), s, to, func(Restored) {}); err != nil {
		t.Fatal(err)
	}
	a, err := warc.Open(warc.Config{Dir: to})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	found := 0
	if err := a.Walk(t.Context(), func(warc.Entry) error { found++; return nil }, nil, func(string) {}); err != nil || found != 6 {
		t.Errorf("%d records, %v; want 6", found, err)
	}
	// What is there of a shorter file fills the holes.
	part := t.TempDir()
	if err := os.WriteFile(filepath.Join(part, file), data[:all[6].loc.Offset], 0o600); err != nil {
		t.Fatal(err)
	}
	if sum, err := Restore(t.Context(), s, part, nil); err != nil || sum.Missing != all[6].loc.Length {
		t.Errorf("%+v %v", sum, err)
	}
	for i, k := range all {
		_, err := a.Read(k.loc)
		if there := i >= 2 && i < 5 || i >= 7; (err == nil) != there {
			t.Errorf("record %d: %v", i, err)
		}
	}
}

func TestRepairRefusesWhatIsNotWhole(t *testing.T) {
	s := newStore(t)
	dir := t.TempDir()
	all := solo(t, dir, 1<<20, 12, 100_000)
	file := all[0].loc.File
	path := filepath.Join(dir, file)
	flip(t, path, all[1].loc.Offset+500)
	damaged, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	n := start(t, dir, s, options{idle: true})
	if err := n.Repair(t.Context(), file); concord.KindOf(err) != concord.Corrupt {
		t.Errorf("got %v", err)
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, damaged) {
		t.Error("the file was changed", err)
	}
	if err := n.Repair(t.Context(), "none"); concord.KindOf(err) != concord.NotFound {
		t.Errorf("got %v", err)
	}
}
