package index

import (
	"fmt"
	"strings"
	"testing"
)

// A segment in memory answers as the one on disk that was written from the same builder.
func TestSegmentInMemory(t *testing.T) {
	b := NewBuilder(Config{Lengths: &Lengths{Docs: 100, Words: [NumParts]uint64{PartTitle: 400, PartBody: 50_000}}})
	for i := range 40 {
		d := &Document{URL: fmt.Sprintf("https://a.example/%02d", i), Site: "a.example", Host: "a.example", Language: "en", Title: fmt.Sprintf("Number %d", i),
			Body: strings.Repeat(fmt.Sprintf("word%d common ", i%7), 1+i)}
		if err := b.Add(d); err != nil {
			t.Fatal(err)
		}
	}
	mem, err := b.Segment()
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	path := t.TempDir() + "/segment"
	if _, err := b.Write(path); err != nil {
		t.Fatal(err)
	}
	disk, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	if mem.Docs() != 40 || disk.Docs() != mem.Docs() || string(mem.data) != string(disk.data) {
		t.Errorf("%d documents in memory, %d on disk, %d and %d bytes", mem.Docs(), disk.Docs(), len(mem.data), len(disk.data))
	}
	d, err := mem.Document(3)
	if err != nil || d.URL != "https://a.example/03" {
		t.Errorf("%+v, %v", d, err)
	}
	empty, err := NewBuilder(Config{}).Segment()
	if err != nil || empty.Docs() != 0 {
		t.Errorf("empty: %v", err)
	}
	empty.Close()
}
