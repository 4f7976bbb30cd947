// Package ports answers "where can a test's server listen?". It hands out TCP ports of this machine, none twice in a process nor in two that run at
// the same time, below those that the system gives to clients. A port that is found free at random and let go may be found again before its server
// listens.
//
// A process takes its ports from blocks that it has to itself: it listens on a block's first port until it ends, and hands out the others.
package ports

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

const (
	first, last = 18_000, 31_999
	block       = 100
	most        = 20 // blocks of a process, so that others find some; then it goes round in its own
)

var (
	mu        sync.Mutex
	mine      []net.Listener // on the first ports of this process's blocks; the last is in use
	next, end int            // of the block in use
)

// Free returns an address host:port of which the port and those after it, count in all, are free.
func Free(host string, count int) (string, error) {
	mu.Lock()
	defer mu.Unlock()
	for range most + 1 {
		for next+count <= end {
			port := next
			next += count
			if allFree(host, port, count) {
				return net.JoinHostPort(host, strconv.Itoa(port)), nil
			}
		}
		if !nextBlock() {
			break
		}
	}
	return "", errors.New("no " + strconv.Itoa(count) + " free ports in a row on " + host)
}

// nextBlock goes on to a block that no process has, or back to the one of this process that was left first.
func nextBlock() bool {
	l := takeBlock()
	if l == nil {
		if len(mine) == 0 {
			return false
		}
		l, mine = mine[0], mine[1:]
	}
	mine = append(mine, l)
	port := l.Addr().(*net.TCPAddr).Port
	next, end = port+1, port+block
	return true
}

func takeBlock() net.Listener {
	if len(mine) == most {
		return nil
	}
	const blocks = (last + 1 - first) / block
	start := rand.IntN(blocks)
	for k := range blocks {
		port := first + (start+k)%blocks*block
		if l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return l
		}
	}
	return nil
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
