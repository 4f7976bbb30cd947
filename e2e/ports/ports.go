// Package ports answers "where can a test's server listen?". It hands out TCP ports of this machine, none twice in a process, below those that the
// system gives to clients. A port that is found free at random and let go may be found again before its server listens.
package ports

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

const first, last = 18_000, 31_999

var (
	mu   sync.Mutex
	next = first + rand.IntN(last-first)
)

// Free returns an address host:port of which the port and those after it, count in all, are free.
func Free(host string, count int) (string, error) {
	mu.Lock()
	defer mu.Unlock()
	for range last - first {
		if next+count > last {
			next = first
		}
		port := next
		next += count
		if allFree(host, port, count) {
			return net.JoinHostPort(host, strconv.Itoa(port)), nil
		}
	}
	return "", errors.New("no " + strconv.Itoa(count) + " free ports in a row on " + host)
}

func allFree(host string, port, count int) bool {
	for k := range count {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port+k)))
		if err != nil {
			return false
		}
		l.Close()
	}
	return true
}
