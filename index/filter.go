package index

import "concord/pack"

// Filter selects documents by a column. It is made for one segment and safe for concurrent use.
type Filter struct {
	seg    *Segment
	codes  *column // of values; nil: by date
	times  *column // nil: published, else fetched
	want   []bool  // by code
	ranges []valueRange
	after  int64 // seconds, included
	before int64 // seconds, excluded
}

// FilterLanguage, FilterFileType and FilterHosts select documents whose value of that column matches.
func (s *Segment) FilterLanguage(match func(string) bool) *Filter {
	return s.newFilter(&s.cols.all[colLanguage], s.cols.languages, match)
}

func (s *Segment) FilterFileType(match func(string) bool) *Filter {
	return s.newFilter(&s.cols.all[colFileType], s.cols.fileTypes, match)
}

func (s *Segment) FilterHosts(match func(string) bool) *Filter {
	return s.newFilter(&s.cols.all[colHost], s.cols.hosts, match)
}

func (s *Segment) newFilter(codes *column, values []valueRange, match func(string) bool) *Filter {
	f := &Filter{seg: s, codes: codes, want: make([]bool, len(values))}
	for i, v := range values {
		if match(v.value) {
			f.want[i] = true
			f.ranges = append(f.ranges, v)
		}
	}
	return f
}

// FilterDates selects documents published or, where that is not known, fetched at after or later and before before, in Unix seconds.
func (s *Segment) FilterDates(after, before int64) *Filter {
	return &Filter{seg: s, after: after, before: before}
}

// FilterPublished selects documents by the time published alone: those without one are not selected.
func (s *Segment) FilterPublished(after, before int64) *Filter {
	return &Filter{seg: s, times: &s.cols.all[colPublished], after: max(after, noTime+1), before: before}
}

// FilterFetched selects documents by the time fetched.
func (s *Segment) FilterFetched(after, before int64) *Filter {
	return &Filter{seg: s, times: &s.cols.all[colFetched], after: max(after, noTime+1), before: before}
}

// Match reports whether a document is selected.
func (f *Filter) Match(doc DocID) bool {
	if f.codes != nil {
		return f.want[f.codes.at(int(doc))]
	}
	var t int64
	if f.times != nil {
		t = f.times.time(int(doc))
	} else if t = f.seg.cols.published(int(doc)); t == noTime {
		t = f.seg.cols.fetched(int(doc))
	}
	return f.after <= t && t < f.before
}

// Mark sets the bits of selected documents from base to end-1; end is at most pack.BitmapLen after base.
func (f *Filter) Mark(b *pack.Bitmap, base, end DocID) {
	end = min(end, DocID(f.seg.Docs()))
	if f.codes == nil {
		for d := base; d < end; d++ {
			if f.Match(d) {
				b.Set(uint32(d - base))
			}
		}
		return
	}
	for _, r := range f.ranges {
		if r.first == r.last && DocID(r.first) >= base && DocID(r.first) < end {
			b.Set(r.first - uint32(base))
			continue
		}
		for d := max(base, DocID(r.first)); d < end && uint32(d) <= r.last; d++ {
			if f.want[f.codes.at(int(d))] {
				b.Set(uint32(d - base))
			}
		}
	}
}

// Next returns the first document from which on there may be selected ones, NoDoc when there are none.
func (f *Filter) Next(from DocID) DocID {
	if f.codes == nil {
		if int(from) >= f.seg.Docs() {
			return NoDoc
		}
		return from
	}
	next := NoDoc
	for _, r := range f.ranges {
		if uint32(from) <= r.last {
			next = min(next, max(from, DocID(r.first)))
		}
	}
	return next
}

// Unmark clears the bits of deleted documents from base to end-1.
func (d *Deletes) Unmark(b *pack.Bitmap, base, end DocID) {
	if d == nil {
		return
	}
	it := d.bits.Iterator()
	it.AdvanceIfNeeded(uint32(base))
	for it.HasNext() {
		doc := it.Next()
		if DocID(doc) >= end {
			return
		}
		i := doc - uint32(base)
		b[i/64] &^= 1 << (i % 64)
	}
}
