package page

import (
	"os"
	"testing"
)

// childArg makes the test binary be the child that PDFChild starts.
const childArg = "pdf-text"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == childArg {
		if err := PDFMain(os.Stdin, os.Stdout); err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}
