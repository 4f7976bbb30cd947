package main

import (
	"fmt"
	"slices"
	"strings"
)

// ledgerTables is the measured part of the report.
func ledgerTables(r *ledgerResults) string {
	var b strings.Builder
	machineTable(&b, r.Machine, ledgerParts, r.Ran)
	ledgerTrial(&b, r)
	if len(r.Rates) > 0 {
		ratesTable(&b, r)
	}
	if len(r.Captures) > 0 {
		capturesTable(&b, r)
	}
	if len(r.Receipts) > 0 {
		receiptsTable(&b, r)
	}
	if len(r.Disk) > 0 {
		ledgerDiskTable(&b, r)
	}
	if r.Long != nil {
		longTable(&b, r.Long)
	}
	return b.String()
}

// ledgerTrial says what keeps the numbers from being what they should be.
func ledgerTrial(b *strings.Builder, r *ledgerResults) {
	var small []string
	for _, p := range ledgerParts {
		if r.Ran[p].Small {
			small = append(small, "*"+p+"*")
		}
	}
	if len(small) > 0 {
		fmt.Fprintf(b, "\n**The quick variant** measured %s: too short, and with too few operators, captures and entries, for the numbers to mean much.\n", strings.Join(small, ", "))
	}
	trialNote(b, r.Machine, ledgerParts, r.Ran)
	if slices.ContainsFunc(r.Rates, func(x rateResult) bool { return x.Peer.Full.Done == 0 }) {
		b.WriteString("\n**Not compared**: the kvstore did not run with every number of nodes.\n")
	}
	if _, ran := r.Ran["tessera"]; ran && r.Tessera == nil {
		b.WriteString("\n**Not compared**: Tessera could not be built here (bench/peers/tessera/build.sh says why).\n")
	}
}

// ratio is how many times ours is the peer's.
func ratio(ours, peer float64) string {
	if peer <= 0 || ours <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f ×", ours/peer)
}

func ratesTable(b *strings.Builder, r *ledgerResults) {
	one := r.Rates[0]
	fmt.Fprintf(b, "\n### Transactions\n\nSigned notes of %d bytes, each of which notarises one document; the kvstore's are as long, and unsigned. CPU is that of all nodes together, which share this machine's processors.\n\n", one.Ours.Full.TxBytes)
	b.WriteString("| operators | on their way | transactions/s | kvstore | ours is | of all repeats, ours; kvstore | CPU ms each | kvstore | ours is | more, ms a node |\n|--:|--:|--:|--:|--:|---|--:|--:|--:|--:|\n")
	for _, x := range r.Rates {
		o, k := x.Ours.Full, x.Peer.Full
		more := 0.0 // what our state machine, log and signatures cost each node
		if k.CPU > 0 {
			more = (o.CPU - k.CPU) / float64(x.Operators)
		}
		fmt.Fprintf(b, "| %d | %d | %.0f | %s | %s | %s; %s | %.3f | %s | %s | %s |\n", x.Operators, x.AtOnce, o.PerSecond, measuredAs("%.0f", k.PerSecond), ratio(o.PerSecond, k.PerSecond),
			list(x.All, "%.0f", ", "), list(x.AllPeer, "%.0f", ", "), o.CPU, measuredAs("%.3f", k.CPU), ratio(o.CPU, k.CPU), measuredAs("%.3f", more))
	}
	b.WriteString("\n### Time to finality\n\nMilliseconds from handing a transaction to an operator's node until it is final there: ours when it is in that operator's log, synced, under a head that the operator has signed; the kvstore's when its application has committed the block. " +
		"*Cosigned* is until a quorum of the operators has signed such a head, which the kvstore has no counterpart of.\n\n" +
		"| operators | load | median | kvstore | ours is | p99 | kvstore | ours is | cosigned, median | p99 | samples |\n|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, x := range r.Rates {
		for _, l := range []struct {
			name       string
			ours, peer loadSum
		}{{"one at a time", x.Ours.Rest, x.Peer.Rest}, {"full", x.Ours.Full, x.Peer.Full}} {
			o, k, a := l.ours.Final, l.peer.Final, l.ours.Agreed
			fmt.Fprintf(b, "| %d | %s | %.1f | %s | %s | %.1f | %s | %s | %s | %s | %d |\n", x.Operators, l.name, o.Median, measuredAs("%.1f", k.Median), ratio(o.Median, k.Median),
				o.P99, measuredAs("%.1f", k.P99), ratio(o.P99, k.P99), measuredAs("%.1f", a.Median), measuredAs("%.1f", a.P99), o.Count)
		}
	}
	if t := r.Tessera; t != nil {
		fmt.Fprintf(b, "\n### A log alone\n\n%s, POSIX storage on the same disk, entries as long as the transactions above. It orders nothing between operators and checks no signature; an entry counts when it is synced and has its index. "+
			"Ours is a ledger of one operator: consensus with itself, signatures, state, block records and all.\n\n| on their way | entries/s | ours is | CPU ms each | ours is | median ms | p99 ms |\n|--:|--:|--:|--:|--:|--:|--:|\n", t.Version)
		for _, x := range t.Runs {
			fmt.Fprintf(b, "| %d | %.0f | %s | %.3f | %s | %.1f | %.1f |\n", x.AtOnce, x.PerSecond, ratio(one.Ours.Full.PerSecond, x.PerSecond), x.CPU, ratio(one.Ours.Full.CPU, x.CPU), x.Latency.Median, x.Latency.P99)
		}
		fmt.Fprintf(b, "\nOurs had %d on their way: an operator's transactions are numbered, and no more than 64 may be ahead of its last.\n", one.AtOnce)
	}
}

