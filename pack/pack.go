package pack

import (
	"encoding/binary"
	"math/bits"
)

// BlockLen is the number of values in a packed block.
const BlockLen = 128

// MaxWidth is the widest packed value, in bits.
const MaxWidth = 32

// Block is one unpacked block.
type Block [BlockLen]uint32

// Width returns the number of bits the largest of the values needs, 0 when all are zero.
func Width(values []uint32) int {
	var or uint32
	for _, v := range values {
		or |= v
	}
	return bits.Len32(or)
}

// Size returns the bytes n values take at a width.
func Size(n, width int) int { return (n*width + 7) / 8 }

// Append packs values at the width, which must be at least Width(values), and returns the extended slice. It writes
// Size(len(values), width) bytes.
func Append(dst []byte, values []uint32, width int) []byte {
	if width == 0 {
		return dst
	}
	var acc uint64
	var n int
	for _, v := range values {
		acc |= uint64(v) << n
		n += width
		if n >= 32 {
			dst = binary.LittleEndian.AppendUint32(dst, uint32(acc))
			acc >>= 32
			n -= 32
		}
	}
	for ; n > 0; n -= 8 {
		dst = append(dst, byte(acc))
		acc >>= 8
	}
	return dst
}

// Unpack reads a block of 128 values of the width from src. It reports false, and leaves out unspecified, when src is shorter than
// 16*width bytes or the width is not one. It is fastest when src goes on for 64 bytes after the block.
func Unpack(out *Block, src []byte, width int) bool {
	if uint(width) > MaxWidth || len(src) < BlockLen/8*width {
		return false
	}
	if width == 0 {
		*out = Block{}
		return true
	}
	unpack(out, src, width)
	return true
}

// UnpackDeltas reads a block of gaps less one and returns it as ascending values: out[0] = base + gap[0] + 1,
// out[i] = out[i-1] + gap[i] + 1, modulo 2^32. To begin a list at zero, base is ^uint32(0). It reports false where Unpack does.
func UnpackDeltas(out *Block, src []byte, width int, base uint32) bool {
	if uint(width) > MaxWidth || len(src) < BlockLen/8*width {
		return false
	}
	if width == 0 {
		for i := range out {
			out[i] = base + uint32(i) + 1
		}
		return true
	}
	unpackDeltas(out, src, width, base)
	return true
}

// At returns value i of a packed stream without touching the others; bits beyond the end of src are zero.
func At(src []byte, width, i int) uint32 {
	bit := i * width
	b := bit >> 3
	var x uint64
	if b+8 <= len(src) {
		x = binary.LittleEndian.Uint64(src[b:])
	} else {
		for k, c := range src[min(b, len(src)):] {
			x |= uint64(c) << (8 * k)
		}
	}
	return uint32(x >> (bit & 7) & (1<<width - 1))
}
