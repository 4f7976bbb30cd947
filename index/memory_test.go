package index

import (
	"fmt"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"testing"
	"time"
	"unsafe"
)

// TestBuilderBytes: the memory a builder says it uses is what Go says, whatever its documents are like.
func TestBuilderBytes(t *testing.T) {
	if s := unsafe.Sizeof(builderDoc{}); s != builderDocBytes {
		t.Errorf("a builderDoc has %d bytes, not %d", s, builderDocBytes)
	}
	if s := unsafe.Sizeof(tableWord{}); s != tableWordBytes {
		t.Errorf("a tableWord has %d bytes, not %d", s, tableWordBytes)
	}
	if s := unsafe.Sizeof(urlSlot{}); s != urlSlotBytes {
		t.Errorf("a urlSlot has %d bytes, not %d", s, urlSlotBytes)
	}
	if s := unsafe.Sizeof(sortKey{}); s > sortKeyBytes {
		t.Errorf("a sortKey has %d bytes, not %d", s, sortKeyBytes)
	}
	long := strings.Repeat("several words of text ", 1000)
	for _, c := range []struct {
		name string
		docs int
		doc  func(i int) Document
	}{
		{"tiny", 200_000, func(i int) Document { return Document{URL: wordlessURL(i), Body: "word"} }},
		{"own sites", 60_000, func(i int) Document {
			return Document{URL: fmt.Sprintf("https://site%d.example.org/", i), Site: fmt.Sprint("site", i, ".example.org"), Language: "en"}
		}},
		{"own words", 60_000, func(i int) Document {
			return Document{URL: fmt.Sprint("https://example.org/", i), Body: fmt.Sprint("x", i, " y", i)}
		}},
		{"long", 2000, func(i int) Document {
			return Document{URL: fmt.Sprint("https://example.org/", i), Site: "example.org", Body: long}
		}},
		{"languages", 2000, func(i int) Document {
			return Document{URL: fmt.Sprint(i), Language: fmt.Sprint("l", i%50), Body: long[:i%1000]}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := heapInUse()
			b := NewBuilder(Config{})
			for i := range c.docs {
				d := c.doc(i)
				if err := b.Add(&d); err != nil {
					t.Fatal(err)
				}
			}
			used, says := heapInUse()-before, b.Bytes()
			t.Logf("%d bytes a document, says %d", used/int64(c.docs), says/int64(c.docs))
			const slack = 1 << 19 // what is not worth counting
			if says < used-used/10-slack || says > used+used/10+slack {
				t.Errorf("a builder that takes %d bytes says %d", used, says)
			}
			runtime.KeepAlive(b)
		})
	}
}

// wordlessURL is a URL of eight bytes without words.
func wordlessURL(i int) string {
	return strings.NewReplacer("0", "!", "1", "#", "2", "$", "3", "&", "4", "(", "5", ")", "6", "*", "7", "+", "8", ",", "9", "-").Replace(fmt.Sprintf("%08d", i))
}

// heapInUse is what the heap has that is not garbage.
func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestDocumentBytes: before its first word, a short document is less than 110 bytes.
func TestDocumentBytes(t *testing.T) {
	b := NewBuilder(Config{OmitText: true})
	const docs = 200_000 // where the table of URLs has grown not long before
	before := b.Bytes()
	for i := range docs {
		if err := b.Add(&Document{URL: wordlessURL(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if each := (b.Bytes() - before) / docs; each > 110 {
		t.Errorf("a document without words takes %d bytes", each)
	}
}

// TestWriterMemory: what a Writer of small documents keeps alive at any time is within the memory it was given.
func TestWriterMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: the garbage collector is always at work; run this test without -short")
	}
	const share = 2 * minInvertBytes
	for _, threads := range []int{1, 2} {
		base := heapInUse()
		defer debug.SetGCPercent(debug.SetGCPercent(20)) // look often
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		most, stage := int64(0), ""
		look := func(now string) {
			metrics.Read(live)
			if n := int64(live[0].Value.Uint64()) - base; n > most {
				most, stage = n, now
			}
		}
		w, err := NewWriter(WriterConfig{Config: Config{OmitText: true}, Path: filepath.Join(t.TempDir(), "s"), Threads: threads})
		if err != nil {
			t.Fatal(err)
		}
		w.share = share - 3*writerBatch
		bound := int64(threads) * share
		docs := 80_000 * threads
		for i := range docs {
			if i%1000 == 0 {
				look(fmt.Sprint("document ", i))
			}
			if err := w.Add(&Document{URL: fmt.Sprint("https://example.org/", i*7919%docs), Site: "example.org", Body: fmt.Sprint("several words, of which are new x", i, " and y", i)}); err != nil {
				t.Fatal(err)
			}
		}
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for {
				select {
				case <-stop:
					return
				default:
					look("the end")
					time.Sleep(time.Millisecond)
				}
			}
		}()
		info, err := w.Finish(t.Context())
		close(stop)
		<-stopped
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d threads, %d parts: at most %d MB at %s of %d MB", threads, info.Parts, most>>20, stage, bound>>20)
		if info.Parts < 2 || most > bound {
			t.Errorf("%d threads, %d parts: %d bytes are alive at %s, of %d", threads, info.Parts, most, stage, bound)
		}
	}
}
