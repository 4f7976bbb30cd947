//go:build amd64 && !purego

package pack

//go:generate go run -C asm . -out ../kernels_amd64.s -stubs ../stubs_amd64.go -pkg pack

func unpack(out *Block, src []byte, width int) {
	switch {
	case active == levelAVX512:
		unpack512(&out[0], &src[0], len(src), width)
	case active == levelAVX2 && width <= maxShortWidth:
		n := wholeGroups(src, width)
		if n > 0 {
			unpack2(&out[0], &src[0], n, width)
		}
		if n < groups2 {
			tail := lastGroups(src, width, n)
			unpack2(&out[8*n], &tail[0], groups2-n, width)
		}
	default:
		unpackScalar(out, src, width)
	}
}

func unpackDeltas(out *Block, src []byte, width int, base uint32) {
	switch {
	case active == levelAVX512:
		unpackDeltas512(&out[0], &src[0], len(src), width, base)
	case active == levelAVX2 && width <= maxShortWidth:
		n := wholeGroups(src, width)
		if n > 0 {
			unpackDeltas2(&out[0], &src[0], n, width, base)
			base = out[8*n-1]
		}
		if n < groups2 {
			tail := lastGroups(src, width, n)
			unpackDeltas2(&out[8*n], &tail[0], groups2-n, width, base)
		}
	default:
		unpackDeltasScalar(out, src, width, base)
	}
}

const (
	maxShortWidth = 25           // the widest value that always lies in four bytes
	groups2       = BlockLen / 8 // groups of a block for AVX2
	load2         = 16           // bytes that are loaded for half a group
)

// wholeGroups returns how many groups of eight values can be unpacked from src without loading what lies after it.
func wholeGroups(src []byte, width int) int {
	return max(0, min(groups2, (len(src)-load2-width/2+width)/width))
}

// lastGroups returns the bytes of the groups from n, fewer than width/2+16, with zeros after them.
func lastGroups(src []byte, width, n int) (tail [64]byte) {
	copy(tail[:], src[n*width:groups2*width])
	return tail
}
