// Package federation answers "what do I ask of other operators, and how do I check what they say?". A query goes to the HTTP APIs of the
// other members of the ledger as well, within a bounded time, and what they send becomes results only as far as it holds here.
//
// It does not run the ledger (chain), score (search) or serve pages (web): it declares the few methods it needs of them, and node hands
// them over. Its Client, which keeps to what is said below of addresses, bytes and redirects, reads for package replica as well.
//
// # What is asked, and what is believed
//
// The question is an ordinary search with scope=own, so that nobody passes it on, and proof=true, so that each result brings a Proof: its
// receipt, and its text. A result is kept when, in this order,
//
//  1. its receipt's entry lies under the root of an attestation, by the batch's hashes;
//  2. that attestation, byte for byte, is an entry of our own copy of the ledger. The ledger took it only with the operator's key; the
//     checkpoint and signatures that came with the receipt are not looked at, whatever their level;
//  3. it is from the operator that was asked, which is a member in good standing: nobody can pass on others' work as its own;
//  4. the text has the digest that the entry names, under the rules (text.Profile) that this program has.
//
// URL and time come from the entry; title, language and snippet are made here from the text. Then the document is indexed here for a
// moment, beside our own index, matched and scored as ours are with the statistics of our collection: what an operator says of rank, match
// or snippet is not even read. So a capture of another page cannot be passed off, and a page that does not match the query is no
// result. Receipts are made anew with our copy's hashes under a checkpoint that our quorum cosigned.
//
// # Why the text, and not the page
//
// An entry names the digests of the body as received, of the WARC record and of the extracted text. Sending the text is the least that can be
// checked: no megabytes of pages, no parsing of strangers' HTML and PDF for every query, and the same answer whichever version of the
// extractor either has. What it costs: a result of another operator has no headings, no date of publication, no type and no texts of links, since
// nothing attests them, so it scores a little lower, and published: and filetype: do not find it. Where the title ends in the text is
// the operator's word; it could as well have attested another page.
//
// Text that pages ask not to be copied or quoted (noarchive, nosnippet, max-snippet) is not handed out, nor is what has no receipt yet.
//
// Measured on a busy 2-core machine: ten results with 8 KB of text each are checked in 2.2 ms; thirty are indexed, and searched beside our
// own, in 4.3 ms.
//
// # Invariants
//
//   - An own answer waits for others no longer than Config.Timeout, and is never worse for their sake.
//   - Everything has a bound: operators, bytes, results, questions under way, receipts remembered.
//   - Private addresses are not dialled unless Config.AllowPrivate says so, after names were resolved; redirects are not followed.
//   - Who fails again and again is asked less: see operator.
//   - What fails is dropped and counted by operator and Reason.
package federation
