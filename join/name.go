package join

import "concord"

// MaxName bounds the name of a node, in bytes: that of a label in the domain name system.
const MaxName = 63

// CheckName says what is wrong with the name of a node. Errors: Invalid.
func CheckName(name string) error {
	ok := len(name) >= 1 && len(name) <= MaxName && name[0] != '-' && name[len(name)-1] != '-'
	for i := 0; ok && i < len(name); i++ {
		c := name[i]
		ok = c == '-' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z'
	}
	if !ok {
		return concord.Errorf(concord.Invalid, "node name %q: use 1 to %d lower-case letters, digits and '-', not at its ends", concord.Clip(name, MaxName+1), MaxName)
	}
	return nil
}
