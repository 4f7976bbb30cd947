// Command bench answers "how fast is Concord, and against whom?" It crawls one loopback web with the real program and with
// well-known crawlers, one after the other in one run, and measures indexing, freshness, memory and data on disk. `make
// bench` runs it; it writes the tables of docs/BENCHMARKS.md and the raw numbers beside them.
//
// With -cluster it answers instead "what do more machines cost, and which part is full first?" (`make bench-cluster`, docs/SCALING.md): one, three
// and five nodes as processes on this machine, the message engine alone, a profile, and the model of package scale over what they cost.
//
// With -ledger it answers "what does the ledger cost?" (`make bench-ledger`, docs/LEDGER-BENCHMARKS.md): one, four and seven operators as processes
// on this machine beside CometBFT's own kvstore and Tessera, captures until they have their receipts, receipts, disk, a log of a million entries.
//
// It is no test: nothing passes or fails by a time. What it does check, because a comparison is worth nothing without it,
// is that every crawler fetched the same pages, kept to one request at a time per host, and obeyed robots.txt; what does
// not hold is said in the tables.
//
// How it measures:
//   - The web is a process of its own, whose CPU time is nobody's. Times of a crawl are the web's: from the first request
//     it saw to the last.
//   - Memory is the largest sum of the resident sets of the process and its children, looked at every 50 ms.
//   - CPU time is user and system time of the crawler's process and its children from start to end, start-up included. For
//     Concord the end is when every page can be found and has its receipt.
//   - Runs of different crawlers alternate; the median by pages per second is shown.
package main
