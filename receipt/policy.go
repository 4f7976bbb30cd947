package receipt

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"concord"
	"concord/note"
)

// Policy says whose signatures make a checkpoint believable: any one of the logs, and a quorum of witnesses. Its text is
// that of c2sp.org/tlog-policy:
//
//	log <vkey> [<url>]
//	witness <name> <vkey> [<url>]
//	group <name> all|any|<k> <names…>
//	quorum <name>|none
//
// Fields are separated by one space. Empty lines and lines that start with "#" are skipped.
//
// Witnesses are operators of the ledger, but for those in the group with the name OutsideGroup, and in groups within it: they are from
// outside, and what they sign anchors a checkpoint.
type Policy struct {
	Logs      []note.Key // type 0x01, named for the log's origin
	Witnesses []Witness
	groups    map[string]group // witnesses and groups by name
	quorum    string
}

// Witness is a cosigner: its name in the policy and its key, of type 0x04.
type Witness struct {
	Name    string
	Key     note.Key
	Outside bool // it is no operator of the ledger
}

// OutsideGroup is the group of a policy whose witnesses are no operators of the ledger. It need not be part of the quorum: a receipt without
// their cosignatures is of a lower level.
const OutsideGroup = "outside"

// group is a set of names of which need must have signed. A witness is a group without members.
type group struct {
	need    int
	members []string
	witness int // index in Witnesses, where members is empty
}

const (
	// MaxPolicyBytes bounds a policy file: some 400 witnesses.
	MaxPolicyBytes = 64 << 10
	noQuorum       = "none"
)

// ParsePolicy reads a policy. Names must be defined before they are used, a name is a member of one group at most, and
// no public key may be listed twice.
func ParsePolicy(text []byte) (*Policy, error) {
	if len(text) == 0 || len(text) > MaxPolicyBytes || text[len(text)-1] != '\n' {
		return nil, concord.Errorf(concord.Invalid, "policy: it is empty, longer than %d bytes, or its last line does not end in a line feed", MaxPolicyBytes)
	}
	p := &Policy{groups: map[string]group{}}
	keys, used := map[[32]byte]bool{}, map[string]bool{}
	for i, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		if err := p.line(strings.Split(line, " "), keys, used); err != nil {
			return nil, concord.Errorf(concord.Invalid, "policy line %d: %w", i+1, err)
		}
	}
	switch {
	case len(p.Logs) == 0:
		return nil, concord.Errorf(concord.Invalid, "policy: no log line")
	case p.quorum == "":
		return nil, concord.Errorf(concord.Invalid, "policy: no quorum line")
	}
	if _, ok := p.groups[OutsideGroup]; ok {
		p.markOutside(OutsideGroup)
	}
	return p, nil
}

// markOutside marks the witnesses below a name.
func (p *Policy) markOutside(name string) {
	g := p.groups[name]
	if len(g.members) == 0 {
		p.Witnesses[g.witness].Outside = true
	}
	for _, m := range g.members {
		p.markOutside(m)
	}
}

func (p *Policy) line(f []string, keys map[[32]byte]bool, used map[string]bool) error {
	for _, s := range f {
		if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || r == 0xfffd }) {
			return fmt.Errorf("fields must be separated by exactly one space, without control characters")
		}
	}
	switch {
	case f[0] == "log" && (len(f) == 2 || len(f) == 3):
		k, err := p.key(f[1], note.Ed25519, keys)
		p.Logs = append(p.Logs, k)
		return err
	case f[0] == "witness" && (len(f) == 3 || len(f) == 4):
		k, err := p.key(f[2], note.Cosignature, keys)
		p.Witnesses = append(p.Witnesses, Witness{Name: f[1], Key: k})
		if err != nil {
			return err
		}
		return p.define(f[1], group{need: 1, witness: len(p.Witnesses) - 1})
	case f[0] == "group" && len(f) >= 4:
		return p.group(f, used)
	case f[0] == "quorum" && len(f) == 2:
		if _, ok := p.groups[f[1]]; !ok && f[1] != noQuorum {
			return fmt.Errorf("the quorum %q is not the name of a witness or group above", concord.Clip(f[1], 60))
		}
		if p.quorum != "" {
			return fmt.Errorf("a second quorum line")
		}
		p.quorum = f[1]
		return nil
	}
	return fmt.Errorf("want log, witness, group or quorum with their fields, not %q", concord.Clip(strings.Join(f, " "), 60))
}

