package pack

import "math/bits"

// Bounds of a patched run.
const (
	// maxExceptions is the most values that may be wider than the rest, so that reading them stays cheap beside the unpacking.
	maxExceptions = 31
	// maxHighBytes is the most bytes kept for what of an exception lies above the width: what two bits of the header can say.
	maxHighBytes = 3
	highShift    = 6 // of the bytes an exception takes in the header
)

// AppendPatched packs up to 128 values at the width that takes the fewest bytes, and apart from them the high bits of those few that are wider.
// The package comment has the bytes. It writes nothing when there are no values and needs len(values) <= 128.
func AppendPatched(dst []byte, values []uint32) []byte {
	if len(values) == 0 {
		return dst
	}
	values = values[:min(len(values), BlockLen)]
	width, wider, high := patchedWidth(values)
	dst = append(dst, byte(width|high<<highShift))
	if wider == 0 {
		return Append(dst, values, width)
	}
	var low Block
	mask := uint32(1)<<width - 1
	for i, v := range values {
		low[i] = v & mask
	}
	dst = append(dst, byte(wider))
	dst = Append(dst, low[:len(values)], width)
	for i, v := range values {
		if v > mask {
			dst = append(dst, byte(i))
		}
	}
	for _, v := range values {
		if v > mask {
			v >>= width
			for range high {
				dst = append(dst, byte(v))
				v >>= 8
			}
		}
	}
	return dst
}

// patchedWidth returns the width with the fewest bytes, how many values are wider, and the bytes that each of these needs for the rest.
// Of equal sizes it takes the greatest width, which has the fewest exceptions.
func patchedWidth(values []uint32) (width, wider, high int) {
	var count [MaxWidth + 1]int
	var odd [MaxWidth + 1]int // so that of two equal widths in a row the second need not wait
	for i, v := range values {
		if i&1 == 0 {
			count[bits.Len32(v)]++
		} else {
			odd[bits.Len32(v)]++
		}
	}
	for w, n := range odd {
		count[w] += n
	}
	most := MaxWidth
	for count[most] == 0 && most > 0 {
		most--
	}
	width, best := most, Size(len(values), most)
	above := 0
	for w := most - 1; w >= max(0, most-8*maxHighBytes); w-- {
		if above += count[w+1]; above > maxExceptions {
			break
		}
		h := (most - w + 7) / 8
		if size := Size(len(values), w) + 1 + above*(1+h); size < best {
			best, width, wider, high = size, w, above, h
		}
	}
	return width, wider, high
}

// UnpackPatched reads n values, at most 128, that AppendPatched wrote, and returns what follows them in src; what out holds from n on is
// unspecified. It reports false when the bytes are not such a run.
func UnpackPatched(out *Block, src []byte, n int) (rest []byte, ok bool) {
	if n <= 0 || n > BlockLen {
		return src, n == 0
	}
	if len(src) == 0 {
		return src, false
	}
	width, high, wider := int(src[0]&(1<<highShift-1)), int(src[0]>>highShift), 0
	p := src[1:]
	if high > 0 {
		if len(p) == 0 {
			return src, false
		}
		wider, p = int(p[0]), p[1:]
	}
	size := Size(n, width)
	end := size + wider*(1+high)
	if width > MaxWidth || wider > maxExceptions || wider > 0 && width == MaxWidth || len(p) < end {
		return src, false
	}
	unpackSome(out, p, n, width)
	if wider > 0 && !patch(out, p[size:size+wider], p[size+wider:end], n, width, high) {
		return src, false
	}
	return p[end:], true
}

// unpackSome unpacks the first n values of p; what follows them in out is unspecified.
func unpackSome(out *Block, p []byte, n, width int) {
	if !Unpack(out, p, width) { // fewer bytes than a whole block has
		var buf [BlockLen / 8 * MaxWidth]byte
		copy(buf[:], p[:Size(n, width)])
		Unpack(out, buf[:], width)
	}
}

// patch puts the high bits back. It reports false when an index is not below n.
func patch(out *Block, index, rest []byte, n, width, high int) bool {
	var most byte
	shift := uint(width) & 31
	switch rest = rest[:high*len(index)]; high {
	case 1:
		for k, i := range index {
			out[i&(BlockLen-1)] |= uint32(rest[k]) << shift
			most = max(most, i)
		}
	default:
		for _, i := range index {
			v := uint32(rest[0]) | uint32(rest[1])<<8
			if high > 2 {
				v |= uint32(rest[2]) << 16
			}
			out[i&(BlockLen-1)] |= v << shift
			most = max(most, i)
			rest = rest[high:]
		}
	}
	return int(most) < n
}
