package search

import (
	"testing"
	"unsafe"
)

// Sums on the borders of cache lines are walked a quarter faster, and added to a little faster, than across them.
func TestSumsAligned(t *testing.T) {
	for range 100 {
		x := new(Snapshot).scratch(t.Context())
		if at := uintptr(unsafe.Pointer(&x.sums)); at%64 != 0 {
			t.Fatalf("sums are %d bytes behind a multiple of 64", at%64)
		}
	}
}
