// Package ledger answers "given the record so far, is this transaction valid, and what follows?". It is the ledger's
// state machine: pure and deterministic. The same entries give the same state, the same state hash and the same Merkle
// root, on every machine, for ever.
//
// It does not order transactions (that is chain), keep them, or prove anything to outsiders (that is receipt). It takes
// no clock, no randomness, no floating point, no map order and does no I/O: block heights, hashes and times come in with
// the block.
//
// # The log
//
// The ledger is one append-only log. Its entries are the transactions (signed notes, byte for byte) and, after the
// transactions of each block, one block record. The RFC 6962 root over all entries is the application hash. A block
// without transactions and without evidence appends nothing and leaves the root as it is.
//
// Operators govern themselves (Gov), attest what they captured (concord.Attestation), ask each other to witness a page
// (AskTx, SealTx, ShowTx), notarise documents (DocTx), pay (PayTx) and prove that another lied (FaultTx). Sign makes a
// transaction of any of them, ParseTx reads one, Machine executes blocks of them, State and State.Ask say what came of it.
//
// Nothing happens by itself: deadlines are compared with the time of the next block that has a transaction.
//
// # Invariants
//
//   - Every accepted byte re-encodes to itself: a transaction or record has one form.
//   - A member's seq goes up by exactly one, the epoch likewise: nothing is executed twice.
//   - Power above zero is held by active members only.
//   - Balances and what asks hold sum to 0 after every transaction.
//   - A report counts only if its operator sealed it before anybody opened one.
//   - The root is a function of the entries alone; Replay from entry 0 rebuilds the state hash of every block record.
//
// DESIGN.md has the decisions, the departures from the first specification and their reasons.
package ledger
