package chain

import (
	"encoding/binary"
	"fmt"
	"math"

	"golang.org/x/mod/sumdb/tlog"

	"concord"
)

const (
	tileHeight = 8 // fixed by c2sp.org/tlog-tiles
	// TileWidth is the number of hashes, or of entries, in a full tile.
	TileWidth = 1 << tileHeight
)

// HashTile returns the first width hashes of tile n at a level of tiles, 32 bytes each (c2sp.org/tlog-tiles): the hashes
// of the tree at height 8*level. Width is at most TileWidth. What the newest checkpoint does not cover is NotFound; any
// width below a tile's own is there for ever, so that a client with an older checkpoint finds its partial tiles.
func (c *Chain) HashTile(level int, n uint64, width int) ([]byte, error) {
	return c.store.tile(c.Checkpoint().Size, level, n, width)
}

// EntryBundle returns the first width entries of tile n, each after its length as a big-endian uint16. See HashTile.
func (c *Chain) EntryBundle(n uint64, width int) ([]byte, error) {
	return c.store.bundle(c.Checkpoint().Size, n, width)
}

// inTree reports an error unless the tree of size entries has the first width hashes of this tile.
func inTree(size uint64, level int, n uint64, width int) error {
	have := size // hashes at the tile's level
	if level > 0 {
		have = size >> (tileHeight * uint(level))
	}
	if level < 0 || width < 1 || width > TileWidth || n > have/TileWidth || n*TileWidth+uint64(width) > have {
		return concord.Errorf(concord.NotFound, "the log has no tile %d of width %d at level %d: its checkpoint covers %d entries", n, width, level, size)
	}
	return nil
}

func (s *store) tile(size uint64, level int, n uint64, width int) ([]byte, error) {
	if err := inTree(size, level, n, width); err != nil {
		return nil, err
	}
	b, err := tlog.ReadTileData(tlog.Tile{H: tileHeight, L: level, N: int64(n), W: width}, s)
	if err != nil {
		return nil, fmt.Errorf("tile %d at level %d: %w", n, level, err)
	}
	return b, nil
}

func (s *store) bundle(size uint64, n uint64, width int) ([]byte, error) {
	if err := inTree(size, 0, n, width); err != nil {
		return nil, err
	}
	list, err := s.entries(n*TileWidth, width)
	if err == nil && len(list) != width {
		err = concord.Errorf(concord.Corrupt, "the log's store has no entry %d", n*TileWidth+uint64(len(list)))
	}
	if err != nil {
		return nil, fmt.Errorf("entries of tile %d: %w", n, err)
	}
	total := 0
	for _, e := range list {
		total += 2 + len(e.data)
	}
	b := make([]byte, 0, total)
	for i, e := range list {
		if len(e.data) > math.MaxUint16 {
			return nil, concord.Errorf(concord.Internal, "entry %d has %d bytes, more than a bundle can say", n*TileWidth+uint64(i), len(e.data))
		}
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(e.data))), e.data...)
	}
	return b, nil
}

// SplitBundle returns the entries of a bundle, which share its memory. It refuses anything but width whole entries.
func SplitBundle(b []byte, width int) ([][]byte, error) {
	list := make([][]byte, 0, min(max(width, 0), TileWidth))
	for len(b) > 0 {
		if len(b) < 2 || len(b)-2 < int(binary.BigEndian.Uint16(b)) || len(list) == width {
			return nil, concord.Errorf(concord.Invalid, "entry bundle: damaged after %d entries, or more than %d", len(list), width)
		}
		end := 2 + int(binary.BigEndian.Uint16(b))
		list, b = append(list, b[2:end:end]), b[end:]
	}
	if len(list) != width {
		return nil, concord.Errorf(concord.Invalid, "entry bundle: %d entries, want %d", len(list), width)
	}
	return list, nil
}