func (p *Policy) key(s string, typ note.Type, keys map[[32]byte]bool) (note.Key, error) {
	k, err := note.ParseKey(s)
	switch {
	case err != nil:
		return k, err
	case k.Type != typ:
		return k, fmt.Errorf("key %08x is of type 0x%02x, want 0x%02x", k.ID(), byte(k.Type), byte(typ))
	case keys[k.Public]:
		return k, fmt.Errorf("the public key of %08x is listed twice", k.ID())
	}
	keys[k.Public] = true
	return k, nil
}

func (p *Policy) define(name string, g group) error {
	if _, ok := p.groups[name]; ok || name == noQuorum {
		return fmt.Errorf("the name %q is taken", concord.Clip(name, 60))
	}
	p.groups[name] = g
	return nil
}

func (p *Policy) group(f []string, used map[string]bool) error {
	g := group{members: f[3:]}
	for _, m := range g.members {
		if _, ok := p.groups[m]; !ok {
			return fmt.Errorf("group member %q is not defined above", concord.Clip(m, 60))
		}
		if used[m] {
			return fmt.Errorf("%q is a member of a group already", concord.Clip(m, 60))
		}
		used[m] = true
	}
	switch f[2] {
	case "all":
		g.need = len(g.members)
	case "any":
		g.need = 1
	default:
		k, err := strconv.Atoi(f[2])
		if err != nil || k < 1 || k > len(g.members) || strconv.Itoa(k) != f[2] {
			return fmt.Errorf("group threshold %q is not all, any or a number from 1 to %d", concord.Clip(f[2], 20), len(g.members))
		}
		g.need = k
	}
	return p.define(f[1], g)
}

// satisfied reports whether the witnesses that signed, by index, make the quorum.
func (p *Policy) satisfied(signed map[int]bool) bool {
	return p.quorum == noQuorum || p.holds(p.quorum, signed)
}

// anchored reports whether as many witnesses from outside signed as the policy's group of them asks for.
func (p *Policy) anchored(signed map[int]bool) bool {
	_, ok := p.groups[OutsideGroup]
	return ok && p.holds(OutsideGroup, signed)
}

// operators counts the witnesses that are not from outside.
func (p *Policy) operators() (n int) {
	for _, w := range p.Witnesses {
		if !w.Outside {
			n++
		}
	}
	return n
}

// holds follows groups downwards; they cannot form a circle because members are defined before their group.
func (p *Policy) holds(name string, signed map[int]bool) bool {
	g := p.groups[name]
	if len(g.members) == 0 {
		return signed[g.witness]
	}
	have := 0
	for _, m := range g.members {
		if p.holds(m, signed) {
			have++
		}
	}
	return have >= g.need
}

// keys returns all keys of the policy.
func (p *Policy) keys() []note.Key {
	list := append([]note.Key(nil), p.Logs...)
	for _, w := range p.Witnesses {
		list = append(list, w.Key)
	}
	return list
}

// FormatPolicy returns the text of a policy: the log keys as alternatives, the witnesses under the names of their keys,
// and need of them as the quorum. Further witnesses are known by their keys and do not count for the quorum.
func FormatPolicy(logs, witnesses []note.Key, need int, further ...note.Key) string {
	var b strings.Builder
	for _, k := range logs {
		fmt.Fprintf(&b, "log %s\n", k)
	}
	for _, k := range append(slices.Clone(witnesses), further...) {
		fmt.Fprintf(&b, "witness %s %s\n", k.Name, k)
	}
	if len(witnesses) == 1 && need == 1 {
		fmt.Fprintf(&b, "quorum %s\n", witnesses[0].Name)
		return b.String()
	}
	fmt.Fprintf(&b, "group operators %d", need)
	for _, k := range witnesses {
		b.WriteString(" " + k.Name)
	}
	b.WriteString("\nquorum operators\n")
	return b.String()
}

// FormatOutside returns the lines that name witnesses from outside in a policy, to be put after those of FormatPolicy: any one of them anchors a checkpoint.
func FormatOutside(keys ...note.Key) string {
	if len(keys) == 0 {
		return ""
	}
	var b strings.Builder
	for _, k := range keys {
		fmt.Fprintf(&b, "witness %s %s\n", k.Name, k)
	}
	b.WriteString("group " + OutsideGroup + " any")
	for _, k := range keys {
		b.WriteString(" " + k.Name)
	}
	return b.String() + "\n"
}
