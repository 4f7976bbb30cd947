package index

import "strings"

// maxInterned bounds the strings that an interner finds again.
const maxInterned = 1 << 14

// interner numbers the strings that many documents share. When there are very many it forgets which it knows: a string may get another number,
// but a number stays what it is.
type interner struct {
	known map[string]uint32
	all   []string
	size  int64 // of the strings
}

func (t *interner) number(s string) uint32 {
	n, ok := t.known[s]
	if ok {
		return n
	}
	if len(t.known) >= maxInterned {
		clear(t.known)
	}
	if t.known == nil {
		t.known = map[string]uint32{}
	}
	s = strings.Clone(s)
	n = uint32(len(t.all))
	t.known[s] = n
	t.all = append(t.all, s)
	t.size += int64(len(s)+15) &^ 15 // allocated in units of sixteen
	return n
}

// bytes is the memory in use.
func (t *interner) bytes() int64 {
	const (
		headerBytes = 16
		entryBytes  = 48 // of the map
	)
	return t.size + int64(cap(t.all))*headerBytes + int64(min(len(t.all), maxInterned))*entryBytes
}
