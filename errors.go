package concord

import (
	"errors"
	"fmt"
)

// Kind sorts errors by what the caller can do about them. One table in package web maps kinds to HTTP status codes, one
// in cmd/concord to exit codes.
type Kind uint8

const (
	Internal     Kind = iota // a defect or a broken machine: nothing the caller sent is to blame
	Invalid                  // the input is wrong; the message says how to correct it
	NotFound                 // the thing asked for is not here
	Conflict                 // somebody else was first; read again and retry
	Unavailable              // not now; retry later
	Unauthorized             // a key is missing or wrong
	Corrupt                  // stored bytes do not match their checksum; they were not used
)

var kindNames = [...]string{"internal", "invalid", "not found", "conflict", "unavailable", "unauthorized", "corrupt"}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// kindError carries a kind beside an ordinary wrapped error, whose message it keeps unchanged.
type kindError struct {
	kind Kind
	err  error
}

func (e *kindError) Error() string { return e.err.Error() }
func (e *kindError) Unwrap() error { return e.err }

// Errorf is fmt.Errorf with a kind. Messages are lower case, say what was wrong and, for Invalid, what to do.
func Errorf(kind Kind, format string, args ...any) error {
	return &kindError{kind, fmt.Errorf(format, args...)}
}

// KindOf returns the kind of the outermost error of the chain that has one, else Internal.
func KindOf(err error) Kind {
	var k *kindError
	if errors.As(err, &k) {
		return k.kind
	}
	return Internal
}
