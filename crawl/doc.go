// Package crawl answers "what to fetch next, politely?". It keeps the frontier - which URLs are known, which wait, when
// each host may be asked again -, fetches over HTTP/1.1, hands every exchange to the archive, and announces captures,
// extracted pages and link texts in the captures log.
//
// It is not for reading pages (package page), for deciding what a URL or a robots.txt means (package weburl), for
// storing records (package warc) or for the index.
//
// # One mechanism
//
// The frontier is split by site into partitions. A partition is a fold over its subject of the frontier log: crawls that
// began and ended, URLs that were discovered, fetches that were made. Its state lies in a Pebble store of its own, and
// each batch of messages is applied in one write together with the log position. Choosing a URL and having it in flight
// is memory only. What a crash leaves is therefore always a prefix of the log: the next start replays the rest, URLs
// that were in flight are fetched again, and nothing else is.
//
// A finished fetch takes three steps, each durable before the next: its records go to the archive, its captures, pages
// and link texts to the captures log, its outcome and its links to the frontier log. A crash between them costs one
// fetch more, never a page.
//
// # Invariants
//
//   - At most one request at a time is made to a host (scheme, name and port), and never before its delay is over. After
//     a restart every host that was known before rests for its delay first, since its last fetch may not be on record.
//   - Rests are on record by the machine's clock, and are waited for by the process's own: a clock that is set back or forward
//     neither stops hosts nor has them asked too early (clock). Only what is due at a time, retries and recrawls, follows the machine's.
//   - Where machines share the frontier, a partition fetches and writes only while its lease is held, and the next owner
//     asks no host before the last request of the one before must have ended, and the host's delay after that.
//   - No request goes to an address that is not public, unless the crawl allows it: addresses are checked when they are
//     dialled, after DNS, and a connection is never shared between crawls that allow it and crawls that do not.
//   - Memory does not grow with the number of URLs or hosts: queues, seen set, politeness and robots rules lie on disk,
//     and what is in memory of them is bounded by named constants.
//   - Every wait, refusal and omission has a reason in plain words.
package crawl
