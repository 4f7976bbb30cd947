package ledger

import (
	"encoding/base64"
	"fmt"
	"strings"

	"concord"
	"concord/note"
)

// formatOther writes the actions of one line.
func (g *Gov) formatOther(b *strings.Builder) {
	if g.Drop != "" {
		fmt.Fprintf(b, "drop %s\n", g.Drop)
	}
	if g.Clear != "" {
		fmt.Fprintf(b, "clear %s\n", g.Clear)
	}
	if r := g.Rotate; r != nil {
		v := r.Value
		switch r.Which {
		case "op", "cosign", "log":
			v = r.Key.String()
		case "cons":
			v = base64.StdEncoding.EncodeToString(r.Key.Public[:])
		}
		fmt.Fprintf(b, "rotate %s %s %s\n", r.Operator, r.Which, v)
	}
	if g.Set != nil {
		fmt.Fprintf(b, "set %s %d\n", g.Set.Param, g.Set.Value)
	}
	if g.Line != nil {
		fmt.Fprintf(b, "line %s %d\n", g.Line.Operator, g.Line.Limit)
	}
	if p := g.Place; p != nil {
		fmt.Fprintf(b, "place %s %s %s\n", p.Operator, p.ASN, p.Region)
	}
}

// otherAction reads one of the actions that formatOther writes.
func (l *lines) otherAction(g *Gov) {
	switch {
	case l.has("clear"):
		g.Clear = l.operator("clear")
	case l.has("rotate"):
		g.Rotate = l.rotation()
	case l.has("set"):
		p, v := l.param(l.value("set"))
		g.Set = &Setting{p, v}
	case l.has("line"):
		name, n := l.about("line")
		g.Line = &Line{name, int64(l.parse(n, "the credit limit", maxCredit))}
	case l.has("place"):
		name, v := l.about("place")
		g.Place = &Place{Operator: name}
		g.Place.ASN, g.Place.Region = l.place(v)
	case l.err == nil && len(l.rest) > 0:
		action, _, _ := strings.Cut(l.rest[0], " ")
		l.fail(fmt.Sprintf("action %q is not known to this version, which has admit, power, drop, clear, rotate, set, line and place", concord.Clip(action, 40)))
	default:
		l.fail("no action")
	}
}

// about takes a line "<key> <operator> <rest>".
func (l *lines) about(key string) (operator, rest string) {
	operator, rest, _ = strings.Cut(l.value(key), " ")
	if l.err == nil && !ValidOperator(operator) {
		l.fail("the operator's name must be a lower-case host name")
	}
	return operator, rest
}

func (l *lines) rotation() *Rotation {
	name, rest := l.about("rotate")
	which, v, _ := strings.Cut(rest, " ")
	r := &Rotation{Operator: name, Which: which}
	switch which {
	case "op":
		r.Key = l.parseKey(v, which, name, note.Ed25519)
	case "cosign":
		r.Key = l.parseKey(v, which, name, note.Cosignature)
	case "log":
		r.Key = l.parseKey(v, which, "", note.Ed25519)
	case "cons":
		r.Key = note.Key{Name: name, Type: note.Ed25519, Public: l.digest(v, "cons")}
	case "node":
		r.Value = l.node(v)
	case "url":
		r.Value = l.address(v)
	default:
		l.fail("what is rotated must be op, cosign, log, cons, node or url")
	}
	return r
}

func (l *lines) admission() *Admission {
	a := &Admission{Operator: l.value("admit")}
	if l.err == nil && !ValidOperator(a.Operator) {
		l.fail("the operator's name must be a lower-case host name")
	}
	a.Op = l.key("op", a.Operator, note.Ed25519)
	a.Cosign = l.key("cosign", a.Operator, note.Cosignature)
	a.Log = l.key("log", "", note.Ed25519)
	a.Cons = l.digest(l.value("cons"), "cons")
	a.Node = l.node(l.value("node"))
	if l.has("url") {
		a.URL = l.address(l.value("url"))
	}
	return a
}

func (l *lines) node(v string) string {
	if l.err == nil && (len(v) != 40 || strings.Trim(v, "0123456789abcdef") != "") {
		l.fail("node is not 40 hex digits")
	}
	return v
}

func (l *lines) address(v string) string {
	if l.err == nil && (v == "" || len(v) > maxURL || strings.ContainsAny(v, " \t")) {
		l.fail("url is empty, too long or has a space")
	}
	return v
}

func (l *lines) key(label, name string, typ note.Type) note.Key {
	return l.parseKey(l.value(label), label, name, typ)
}

func (l *lines) parseKey(v, label, name string, typ note.Type) note.Key {
	if l.err != nil {
		return note.Key{}
	}
	k, err := note.ParseKey(v)
	switch {
	case err != nil:
		l.fail(err.Error())
	case k.Type != typ:
		l.fail(fmt.Sprintf("the %s key must be of type 0x%02x", label, byte(typ)))
	case name != "" && k.Name != name:
		l.fail(fmt.Sprintf("the %s key must be named %q", label, name))
	}
	return k
}

func (l *lines) powers() (list []Power) {
	for l.has("power") {
		name, n, _ := strings.Cut(l.value("power"), " ")
		p := Power{name, l.parse(n, "power", MaxPower)}
		switch {
		case !ValidOperator(name):
			l.fail("the operator's name must be a lower-case host name")
		case len(list) == MaxPowers:
			l.fail(fmt.Sprintf("more than %d changes of power", MaxPowers))
		case len(list) > 0 && list[len(list)-1].Operator >= name:
			l.fail("power lines are not sorted by name, each name once")
		}
		list = append(list, p)
	}
	return list
}
