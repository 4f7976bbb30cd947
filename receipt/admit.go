package receipt

import (
	"encoding/base64"
	"fmt"
	"strings"

	"concord/note"
)

// admission is what a receipt needs of the gov text that names an operator's op key: the one that admitted it, or that of a later
// rotation of that key.
type admission struct {
	chain    string // name of the chain, without the genesis hash: founding notes cannot have it
	operator string
	op       note.Key
	cosign   note.Key // the zero value in a rotation
}

// parseAdmission reads the text of a gov transaction that admits an operator, or changes its op key (package ledger has the whole grammar).
func parseAdmission(text string) (a admission, err error) {
	lines := strings.Split(text, "\n")
	if len(lines) == 5 && strings.HasPrefix(lines[3], "rotate ") {
		return parseRotation(lines)
	}
	keys := []string{"chain", "epoch", "admit", "op", "cosign", "log", "cons", "node", "url"}
	if n := len(lines) - 2; n != len(keys) && n != len(keys)-1 || lines[0] != "concord/tx/v1 gov" || lines[len(lines)-1] != "" {
		return a, fmt.Errorf("not the text of an admission: want %q and the lines %s", "concord/tx/v1 gov", strings.Join(keys, ", "))
	}
	val := map[string]string{}
	for i, l := range lines[1 : len(lines)-1] {
		v, ok := strings.CutPrefix(l, keys[i]+" ")
		if !ok || v == "" {
			return a, fmt.Errorf("line %d is not %q and a value", i+2, keys[i])
		}
		val[keys[i]] = v
	}
	a.chain, _, _ = strings.Cut(val["chain"], ":")
	a.operator = val["admit"]
	if a.op, err = note.ParseKey(val["op"]); err != nil {
		return a, err
	}
	if a.cosign, err = note.ParseKey(val["cosign"]); err != nil {
		return a, err
	}
	if a.op.Type != note.Ed25519 || a.cosign.Type != note.Cosignature || a.op.Name != a.operator || a.cosign.Name != a.operator {
		return a, fmt.Errorf("its keys are not those of %q", a.operator)
	}
	if c, err := base64.StdEncoding.Strict().DecodeString(val["cons"]); err != nil || len(c) != 32 {
		return a, fmt.Errorf("its consensus key is not the base64 of 32 bytes")
	}
	return a, nil
}

// parseRotation reads the lines of
//
//	concord/tx/v1 gov
//	chain <chain>
//	epoch <n>
//	rotate <operator> op <vkey>
func parseRotation(lines []string) (a admission, err error) {
	chain, ok := strings.CutPrefix(lines[1], "chain ")
	epoch, ok2 := strings.CutPrefix(lines[2], "epoch ")
	f := strings.Split(lines[3], " ")
	if lines[0] != "concord/tx/v1 gov" || !ok || !ok2 || chain == "" || epoch == "" || len(f) != 4 || f[2] != "op" || lines[4] != "" {
		return a, fmt.Errorf("not the text of a rotation: want %q and the lines chain, epoch and %q", "concord/tx/v1 gov", "rotate <operator> op <key>")
	}
	a.chain, _, _ = strings.Cut(chain, ":")
	a.operator = f[1]
	if a.op, err = note.ParseKey(f[3]); err == nil && (a.op.Type != note.Ed25519 || a.op.Name != a.operator) {
		err = fmt.Errorf("its key is not that of %q", a.operator)
	}
	return a, err
}

// OpKey returns whose op key the text of a gov transaction names, and the key: an admission's or a rotation's. ok is false for any other.
func OpKey(text string) (operator string, op note.Key, ok bool) {
	a, err := parseAdmission(text)
	return a.operator, a.op, err == nil
}

// AdmitNote returns the part of an admission that a receipt carries: the text with the one signature by which the
// operator's cosigning key, which policies list, vouches for its op key. When either key has changed since, there is no such signature in
// the ledger: then the operator signs the text that names the op key, of the admission or the rotation, with the cosigning key it has now.
func AdmitNote(gov []byte) ([]byte, error) {
	n, err := note.Parse(gov)
	if err != nil {
		return nil, err
	}
	a, err := parseAdmission(n.Text)
	if err != nil {
		return nil, err
	}
	for _, s := range n.Sigs {
		if a.cosign.Name == a.operator && a.cosign.Verify(n.Text, s) {
			return note.Join(n.Text, s), nil
		}
	}
	return nil, fmt.Errorf("the op key of %s is not signed by the cosigning key it is named with", a.operator)
}
