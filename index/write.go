package index

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/blevesearch/vellum"
	"github.com/klauspost/compress/zstd"

	"concord"
	"concord/durable"
	"concord/pack"
)

// meta is the JSON of the meta section.
type meta struct {
	Docs     int     `json:"docs"`
	Scoring  Scoring `json:"scoring"`
	Norms    Lengths `json:"norms"`   // whose averages the impacts were computed with
	Lengths  Lengths `json:"lengths"` // of this segment's documents
	Terms    int     `json:"terms"`
	Postings int64   `json:"postings"`
}

const (
	// storeBlock is the raw size a block of documents is closed at: a result page opens about ten of them.
	storeBlock = 32 << 10
	// urlBlock is the number of URLs whose common prefixes are left out; to read one, up to this many are walked.
	urlBlock = 16
)

// segmentWriter writes one segment: all documents in order, then for each field all terms in order.
type segmentWriter struct {
	file    *fileWriter
	scoring Scoring
	meta    meta
	norms   norms
	cols    columnWriter
	zstd    *zstd.Encoder

	block      []byte // raw records of the open store block
	blockFirst uint32
	packed     []byte
	storeIndex []byte
	urls       []byte
	urlIndex   []byte
	lastURL    []byte
	lastSite   string
	hashes     []uint64 // by rank: of the URL, in the high half, and the document
	place      []uint32 // number of each document by rank; nil: the rank

	positions spool
	dicts     [NumFields]spool
	fst       *vellum.Builder
	field     Field
	postings  postingsWriter
}

// writeSegment makes a durable segment at path of what write gives the segmentWriter.
func writeSegment(path string, scoring Scoring, write func(*segmentWriter) error) (info SegmentInfo, err error) {
	if _, err := os.Lstat(path); err == nil {
		return SegmentInfo{}, concord.Errorf(concord.Conflict, "write segment: %s exists, segments are immutable", path)
	}
	err = durable.WriteFile(path, 0o600, func(out io.Writer) error {
		w, err := newSegmentWriter(filepath.Dir(path), out, scoring)
		if err != nil {
			return err
		}
		defer w.close()
		if err := write(w); err != nil {
			return err
		}
		info, err = w.finish()
		return err
	})
	if err != nil {
		return SegmentInfo{}, fmt.Errorf("write segment: %w", err)
	}
	info.Path = path
	return info, nil
}

// newSegmentWriter returns a writer to out that keeps large intermediate sections in unnamed files in dir.
func newSegmentWriter(dir string, out io.Writer, scoring Scoring) (*segmentWriter, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("compress documents: %w", err)
	}
	f, err := newFileWriter(out)
	if err != nil {
		return nil, err
	}
	w := &segmentWriter{file: f, scoring: scoring, zstd: enc, positions: spool{dir: dir}}
	for i := range w.dicts {
		w.dicts[i].dir = dir
	}
	w.postings = postingsWriter{out: f, pos: &w.positions}
	f.begin(secStore)
	return w, nil
}

// close gives the spools back.
func (w *segmentWriter) close() {
	w.positions.close()
	for i := range w.dicts {
		w.dicts[i].close()
	}
	w.zstd.Close()
}

// reserve makes room for so many documents, so that their columns are not copied as they grow.
func (w *segmentWriter) reserve(docs int) {
	w.hashes = slices.Grow(w.hashes, docs)
	w.cols.reserve(docs)
}

// addDoc appends a document, of which it keeps no reference. Documents come in ascending order of site and URL, no two alike.
func (w *segmentWriter) addDoc(m *docMeta, record []byte) error {
	n := len(w.hashes)
	if n >= MaxDocs {
		return concord.Errorf(concord.Invalid, "write segment: more than %d documents", MaxDocs)
	}
	if n > 0 && (m.site < w.lastSite || m.site == w.lastSite && bytes.Compare(m.url, w.lastURL) <= 0) {
		return concord.Errorf(concord.Internal, "write segment: document %s is out of order", concord.Clip(string(m.url), 100))
	}
	if len(w.block) > 0 && len(w.block)+len(record) > storeBlock {
		if err := w.flushStore(); err != nil {
			return err
		}
	}
	if len(w.block) == 0 {
		w.blockFirst = uint32(n)
	}
	w.block = append(pack.AppendUvarint(w.block, uint64(len(record))), record...)
	w.addURL(n, m.url)
	w.hashes = append(w.hashes, uint64(urlHashBytes(m.url))<<32|uint64(n))
	w.lastSite, w.lastURL = m.site, append(w.lastURL[:0], m.url...)
	w.cols.add(m)
	return nil
}

func (w *segmentWriter) addURL(n int, url []byte) {
	shared := 0
	if n%urlBlock == 0 {
		w.urlIndex = binary.LittleEndian.AppendUint64(w.urlIndex, uint64(len(w.urls)))
	} else {
		shared = commonPrefix(url, w.lastURL)
	}
	w.urls = pack.AppendUvarint(w.urls, uint64(shared))
	w.urls = pack.AppendUvarint(w.urls, uint64(len(url)-shared))
	w.urls = append(w.urls, url[shared:]...)
}

