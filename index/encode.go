package index

import (
	"encoding/binary"

	"concord"
	"concord/pack"
)

// blockLen is the number of postings in a block; lists shorter than that are stored as one short list.
const blockLen = pack.BlockLen

// superLen is the number of blocks whose impacts share one superblock maximum.
const superLen = 32

// How the document numbers of a block are stored, one byte a block. Smaller values are the width of packed gaps.
const (
	docsBitmap  = 0x40 // one bit a document number between the last of the block before and the last of this
	docsPatched = 0xC0 // gaps packed at one width, but for a few
	docsTail    = 0x80 // fewer than blockLen: a Rice run of gaps
)

// postingsWriter encodes posting lists: short lists and blocks to the postings section, positions of blocks to the positions
// section. One term at a time: add every posting, then finish.
type postingsWriter struct {
	out    *fileWriter // its open section is postings
	pos    *spool
	buf    []byte
	docGap []uint32

	scratch [max(blockLen, positionChunk)]uint32
	packed  []byte   // chunks of positions
	offsets []uint32 // where they end
	n       int      // postings in the open block
	docs    pack.Block
	impacts [blockLen]byte
	freqs   pack.Block
	firsts  pack.Block // first positions
	gaps    []uint32   // gaps less one between positions, all postings of the block

	count     uint32 // postings of the term
	total     uint64 // its positions
	dataStart uint64
	posStart  uint64
	last      uint32 // last document of the closed blocks
	dir       []dirEntry
}

// dirEntry describes one closed block.
type dirEntry struct {
	last, docOff, posOff uint32
	max, kind            byte
}

func (w *postingsWriter) begin() {
	w.n, w.count, w.total, w.last = 0, 0, 0, ^uint32(0)
	w.dir = w.dir[:0]
	w.gaps = w.gaps[:0]
	w.dataStart, w.posStart = w.out.offset(), w.pos.off
}

// add appends a posting. Documents ascend; positions too, and there is at least one.
func (w *postingsWriter) add(doc uint32, impact byte, positions []uint32) error {
	if w.n == blockLen {
		if err := w.flush(); err != nil {
			return err
		}
	}
	w.docs[w.n], w.impacts[w.n], w.freqs[w.n] = doc, impact, uint32(len(positions)-1)
	prev := positions[0]
	w.firsts[w.n] = prev
	for _, p := range positions[1:] {
		if p <= prev {
			return concord.Errorf(concord.Internal, "write postings: positions do not ascend")
		}
		w.gaps = append(w.gaps, p-prev-1)
		prev = p
	}
	w.n++
	w.count++
	w.total += uint64(len(positions))
	return nil
}

// finish ends the term and returns the value its dictionary entry gets.
func (w *postingsWriter) finish() (uint64, error) {
	if len(w.dir) == 0 && w.n < blockLen {
		return w.finishShort()
	}
	if w.n > 0 {
		if err := w.flush(); err != nil {
			return 0, err
		}
	}
	at := w.out.offset()
	b := pack.AppendUvarint(w.buf[:0], uint64(w.count)<<1|listDocCount)
	var top byte
	for _, d := range w.dir {
		top = max(top, d.max)
	}
	b = append(b, top)
	b = pack.AppendUvarint(b, w.total)
	b = pack.AppendUvarint(b, at-w.dataStart)
	b = pack.AppendUvarint(b, w.posStart)
	b = pack.AppendUvarint(b, w.pos.off-w.posStart)
	for _, d := range w.dir {
		b = binary.LittleEndian.AppendUint32(b, d.last)
	}
	for _, d := range w.dir {
		b = binary.LittleEndian.AppendUint32(b, d.docOff)
	}
	for _, d := range w.dir {
		b = binary.LittleEndian.AppendUint32(b, d.posOff)
	}
	for _, d := range w.dir {
		b = append(b, d.max)
	}
	for _, d := range w.dir {
		b = append(b, d.kind)
	}
	for i := 0; i < len(w.dir); i += superLen {
		var m byte
		for _, d := range w.dir[i:min(i+superLen, len(w.dir))] {
			m = max(m, d.max)
		}
		b = append(b, m)
	}
	w.buf = b
	_, err := w.out.Write(b)
	return at, err
}

