package crawl

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"concord"
	"concord/warc"
)

// foreignItems are captures of one site as another tool wrote them.
func foreignItems(t *testing.T, n int) (items []warc.Item) {
	t.Helper()
	var b bytes.Buffer
	w := warc.NewWriter(&b, true)
	for i := range n {
		records, _, err := warc.Build(warc.Exchange{URL: fmt.Sprintf("http://old.example/%d", i), Time: time.Unix(1_700_000_000, 0), Request: []byte("GET / HTTP/1.1\r\n\r\n"),
			Response: []byte("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + htmlPage(fmt.Sprint("Page ", i), fmt.Sprint("Kept by another tool under the number ", i)))})
		if err != nil {
			t.Fatal(err)
		}
		for k := range records {
			if _, _, err := w.Write(&records[k]); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := warc.Scan(&b, "test", warc.Limits{}, func(it warc.Item) error { items = append(items, it); return nil }); err != nil {
		t.Fatal(err)
	}
	return items
}

// An import asks whether the machine runs the partition, and says so when it stops running it before everything is on record.
func TestImportShared(t *testing.T) {
	t.Parallel()
	fs := newFrontiers(t)
	m, next := fs.machine("a", nil), fs.machine("b", nil)
	items := foreignItems(t, 4)
	p, err := m.c.Partition(items[0].URL)
	if err != nil {
		t.Fatal(err)
	}
	im := m.c.Import(t.Context())
	if _, err := im.Add(&items[0]); concord.KindOf(err) != concord.Unavailable {
		t.Errorf("added to a partition that is not run here: %v", err)
	}
	if err := im.Flush(); err != nil {
		t.Errorf("nothing was added: %v", err)
	}
	own := func(m *machine, fence uint64) {
		m.own(p, fence)
		until(t, "the partition", func() bool { list := m.c.Shares(); return len(list) == 1 && list[0].CaughtUp })
	}
	add := func(m *machine, items []warc.Item) (im *Importer, captured int) {
		im = m.c.Import(t.Context())
		for i := range items {
			out, err := im.Add(&items[i])
			if err != nil {
				t.Fatal(err)
			}
			if out.Captured {
				captured++
			}
		}
		return im, captured
	}
	own(m, 1)
	im, n := add(m, items[:2])
	if err := im.Flush(); err != nil || n != 2 {
		t.Errorf("%d captured, %v", n, err)
	}
	m.lost.Store(true) // what comes now is dropped: another machine may act already
	im, n = add(m, items[2:3])
	if err := im.Flush(); concord.KindOf(err) != concord.Unavailable || n != 1 {
		t.Errorf("%d added without a lease: %v", n, err)
	}
	if n := m.c.Partitions()[p].submitted.Load(); n != 0 {
		t.Errorf("%d are still waited for", n)
	}
	m.leave(p)
	own(next, 2)
	im, n = add(next, items)
	if err := im.Flush(); err != nil || n != 2 {
		t.Errorf("%d captured by the next owner, want those that are not on record: %v", n, err)
	}
	captures := map[string]int{}
	for _, e := range fs.captures.events() {
		if e.Capture != nil {
			captures[e.Capture.URL]++
		}
	}
	for _, it := range items {
		if captures[it.URL] != 1 {
			t.Errorf("%s has %d captures", it.URL, captures[it.URL])
		}
	}
}
