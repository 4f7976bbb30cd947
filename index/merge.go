package index

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/blevesearch/vellum"

	"concord"
)

// mergeCheck is the number of documents or postings between looks at the context.
const mergeCheck = 4096

// Merge writes one segment at path, which must not exist, of the live documents of segs. Where two have a document with the same
// URL, that of the later segment is kept. Nothing is read again by the analyser: postings are renumbered and get new impacts
// by the lengths in cfg. Memory grows by about 200 bytes a document, not with the text. The segments stay as they are. Errors: those of
// ctx; Corrupt when a segment is damaged; Conflict when path exists.
func Merge(ctx context.Context, path string, segs []*Segment, cfg Config) (SegmentInfo, error) {
	scoring, err := cfg.scoring()
	if err != nil {
		return SegmentInfo{}, err
	}
	return writeSegment(path, scoring, func(w *segmentWriter) error {
		m := &merger{ctx: ctx, w: w}
		for _, s := range segs {
			m.inputs = append(m.inputs, &mergeInput{seg: s, newID: make([]uint32, s.Docs())})
		}
		if err := m.documents(cfg.Lengths); err != nil {
			return err
		}
		for f := range NumFields {
			if err := m.terms(f); err != nil {
				return err
			}
		}
		return nil
	})
}

type merger struct {
	ctx       context.Context
	w         *segmentWriter
	inputs    []*mergeInput
	work      int
	positions []uint32
}

// mergeInput is one segment on its way through a merge.
type mergeInput struct {
	seg   *Segment
	newID []uint32

	// documents
	doc   int // current document, Docs at the end
	meta  docMeta
	store storeCursor
	urls  urlCursor

	// terms
	fst      *vellum.FSTIterator
	word     []byte // current word; nil at the end
	postings Postings
}

// tick looks at the context now and then.
func (m *merger) tick() error {
	if m.work++; m.work%mergeCheck == 0 {
		return m.ctx.Err()
	}
	return nil
}

// documents merges the documents in order of site and URL and numbers them anew.
func (m *merger) documents(lengths *Lengths) error {
	for _, in := range m.inputs {
		in.doc = -1
		if err := in.nextDoc(); err != nil {
			return err
		}
	}
	for next := uint32(0); ; next++ {
		if err := m.tick(); err != nil {
			return err
		}
		var best *mergeInput
		for _, in := range m.inputs {
			if in.doc >= in.seg.Docs() {
				continue
			}
			c := -1
			if best != nil {
				if c = strings.Compare(in.meta.site, best.meta.site); c == 0 {
					c = strings.Compare(in.meta.url, best.meta.url)
				}
			}
			if c > 0 {
				continue
			}
			if c == 0 { // the later segment has the newer version
				best.newID[best.doc] = gone
				if err := best.nextDoc(); err != nil {
					return err
				}
			}
			best = in
		}
		if best == nil {
			return m.w.endDocs(lengths)
		}
		record, err := best.store.record(best.seg, uint32(best.doc))
		if err != nil {
			return err
		}
		if err := m.w.addDoc(&best.meta, record); err != nil {
			return err
		}
		best.newID[best.doc] = next
		if err := best.nextDoc(); err != nil {
			return err
		}
	}
}

// nextDoc goes to the next live document.
func (in *mergeInput) nextDoc() error {
	s := in.seg
	for in.doc++; in.doc < s.Docs() && s.Deleted(DocID(in.doc)); in.doc++ {
		in.newID[in.doc] = gone
	}
	if in.doc >= s.Docs() {
		return nil
	}
	doc := DocID(in.doc)
	url, err := in.urls.url(s, in.doc)
	if err != nil {
		return err
	}
	in.meta = docMeta{url: url, site: s.Site(doc), host: s.Host(doc), language: s.Language(doc), fileType: s.FileType(doc),
		fetched: i64(s.cols.fetched, in.doc), published: i64(s.cols.published, in.doc), flags: s.cols.flags[doc]}
	for p := range NumParts {
		in.meta.length[p] = s.cols.length(p, in.doc)
	}
	return nil
}

// terms merges the posting lists of a field.
func (m *merger) terms(f Field) error {
	if err := m.w.beginField(f); err != nil {
		return err
	}
	for _, in := range m.inputs {
		if err := in.firstWord(f); err != nil {
			return err
		}
	}
	var word []byte
	for {
		word = word[:0]
		found := false
		for _, in := range m.inputs {
			if in.word != nil && (!found || string(in.word) < string(word)) {
				word, found = append(word[:0], in.word...), true
			}
		}
		if !found {
			return m.w.endField()
		}
		if err := m.term(f, word); err != nil {
			return err
		}
	}
}

// term merges the lists of one word and moves the inputs that have it to their next.
func (m *merger) term(f Field, word []byte) error {
	m.w.beginTerm()
	var lists []*mergeInput
	for _, in := range m.inputs {
		if in.word == nil || string(in.word) != string(word) {
			continue
		}
		if err := in.openPostings(); err != nil {
			return err
		}
		lists = append(lists, in)
	}
	for {
		if err := m.tick(); err != nil {
			return err
		}
		var best *mergeInput
		id := gone
		for _, in := range lists {
			if d := in.postings.Doc(); d != NoDoc && in.newID[d] < id {
				best, id = in, in.newID[d]
			}
		}
		if best == nil {
			break
		}
		m.positions = best.postings.Positions(m.positions[:0])
		if err := best.postings.Err(); err != nil {
			return err
		}
		if err := m.w.addPosting(id, m.positions); err != nil {
			return err
		}
		if err := best.nextPosting(); err != nil {
			return err
		}
	}
	for _, in := range lists {
		if err := in.nextWord(f); err != nil {
			return err
		}
	}
	return m.w.endTerm(word)
}

// firstWord begins the walk through the dictionary of a field.
func (in *mergeInput) firstWord(f Field) (err error) {
	id := secDictAll + sectionID(f)
	defer guard(id, &err)
	in.fst, err = in.seg.dicts[f].Iterator(nil, nil)
	return in.current(id, err)
}

func (in *mergeInput) nextWord(f Field) (err error) {
	id := secDictAll + sectionID(f)
	defer guard(id, &err)
	return in.current(id, in.fst.Next())
}

// current takes the iterator's word.
func (in *mergeInput) current(id sectionID, err error) error {
	in.word = nil
	if errors.Is(err, vellum.ErrIteratorDone) {
		return nil
	}
	if err != nil {
		return concord.Errorf(concord.Corrupt, "section %q: %w", id, err)
	}
	in.word, _ = in.fst.Current()
	if in.word == nil {
		in.word = []byte{}
	}
	return nil
}

// openPostings stands on the first live posting of the current word.
func (in *mergeInput) openPostings() error {
	_, at := in.fst.Current()
	t, err := in.seg.termAt(at)
	if err != nil {
		return err
	}
	if err := in.postings.Reset(in.seg, t); err != nil {
		return err
	}
	return in.nextPosting()
}

// nextPosting goes to the next live posting.
func (in *mergeInput) nextPosting() error {
	for d := in.postings.Next(); d != NoDoc; d = in.postings.Next() {
		if in.newID[d] != gone {
			return nil
		}
	}
	if err := in.postings.Err(); err != nil {
		return fmt.Errorf("merge postings: %w", err)
	}
	return nil
}
