package ports

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"
)

// childVar makes this test program one that takes ports, says which, and keeps them until its input ends.
const childVar = "CONCORD_TEST_PORTS"

func TestMain(m *testing.M) {
	if os.Getenv(childVar) == "" {
		os.Exit(m.Run())
	}
	for range 250 {
		addr, err := Free("127.0.0.1", 1)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(addr)
	}
	fmt.Println("all")
	io.Copy(io.Discard, os.Stdin)
}

// Processes that run at the same time are given different ports.
func TestProcesses(t *testing.T) {
	seen := map[string]int{}
	for process := range 10 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childVar+"=1")
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() {
			in.Close()
			cmd.Wait()
		}()
		lines, taken := bufio.NewScanner(out), 0
		for lines.Scan() && lines.Text() != "all" {
			if other, ok := seen[lines.Text()]; ok {
				t.Fatalf("%s is handed out by processes %d and %d", lines.Text(), other, process)
			}
			seen[lines.Text()] = process
			taken++
		}
		if taken != 250 {
			t.Fatalf("process %d took %d ports", process, taken)
		}
	}
}

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
