//go:build !linux

package page

import "os/exec"

// isolate leaves the child in our group: its context kills the one process.
func isolate(*exec.Cmd) {}

// limitProcess has no address space limit to set here; the Go memory limit and the parent's timeout remain.
func limitProcess(memoryBytes, cpuSeconds uint64) error { return nil }
