package ledger

import (
	"fmt"
	"slices"
	"strings"

	"concord/note"
)

// Param is a number that gov can set.
type Param int

const (
	ParamTxBytes Param = iota // most bytes of a transaction
	ParamAsks                 // most open asks of a member
	ParamASNs                 // fewest autonomous systems that must agree for AGREE
	ParamBurst                // bytes a member may send at once, when there is a rate
	ParamCredit               // credit limit of members without a line of their own
	ParamPanel                // most members of a panel
	ParamRate                 // bytes a minute each member may send; 0: no budget
	ParamRegions              // fewest regions (RIR) that must agree for AGREE
	ParamSimilar              // equal bytes of two sketches, of SketchSize, from which texts count as similar
	ParamWindow               // most seconds an ask may give for sealing
	paramCount
)

// DefaultTxBytes is the most bytes of a transaction until gov changes it. The longest of ours, an admission with the
// longest names, takes less than half.
const DefaultTxBytes = 8192

// params has the names and bounds. Defaults are part of the protocol: a value that equals its default is not in the
// state's text, so changing a default would change state hashes of the past.
var params = [paramCount]struct {
	name               string
	value, least, most uint64
}{
	ParamTxBytes: {"txbytes", DefaultTxBytes, 4096, note.MaxBytes}, // the least still holds an admission
	ParamAsks:    {"asks", 16, 0, 1000},
	ParamASNs:    {"asns", 0, 0, MaxPanel},
	ParamBurst:   {"burst", 1 << 20, note.MaxBytes, 1 << 30},
	ParamCredit:  {"credit", 0, 0, maxCredit},
	ParamPanel:   {"panel", 16, 1, MaxPanel},
	ParamRate:    {"rate", 0, 0, 1 << 30},
	ParamRegions: {"regions", 0, 0, 5}, // there are five RIRs
	ParamSimilar: {"similar", 48, 1, SketchSize},
	ParamWindow:  {"window", 3600, MinUntil, 7 * 86400},
}

// Params holds the values that differ from their defaults.
type Params [paramCount]struct {
	value uint64
	set   bool
}

// String returns the parameter's name in gov notes.
func (p Param) String() string { return params[p].name }

// ParseParam returns the parameter of that name.
func ParseParam(name string) (Param, bool) {
	for p := range paramCount {
		if params[p].name == name {
			return p, true
		}
	}
	return 0, false
}

// ParamNames returns the names of all parameters, sorted but for txbytes, the first.
func ParamNames() (list []string) {
	for p := range paramCount {
		list = append(list, p.String())
	}
	return list
}

// Param returns a parameter's value.
func (s *State) Param(p Param) uint64 {
	if s.Params[p].set {
		return s.Params[p].value
	}
	return params[p].value
}

func (s *State) setParam(p Param, v uint64) {
	s.Params[p].value, s.Params[p].set = v, true
	if v == params[p].value {
		s.Params[p].value, s.Params[p].set = 0, false
	}
}

// formatParams writes txbytes always, as the first ledgers did, and the others where they differ from their defaults.
func (s *State) formatParams(b *strings.Builder) {
	for p := range paramCount {
		if p == ParamTxBytes || s.Params[p].set {
			fmt.Fprintf(b, "param %s %d\n", p, s.Param(p))
		}
	}
}

// params reads lines "param <name> <value>" and gives them to set.
func (l *lines) params(s *State) {
	for l.has("param") {
		p, v := l.param(l.value("param"))
		s.setParam(p, v)
	}
}

// param reads "<name> <value>".
func (l *lines) param(v string) (Param, uint64) {
	name, n, _ := strings.Cut(v, " ")
	p, ok := ParseParam(name)
	if !ok {
		l.fail("the parameter is not one of " + strings.Join(slices.Sorted(slices.Values(ParamNames())), ", "))
		return 0, 0
	}
	val := l.parse(n, name, params[p].most)
	if val < params[p].least {
		l.fail(fmt.Sprintf("%s must be at least %d", name, params[p].least))
	}
	return p, val
}
