// Package witness answers "what do others see at this address, and what existed when?". It is what an operator states to
// the others beside what it captured: it notarises documents (doc), asks for a page to be witnessed (ask), and, when the
// ledger puts the operator on a panel, looks at the page, seals what it saw (seal) and opens it when nobody can copy it
// any more (show).
//
// It does not decide anything: who is on a panel, when sealing ends and what a round came to is package ledger's, the
// same for everybody. It does not fetch (crawl), order (chain) or check receipts (receipt).
//
// # Files
//
// In Config.Dir, mode 0600, each written whole or not at all:
//
//	note-<32 hex digits>.json    a note that is on its way into the ledger; gone when it is there
//	round-<ask>-<round>.json     what this operator saw for a round, as it will be opened
//
// # Invariants
//
//   - A report is on disk before its seal leaves, and a round that has a report is never looked at again: so an operator
//     signs one seal and one report for a round, whatever happens in between.
//   - Nothing of a report can be had from this operator before the ledger has it open: its captures are in the archive,
//     but announced to nobody.
//   - A note that was taken is in the ledger some day, once or (after a crash between sending and hearing of it) twice.
//   - Transactions leave one at a time, each under the next seq. When another of the operator's takes the seq, such as an
//     attestation, the text is signed again under the next.
//
// # Who makes time pass
//
// Nothing in the ledger happens by itself: a round ends with the first transaction after its time. Reports are themselves
// transactions, so sealing ends by them. What ends the showing is a note (doc) that somebody of the round sends once its
// time is over: the asker after endGrace, and while it does not, the seats one after the other, endTurn apart. Its
// document is the ask. On a ledger that stood still it may take two, because the time of a block is that of the votes on
// the one before.
package witness
