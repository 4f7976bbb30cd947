//go:build amd64 && !purego

package pack

func setDocs(b *Bitmap, docs []uint32, base uint32) {
	if n := len(docs); n >= 16 && active == levelAVX512 {
		setDocs512(&b[0], &docs[0], n/16, base)
		docs = docs[n&^15:]
	} else if n >= 8 && active == levelAVX2 {
		setDocs2(&b[0], &docs[0], n/8, base)
		docs = docs[n&^7:]
	}
	setDocsScalar(b, docs, base)
}

func bitmapAnd(b, o *Bitmap) {
	switch active {
	case levelAVX512:
		bitmapAnd512(&b[0], &o[0])
	case levelAVX2:
		bitmapAnd2(&b[0], &o[0])
	default:
		bitmapAndScalar(b, o)
	}
}

func bitmapOr(b, o *Bitmap) {
	switch active {
	case levelAVX512:
		bitmapOr512(&b[0], &o[0])
	case levelAVX2:
		bitmapOr2(&b[0], &o[0])
	default:
		bitmapOrScalar(b, o)
	}
}

func bitmapAndNot(b, o *Bitmap) {
	switch active {
	case levelAVX512:
		bitmapAndNot512(&b[0], &o[0])
	case levelAVX2:
		bitmapAndNot2(&b[0], &o[0])
	default:
		bitmapAndNotScalar(b, o)
	}
}

func bitmapCount(b *Bitmap) int {
	switch active {
	case levelAVX512:
		return bitmapCount512(&b[0])
	case levelAVX2:
		return bitmapCount2(&b[0])
	}
	return bitmapCountScalar(b)
}

func countNonZero(s *Sums) int {
	switch active {
	case levelAVX512:
		return countNonZero512(&s[0])
	case levelAVX2:
		return countNonZero2(&s[0])
	}
	return countNonZeroScalar(s)
}

func above(dst *[WindowLen]uint16, s *Sums, least uint32) int {
	switch active {
	case levelAVX512:
		return above512(&dst[0], &s[0], least)
	case levelAVX2:
		return above2(&dst[0], &s[0], least)
	}
	return aboveScalar(dst, s, least)
}

func addScaled(s *Sums, docs []uint32, impacts []byte, base, weight, offset uint32) {
	if n := len(docs); n >= 16 && active == levelAVX512 {
		addScaled512(&s[0], &docs[0], &impacts[0], n/16, base, weight, offset)
		docs, impacts = docs[n&^15:], impacts[n&^15:]
	} else if n >= 8 && active == levelAVX2 {
		addScaled2(&s[0], &docs[0], &impacts[0], n/8, base, weight, offset)
		docs, impacts = docs[n&^7:], impacts[n&^7:]
	}
	addScaledScalar(s, docs, impacts, base, weight, offset)
}
