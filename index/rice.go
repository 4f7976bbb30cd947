package index

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"concord/pack"
)

// This file has the codes of values whose sizes vary: gaps of short lists, frequencies, positions.
//
// A Rice run of n values with parameter k (Rice and Plaunt 1971) is the low k bits of each, packed, and then the rest of each in
// unary: as many zero bits as it says and a one. Values spread geometrically, as the gaps of a word in running text nearly do,
// take about a tenth less than packed at one width, and any of them is found without decoding those before it: its low bits
// have a place of their own, and its one is counted off, 64 bits at a time.

// maxRice bounds the parameter, so that it can share a byte.
const maxRice = 31

// riceParam returns the parameter that makes a run of the values shortest, or nearly so.
func riceParam(values []uint32) int {
	var sum uint64
	for _, v := range values {
		sum += uint64(v)
	}
	mean := sum / uint64(max(1, len(values)))
	first := max(0, bits.Len64(mean)-2)
	best, size := first, ^uint64(0)
	for k := first; k <= min(first+2, maxRice); k++ {
		n := uint64(len(values) * k)
		for _, v := range values {
			n += uint64(v >> k)
		}
		if n < size {
			best, size = k, n
		}
	}
	return best
}

// appendRice appends a run. scratch is memory for the low bits, at least as long as values.
func appendRice(dst []byte, values []uint32, k int, scratch []uint32) []byte {
	if k > 0 {
		mask := uint32(1)<<k - 1
		for i, v := range values {
			scratch[i] = v & mask
		}
		dst = pack.Append(dst, scratch[:len(values)], k)
	}
	return appendUnary(dst, values, k)
}

// appendUnary appends what lies above the low k bits of each value, padded to whole bytes.
func appendUnary(dst []byte, values []uint32, k int) []byte {
	var word uint64
	used := 0 // bits of word, fewer than 8
	for _, v := range values {
		zeros := int(v >> k)
		used += zeros
		for used >= 8 {
			dst = append(dst, byte(word))
			word >>= 8
			used -= 8
		}
		word |= 1 << used
		if used++; used == 8 {
			dst = append(dst, byte(word))
			word, used = 0, 0
		}
	}
	if used > 0 {
		dst = append(dst, byte(word))
	}
	return dst
}

// ones walks through the one bits of a stream.
type ones struct {
	b    []byte // what is not loaded yet
	word uint64 // what is left of the loaded bits
	base int    // position of the first loaded bit
}

func newOnes(b []byte) ones {
	o := ones{b: b, base: -64}
	o.load()
	return o
}

func (o *ones) load() bool {
	o.base += 64
	if len(o.b) >= 8 {
		o.word, o.b = binary.LittleEndian.Uint64(o.b), o.b[8:]
		return true
	}
	o.word = 0
	for i, c := range o.b {
		o.word |= uint64(c) << (8 * i)
	}
	ok := len(o.b) > 0
	o.b = nil
	return ok
}

// next returns the position of the next one; false when there is none.
func (o *ones) next() (int, bool) {
	for o.word == 0 {
		if !o.load() {
			return 0, false
		}
	}
	at := o.base + bits.TrailingZeros64(o.word)
	o.word &= o.word - 1
	return at, true
}

// skip passes n ones, or as many as there are.
func (o *ones) skip(n int) {
	for {
		c := bits.OnesCount64(o.word)
		if n < c {
			break
		}
		n -= c
		if !o.load() {
			return
		}
	}
	if c := bits.OnesCount32(uint32(o.word)); n >= c {
		n -= c
		o.word = o.word >> 32 << 32
	}
	for ; n > 0; n-- {
		o.word &= o.word - 1
	}
}

// nth returns the position of one number n, counted from 0, and leaves the walk behind it.
func (o *ones) nth(n int) (int, bool) {
	o.skip(n)
	return o.next()
}

// lowBits returns the k low bits of value i of those packed at the front of b; b must have them.
func lowBits(b []byte, i, k int) uint32 {
	at := i * k
	from := at / 8
	var w uint64
	if from+8 <= len(b) {
		w = binary.LittleEndian.Uint64(b[from:])
	} else {
		for j, c := range b[min(from, len(b)):] {
			w |= uint64(c) << (8 * j)
		}
	}
	return uint32(w>>(at%8)) & (1<<k - 1)
}

