//go:build !amd64 || purego

package pack

func unpack(out *Block, src []byte, width int) { unpackScalar(out, src, width) }
func unpackDeltas(out *Block, src []byte, width int, base uint32) {
	unpackDeltasScalar(out, src, width, base)
}
func unpackBits(out *Block, src []byte, first uint32, span int) bool {
	return unpackBitsScalar(out, src, first, span)
}
func addBits(s *Sums, src []byte, span int, impacts []byte, at int, weight, offset uint32) {
	addBitsScalar(s, src, span, impacts, at, weight, offset)
}
func orBits(b *Bitmap, src []byte, span, at int) { orBitsScalar(b, src, span, at) }
func maskAtLeast(impacts []byte, least byte) (lo, hi uint64) {
	return maskAtLeastScalar(impacts, least)
}
func selectBlock(docs, scores *Block, from []uint32, impacts []byte, least byte, base, span, weight, offset uint32) int {
	return selectScalar(docs, scores, from, impacts, least, base, span, weight, offset)
}
func gatherBytes(dst *Gathered, src []byte, lo, hi uint64) { gatherScalar(dst, src, lo, hi) }
func addMet(docs, scores []uint32, lo, hi uint64, impacts *Gathered, weight, offset, least uint32, required bool) int {
	return addMetScalar(docs, scores, lo, hi, impacts, weight, offset, least, required)
}
func lowerBound(b *Block, n int, target uint32) int           { return lowerBoundScalar(b, n, target) }
func maskCommon(a, b []uint32) (lo, hi uint64)                { return maskCommonScalar(a, b) }
func bitmapAnd(b, o *Bitmap)                                  { bitmapAndScalar(b, o) }
func bitmapOr(b, o *Bitmap)                                   { bitmapOrScalar(b, o) }
func bitmapAndNot(b, o *Bitmap)                               { bitmapAndNotScalar(b, o) }
func bitmapCount(b *Bitmap) int                               { return bitmapCountScalar(b) }
func setDocs(b *Bitmap, docs []uint32, base uint32)           { setDocsScalar(b, docs, base) }
func countNonZero(s *Sums) int                                { return countNonZeroScalar(s) }
func above(dst *[WindowLen]uint16, s *Sums, least uint32) int { return aboveScalar(dst, s, least) }
func addScaled(s *Sums, docs []uint32, impacts []byte, base, weight, offset uint32) {
	addScaledScalar(s, docs, impacts, base, weight, offset)
}
func unpackRice(out *Block, lows, highs []byte, n, k int) bool {
	return unpackRiceScalar(out, lows, highs, n, k)
}
func unpackSums(out *Block, lows, highs []byte, n, k int) bool {
	return unpackSumsScalar(out, lows, highs, n, k)
}
func prefixSum(dst, gaps []uint32, base uint32) bool { return prefixSumScalar(dst, gaps, base) }

func quickRice() bool { return false }
