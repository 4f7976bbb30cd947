package note

import (
	"strconv"
	"strings"

	"concord"
)

// Checkpoint is the text of a checkpoint note (c2sp.org/tlog-checkpoint) without extension lines.
type Checkpoint struct {
	Origin string
	Size   uint64
	Root   concord.Digest
}

// MaxTreeSize bounds the entries of a log: tree sizes are signed 64-bit numbers in the libraries that read them.
const MaxTreeSize = 1<<62 - 1

// String returns the text: origin, size and root, each line ended by a line feed.
func (c Checkpoint) String() string {
	return c.Origin + "\n" + strconv.FormatUint(c.Size, 10) + "\n" + c.Root.String() + "\n"
}

// ParseCheckpoint reads a text written by String. Anything that does not re-encode to itself is refused, and so are
// extension lines.
func ParseCheckpoint(text string) (Checkpoint, error) {
	var c Checkpoint
	f := strings.Split(text, "\n")
	if len(f) != 4 || f[3] != "" {
		return c, concord.Errorf(concord.Invalid, "checkpoint: want three lines (origin, size, root), have %d", strings.Count(text, "\n"))
	}
	var err error
	c.Origin = f[0]
	if !ValidName(c.Origin) {
		return c, concord.Errorf(concord.Invalid, "checkpoint: the origin is empty or has a space, a plus or a control character")
	}
	if c.Size, err = strconv.ParseUint(f[1], 10, 64); err != nil || c.Size > MaxTreeSize {
		return c, concord.Errorf(concord.Invalid, "checkpoint: size %q is not a number of entries", concord.Clip(f[1], 30))
	}
	if c.Root, err = concord.ParseDigest(f[2]); err != nil {
		return c, concord.Errorf(concord.Invalid, "checkpoint: root: %w", err)
	}
	if c.String() != text {
		return c, concord.Errorf(concord.Invalid, "checkpoint: not in canonical form")
	}
	return c, nil
}
