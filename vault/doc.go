// Package vault answers "how does a page outlive the machine that fetched it?": it keeps a copy of every archive file of a cluster's nodes
// in the cluster's blobs, and reads records that other nodes have archived.
//
// A Vault is a node's own archive (package warc) with that copy behind it. Append returns when the records are durable here and in the
// blobs; Read takes them from here, from the node that has them, or from the blobs. The names of archive files are unique in a cluster,
// so a Location means the same on every node.
//
// The blobs of one file are
//
//	archive/<file>/<offset, 16 digits>        bytes of the file from offset on, at most 8 MiB, as they were appended
//	archive/<file>/whole/<offset, 16 digits>  the same of 8 MiB that begin at a multiple of 8 MiB, or of the end of a sealed file
//
// Small commits make small blobs. When eight MiB of a file are full, they are put once more as one whole blob, and the small ones are
// deleted: so a file has few blobs besides those of its last eight MiB. A reader lists the blobs of a file once, keeps the list, takes the blobs
// that cover its range, and lists again when one has gone or the range is not covered. Blobs may overlap: they have the same bytes.
//
// What is local and not in the blobs is found by listing them, so nothing about it is stored: after a kill between the local append and the
// upload, and for the archive that a node had before it became a member. That backlog goes up in the background (Progress).
//
// It is not for finding captures (package shard), nor does it know what a record says.
//
// Invariants:
//   - What Append acknowledged is durable on this machine and in the blobs.
//   - A small blob is deleted only when a whole one with its bytes is durable. A whole blob is made of blobs, whose store checks them, or of local
//     bytes that were read through as records just then: damage of the local disk does not spread.
//   - A node does not append to a file of which the blobs know more than its own disk: that end is put back first, or another file begun.
//   - What Read returns has passed the gzip checksum and the block digest, wherever it came from.
//   - Memory is bounded: by uploadsAtOnce and readsAtOnce pieces and records, and cacheBlobs entries of lists.
package vault
