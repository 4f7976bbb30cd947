// Package scale answers "which part of a cluster is full first, and at how many nodes?" It is arithmetic over costs that were measured
// on few nodes (Costs), a machine and a web that are assumed (Machine, Web), and what the program's design fixes (Design).
//
// Every limit is a rate, or a number of nodes, at which one thing alone would be used up; the cluster reaches the smallest. Nothing
// in it queues: a part is taken to work evenly up to its limit, of which Machine.Use counts. What that leaves out, waiting for the slowest
// of many, is what Fanout simulates.
//
// Invariant: the same input gives the same output, on every machine.
package scale
