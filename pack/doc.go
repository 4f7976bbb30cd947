// Package pack answers: how are integers packed and scores added, fast?
//
// It holds the inner loops of the index and nothing else: blocks of 128 unsigned integers packed at one width or at
// one width with exceptions, bitmaps of such blocks, up to 128 values in Rice's code, bytes of variable length for what does not fill a
// block, bitmaps over a window of documents, and sums of 8-bit impacts. It knows neither files nor terms, starts nothing, and allocates
// nothing but what an append needs.
//
// Invariants: what Append wrote at a width, Unpack reads at that width. No function reads outside the slices it is given,
// whatever their bytes; none writes outside its result. Whether bytes make sense is said by a false, never by a panic. Every
// function is pure, and gives the same results bit for bit with every kernel, where its arguments are what its comment asks for.
// Nothing is shared, so different values may be used by different goroutines at once.
//
// # Layout of a packed block
//
// The block is one little-endian stream of bits: value i occupies the bits from i*width to (i+1)*width-1, where bit n of
// the stream is bit n%8 of byte n/8. 128 values of width w take exactly 16*w bytes. The stream is "horizontal": one
// value can be read without its neighbours, and eight values start at a byte border at every width, which is what
// byte-shuffle instructions want.
//
// # Layout of a patched run
//
// Up to 128 values, how many of them the reader knows: one byte whose low six bits are the width w and whose high two bits are h, the
// bytes an exception takes; if h is not 0, one byte with the number of exceptions e, at most 31; the values modulo 2^w, packed at w as
// above and padded with zero bits to a whole byte; then e bytes with the indexes of the exceptions, ascending; then for each of them h
// bytes, little-endian, the value shifted right by w. A run of no values has no bytes.
//
// Worked: 3 1 2 900 0 is `43 01 8b 08 03 70`: w = 3 and h = 1; one exception; 3, 1, 2, 900%8 = 4, 0 at three bits are 8b 08; value 3
// has 900>>3 = 70 (hexadecimal) above them.
//
// # Layout of a Rice run, and of running sums
//
// Up to 128 values, how many of them and with which k the reader knows: the low k bits of each packed as above, padded to a whole byte; then
// for each as many zero bits as the value shifted right by k says, and a one, from the lowest bit of each byte up (Rice and Plaunt
// 1971). In running sums the zero bits of each are fewer by those of all before it (Elias 1974), so that the ones are at sum>>k + i.
//
// Worked: 3 1 2 9 0 at k = 1 is `0b 16 06`: 0b has the low bits 1 1 0 1 0, lowest bit first, and 16 06 then 01 1 01 00001 1.
//
// # Kernels
//
// Each inner loop has a plain twin in Go, the reference that the tests hold the others to, and on amd64 up to two forms in
// assembly, which the program in asm writes (go generate): one for AVX2 with BMI (Haswell and later), one for AVX-512 with
// VBMI2, VNNI and VPOPCNTDQ (Ice Lake, Zen 4 and later). Which run is decided once, at start, by what the processor says it has.
// The build tag purego leaves only Go, as do other architectures. A kernel checks nothing; its caller in
// *_amd64.go has seen to widths and lengths, and masks keep loads inside the slices where a whole register would not fit. The
// tests put the slices against a page without access.
//
// Nanoseconds for 128 values, for a window of 4,096 sums or for a bitmap of 65,536 places, on one core of a Sapphire Rapids server at about 3 GHz, Go 1.26, everything in
// the first-level cache, the fastest of 40 runs, the call included (go test -run '^$' -bench . -count 40):
//
//	                                    Go   AVX2  AVX-512
//	Unpack, width 1 to 8                51     18     10
//	Unpack, width 9 to 25           63-110     19     10
//	Unpack, width 26 to 32             177      -     11
//	UnpackDeltas, width 1 to 8          98     35     20
//	UnpackDeltas, width 9 to 15        110     35     23
//	UnpackDeltas, width 16 to 25       156     35     28
//	UnpackDeltas, width 26 to 32       235      -     31
//	UnpackPatched, 0 exceptions         56     23     14
//	UnpackPatched, 12 exceptions        73     40     30
//	UnpackBits, mean gap 2             114     41     22
//	UnpackBits, mean gap 8             140     85     34
//	UnpackRice                         240     60     31
//	UnpackSums                         240     60     30
//	PrefixSum                          115     32     29
//	PrefixSum, 16 values                22     10      7
//	AddBits, mean gap 2                160      -     29
//	AddBits, mean gap 8                206      -     71
//	OrBits, mean gap 2                  21      -     13
//	OrBits, mean gap 8                  50      -     16
//	AddScaled                          124     73     53
//	SetDocs, mean gap 4                137    100     72
//	SetDocs, mean gap 16                95     92     71
//	MaskAtLeast                         38      5      4
//	Select, all                        229      -     28
//	Gather, 48 of 128                   77      -     10
//	AddMet, 48 of 128                  505      -    119
//	LowerBound                          14      -      6
//	MaskCommon, 128 with 128           734     75     69
//	MaskCommon, 8 with 128             167     21     21
//	And, Or, AndNot                    550    100     60
//	Count                              720    350     55
//	Bitmap.Clear                        45      -      -
//	CountNonZero                     1,950    150    100
//	AppendAbove, 1 in 100 above      2,770    271    169
//	AppendAbove, all above           2,790  2,230    217
//	Sums.Clear                          88      -      -
//
// Where a column is empty the one to its left runs. When less than 64 bytes follow a block in src, UnpackDeltas takes 2 ns more with AVX-512
// and 10 ns more with AVX2. Bits of a bitmap cost by the word, not by the document, hence the difference between gaps. In MaskCommon of
// 128 with 128 the two lists have a mean gap of ten.
package pack