// measuredAs is a number, or a dash for what was not measured.
func measuredAs(format string, v float64) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprintf(format, v)
}

func capturesTable(b *strings.Builder, r *ledgerResults) {
	b.WriteString("\n### Captures\n\nOne operator's attestor, from a log of captures that is there already to the last batch in the ledger: lines, salts, tree, signature, transaction. CPU is that of all operators' nodes together, writing that log included.\n\n" +
		"| operators | captures | batches | captures/s | CPU µs each |\n|--:|--:|--:|--:|--:|\n")
	for _, x := range r.Captures {
		fmt.Fprintf(b, "| %d | %d | %d | %.0f | %.1f |\n", x.Operators, x.Captures, x.Batches, x.PerSecond, x.CPU)
	}
	if x := r.Crawl; x != nil {
		fmt.Fprintf(b, "\nThe whole program, one operator: %d made-up pages crawled in %.1f s, until the last had its receipt: **%.0f captures a second from request to receipt**. The last receipt was there %.1f s after the last request; %d batches, %.0f captures each. "+
			"The one looked at is of level %d, and verified.\n", x.Pages, x.Seconds, x.PerSecond, x.Last, x.Batches, float64(x.Pages)/float64(max(x.Batches, 1)), x.Level)
	}
}

func receiptsTable(b *strings.Builder, r *ledgerResults) {
	b.WriteString("\n### Receipts\n\nMicroseconds are medians in Go, on one processor: with the policy read beforehand, as when many results are checked, and with it, as `concord verify` does.\n\n" +
		"| receipt of a | operators | cosigned by | bytes | verified µs | with the policy µs |\n|---|--:|--:|--:|--:|--:|\n")
	for _, x := range r.Receipts {
		fmt.Fprintf(b, "| %s | %d | %d | %d | %.0f | %.0f |\n", x.What, x.Operators, x.Cosigned, x.Bytes, x.Verify, x.WithPolicy)
	}
}

