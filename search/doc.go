// Package search answers: which documents of these segments answer best?
//
// A Searcher evaluates query trees over the current set of segments of one shard; a Fanout asks many Searchers and
// merges their answers; both are concord.Searchers. The package knows nothing of where segments come from (package shard) or of pages
// and HTTP (package web).
//
// How a query is evaluated: window by window of 4,096 documents. In each window the tree becomes one bitmap of matching
// documents - words set bits, And, Or and Not are operations on 64 words, phrases and filters remove bits - whose population count
// is the exact total. Then the words' impacts, weighted by inverse document frequency in integers, are added up for matching documents. Words
// that cannot lift any document of the window into the results so far (by the largest impact of their blocks) are not added up but
// looked up for the few documents that could still make it (MaxScore), or not at all.
//
// Invariants:
//   - Pruning never changes an answer: results equal those of evaluating every document, order and scores included.
//   - Order is by score, then site, then URL, so that shards and segments in any arrangement give the same list, provided
//     they score with the same Stats.
//   - A segment stays mapped while a search uses it.
package search
