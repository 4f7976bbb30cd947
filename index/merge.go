package index

import (
	"bytes"
	"context"
	"strings"

	"github.com/blevesearch/vellum"
)

// mergeCheck is the number of documents or postings between looks at the context.
const mergeCheck = 4096

// Merge writes one segment at path, which must not exist, of the live documents of segs. Where two have a document with the same
// URL, that of the later segment is kept. Nothing is read again by the analyser: postings are renumbered and get new impacts
// by the lengths in cfg. Memory grows by about 100 bytes a document, not with the text; with cfg.Reorder by more (see
// there). The segments stay as they are. Errors: those of ctx; Corrupt when a segment is damaged; Conflict when path exists.
func Merge(ctx context.Context, path string, segs []*Segment, cfg Config) (SegmentInfo, error) {
	scoring, err := cfg.scoring()
	if err != nil {
		return SegmentInfo{}, err
	}
	return writeSegment(path, scoring, func(w *segmentWriter) error {
		m, err := newMerger(ctx, w, segs, cfg)
		if err != nil {
			return err
		}
		return m.run(cfg)
	})
}

// newMerger prepares the inputs.
func newMerger(ctx context.Context, w *segmentWriter, segs []*Segment, cfg Config) (*merger, error) {
	m := &merger{ctx: ctx, w: w, sorted: !cfg.Reorder, gather: gathering{limit: maxGather}}
	for _, s := range segs {
		in := &mergeInput{seg: s, newID: make([]uint32, s.Docs())}
		var err error
		if in.order, err = s.byRank(); err != nil {
			return nil, err
		}
		m.sorted = m.sorted && in.order == nil
		m.inputs = append(m.inputs, in)
	}
	return m, nil
}

// run merges the documents, then the posting lists.
func (m *merger) run(cfg Config) error {
	docs := 0
	for _, in := range m.inputs {
		docs += in.seg.Live()
	}
	m.w.reserve(docs)
	if err := m.documents(); err != nil {
		return err
	}
	if cfg.Reorder {
		if err := m.reorder(); err != nil {
			return err
		}
	}
	if err := m.w.endDocs(cfg.Lengths); err != nil {
		return err
	}
	for f := range NumFields {
		if err := m.terms(f); err != nil {
			return err
		}
	}
	return nil
}

type merger struct {
	ctx    context.Context
	w      *segmentWriter
	inputs []*mergeInput
	docs   int  // documents of the new segment
	sorted bool // the documents of every input keep their order
	work   int
	gather gathering

	positions []uint32
}

// mergeInput is one segment on its way through a merge.
type mergeInput struct {
	seg   *Segment
	newID []uint32 // by document; gone: it is left out

	// documents
	rank  int      // of the current document, Docs at the end
	doc   uint32   // its number
	order []uint32 // documents by rank, nil: their numbers
	meta  docMeta
	store storeCursor
	urls  urlCursor

	// terms
	fst      *vellum.FSTIterator
	walk     *walk
	word     []byte // current word; nil at the end
	term     Term   // its list
	postings Postings
}

// tick looks at the context now and then.
func (m *merger) tick() error {
	if m.work++; m.work%mergeCheck == 0 {
		return m.ctx.Err()
	}
	return nil
}

// documents merges the documents in order of site and URL and numbers them by that order.
func (m *merger) documents() error {
	for _, in := range m.inputs {
		in.rank = -1
		if err := in.nextDoc(); err != nil {
			return err
		}
	}
	for ; ; m.docs++ {
		if err := m.tick(); err != nil {
			return err
		}
		best, err := m.nextByURL()
		if best == nil || err != nil {
			return err
		}
		record, err := best.store.record(best.seg, uint32(best.rank))
		if err != nil {
			return err
		}
		if err := m.w.addDoc(&best.meta, record); err != nil {
			return err
		}
		best.newID[best.doc] = uint32(m.docs)
		if err := best.nextDoc(); err != nil {
			return err
		}
	}
}

// nextByURL returns the input whose current document comes next, nil at the end. Of several with its URL it is the last input; the
// others go on.
func (m *merger) nextByURL() (*mergeInput, error) {
	var best *mergeInput
	for _, in := range m.inputs {
		if in.rank >= in.seg.Docs() {
			continue
		}
		c := -1
		if best != nil {
			if c = strings.Compare(in.meta.site, best.meta.site); c == 0 {
				c = bytes.Compare(in.meta.url, best.meta.url)
			}
		}
		if c > 0 {
			continue
		}
		if c == 0 { // the later segment has the newer version
			best.newID[best.doc] = gone
			if err := best.nextDoc(); err != nil {
				return nil, err
			}
		}
		best = in
	}
	return best, nil
}

// nextDoc goes to the next live document.
func (in *mergeInput) nextDoc() error {
	s := in.seg
	for in.rank++; in.rank < s.Docs(); in.rank++ {
		in.doc = uint32(in.rank)
		if in.order != nil {
			in.doc = in.order[in.rank]
		}
		if !s.Deleted(DocID(in.doc)) {
			break
		}
		in.newID[in.doc] = gone
	}
	if in.rank >= s.Docs() {
		return nil
	}
	doc := DocID(in.doc)
	url, err := in.urls.url(s, in.rank)
	if err != nil {
		return err
	}
	in.meta = docMeta{url: url, site: s.Site(doc), host: s.Host(doc), language: s.Language(doc), fileType: s.FileType(doc),
		fetched: s.cols.fetched(int(doc)), published: s.cols.published(int(doc)), flags: s.cols.flags(int(doc))}
	for p := range NumParts {
		in.meta.length[p] = s.cols.length(p, int(doc))
	}
	return nil
}
