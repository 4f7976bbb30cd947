package chain

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"concord"
	"concord/note"
)

// cosignFile holds the largest head that the keys have signed. It must never go back: leave it out of backups.
//
//	concord/cosigned/v1
//	<origin>
//	<size>
//	<root>
//	sum <SHA-256 of the lines above>
const (
	cosignFile = "cosign.state"
	cosignHead = "concord/cosigned/v1\n"
	maxCosign  = 1024
)

// remember takes a head that the key signed, as others have shown.
func (c *cosigner) remember(head note.Checkpoint) error {
	if head.Size < c.last.Size || head == c.last {
		return nil
	}
	if head.Size == c.last.Size || head.Size == c.beyond.Size && head != c.beyond {
		return concord.Errorf(concord.Conflict, "the cosigning key signed two roots for %d entries; it must be rotated", head.Size)
	}
	if head.Size > c.beyond.Size {
		c.beyond = head
	}
	return nil
}

// cosigner signs heads of one log. It has one user at a time.
type cosigner struct {
	path string
	keys *note.Keys
	last note.Checkpoint // the largest signed; zero: none
	// beyond is a larger head that this key signed, as others have shown: the file is older than it was. Nothing is signed until
	// the log is known to hold that head.
	beyond note.Checkpoint
}

// openCosigner reads what was signed last. Its file may be missing only before the first head was stored.
func openCosigner(path string, keys *note.Keys, head *concord.Checkpoint) (*cosigner, error) {
	c := &cosigner{path: path, keys: keys}
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && head == nil:
		return c, nil
	case err != nil:
		return nil, concord.Errorf(concord.Corrupt, "cosigner state: %w; without it this key could sign two different histories", err)
	}
	if c.last, err = parseCosigned(string(b)); err != nil {
		return nil, concord.Errorf(concord.Corrupt, "cosigner state %s: %w; without it this key could sign two different histories", path, err)
	}
	return c, nil
}

func formatCosigned(c note.Checkpoint) string {
	s := cosignHead + c.String()
	return s + "sum " + concord.Sum([]byte(s)).String() + "\n"
}

func parseCosigned(s string) (note.Checkpoint, error) {
	text, ok := strings.CutPrefix(s, cosignHead)
	i := strings.LastIndex(text, "sum ")
	if !ok || i < 0 || len(s) > maxCosign {
		return note.Checkpoint{}, fmt.Errorf("damaged")
	}
	c, err := note.ParseCheckpoint(text[:i])
	if err != nil {
		return c, err
	}
	if formatCosigned(c) != s {
		return c, fmt.Errorf("damaged: its checksum does not match")
	}
	return c, nil
}

// check reports whether a head may be signed after what was signed before.
func (c *cosigner) check(head note.Checkpoint) error {
	switch {
	case c.beyond.Size >= head.Size && c.beyond != head:
		return concord.Errorf(concord.Conflict, "refuse to sign a head of %d entries: others hold one of %d that this key signed, and its state does not know of it, as after the restore of a backup", head.Size, c.beyond.Size)
	case c.last.Size > head.Size:
		return concord.Errorf(concord.Conflict, "refuse to sign a head of %d entries: one of %d was signed before. The log's files are older than the cosigner state, as after the restore of a backup", head.Size, c.last.Size)
	case c.last.Size == head.Size && c.last != head && c.last.Size > 0:
		return concord.Errorf(concord.Conflict, "refuse to sign a second root for %d entries", head.Size)
	case c.last.Origin != "" && c.last.Origin != head.Origin:
		return concord.Errorf(concord.Conflict, "refuse to sign for log %q: this key signs for %q", head.Origin, c.last.Origin)
	}
	return nil
}

// sign returns the note of a head, signed as log and cosigned at a time. The head is on disk before it is signed. The
// caller vouches that the head extends the one signed before.
func (c *cosigner) sign(head note.Checkpoint, now time.Time) ([]byte, error) {
	if err := c.check(head); err != nil {
		return nil, err
	}
	if head != c.last {
		if err := note.WritePrivate(c.path, []byte(formatCosigned(head))); err != nil {
			return nil, fmt.Errorf("write cosigner state: %w", err)
		}
		c.last = head
	}
	text := head.String()
	logSig, err := c.keys.Log.Sign(text)
	if err != nil {
		return nil, err
	}
	cosig, err := c.keys.Cosign.Cosign(text, now.Unix())
	if err != nil {
		return nil, err
	}
	n := note.Note{Text: text, Sigs: []note.Sig{logSig, cosig}}
	return n.Bytes(), nil
}
