package index

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"

	"concord"
	"concord/durable"
	"concord/pack"
)

// eagerSize is the largest file whose every section is checked on opening: some 5 ms where the disk has to be asked for it. Of larger files the
// postings, positions, URLs and documents are checked chunk by chunk when they are first read.
const eagerSize = 1 << 20

// Segment is one open segment, or a view of it with deletes laid over. It is immutable and safe for concurrent use until
// Close. The file is unmapped when the last view is closed.
type Segment struct {
	*file
	deletes *Deletes // nil: none
	langs   map[string]uint64
	closed  atomic.Bool
}

// file is the mapping that the views of a segment share.
type file struct {
	path      string
	data      []byte
	mapping   *durable.Mapping // nil: data is ordinary memory
	refs      atomic.Int32
	sections  [endSection]*section
	meta      meta
	cols      *columns
	dicts     [NumFields]lazyDict
	rankWidth int     // bits of a rank
	weigher   weigher // how the impacts were computed
	zstd      *zstd.Decoder
	langs     map[string]uint64 // documents by language, deletes not considered

	numbersOnce sync.Once
	numbers     []uint32 // documents by rank, see Number
	numbersErr  error
}

// Open maps the segment at path. Errors: Corrupt, with the section's name, for a damaged or truncated file; those of the
// file system otherwise.
func Open(path string) (*Segment, error) {
	m, err := durable.Map(path)
	if err != nil {
		return nil, fmt.Errorf("open segment: %w", err)
	}
	m.Scattered(true)
	s, err := openData(m.Bytes(), eagerSize, m.Ahead)
	m.Scattered(false)
	if err != nil {
		m.Close()
		return nil, fmt.Errorf("open segment %s: %w", path, err)
	}
	s.path, s.mapping = path, m
	return s, nil
}

// openData opens a segment that lies in memory; of one larger than eager the lazy sections are checked on use. ahead is told what will be
// read.
func openData(data []byte, eager int, ahead func(off, n int)) (*Segment, error) {
	entries, err := parseTable(data)
	if err != nil {
		return nil, err
	}
	f := &file{data: data}
	f.refs.Store(1)
	var whole []*section
	for _, e := range entries {
		s := newSection(data, e)
		f.sections[e.id] = s
		if len(data) <= eager || !e.id.lazy() {
			ahead(int(e.offset), int(e.length))
			whole = append(whole, s)
		}
	}
	for _, s := range whole {
		if err := s.verify(); err != nil {
			return nil, err
		}
		s.checked = nil
	}
	if err := f.parse(); err != nil {
		return nil, err
	}
	return &Segment{file: f, langs: f.langs}, nil
}

// parse reads the small sections.
func (f *file) parse() (err error) {
	d := json.NewDecoder(bytes.NewReader(f.sections[secMeta].data))
	if err := d.Decode(&f.meta); err != nil {
		return concord.Errorf(concord.Corrupt, "section %q: %w", secMeta, err)
	}
	n := f.meta.Docs
	if n < 0 || n > MaxDocs || f.meta.Scoring.Validate() != nil {
		return concord.Errorf(concord.Corrupt, "section %q: numbers out of range", secMeta)
	}
	f.weigher = newWeigher(&f.meta.Scoring, &f.meta.Norms)
	if f.cols, err = parseColumns(n, f.sections[secColumns].data, f.sections[secValues].data); err != nil {
		return err
	}
	f.rankWidth = docWidth(n)
	if len(f.sections[secURLHash].data) != 4*n+pack.Size(n, f.rankWidth) {
		return concord.Errorf(concord.Corrupt, "section %q: size does not fit the number of documents", secURLHash)
	}
	if size := len(f.sections[secRanks].data); size != 0 && size != pack.Size(n, f.rankWidth) {
		return concord.Errorf(concord.Corrupt, "section %q: size does not fit the number of documents", secRanks)
	}
	if len(f.sections[secURLIndex].data) != 8*((n+urlBlock-1)/urlBlock) {
		return concord.Errorf(concord.Corrupt, "section %q: size does not fit the number of documents", secURLIndex)
	}
	if len(f.sections[secStoreIndex].data)%storeEntry != 0 {
		return concord.Errorf(concord.Corrupt, "section %q: not a whole number of entries", secStoreIndex)
	}
	for field := range NumFields {
		if f.sections[secDictAll+sectionID(field)].checked != nil {
			continue // checked, and loaded, when it is first used
		}
		if _, err = f.dict(field); err != nil {
			return err
		}
	}
	f.langs = f.cols.countLanguages()
	f.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxStoreBlock))
	if err != nil {
		return fmt.Errorf("open segment: %w", err)
	}
	return nil
}

