package pack

import "encoding/binary"

// slack is what the plain unpacking loop may read beyond the packed bytes: one 64-bit load.
const slack = 8

// unpackScalar is Unpack for a width that is not zero and a src that is long enough.
func unpackScalar(out *Block, src []byte, width int) {
	need := BlockLen / 8 * width
	if len(src) < need+slack {
		var buf [BlockLen/8*MaxWidth + slack]byte
		copy(buf[:], src[:need])
		src = buf[:need+slack]
	}
	unpackPadded(out, src, width)
}

// unpackPadded is the plain kernel: src has the slack. Eight values begin at a byte border, so the loop goes by eight.
func unpackPadded(out *Block, src []byte, width int) {
	mask := uint64(1)<<width - 1
	w := uint(width)
	switch {
	case width <= 8:
		for i := 0; i < BlockLen; i += 8 {
			x := binary.LittleEndian.Uint64(src)
			src = src[width:]
			o := out[i : i+8 : i+8]
			o[0] = uint32(x & mask)
			x >>= w & 63
			o[1] = uint32(x & mask)
			x >>= w & 63
			o[2] = uint32(x & mask)
			x >>= w & 63
			o[3] = uint32(x & mask)
			x >>= w & 63
			o[4] = uint32(x & mask)
			x >>= w & 63
			o[5] = uint32(x & mask)
			x >>= w & 63
			o[6] = uint32(x & mask)
			x >>= w & 63
			o[7] = uint32(x & mask)
		}
	case width <= 15: // four values and an offset of at most four bits fit one load
		half, odd := width/2, uint(width&1)*4
		for i := 0; i < BlockLen; i += 8 {
			x := binary.LittleEndian.Uint64(src)
			y := binary.LittleEndian.Uint64(src[half:]) >> (odd & 63)
			src = src[width:]
			o := out[i : i+8 : i+8]
			o[0] = uint32(x & mask)
			o[4] = uint32(y & mask)
			x, y = x>>(w&63), y>>(w&63)
			o[1] = uint32(x & mask)
			o[5] = uint32(y & mask)
			x, y = x>>(w&63), y>>(w&63)
			o[2] = uint32(x & mask)
			o[6] = uint32(y & mask)
			x, y = x>>(w&63), y>>(w&63)
			o[3] = uint32(x & mask)
			o[7] = uint32(y & mask)
		}
	case width <= 28: // two values and an offset of at most seven bits
		bit := uint(0)
		for i := 0; i < BlockLen; i += 2 {
			x := binary.LittleEndian.Uint64(src[bit>>3:]) >> (bit & 7)
			out[i] = uint32(x & mask)
			out[i+1] = uint32(x >> (w & 63) & mask)
			bit += 2 * w
		}
	default:
		bit := uint(0)
		for i := range out {
			out[i] = uint32(binary.LittleEndian.Uint64(src[bit>>3:]) >> (bit & 7) & mask)
			bit += w
		}
	}
}

func unpackDeltasScalar(out *Block, src []byte, width int, base uint32) {
	unpackScalar(out, src, width)
	for i := 0; i < BlockLen; i += 4 {
		o := out[i : i+4 : i+4]
		a := base + o[0] + 1
		b := a + o[1] + 1
		c := b + o[2] + 1
		base = c + o[3] + 1
		o[0], o[1], o[2], o[3] = a, b, c, base
	}
}
