// Package search answers: which documents of these segments answer best?
//
// A Searcher evaluates query trees over the current set of segments of one shard; Copies asks one of the nodes that keep a shard, and the
// next when that is slow or fails; a Fanout asks the shards and merges their answers. All are concord.Searchers. The package knows nothing
// of where segments come from (package shard), how other nodes are reached (package node), or of pages and HTTP (package web).
//
// # How a query is evaluated
//
// A plan (plan.go) says which index terms each word of the query stands for, and what they are worth by the statistics of the collection.
// For each segment it is compiled to a tree of clauses with cursors into posting lists. Then:
//
//   - The best documents are found by a stream of candidates (stage.go). A source (source.go) finds those of one part of the query:
//     of the rarest word of an intersection, or of the words of a union that matter, added up window by window. Each other part is a
//     stage that candidates pass. The collector (collect.go) keeps the best.
//   - Impacts are one byte a posting and weights are integers, so scores are sums of small products, without lengths of documents. The largest
//     impact of every block of postings is known, and with it what any part can add at most where the source stands: what cannot
//     exceed the worst result so far is skipped before it is unpacked (MaxScore and block-max pruning in one).
//   - Matches are counted (count.go) by bitmaps over windows of documents where they are many, and by the stages where they are few.
//   - A phrase scores like a word that occurs where the phrase does. What its words can score at most decides whether positions are read.
//   - A prefix or fuzzy word is read into memory whole (expand.go) and is a word like others from there on.
//
// Invariants:
//   - Pruning never changes an answer: results equal those of evaluating every document, order and scores included.
//   - Order is by score, then site, then URL, so that shards and segments in any arrangement give the same list, provided
//     they score with the same Stats.
//   - An explanation adds up to the score it explains exactly, and facets count all live documents that match.
//   - A segment stays mapped while a search uses it.
package search
