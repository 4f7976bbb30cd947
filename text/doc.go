// Package text answers "which words are in this text?": where words begin and end, which term the index keeps for each,
// in which language the text is written, and which bytes stand for it when it is attested or compared.
//
// One pipeline serves documents and queries, so that what was indexed can be found:
//
//	text -> Tokenizer: words by UAX #29, lower case, NFKC -> elision and stem of its language -> diacritics folded -> term
//
// A Tokenizer gives words with their places, an Analyzer terms with theirs; a Numberer gives the same terms as numbers, for
// indexing, several times as fast. It knows nothing of HTML, fields or scores.
//
// Invariants:
//   - The same input gives the same output on every machine; nothing depends on locale, time or map order.
//   - Tokens are in order of their offsets, positions grow, and a term is never empty nor longer than MaxTermBytes.
//   - Every function takes any byte sequence. Invalid UTF-8 separates words.
//   - Terms (Profile's digests too) are part of stored data: changing how they are made makes old segments unsearchable.
//
// Where words end differs from UAX #29 in four deliberate points, all of them tailorings that its section 4.2 foresees:
// a full stop, colon or low line between letters separates (os.path, std:string and search_path are found by their parts;
// a query for the whole becomes a phrase); runs of Han, Hiragana and Katakana, and runs of Hangul, become overlapping pairs of
// characters, because words are not set apart there, or carry particles; words without a letter or number are left
// out; a soft hyphen, a zero-width joiner and other format characters are kept out of terms. Thai, Lao, Khmer and Burmese text falls
// into single characters with their marks, as UAX #29 without a dictionary has it: a word is found as a phrase of them.
package text
