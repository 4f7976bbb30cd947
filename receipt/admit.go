package receipt

import (
	"encoding/base64"
	"fmt"
	"strings"

	"concord/note"
)

// admission is what a receipt needs of the gov text that admitted an operator.
type admission struct {
	chain    string // name of the chain, without the genesis hash: founding notes cannot have it
	operator string
	op       note.Key
	cosign   note.Key
}

// parseAdmission reads the text of a gov transaction that admits an operator (package ledger has the whole grammar).
func parseAdmission(text string) (a admission, err error) {
	lines := strings.Split(text, "\n")
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

// AdmitNote returns the part of an admission that a receipt carries: the text with the one signature by which the
// operator's cosigning key, which policies list, vouches for its op key.
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
		if a.cosign.Verify(n.Text, s) {
			return note.Join(n.Text, s), nil
		}
	}
	return nil, fmt.Errorf("the admission of %s is not signed by its cosigning key", a.operator)
}
