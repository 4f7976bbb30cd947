//go:build !e2e

package bus

// faults is false where tests are to be quick.
const faults = false
