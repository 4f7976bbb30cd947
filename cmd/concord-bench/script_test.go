package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes this test program the concord-bench command of the scripts.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"concord-bench": main})
}

// TestScripts runs testdata/script/*.txtar: the commands that checks from outside rely on.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script"})
}
