package index

// inverter turns the token logs of documents into posting lists, in order of words. It counts first, so that every list
// has its place, then fills the lists of as many words at a time as its memory allows, walking the logs once for each batch of
// words: a counting sort. Documents are walked in their new order, so that lists need no sorting.
//
// While it is filled, a list is a row of units of sixteen bits. For each occurrence: twice the distance from the position before it in the
// document, or from 0, and 1 more where a posting begins; then, where one begins, the distance from the document before it. A number
// that does not fit is unitWide and two units, high bits first.
type inverter struct {
	docs   *docStore
	order  []uint32            // documents in their new order
	length *[NumParts][]uint32 // of each part, by new order
	words  []uint32            // numbers in order of words

	lists []openList // by number
	open  []bool     // by number: in this batch; small, so that passing over a word costs no miss
	units []uint16   // of the lists of the batch

	// the list last decoded
	positions []uint32
	postings  []openPosting
}

// openList is the state of a list: 16 bytes, so that none lies across two lines of memory.
type openList struct {
	at       uint32 // while it is counted its size, then where it goes on
	doc      uint32 // last document + 1
	position uint32 // last one in it
	_        uint32
}

// openPosting is one posting; its positions end where those of the next begin.
type openPosting struct{ doc, from uint32 }

const (
	unitWide = 0xFFFF
	// minInvertBytes is what the lists of a batch may take at least, and maxInvertBytes keeps their places within 32 bits.
	minInvertBytes = 16 << 20
	maxInvertBytes = 4 << 30
)

// span returns the positions that a field has of the document with a new number, in the position space of FieldAll.
func (v *inverter) span(f Field, id int) (from, to uint32) {
	switch f {
	case FieldTitle:
		return 0, v.length[PartTitle][id]
	case FieldURL:
		for p := range PartURL {
			from += v.length[p][id] + partGap
		}
		return from, from + v.length[PartURL][id]
	}
	return 0, ^uint32(0)
}

// field calls emit with every list of a field that is not empty, in order of words. The list is in postings and positions, which
// count from the beginning of the field.
func (v *inverter) field(f Field, memory int64, emit func(number uint32) error) error {
	v.count(f)
	for rest := v.words; len(rest) > 0; {
		batch := v.begin(rest, memory)
		rest = rest[len(batch):]
		v.fill(f)
		begin := uint32(0)
		for _, n := range batch {
			v.open[n] = false
			end := v.lists[n].at
			if begin == end {
				continue
			}
			v.decode(v.units[begin:end])
			begin = end
			if err := emit(n); err != nil {
				return err
			}
		}
	}
	return nil
}

// count sizes the lists of a field.
func (v *inverter) count(f Field) {
	if v.lists == nil {
		v.lists, v.open = make([]openList, len(v.words)+1), make([]bool, len(v.words)+1)
	}
	clear(v.lists)
	for id, i := range v.order {
		log, renumber := v.docs.tokens(i)
		doc := uint32(id) + 1
		from, to := v.span(f, id)
		for at := uint32(0); len(log) > 0 && at < to; at++ {
			n := uint32(log[0])
			if n == tokenSkip {
				at += uint32(log[1])<<16 + uint32(log[2]) - 1
				log = log[3:]
				continue
			}
			log = log[1:]
			if n >= tokenWide {
				n = (n-tokenWide)<<16 + uint32(log[0])
				log = log[1:]
			}
			if at < from {
				continue
			}
			if renumber != nil {
				n = renumber[n]
			}
			l := &v.lists[n]
			if l.doc == doc {
				l.at += unitSize(2 * (at - l.position))
			} else {
				l.at += unitSize(2*(at-from)+1) + unitSize(doc-l.doc)
				l.doc = doc
			}
			l.position = at
		}
	}
}

func unitSize(v uint32) uint32 {
	if v < unitWide {
		return 1
	}
	return 3
}

// begin takes as many of the next words as fit the memory and gives their lists places.
func (v *inverter) begin(words []uint32, memory int64) []uint32 {
	limit := uint64(min(max(memory, minInvertBytes), maxInvertBytes)) / 2
	taken, at := 0, uint32(0)
	for _, n := range words {
		l := &v.lists[n]
		size := l.at
		if taken > 0 && uint64(at)+uint64(size) > limit {
			break
		}
		v.open[n] = true
		*l = openList{at: at}
		at += size
		taken++
	}
	if uint32(cap(v.units)) < at {
		v.units = make([]uint16, at)
	}
	v.units = v.units[:at]
	return words[:taken]
}

// fill walks all logs and puts what belongs to open lists into them.
func (v *inverter) fill(f Field) {
	units, open := v.units, v.open
	for id, i := range v.order {
		log, renumber := v.docs.tokens(i)
		doc := uint32(id) + 1
		from, to := v.span(f, id)
		for at := uint32(0); len(log) > 0 && at < to; at++ {
			n := uint32(log[0])
			if n == tokenSkip {
				at += uint32(log[1])<<16 + uint32(log[2]) - 1
				log = log[3:]
				continue
			}
			log = log[1:]
			if n >= tokenWide {
				n = (n-tokenWide)<<16 + uint32(log[0])
				log = log[1:]
			}
			if at < from {
				continue
			}
			if renumber != nil {
				n = renumber[n]
			}
			if !open[n] {
				continue
			}
			l := &v.lists[n]
			if l.doc == doc {
				gap := 2 * (at - l.position)
				l.position = at
				if gap < unitWide {
					units[l.at] = uint16(gap)
					l.at++
				} else {
					l.at = putWide(units, l.at, gap)
				}
				continue
			}
			l.at = putUnit(units, l.at, 2*(at-from)+1)
			l.at = putUnit(units, l.at, doc-l.doc)
			l.doc, l.position = doc, at
		}
	}
}

func putUnit(units []uint16, at, v uint32) uint32 {
	if v < unitWide {
		units[at] = uint16(v)
		return at + 1
	}
	return putWide(units, at, v)
}

func putWide(units []uint16, at, v uint32) uint32 {
	units[at], units[at+1], units[at+2] = unitWide, uint16(v>>16), uint16(v)
	return at + 3
}

// decode takes a list apart.
func (v *inverter) decode(units []uint16) {
	postings, positions := v.postings[:0], v.positions[:0]
	doc := ^uint32(0) // the first distance is from -1
	var position uint32
	for i := 0; i < len(units); {
		var gap uint32
		gap, i = unit(units, i)
		if gap&1 != 0 {
			var distance uint32
			distance, i = unit(units, i)
			doc += distance
			postings = append(postings, openPosting{doc, uint32(len(positions))})
			position = 0
		}
		position += gap / 2
		positions = append(positions, position)
	}
	v.postings, v.positions = postings, positions
}

// unit reads one number at i and returns it and the place after it.
func unit(units []uint16, i int) (uint32, int) {
	if units[i] != unitWide {
		return uint32(units[i]), i + 1
	}
	return uint32(units[i+1])<<16 + uint32(units[i+2]), i + 3
}
