//go:build e2e

package bus

// faults says that tests may take long: machines die in them and come back.
const faults = true
