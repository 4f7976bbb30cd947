package main

import "concord"

// Exit codes, as `concord --help` and the manual document them.
const (
	exitOK          = 0
	exitFailed      = 1 // failed, or not proven
	exitInvalid     = 2 // wrong use or input
	exitNotFound    = 3
	exitUnavailable = 4 // no node, not ready, stopped
	exitPartial     = 5 // an answer from only some of the shards, or of the other operators
)

// quietError ends a command with a code after it has said itself what was wrong.
type quietError struct{ code int }

func (e *quietError) Error() string { return "" }

// exitCode is the one table that maps errors to exit codes.
func exitCode(err error) int {
	if q, ok := err.(*quietError); ok {
		return q.code
	}
	switch concord.KindOf(err) {
	case concord.Invalid:
		return exitInvalid
	case concord.NotFound:
		return exitNotFound
	case concord.Unavailable, concord.Conflict:
		return exitUnavailable
	}
	return exitFailed
}
