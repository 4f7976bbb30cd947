package ledger

import (
	"math/bits"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"concord"
)

// LeafHash returns the RFC 6962 leaf hash of an entry.
func LeafHash(entry []byte) concord.Digest { return concord.Digest(tlog.RecordHash(entry)) }

// Tree is the right edge of an RFC 6962 Merkle tree: the roots of its perfect subtrees, largest first, which is all that
// appending and the root need. Its methods return new values and leave the receiver alone.
type Tree struct {
	Size uint64
	Edge []concord.Digest // one for each bit set in Size
}

// Append returns the tree with one more leaf.
func (t Tree) Append(leaf concord.Digest) Tree {
	merge := bits.TrailingZeros64(^t.Size) // perfect subtrees the leaf completes
	keep := len(t.Edge) - merge
	for i := len(t.Edge) - 1; i >= keep; i-- {
		leaf = nodeHash(t.Edge[i], leaf)
	}
	return Tree{t.Size + 1, append(slices.Clone(t.Edge[:keep]), leaf)}
}

// Root returns the root, SHA-256 of nothing for the empty tree.
func (t Tree) Root() concord.Digest {
	if t.Size == 0 {
		return concord.Sum(nil)
	}
	r := t.Edge[len(t.Edge)-1]
	for i := len(t.Edge) - 2; i >= 0; i-- {
		r = nodeHash(t.Edge[i], r)
	}
	return r
}

func nodeHash(l, r concord.Digest) concord.Digest {
	return concord.Digest(tlog.NodeHash(tlog.Hash(l), tlog.Hash(r)))
}
