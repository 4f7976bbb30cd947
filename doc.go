// Package concord holds the nouns and contracts that every other package shares: what a capture, a page, a crawl, a log,
// an answer and a receipt's entry are. It answers "what do we all mean by that word?" and nothing else: it does no I/O,
// keeps no state, and imports only the standard library.
//
// The words are those of ARCHITECTURE.md. A package that needs behaviour (fetch, index, prove) lives beside this one,
// named for the question it answers; imports go down the floors listed in ARCHITECTURE.md and held by a test.
package concord

// Version is the version of this build, in User-Agent strings, WARC records and `concord version`.
const Version = "0.1.0"