func (w *segmentWriter) flushStore() error {
	if len(w.block) == 0 {
		return nil
	}
	w.storeIndex = binary.LittleEndian.AppendUint64(w.storeIndex, w.file.offset())
	w.storeIndex = binary.LittleEndian.AppendUint32(w.storeIndex, w.blockFirst)
	w.storeIndex = binary.LittleEndian.AppendUint32(w.storeIndex, uint32(len(w.block)))
	w.packed = w.zstd.EncodeAll(w.block, w.packed[:0])
	w.block = w.block[:0]
	_, err := w.file.Write(w.packed)
	return err
}

// reorder numbers the documents anew before endDocs: that of rank r becomes document place[r].
func (w *segmentWriter) reorder(place []uint32) { w.place = place }

// endDocs closes the document sections and prepares impacts with the averages of lengths, or of the documents written
// when that has none.
func (w *segmentWriter) endDocs(lengths *Lengths) error {
	if err := w.flushStore(); err != nil {
		return err
	}
	if err := w.file.end(); err != nil {
		return err
	}
	var ranks []byte
	if w.place != nil {
		w.cols.permute(w.place)
		for i, h := range w.hashes {
			w.hashes[i] = h>>32<<32 | uint64(w.place[uint32(h)])
		}
		ranks = appendRanks(w.place)
	}
	w.meta = meta{Docs: len(w.hashes), Scoring: w.scoring, Lengths: w.cols.lengths()}
	w.meta.Norms = w.meta.Lengths
	if lengths != nil && lengths.Docs > 0 {
		w.meta.Norms = *lengths
	}
	w.norms.init(&w.scoring, &w.meta.Norms, &w.cols)
	columns, values := w.cols.encode()
	for _, s := range []struct {
		id sectionID
		b  []byte
	}{{secStoreIndex, w.storeIndex}, {secURLs, w.urls}, {secURLIndex, w.urlIndex}, {secURLHash, appendHashes(w.hashes)},
		{secRanks, ranks}, {secColumns, columns}, {secValues, values}} {
		if err := w.file.section(s.id, s.b); err != nil {
			return err
		}
	}
	w.storeIndex, w.urls, w.urlIndex, w.hashes, w.block, w.packed, w.place = nil, nil, nil, nil, nil, nil, nil
	w.cols = columnWriter{length: w.cols.length} // which norms refer to
	w.file.begin(secPostings)
	return nil
}

// appendHashes encodes the url hash section. It sorts hashes.
func appendHashes(hashes []uint64) []byte {
	slices.Sort(hashes)
	width := docWidth(len(hashes))
	b := make([]byte, 0, 4*len(hashes)+pack.Size(len(hashes), width))
	docs := make([]uint32, len(hashes))
	for i, h := range hashes {
		b = binary.LittleEndian.AppendUint32(b, uint32(h>>32))
		docs[i] = uint32(h)
	}
	return pack.Append(b, docs, width)
}

// beginField opens the dictionary of the next field.
func (w *segmentWriter) beginField(f Field) (err error) {
	w.field = f
	w.fst, err = vellum.New(&w.dicts[f], nil)
	if err != nil {
		return fmt.Errorf("write dictionary: %w", err)
	}
	return nil
}

func (w *segmentWriter) endField() error {
	if err := w.fst.Close(); err != nil {
		return fmt.Errorf("write dictionary: %w", err)
	}
	return nil
}

// beginTerm opens a posting list; addPosting appends to it; endTerm enters it in the dictionary under a word.
func (w *segmentWriter) beginTerm() { w.postings.begin() }

func (w *segmentWriter) addPosting(doc uint32, positions []uint32) error {
	return w.postings.add(doc, w.norms.code(w.field, doc, positions), positions)
}

func (w *segmentWriter) endTerm(word []byte) error {
	if w.postings.count == 0 {
		return nil
	}
	w.meta.Postings += int64(w.postings.count)
	w.meta.Terms++
	at, err := w.postings.finish()
	if err != nil {
		return err
	}
	if err := w.fst.Insert(word, at); err != nil {
		return fmt.Errorf("write dictionary: term %q: %w", word, err)
	}
	return nil
}

// finish writes what is left.
func (w *segmentWriter) finish() (SegmentInfo, error) {
	if err := w.file.end(); err != nil {
		return SegmentInfo{}, err
	}
	if err := w.copySpool(secPositions, &w.positions); err != nil {
		return SegmentInfo{}, err
	}
	for f := range w.dicts {
		if err := w.copySpool(secDictAll+sectionID(f), &w.dicts[f]); err != nil {
			return SegmentInfo{}, err
		}
	}
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(&w.meta); err != nil {
		return SegmentInfo{}, fmt.Errorf("write segment: %w", err)
	}
	if err := w.file.section(secMeta, b.Bytes()); err != nil {
		return SegmentInfo{}, err
	}
	if err := w.file.finish(); err != nil {
		return SegmentInfo{}, err
	}
	return SegmentInfo{Docs: w.meta.Docs, Bytes: int64(w.file.off), Terms: w.meta.Terms, Postings: w.meta.Postings,
		Lengths: w.meta.Lengths, CRC: w.file.crc}, nil
}

func (w *segmentWriter) copySpool(id sectionID, s *spool) error {
	w.file.begin(id)
	if err := s.copyTo(w.file); err != nil {
		return err
	}
	return w.file.end()
}