// appendRiceSums appends sum plus the running sums of values first to end-1, each and one more, of a chunk, which is a byte with the parameter
// and a run of n values, and returns the last of them; false on damage. Sums beyond 32 bits are cut, but not the one that is returned.
func appendRiceSums(dst []uint32, chunk []byte, n, first, end int, sum uint64) ([]uint32, uint64, bool) {
	if len(chunk) == 0 || chunk[0] > maxRice {
		return dst, 0, false
	}
	k, lows := int(chunk[0]), chunk[1:]
	size := pack.Size(n, k)
	if size > len(lows) {
		return dst, 0, false
	}
	o := newOnes(lows[size:])
	last := -1
	if first > 0 {
		var ok bool
		if last, ok = o.nth(first - 1); !ok {
			return dst, 0, false
		}
	}
	// From here on o is taken apart: this is where phrases spend their time.
	mask := uint64(1)<<k - 1
	word, base := o.word, o.base
	n = len(dst)
	dst = slices.Grow(dst, end-first)[:n+end-first]
	bit := first * k
	for i := range dst[n:] {
		for word == 0 {
			if !o.load() {
				return dst[:n], 0, false
			}
			word, base = o.word, o.base
		}
		at := base + bits.TrailingZeros64(word)
		word &= word - 1
		var low uint64
		if from := bit >> 3; from+8 <= len(lows) {
			low = binary.LittleEndian.Uint64(lows[from:]) >> (bit & 7) & mask
		} else {
			low = uint64(lowBits(lows, first+i, k))
		}
		sum += (uint64(at-last-1)<<(k&63) | low) + 1
		dst[n+i] = uint32(sum)
		last = at
		bit += k
	}
	return dst, sum, true
}

// riceAt returns value i of a chunk; false on damage.
func riceAt(chunk []byte, n, i int) (uint64, bool) {
	if len(chunk) == 0 || chunk[0] > maxRice {
		return 0, false
	}
	k, lows := int(chunk[0]), chunk[1:]
	size := pack.Size(n, k)
	if size > len(lows) {
		return 0, false
	}
	o := newOnes(lows[size:])
	last := -1
	if i > 0 {
		var ok bool
		if last, ok = o.nth(i - 1); !ok {
			return 0, false
		}
	}
	at, ok := o.next()
	return uint64(at-last-1)<<k | uint64(lowBits(lows, i, k)), ok
}

// readRice appends the n values of the run at the front of b to dst and returns what follows the run; false when b does not have
// it whole or a value is beyond 32 bits.
func readRice(dst []uint32, b []byte, n, k int) (values []uint32, rest []byte, ok bool) {
	size := pack.Size(n, k)
	if k > maxRice || size > len(b) {
		return dst, nil, false
	}
	o := newOnes(b[size:])
	last := -1
	for i := range n {
		at, ok := o.next()
		if !ok {
			return dst, nil, false
		}
		v := uint64(at-last-1)<<k | uint64(lowBits(b, i, k))
		if v > 1<<32-1 {
			return dst, nil, false
		}
		dst, last = append(dst, uint32(v)), at
	}
	return dst, b[size+(last+8)/8:], true
}

// appendSums appends the running sums of the values, of which the last is total, in the code of Elias and Fano (Elias
// 1974): the low k bits of each packed, then the rest of each, less that of the one before, in unary. scratch is memory as long as values.
func appendSums(dst []byte, values []uint32, k int, scratch []uint32) []byte {
	var sum uint32
	mask := uint32(1)<<k - 1
	for i, v := range values {
		sum += v
		scratch[i] = sum & mask
	}
	dst = pack.Append(dst, scratch[:len(values)], k)
	var high uint32
	sum = 0
	for i, v := range values {
		sum += v
		scratch[i] = sum>>k - high
		high = sum >> k
	}
	return appendUnary(dst, scratch[:len(values)], 0)
}

// sumsParam returns the k that makes n running sums up to total shortest.
func sumsParam(n int, total uint64) int {
	k := 0
	for uint64(n*k)+total>>k > uint64(n*(k+1))+total>>(k+1) {
		k++
	}
	return k
}

// sumsSize returns the bytes of n running sums, of their low bits and of the unary part.
func sumsSize(n int, total uint64, k int) (low, high uint64) {
	return uint64(pack.Size(n, k)), (uint64(n) + total>>k + 7) / 8
}

// sumsAt returns the sums before and after value i; false on damage.
func sumsAt(b, highs []byte, i, k int) (before, after uint32, ok bool) {
	o := newOnes(highs)
	var at int
	if i > 0 {
		if at, ok = o.nth(i - 1); !ok {
			return 0, 0, false
		}
		before = uint32(at-i+1)<<k | lowBits(b, i-1, k)
	}
	if at, ok = o.next(); !ok {
		return 0, 0, false
	}
	after = uint32(at-i)<<k | lowBits(b, i, k)
	return before, after, before <= after
}
