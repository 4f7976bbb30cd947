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

// riceParam returns the parameter that makes a run of the values shortest, or nearly so.
func riceParam(values []uint32) int {
	var sum uint64
	for _, v := range values {
		sum += uint64(v)
	}
	mean := sum / uint64(max(1, len(values)))
	first := max(0, bits.Len64(mean)-2)
	best, size := first, ^uint64(0)
	for k := first; k <= min(first+2, pack.MaxRice); k++ {
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
	ok := len(o.b) > 0
	o.word, o.b = lastWord(o.b), nil
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

// passOnes passes the ones of a stream up to number n, counted from 0, whose position it returns; n is -1 for none. Beyond that it returns
// the word it came to without the ones that were passed, the position of that word's first bit, and the bytes after the word. Bytes that lie behind the stream in
// memory may be taken for its own. It reports false when there are not so many ones. What phrases spend their time on: all in registers.
func passOnes(b []byte, n int) (at int, word uint64, base int, rest []byte, ok bool) {
	word, rest = nextWord(b[:min(len(b)+7, cap(b))])
	if n < 0 {
		return -1, word, 0, rest, true
	}
	for c := bits.OnesCount64(word); n >= c; c = bits.OnesCount64(word) {
		if n -= c; len(rest) == 0 {
			return 0, 0, 0, nil, false
		}
		word, rest = nextWord(rest)
		base += 64
	}
	at = selectOne(word, n)
	return base + at, word & (^uint64(1) << (at & 63)), base, rest, true
}

// nextWord returns the first 64 bits of b, zero where it has fewer, and what follows.
func nextWord(b []byte) (uint64, []byte) {
	if len(b) >= 8 {
		return binary.LittleEndian.Uint64(b), b[8:]
	}
	return lastWord(b), nil
}

func lastWord(b []byte) (w uint64) {
	for i, c := range b {
		w |= uint64(c) << (8 * i)
	}
	return w
}

// selectOne returns the place of one number n, counted from 0, in a word that has it: by the sums of bytes, added up side by side,
// then by a table (Vigna, "Broadword implementation of rank/select queries", WEA 2008).
func selectOne(w uint64, n int) int {
	const each, high = 0x0101010101010101, 0x8080808080808080
	s := w - w>>1&0x5555555555555555
	s = s&0x3333333333333333 + s>>2&0x3333333333333333
	s = ((s + s>>4) & 0x0F0F0F0F0F0F0F0F) * each // byte i: ones in bytes 0 to i
	before := bits.OnesCount64(((uint64(n)*each|high)-s)&high) * 8
	before &= 63
	return before + int(oneInByte[w>>before&0xFF][(n-int(s<<8>>before&0xFF))&7])
}

// oneInByte has the place of each one of a byte.
var oneInByte = func() (t [256][8]uint8) {
	for b := range t {
		n := 0
		for i := range uint8(8) {
			if b>>i&1 == 1 {
				t[b][n] = i
				n++
			}
		}
	}
	return t
}()

// riceChunk is a run that is read in part: a byte with the parameter and a run of n values, with more bytes behind it in memory.
type riceChunk struct {
	k     int
	lows  []byte // and what follows them
	highs []byte
}

// newRiceChunk places the parts of a chunk; false when it is too short.
func newRiceChunk(b []byte, n int) (c riceChunk, ok bool) {
	if len(b) == 0 || b[0] > pack.MaxRice {
		return c, false
	}
	c.k, c.lows = int(b[0]), b[1:]
	size := pack.Size(n, c.k)
	if size > len(c.lows) {
		return c, false
	}
	c.highs = c.lows[size:]
	return c, true
}

// at returns value i; false on damage.
func (c *riceChunk) at(i int) (uint64, bool) {
	last, word, base, rest, ok := passOnes(c.highs, i-1)
	for ok && word == 0 && len(rest) > 0 {
		word, rest = nextWord(rest)
		base += 64
	}
	at := base + bits.TrailingZeros64(word)
	return uint64(at-last-1)<<c.k | uint64(pack.At(c.lows, c.k, i)), ok && word != 0
}

// appendSums appends sum plus the running sums of values first to end-1, each and one more, and returns the last of them; false on damage.
// Sums beyond 32 bits are cut, but not the one that is returned.
func (c *riceChunk) appendSums(dst []uint32, first, end int, sum uint64) ([]uint32, uint64, bool) {
	last, word, base, rest, ok := passOnes(c.highs, first-1)
	if !ok {
		return dst, 0, false
	}
	k, mask, lows := c.k&63, uint64(1)<<c.k-1, c.lows
	n := len(dst)
	dst = slices.Grow(dst, end-first)[:n+end-first]
	bit := first * k
	for i := range dst[n:] {
		for word == 0 {
			if len(rest) == 0 {
				return dst[:n], 0, false
			}
			word, rest = nextWord(rest)
			base += 64
		}
		at := base + bits.TrailingZeros64(word)
		word &= word - 1
		var low uint64
		if from := bit >> 3; from+8 <= len(lows) {
			low = binary.LittleEndian.Uint64(lows[from:]) >> (bit & 7) & mask
		} else {
			low = uint64(pack.At(lows, k, first+i))
		}
		sum += (uint64(at-last-1)<<k | low) + 1
		dst[n+i] = uint32(sum)
		last = at
		bit += k
	}
	return dst, sum, true
}

// intersect walks through the sums that appendSums would append as long as there are wanted ones, which ascend. It returns those that
// are left, kept with those added that were met, and the last sum.
func (c *riceChunk) intersect(kept, wanted []uint32, first, end int, sum uint64) (left, found []uint32, total uint64, ok bool) {
	last, word, base, rest, ok := passOnes(c.highs, first-1)
	if !ok {
		return nil, kept, 0, false
	}
	k, mask, lows := c.k&63, uint64(1)<<c.k-1, c.lows
	target := uint64(wanted[0])
	bit := first * k
	for i := first; i < end; i++ {
		for word == 0 {
			if len(rest) == 0 {
				return nil, kept, 0, false
			}
			word, rest = nextWord(rest)
			base += 64
		}
		at := base + bits.TrailingZeros64(word)
		word &= word - 1
		var low uint64
		if from := bit >> 3; from+8 <= len(lows) {
			low = binary.LittleEndian.Uint64(lows[from:]) >> (bit & 7) & mask
		} else {
			low = uint64(pack.At(lows, k, i))
		}
		sum += (uint64(at-last-1)<<k | low) + 1
		last = at
		bit += k
		for sum >= target {
			if sum == target {
				kept = append(kept, wanted[0])
			}
			if wanted = wanted[1:]; len(wanted) == 0 {
				return nil, kept, sum, true
			}
			target = uint64(wanted[0])
		}
	}
	return wanted, kept, sum, true
}

// readRice appends the n values of the run at the front of b to dst and returns what follows the run; false when b does not have
// it whole or a value is beyond 32 bits.
func readRice(dst []uint32, b []byte, n, k int) (values []uint32, rest []byte, ok bool) {
	size := pack.Size(n, k)
	if k > pack.MaxRice || size > len(b) {
		return dst, nil, false
	}
	o := newOnes(b[size:])
	last := -1
	for i := range n {
		at, ok := o.next()
		if !ok {
			return dst, nil, false
		}
		v := uint64(at-last-1)<<k | uint64(pack.At(b, k, i))
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
	at, word, base, rest, ok := passOnes(highs, i-1)
	if !ok {
		return 0, 0, false
	}
	if i > 0 {
		before = uint32(at-i+1)<<k | pack.At(b, k, i-1)
	}
	for word == 0 {
		if len(rest) == 0 {
			return 0, 0, false
		}
		word, rest = nextWord(rest)
		base += 64
	}
	after = uint32(base+bits.TrailingZeros64(word)-i)<<k | pack.At(b, k, i)
	return before, after, before <= after
}
