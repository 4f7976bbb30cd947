// Package game answers: how fast is a full-text index, and against whom? It is the protocol of the public search benchmark
// (quickwit-oss/search-benchmark-game): its commands, its query syntax, its transformation of text, its way of measuring;
// and what a comparison needs beside it: peers as child processes, statistics, an exact BM25 to check results against,
// judged collections, tables and plots. It knows no engine; package main of cmd/concord-bench puts Concord behind Engine.
//
// A server reads lines "COMMAND<TAB>QUERY" and answers each with one line:
//
//	COUNT                                the number of matching documents
//	TOP_10, TOP_100, TOP_1000            1, once the best k documents are found
//	TOP_10_COUNT, …, TOP_1000_COUNT      the number of matching documents, once the best k are found as well
//	DOCS_k                               the best k documents as "number:score", separated by spaces (not in the game)
//	NOOP                                 1, at once: the cost of asking (not in the game)
//	anything else                        UNSUPPORTED
//
// Invariants:
//   - Documents are numbered from 0 in order of the corpus; every engine is given the same numbers and the same words.
//   - Time is taken around the write of a command and the read of its answer, for all engines alike.
//   - Nothing here is a test that fails by a time.
package game
