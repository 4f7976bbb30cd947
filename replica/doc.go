// Package replica answers "what if the operator that attested this is gone?". The ledger holds the roots of all batches, and the entries under a
// root lie with the operator that made them: without them there are no more receipts. So operators keep the entries of each other's batches,
// see whether others still have theirs, and mend what is damaged.
//
// It does not order or keep the ledger (chain), make batches (attest), speak HTTP or serve it (federation, web): it declares the few methods it
// needs, and node hands them over. Pages and archives are not replicated: entries are digests, times and addresses, some 300 bytes each.
//
// # What is kept, and what is believed
//
// Of each attest entry of our own copy of the ledger that another operator made, the batch's text (receipt.Batch) is asked of its author, then of
// the others. It is kept only if it gives the attested root; what does not is dropped, and counted against who sent it. So
// it does not matter who it comes from, and one honest copy anywhere mends all others.
//
// Config.Bytes bounds the disk that replicas take, in equal shares for each author, so that nobody's flood of batches drives out another's. A full share keeps
// the batches with the smallest SHA-256 of (our name, chain, index): operators with little room keep different ones.
//
// # Files
//
// Config.Dir/<chain>/<index in the ledger>-<author>.batch is the batch's text and nothing else. Its checksum is the root in the ledger: it is checked
// at each reading, before a byte is served, voted on or made into a receipt. A file that fails is fetched anew and written over. <author>.admissions
// beside them are what an operator said of its keys after it changed them (admission.go). They need no backup.
//
// # Polls
//
// Each replica is the subject of a poll once in Config.Every, after LOCKSS (Maniatis et al., "The LOCKSS peer-to-peer digital preservation system",
// 2005). The poller draws a nonce Np and asks the others for their votes; each voter draws Nv, and answers
//
//	SHA-256("concord/vote/v1\n" || Np || Nv || text)
//
// which nobody can compute who has only a hash, whichever they stored. The poller compares with its own copy, which it has checked against
// the root: so unlike in LOCKSS no majority decides, and few voters are enough. A voter whose copy turns out damaged on the way says so, and mends it.
//
// A vote shows that the voter can get at the whole text within seconds. It does not show that the text lies on its own disk, and it is
// signed by nobody: it is an observation and no proof, which is why outcomes are counted here and not put into the ledger (ledger/DESIGN.md).
//
// Measured on a busy 2-core machine: to read a batch of 4,096 captures, check it and vote on it takes 34 ms, nearly all of it the check against the root; the receipt
// of a page in one of a hundred batches 2 ms once they were read.
//
// # Invariants
//
//   - Nothing is kept, served or voted on that does not give the attested root.
//   - Everything has a bound: disk, batches asked for, questions at a time, votes at a time, bytes and seconds of each.
//   - Who fails again and again is asked less, and holds up nobody else.
package replica
