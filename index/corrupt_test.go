package index

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blevesearch/vellum"

	"concord"
	"concord/text"
)

// sample is a small segment with every kind of list - short ones with and without impacts, packed, patched, dense, with a tail - whose
// documents were reordered.
func sample(t testing.TB) []byte {
	t.Helper()
	b := NewBuilder(Config{})
	for i := range 300 {
		d := testDoc(i)
		if i%3 > 0 {
			d.Body += "often"
		}
		if i > 130 && i%29 != 0 || i < 4 {
			d.Body += " patched"
		}
		if err := b.Add(d); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	if _, err := b.Write(filepath.Join(dir, "ordered")); err != nil {
		t.Fatal(err)
	}
	s, err := Open(filepath.Join(dir, "ordered"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	path := filepath.Join(dir, "sample")
	if _, err := Merge(t.Context(), path, []*Segment{s}, Config{Reorder: true}); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestSampleHasAllKinds keeps the sample what it says it is.
func TestSampleHasAllKinds(t *testing.T) {
	s, err := openBytes(sample(t), 0)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	err = s.Words(FieldAll, "", func(_ []byte, term Term) bool {
		var p Postings
		if err := p.Reset(s, term); err != nil {
			t.Fatal(err)
		}
		switch {
		case term.DocCount == 1:
			seen["one"] = true
		case term.DocCount < bareLen:
			seen["bare"] = true
		case term.DocCount < blockLen:
			seen["short"] = true
		}
		for _, kind := range p.kinds {
			seen[map[byte]string{docsBitmap: "bitmap", docsTail: "tail", docsPatched: "patched"}[kind]] = true
		}
		return true
	})
	for _, kind := range []string{"bare", "short", "bitmap", "tail"} {
		if !seen[kind] || err != nil {
			t.Errorf("no list of kind %s, %v", kind, err)
		}
	}
	if s.Ordered() {
		t.Error("the sample is not reordered")
	}
}

// readAll reads everything a segment offers and returns it as text.
func readAll(s *Segment) (string, error) {
	var out strings.Builder
	for d := range DocID(s.Docs()) {
		doc, err := s.Document(d)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&out, "%+v\n", *doc)
		if _, _, err := s.Lookup(doc.URL); err != nil {
			return "", err
		}
	}
	for f := range NumFields {
		var fail error
		err := s.Words(f, "", func(word []byte, t Term) bool {
			var p Postings
			if fail = p.Reset(s, t); fail != nil {
				return false
			}
			fmt.Fprintf(&out, "%s:%s %d\n", f, word, t.DocCount)
			for d := p.Next(); d != NoDoc; d = p.Next() {
				fmt.Fprintln(&out, d, p.Impact(), p.Freq(), p.Positions(nil))
			}
			fail = p.Err()
			return fail == nil
		})
		if fail == nil {
			fail = err
		}
		if fail != nil {
			return "", fail
		}
	}
	return out.String(), nil
}

// TestFlippedBytesAreFound flips a bit of every byte of a file in turn. A file of this size is checked whole on opening.
func TestFlippedBytesAreFound(t *testing.T) {
	data := sample(t)
	for i := range data {
		bit := byte(1) << (i % 8)
		data[i] ^= bit
		s, err := openBytes(data, len(data))
		if err == nil {
			s.Close()
			t.Fatalf("byte %d of %d flipped: opened", i, len(data))
		}
		if concord.KindOf(err) != concord.Corrupt {
			t.Fatalf("byte %d flipped: %v is not of kind corrupt", i, err)
		}
		data[i] ^= bit
	}
}

// TestLazyDamage opens damaged files the way large ones are: every read gives an error or the truth.
func TestLazyDamage(t *testing.T) {
	data := sample(t)
	whole, err := openBytes(data, 0)
	if err != nil {
		t.Fatal(err)
	}
	want, err := readAll(whole)
	if err != nil || len(want) < 50_000 {
		t.Fatal(len(want), err)
	}
	entries, _ := parseTable(data)
	r := rand.New(rand.NewPCG(1, 1))
	for _, e := range entries {
		if e.length == 0 {
			continue
		}
		for range 3 {
			i := int(e.offset) + r.IntN(int(e.length))
			data[i]++
			s, err := openBytes(data, 0)
			if err == nil {
				var got string
				if got, err = readAll(s); err == nil && got != want {
					t.Errorf("section %q, byte %d changed: another answer without an error", e.id, i)
				}
				if verr := s.Verify(); verr == nil {
					t.Errorf("section %q, byte %d changed: verified", e.id, i)
				}
				s.Close()
			}
			if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("section %q", e.id)) || concord.KindOf(err) != concord.Corrupt {
				t.Errorf("section %q, byte %d changed: error does not name it: %v", e.id, i, err)
			}
			data[i]--
		}
	}
}

func TestTruncatedFileIsRefused(t *testing.T) {
	data := sample(t)
	for n := range data {
		if _, err := openBytes(data[:n], len(data)); concord.KindOf(err) != concord.Corrupt {
			t.Errorf("%d of %d bytes: %v", n, len(data), err)
		}
	}
	if _, err := openBytes(append(bytes.Clone(data), 0), len(data)); concord.KindOf(err) != concord.Corrupt {
		t.Errorf("one byte too many: %v", err)
	}
	path := filepath.Join(t.TempDir(), "cut")
	if err := os.WriteFile(path, data[:len(data)-7], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); concord.KindOf(err) != concord.Corrupt {
		t.Errorf("Open of a truncated file: %v", err)
	}
}

// reseal makes the checksums of a changed file right again: what an attacker would do.
func reseal(data []byte, entries []tableEntry) {
	foot := data[len(data)-footerSize:]
	table := data[binary.LittleEndian.Uint64(foot) : len(data)-footerSize]
	sums := table[(endSection-1)*tableEntrySize:]
	for _, e := range entries {
		for c := range e.sums {
			from := e.offset + uint64(c)*chunkSize
			binary.LittleEndian.PutUint32(sums, crc(data[from:min(from+chunkSize, e.offset+e.length)]))
			sums = sums[4:]
		}
	}
	binary.LittleEndian.PutUint32(foot[16:], crc(table))
}

// FuzzHostile changes bytes and repairs the checksums: whatever is then read, nothing may panic or go on for ever.
func FuzzHostile(f *testing.F) {
	data := sample(f)
	entries, err := parseTable(data)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint64(100), uint64(1), uint8(7))
	for i, e := range entries {
		f.Add(e.offset, e.offset+e.length/2, uint8(255-i))
	}
	f.Fuzz(func(t *testing.T, a, b uint64, v uint8) {
		bad := bytes.Clone(data)
		for _, at := range []uint64{a, b} {
			at %= uint64(len(bad))
			for _, e := range entries {
				if at >= e.offset && at < e.offset+e.length {
					bad[at] ^= v
				}
			}
		}
		reseal(bad, entries)
		s, err := openBytes(bad, len(bad))
		if err != nil {
			return
		}
		defer s.Close()
		if _, err := readAll(s); err != nil && concord.KindOf(err) != concord.Corrupt {
			t.Errorf("error is not of kind corrupt: %v", err)
		}
	})
}

// TestHostileSizes puts extreme numbers where sizes are - in the table, and at the beginning of every section - and repairs the checksums.
func TestHostileSizes(t *testing.T) {
	data := sample(t)
	entries, _ := parseTable(data)
	table := int(binary.LittleEndian.Uint64(data[len(data)-footerSize:]))
	for i := range entries {
		for _, field := range []int{8, 16} {
			for _, v := range []uint64{0, 1, entries[i].length + 1, uint64(len(data)), 1 << 32, 1 << 63, 1<<64 - 1, 1<<64 - 8} {
				bad := bytes.Clone(data)
				at := bad[table+i*tableEntrySize+field:]
				if binary.LittleEndian.Uint64(at) == v {
					continue
				}
				binary.LittleEndian.PutUint64(at, v)
				binary.LittleEndian.PutUint32(bad[len(bad)-footerSize+16:], crc(bad[table:len(bad)-footerSize]))
				if _, err := openBytes(bad, len(bad)); concord.KindOf(err) != concord.Corrupt {
					t.Errorf("section %q, field at %d is %d: %v", entries[i].id, field, v, err)
				}
			}
		}
	}
	for _, e := range entries {
		for _, fill := range []byte{0xff, 0x00, 0x80, 0x7f} {
			for _, size := range []int{1, 3, 9, 24} {
				if uint64(size) > e.length {
					continue
				}
				bad := bytes.Clone(data)
				for i := range size {
					bad[int(e.offset)+i] = fill
				}
				reseal(bad, entries)
				if s, err := openBytes(bad, len(bad)); err == nil {
					readAll(s) // must not panic nor take long
					s.Close()
				}
			}
		}
	}
}

// TestHostileDictionary changes every byte of a dictionary. Walks must end.
func TestHostileDictionary(t *testing.T) {
	data := sample(t)
	entries, _ := parseTable(data)
	e := entries[secDictAll-1]
	fuzzy, err := NewFuzzy("comon", 2)
	if err != nil {
		t.Fatal(err)
	}
	for i := range e.length {
		for _, v := range []byte{0x01, 0x80, 0xff} {
			bad := bytes.Clone(data)
			bad[e.offset+i] ^= v
			reseal(bad, entries)
			s, err := openBytes(bad, len(bad))
			if err != nil {
				continue
			}
			all := func([]byte, Term) bool { return true }
			for _, err := range []error{s.Words(FieldAll, "", all), s.Words(FieldAll, "wo", all), s.Fuzzy(FieldAll, fuzzy, all)} {
				if err != nil && concord.KindOf(err) != concord.Corrupt {
					t.Errorf("byte %d: %v", i, err)
				}
			}
			s.Close()
		}
	}
}

// TestWalkIsBounded walks automata with more paths than there are words, and with a path longer than any word.
func TestWalkIsBounded(t *testing.T) {
	s, err := openBytes(sample(t), 0)
	if err != nil {
		t.Fatal(err)
	}
	terms := s.meta.Terms
	all := func([]byte, Term) bool { return true }
	fuzzy, err := NewFuzzy("common", 2)
	if err != nil {
		t.Fatal(err)
	}
	s.meta.Terms = 0
	for _, err := range []error{s.Words(FieldAll, "", all), s.Fuzzy(FieldAll, fuzzy, all)} {
		if concord.KindOf(err) != concord.Corrupt || !strings.Contains(err.Error(), "no words") {
			t.Errorf("more words than the segment says it has: %v", err)
		}
	}
	s.meta.Terms = terms
	var b bytes.Buffer
	v, err := vellum.New(&b, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(v.Insert([]byte(strings.Repeat("x", text.MaxTermBytes+1)), 0), v.Close()); err != nil {
		t.Fatal(err)
	}
	if s.dicts[FieldAll].fst, err = vellum.Load(b.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := s.Words(FieldAll, "", all); concord.KindOf(err) != concord.Corrupt || !strings.Contains(err.Error(), "no words") {
		t.Errorf("a word that is too long: %v", err)
	}
}

func TestHostileBytes(t *testing.T) {
	data := sample(t)
	entries, _ := parseTable(data)
	r := rand.New(rand.NewPCG(5, 5))
	for n := range 140 {
		bad := bytes.Clone(data)
		e := entries[n%len(entries)]
		if e.length == 0 {
			continue
		}
		bad[e.offset+r.Uint64N(e.length)] ^= byte(1 + r.IntN(255))
		reseal(bad, entries)
		if s, err := openBytes(bad, len(bad)); err == nil {
			readAll(s) // must not panic; an error is likely
			s.Close()
		}
	}
}

func FuzzDeletes(f *testing.F) {
	d := NewDeletes(1000)
	for i := range DocID(40) {
		d.Add(i * 17)
	}
	b, err := d.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("concdel1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, fix := range []bool{false, true} {
			if fix && len(b) > 16 {
				b = bytes.Clone(b)
				binary.LittleEndian.PutUint32(b[12:], deletesSum(binary.LittleEndian.Uint32(b[8:]), b[16:]))
			}
			d, err := DecodeDeletes(b)
			if err != nil {
				if concord.KindOf(err) != concord.Corrupt {
					t.Errorf("%v", err)
				}
				continue
			}
			if d.Count() > int(d.Docs()) {
				t.Errorf("%d deletes of %d documents", d.Count(), d.Docs())
			}
		}
	})
}

func TestDeletesRoundTrip(t *testing.T) {
	d := NewDeletes(1000)
	for i := range DocID(300) {
		d.Add(i * 3)
	}
	if d.Add(1000) || d.Add(0) {
		t.Error("out of range or present document added")
	}
	b, err := d.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeDeletes(b)
	if err != nil || got.Count() != 300 || !got.Has(297) || got.Has(298) || got.Docs() != 1000 {
		t.Fatal(got, err)
	}
	for i := range b {
		b[i] ^= 1
		if _, err := DecodeDeletes(b); concord.KindOf(err) != concord.Corrupt {
			t.Errorf("byte %d flipped: %v", i, err)
		}
		b[i] ^= 1
	}
}

// openBytes opens a segment that lies in memory.
func openBytes(data []byte, eager int) (*Segment, error) {
	return openData(data, eager, func(int, int) {})
}
