//go:build !unix

package durable

import (
	"io"
	"os"
)

func mapFile(f *os.File, size int) ([]byte, func([]byte) error, error) {
	b := make([]byte, size)
	_, err := io.ReadFull(f, b)
	return b, nil, err
}

func advise([]byte, bool) {}

func ahead([]byte) {}