func ledgerDiskTable(b *strings.Builder, r *ledgerResults) {
	b.WriteString("\n### Disk\n\nBytes of one operator's disk for each batch of captures, every batch in a block of its own, as when captures come slowly: two blocks, one attestation, one block record, one signed head. " +
		"After compaction, which the databases do by themselves. CometBFT's write-ahead log is left out: it is thrown away from 1 GiB on.\n\n| operators | batches | log | blocks | CometBFT's state | all | a million captures in full batches of 4,096 |")
	per, rule := int64(0), "|--:|--:|--:|--:|--:|--:|--:|--:|" // captures of a batch in a slow crawl
	if x := r.Crawl; x != nil && x.Batches > 0 {
		per = int64(x.Pages) / int64(x.Batches)
	}
	if per > 0 {
		fmt.Fprintf(b, " in batches of %d, as in the crawl above |", per)
		rule += "--:|"
	}
	b.WriteString(" one batch every 2 s, a year |\n" + rule + "\n")
	for _, d := range r.Disk {
		n := float64(d.Batches)
		all := float64(d.Files["log"]+d.Files["blocks"]+d.Files["state"]) / n
		fmt.Fprintf(b, "| %d | %d | %.0f | %.0f | %.0f | %.0f | %.2f MB |", d.Operators, d.Batches, float64(d.Files["log"])/n, float64(d.Files["blocks"])/n, float64(d.Files["state"])/n, all, all*1e6/fullBatch/1e6)
		if per > 0 {
			fmt.Fprintf(b, " %.2f MB |", all*1e6/float64(per)/1e6)
		}
		const year = 365.25 * 86400
		fmt.Fprintf(b, " %.1f GB |\n", all*year/2/1e9)
	}
	b.WriteString("\nWhat is in the log, bytes a batch before compression:\n\n| operators |")
	kinds := []string{"entries", "tiles", "leaf index", "term index", "checkpoints", "state", "other"}
	for _, k := range kinds {
		fmt.Fprintf(b, " %s |", k)
	}
	b.WriteString("\n|--:|" + strings.Repeat("--:|", len(kinds)) + "\n")
	for _, d := range r.Disk {
		fmt.Fprintf(b, "| %d |", d.Operators)
		for _, k := range kinds {
			fmt.Fprintf(b, " %.0f |", float64(d.Log[k])/float64(d.Batches))
		}
		b.WriteString("\n")
	}
	b.WriteString("\nThe captures themselves (WARC, index, salts and places) are no part of the ledger: [BENCHMARKS.md](BENCHMARKS.md) has those.\n")
}

func longTable(b *strings.Builder, l *longLog) {
	n := float64(max(l.Entries, 1))
	fmt.Fprintf(b, "\n### A log of %s entries\n\n", thousands(l.Entries))
	if l.Entries < uint64(l.Wanted) {
		fmt.Fprintf(b, "**%s were wanted**; the time for it was over. ", thousands(uint64(l.Wanted)))
	}
	fmt.Fprintf(b, "Signed documents of %d bytes on a ledger of one operator, in %d blocks that were made without consensus in %.0f s (see above). A node that had lost its log executed them in %.0f s: **%.0f entries/s** through state machine and store, each block synced, CPU %.3f ms each. It went on afterwards.\n\n",
		l.TxBytes, l.Blocks, l.Made, l.Seconds, n/l.Seconds, l.CPU)
	b.WriteString("| entries | appended a second since the line above | resident MB | of it mapped files | log MB |\n|--:|--:|--:|--:|--:|\n")
	for _, p := range l.Points {
		fmt.Fprintf(b, "| %s | %.0f | %d | %d | %d |\n", thousands(p.Entries), p.PerSecond, p.Resident.RSS>>20, p.Resident.File>>20, p.Files>>20)
	}
	if p := l.Proofs; p != nil {
		fmt.Fprintf(b, "\nOf entries all over the log, microseconds:\n\n| what | median | p95 | p99 |\n|---|--:|--:|--:|\n")
		for _, x := range []struct {
			name string
			q    quantiles
		}{{"inclusion proof", p.Inclusion}, {"consistency proof", p.Consistency}, {"an entry", p.Entry}, {"its index, by its hash", p.Find}, {"a tile of 256 hashes", p.Tile}, {"a bundle of 256 entries", p.Bundle}} {
			if x.q.Count > 0 {
				fmt.Fprintf(b, "| %s | %.0f | %.0f | %.0f |\n", x.name, x.q.Median, x.q.P95, x.q.P99)
			}
		}
	}
	b.WriteString("\n| started again after | log open, s | a transaction final, s | resident MB then |\n|---|--:|--:|--:|\n")
	for _, x := range l.Restarts {
		fmt.Fprintf(b, "| %s | %.2f | %.2f | %d |\n", x.After, x.Process, x.Final, x.Resident.RSS>>20)
	}
	f := l.Files
	fmt.Fprintf(b, "\nSeconds are from the start of the process. On disk, as it was when the node had stopped: log %.0f MB (%.0f bytes an entry), blocks %.0f MB (%.0f), CometBFT's state %.0f MB, its write-ahead log %.0f MB (it keeps 1 GiB at most).\n",
		float64(f["log"])/1e6, float64(f["log"])/n, float64(f["blocks"])/1e6, float64(f["blocks"])/n, float64(f["state"])/1e6, float64(f["wal"])/1e6)
}

// thousands is a number as people write it.
func thousands(n uint64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
