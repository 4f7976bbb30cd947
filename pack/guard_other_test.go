//go:build !linux

package pack

import "testing"

// guarded returns a slice of n bytes; only Linux forbids what comes after.
func guarded(_ testing.TB, n int) []byte { return make([]byte, n) }