// Close gives the view up. Nothing obtained from it may be used afterwards. Closing twice does nothing.
func (s *Segment) Close() error {
	if s.closed.Swap(true) || s.refs.Add(-1) > 0 {
		return nil
	}
	s.zstd.Close()
	if s.mapping == nil {
		return nil
	}
	if err := s.mapping.Close(); err != nil {
		return fmt.Errorf("close segment %s: %w", s.path, err)
	}
	return nil
}

// WithDeletes returns a view of the segment without the documents of d, which replaces the deletes of s; nil stands for none. The
// view has its own Close; s must be open and stays so. d must not change afterwards.
func (s *Segment) WithDeletes(d *Deletes) (*Segment, error) {
	if d.Count() == 0 {
		d = nil
	}
	langs := s.file.langs
	if d != nil {
		if int(d.Docs()) != s.Docs() {
			return nil, concord.Errorf(concord.Invalid, "deletes are for a segment of %d documents, this one has %d", d.Docs(), s.Docs())
		}
		langs = map[string]uint64{}
		for l, n := range s.file.langs {
			langs[l] = n
		}
		it := d.bits.Iterator()
		for it.HasNext() {
			l := s.Language(DocID(it.Next()))
			if langs[l]--; langs[l] == 0 {
				delete(langs, l)
			}
		}
	}
	s.refs.Add(1)
	return &Segment{file: s.file, deletes: d, langs: langs}, nil
}

// View returns another view with the same deletes, to be closed on its own.
func (s *Segment) View() *Segment {
	s.refs.Add(1)
	return &Segment{file: s.file, deletes: s.deletes, langs: s.langs}
}

// Verify checks every byte of the file. Errors: Corrupt.
func (s *Segment) Verify() error {
	for _, sec := range s.sections[1:] {
		if err := sec.verify(); err != nil {
			return err
		}
	}
	return nil
}

// Path returns the path the segment was opened from.
func (s *Segment) Path() string { return s.path }

// Bytes returns the size of the file.
func (s *Segment) Bytes() int64 { return int64(len(s.data)) }

// Docs returns the number of documents, deleted ones included: DocIDs are below it.
func (s *Segment) Docs() int { return s.meta.Docs }

// Live returns the number of documents that are not deleted.
func (s *Segment) Live() int { return s.meta.Docs - s.deletes.Count() }

// Deletes returns the deletes of this view, nil when there are none.
func (s *Segment) Deletes() *Deletes { return s.deletes }

// Deleted reports whether a document is deleted.
func (s *Segment) Deleted(doc DocID) bool { return s.deletes.Has(doc) }

// Languages returns the number of live documents of each language. The map must not be changed.
func (s *Segment) Languages() map[string]uint64 { return s.langs }

// Lengths returns the lengths of the segment's documents, deleted ones included.
func (s *Segment) Lengths() Lengths { return s.meta.Lengths }

// Scoring returns the parameters the impacts were computed with.
func (s *Segment) Scoring() Scoring { return s.meta.Scoring }

// Info describes the segment as SegmentInfo did when it was written; it reads the whole file for the CRC.
func (s *Segment) Info() SegmentInfo {
	return SegmentInfo{Path: s.path, Docs: s.meta.Docs, Bytes: s.Bytes(), Terms: s.meta.Terms, Postings: s.meta.Postings,
		Lengths: s.meta.Lengths, CRC: crc32.Checksum(s.data, crcTable)}
}
