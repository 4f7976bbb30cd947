package attest

import (
	"golang.org/x/mod/sumdb/tlog"

	"concord"
)

// parents returns the next level of an RFC 6962 tree: pairs hashed, an odd last node carried up as it is. That is the
// same tree as splitting at the largest power of two (RFC 6962 section 2.1).
func parents(level []concord.Digest) []concord.Digest {
	up := make([]concord.Digest, 0, (len(level)+1)/2)
	for i := 0; i+1 < len(level); i += 2 {
		up = append(up, concord.Digest(tlog.NodeHash(tlog.Hash(level[i]), tlog.Hash(level[i+1]))))
	}
	if len(level)%2 == 1 {
		up = append(up, level[len(level)-1])
	}
	return up
}

// root returns the RFC 6962 root over leaf hashes, of which there is at least one.
func root(leaves []concord.Digest) concord.Digest {
	for len(leaves) > 1 {
		leaves = parents(leaves)
	}
	return leaves[0]
}

// path returns the inclusion path of leaf i, its sibling first.
func path(leaves []concord.Digest, i int) (list []concord.Digest) {
	for ; len(leaves) > 1; leaves, i = parents(leaves), i/2 {
		if s := i ^ 1; s < len(leaves) {
			list = append(list, leaves[s])
		}
	}
	return list
}