// flush closes the open block.
func (w *postingsWriter) flush() error {
	docOff, posOff := w.out.offset()-w.dataStart, w.pos.off-w.posStart
	if docOff > 1<<32-1 || posOff > 1<<32-1 {
		return concord.Errorf(concord.Invalid, "write postings: list of more than 4 GiB; merge fewer segments")
	}
	e := dirEntry{last: w.docs[w.n-1], docOff: uint32(docOff), posOff: uint32(posOff), max: pack.MaxByte(w.impacts[:w.n])}
	b := w.buf[:0]
	if w.n < blockLen {
		e.kind = docsTail
		gaps := w.docGaps()
		k := riceParam(gaps)
		b = appendRice(append(b, byte(k)), gaps, k, w.scratch[:])
	} else {
		b, e.kind = w.appendDocs(b)
	}
	b = append(b, w.impacts[:w.n]...)
	if _, err := w.out.Write(b); err != nil {
		return err
	}
	b = w.appendPositions(b[:0])
	w.buf = b
	if _, err := w.pos.Write(b); err != nil {
		return err
	}
	w.dir = append(w.dir, e)
	w.last, w.n, w.gaps = e.last, 0, w.gaps[:0]
	return nil
}

// patchedGain is the part of a block's documents that patching must save to be worth its time in reading.
const patchedGain = 10

// denseSpan is up to how many documents a block spans that is a bitmap whatever its size: bitmaps of more than every second document are added up, marked
// and counted several times faster than gaps are, and are at most 16 bytes larger.
const denseSpan = 2 * blockLen

// appendDocs appends a full block's documents in the smallest form, or as a bitmap if it is dense.
func (w *postingsWriter) appendDocs(b []byte) ([]byte, byte) {
	gaps := w.docGaps()
	width := pack.Width(gaps)
	size := pack.Size(blockLen, width)
	if span := uint64(w.docs[blockLen-1] - w.last); width > 0 && (span <= denseSpan || (span+7)/8 <= uint64(size)) {
		return pack.AppendBits(b, w.docs[:], w.last, int(span)), docsBitmap
	}
	n := len(b)
	if b = pack.AppendPatched(b, gaps); len(b)-n <= size-size/patchedGain {
		return b, docsPatched
	}
	return pack.Append(b[:n], gaps, width), byte(width)
}

// docGaps returns the open block's documents as gaps less one.
func (w *postingsWriter) docGaps() []uint32 {
	w.docGap = w.docGap[:0]
	last := w.last
	for _, d := range w.docs[:w.n] {
		w.docGap = append(w.docGap, d-last-1)
		last = d
	}
	return w.docGap
}

// appendPositions appends a block: how many positions there are more than postings, where those of each posting end, where the
// chunks begin, and the chunks.
func (w *postingsWriter) appendPositions(b []byte) []byte {
	n := w.n
	b = pack.AppendUvarint(b, uint64(len(w.gaps)))
	w.packed, w.offsets = w.packed[:0], w.offsets[:0]
	w.appendChunk(w.firsts[:n])
	for rest := w.gaps; len(rest) > 0; {
		c := rest[:min(len(rest), positionChunk)]
		rest = rest[len(c):]
		w.offsets = append(w.offsets, uint32(len(w.packed)))
		w.appendChunk(c)
	}
	wide := len(w.packed) >= 1<<16
	if len(w.gaps) > 0 {
		k := sumsParam(n, uint64(len(w.gaps)))
		mode := byte(k)
		if wide {
			mode |= wideOffsets
		}
		b = append(b, mode)
		b = appendSums(b, w.freqs[:n], k, w.scratch[:])
	}
	for _, o := range w.offsets {
		if wide {
			b = binary.LittleEndian.AppendUint32(b, o)
		} else {
			b = binary.LittleEndian.AppendUint16(b, uint16(o))
		}
	}
	return append(b, w.packed...)
}

// appendChunk appends a byte with a parameter and the run of the values.
func (w *postingsWriter) appendChunk(values []uint32) {
	k := riceParam(values)
	w.packed = append(w.packed, byte(k))
	w.packed = appendRice(w.packed, values, k, w.scratch[:])
}
