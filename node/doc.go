// Package node is the wiring: one Config, one group of running parts. It opens the engines and packages on a data
// directory, hands each what it needs of the others, runs them together and stops them in order. It is used by the
// command line and by tests, and decides nothing itself.
//
// Start order: lock, keys, bus, chain, archive, attestor, shards, crawler, web. Stop order: no more requests and fetches
// first, then the partitions commit, then the chain, then the bus; every step has a bound.
package node
