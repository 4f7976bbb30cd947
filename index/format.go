package index

import (
	"encoding/binary"
	"hash/crc32"

	"concord"
)

// FORMAT.md describes the file; the constants here are its numbers.
const (
	magic      = "concord1"
	version    = 2
	headerSize = 16 // magic, version, reserved
	footerSize = 32 // table offset, table length, table CRC-32C, version, magic
	alignment  = 8

	// chunkSize is the unit of checksums: small enough to check a chunk on first touch (about 5 µs), large enough that
	// the sums take no room (4 bytes in 64 KiB).
	chunkSize = 64 << 10

	tableEntrySize = 24
)

// sectionID names a section in the file; the numbers are part of the format.
type sectionID uint32

const (
	secStore sectionID = iota + 1
	secStoreIndex
	secURLs
	secURLIndex
	secURLHash
	secRanks
	secColumns
	secValues
	secPostings
	secPositions
	secDictAll
	secDictTitle
	secDictURL
	secMeta
	endSection
)

var sectionNames = [endSection]string{"", "store", "store index", "urls", "url index", "url hash", "ranks", "columns", "values",
	"postings", "positions", "dictionary all", "dictionary title", "dictionary url", "meta"}

func (id sectionID) String() string {
	if id > 0 && id < endSection {
		return sectionNames[id]
	}
	return "unknown"
}

// lazy reports whether a section of a large file is checked chunk by chunk on first use, not on opening.
func (id sectionID) lazy() bool {
	return id == secStore || id == secPostings || id == secPositions || id == secURLs || id == secURLHash || id >= secDictAll && id < secDictAll+sectionID(NumFields)
}

var crcTable = crc32.MakeTable(crc32.Castagnoli)

func crc(b []byte) uint32 { return crc32.Checksum(b, crcTable) }

// tableEntry places one section.
type tableEntry struct {
	id     sectionID
	offset uint64
	length uint64
	sums   []uint32 // CRC-32C of each chunk
}

func chunks(length uint64) uint64 { return (length + chunkSize - 1) / chunkSize }

func appendTable(dst []byte, entries []tableEntry) []byte {
	for _, e := range entries {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(e.id))
		dst = binary.LittleEndian.AppendUint32(dst, 0)
		dst = binary.LittleEndian.AppendUint64(dst, e.offset)
		dst = binary.LittleEndian.AppendUint64(dst, e.length)
	}
	for _, e := range entries {
		for _, s := range e.sums {
			dst = binary.LittleEndian.AppendUint32(dst, s)
		}
	}
	return dst
}

func appendFooter(dst []byte, tableOffset uint64, table []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, tableOffset)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(len(table)))
	dst = binary.LittleEndian.AppendUint32(dst, crc(table))
	dst = binary.LittleEndian.AppendUint32(dst, version)
	return append(dst, magic...)
}

func appendHeader(dst []byte) []byte {
	dst = append(dst, magic...)
	dst = binary.LittleEndian.AppendUint32(dst, version)
	return binary.LittleEndian.AppendUint32(dst, 0)
}

// parseTable checks the frame of a file - header, footer, table, padding - and returns where the sections lie.
func parseTable(file []byte) ([]tableEntry, error) {
	bad := func(format string, args ...any) ([]tableEntry, error) {
		return nil, concord.Errorf(concord.Corrupt, format, args...)
	}
	if len(file) < headerSize+footerSize {
		return bad("header: file of %d bytes is too short for a segment", len(file))
	}
	if string(file[:8]) != magic {
		return bad("header: not a segment file")
	}
	if v := binary.LittleEndian.Uint32(file[8:]); v != version {
		return bad("header: format version %d, this program reads version %d", v, version)
	}
	if binary.LittleEndian.Uint32(file[12:]) != 0 {
		return bad("header: reserved bytes are not zero")
	}
	foot := file[len(file)-footerSize:]
	if string(foot[24:]) != magic || binary.LittleEndian.Uint32(foot[20:]) != version {
		return bad("footer: missing, the file is truncated or overwritten")
	}
	at, n := binary.LittleEndian.Uint64(foot), binary.LittleEndian.Uint64(foot[8:])
	end := uint64(len(file) - footerSize)
	if at < headerSize || at > end || n != end-at {
		return bad("section table: %d bytes at %d do not end at the footer", n, at)
	}
	table := file[at:end]
	if crc(table) != binary.LittleEndian.Uint32(foot[16:]) {
		return bad("section table: checksum mismatch")
	}
	const entriesSize = (int(endSection) - 1) * tableEntrySize
	if len(table) < entriesSize {
		return bad("section table: %d bytes are too few", len(table))
	}
	sums := table[entriesSize:]
	entries := make([]tableEntry, 0, endSection-1)
	next := uint64(headerSize)
	for id := sectionID(1); id < endSection; id++ {
		b := table[int(id-1)*tableEntrySize:]
		e := tableEntry{id: id, offset: binary.LittleEndian.Uint64(b[8:]), length: binary.LittleEndian.Uint64(b[16:])}
		if sectionID(binary.LittleEndian.Uint32(b)) != id || binary.LittleEndian.Uint32(b[4:]) != 0 || e.offset != next || e.length > at-next {
			return bad("section table: entry of section %q is out of place", id)
		}
		next += e.length
		for ; next%alignment != 0; next++ {
			if next >= at || file[next] != 0 {
				return bad("section table: padding after section %q", id)
			}
		}
		count := chunks(e.length)
		if count > uint64(len(sums)/4) {
			return bad("section table: checksums of section %q are missing", id)
		}
		for i := range count {
			e.sums = append(e.sums, binary.LittleEndian.Uint32(sums[4*i:]))
		}
		sums = sums[4*count:]
		entries = append(entries, e)
	}
	if next != at || len(sums) != 0 {
		return bad("section table: sections do not fill the file")
	}
	return entries, nil
}
