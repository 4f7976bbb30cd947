// Package warc answers "what exactly did the server send?": it writes and reads WARC 1.1 files (ISO 28500:2017).
//
// Build makes the records of one HTTP exchange from the bytes that went over the wire. An Archive keeps records in a
// directory of .warc.gz files, one gzip member a record, and says that they are there only after fsync. Reader and Scan
// read WARC files of any tool, whole or damaged. Payload and DecodeContent take a stored response apart. Each archive
// file gets a CDXJ index beside it when it is full; Export writes a part of the archive for others to keep.
//
// An archive directory holds
//
//	concord-<utc 14 digits>-<serial>-<6 random>.warc.gz         records; the newest one without an index is appended to
//	concord-<utc 14 digits>-<serial>-<6 random>.cdxj            index of a file that is full, sorted by bytes
//	concord-<utc 14 digits>-<serial>-<6 random>.warc.gz.damage  places of it that could not be read, one a line
//	lock                                                        held by the process that has the archive open
//
// It is not for fetching (package crawl), nor for looking captures up by URL while the system runs (the shards keep a
// catalogue; the CDXJ files are for other tools and for export).
//
// Invariants:
//   - A block is stored byte for byte as it was received, chunking and content coding included.
//   - A payload is the body with its transfer coding removed and its content coding kept; our digests are "sha256:" and
//     lower-case hex, of the block and of the payload.
//   - A Location is given out only for a record that is durable, and what is read back from it has passed the gzip
//     checksum and the block digest, or is an error.
//   - No input makes this package panic, and every length that comes from input is bounded before memory is spent on it.
package warc
