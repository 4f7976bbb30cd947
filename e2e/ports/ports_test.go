package ports

import (
	"net"
	"strconv"
	"testing"
)

// No port is handed out twice, although nobody listens yet, and none that somebody listens on.
func TestFree(t *testing.T) {
	const host, count = "127.0.0.1", 2
	seen := map[int]bool{}
	for range 500 {
		addr, err := Free(host, count)
		if err != nil {
			t.Fatal(err)
		}
		_, text, _ := net.SplitHostPort(addr)
		port, err := strconv.Atoi(text)
		if err != nil || port < first || port+count-1 > last {
			t.Fatalf("%s: %v", addr, err)
		}
		for k := range count {
			if seen[port+k] {
				t.Fatalf("port %d is handed out twice", port+k)
			}
			seen[port+k] = true
		}
	}
	mu.Lock()
	taken := next
	mu.Unlock()
	l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(taken)))
	if err != nil {
		t.Skipf("SKIPPED: port %d is taken by somebody else just now, so it was not tried that a taken one is left out: run this test again: %v", taken, err)
	}
	defer l.Close()
	addr, err := Free(host, count)
	if err != nil || addr == l.Addr().String() {
		t.Errorf("%s is taken, %v", addr, err)
	}
}
