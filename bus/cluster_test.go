package bus

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A test binary started with childEnv set is a node of its own, so that it can be killed.
const childEnv = "CONCORD_BUS_CHILD"

func TestMain(m *testing.M) {
	if job := os.Getenv(childEnv); job != "" {
		if err := runChild(job); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	flag.Parse()
	// These tests wait for elections and timeouts far more than they compute: more of them at a time than there are processors.
	_ = flag.Set("test.parallel", "6")
	os.Exit(m.Run())
}

// childJob is what a child process does: be a node, or with Grow move a directory into the cluster.
type childJob struct {
	Dir, Name, Listen, TLSDir string
	Peers                     []string
	Grow                      string // the directory to move
	DieStage                  string // kill -9 at this stage of it,
	DieAfter                  int    // at this report
}

func runChild(text string) error {
	var job childJob
	if err := json.Unmarshal([]byte(text), &job); err != nil {
		return err
	}
	ctx := context.Background()
	b, err := Open(ctx, Config{Dir: job.Dir, NodeName: job.Name, Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
		Cluster: &Cluster{Name: "test", Listen: job.Listen, Peers: job.Peers, TLS: loadTLS(job.TLSDir)}})
	if err != nil {
		return err
	}
	if job.Grow != "" {
		err := Grow(ctx, job.Grow, b, func(p GrowProgress) {
			if p.Stage == job.DieStage {
				if job.DieAfter--; job.DieAfter <= 0 {
					_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				}
			}
		})
		b.Close()
		if err != nil {
			return err
		}
	}
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		switch lines.Text() {
		case "close":
			if err := b.Yield(ctx); err != nil {
				return err
			}
			b.Close()
			return nil
		}
	}
	return nil
}

// clusterHost is the name in every node's certificate: addresses may change.
const clusterHost = "node.test"

// authority certifies the nodes of a test's cluster.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test cluster"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, _ := x509.ParseCertificate(der)
	return &authority{cert, key}
}

// issue writes ca.pem and node.pem (certificate and key) to a new directory.
func (a *authority) issue(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "node"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), DNSNames: []string{clusterHost},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, _ := x509.MarshalPKCS8PrivateKey(key)
	node := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})...)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
	for name, data := range map[string][]byte{"ca.pem": ca, "node.pem": node} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func loadTLS(dir string) *tls.Config {
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "node.pem"), filepath.Join(dir, "node.pem"))
	if err != nil {
		return nil
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(ca) {
		return nil
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: pool, ClientCAs: pool, ServerName: clusterHost}
}

// testCluster is a cluster whose first node lives in this process and the others in children that can be killed.
type testCluster struct {
	t     testing.TB
	ca    *authority
	addrs []string
	dirs  []string
	certs []string
	buses []*Bus // of this process; nil: a child, or down
	kids  []*child
}

type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
}

func newCluster(t testing.TB, n int) *testCluster {
	t.Helper()
	c := &testCluster{t: t, ca: newAuthority(t)}
	for range n {
		c.add()
	}
	t.Cleanup(func() {
		for i := range c.addrs {
			c.stop(i)
		}
	})
	return c
}

// add reserves what a further node needs, and returns its number.
func (c *testCluster) add() int {
	c.addrs = append(c.addrs, freeAddress(c.t))
	c.dirs = append(c.dirs, c.t.TempDir())
	c.certs = append(c.certs, c.ca.issue(c.t))
	c.buses = append(c.buses, nil)
	c.kids = append(c.kids, nil)
	return len(c.addrs) - 1
}

func (c *testCluster) name(i int) string { return fmt.Sprintf("node-%d", i) }

func (c *testCluster) config(i int) Config {
	return Config{Dir: c.dirs[i], NodeName: c.name(i), Logger: testLogger(),
		Cluster: &Cluster{Name: "test", Listen: c.addrs[i], Peers: c.peers(i), TLS: loadTLS(c.certs[i])}}
}

// peers of the first node are none when it starts; the others know it.
func (c *testCluster) peers(i int) []string {
	var ps []string
	for j, a := range c.addrs {
		if j != i && i > 0 {
			ps = append(ps, a)
		}
	}
	return ps
}

func testLogger() *slog.Logger {
	if testing.Verbose() && os.Getenv("BUS_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return slog.New(slog.DiscardHandler)
}

// open starts nodes in this process, all at once.
func (c *testCluster) open(nodes ...int) {
	c.t.Helper()
	errs := make(chan error, len(nodes))
	ctx, cancel := context.WithTimeout(c.t.Context(), 30*time.Second)
	defer cancel()
	for _, i := range nodes {
		go func() {
			b, err := Open(ctx, c.config(i))
			c.buses[i] = b
			errs <- err
		}()
	}
	for range nodes {
		if err := <-errs; err != nil {
			c.t.Fatal(err)
		}
	}
}

// spawn starts a node as a process; ready tells when it serves.
func (c *testCluster) spawn(i int) (ready <-chan error) {
	c.t.Helper()
	job, _ := json.Marshal(childJob{Dir: c.dirs[i], Name: c.name(i), Listen: c.addrs[i], TLSDir: c.certs[i], Peers: c.peers(i)})
	k, ready := spawnChild(c.t, job)
	c.kids[i] = k
	return ready
}

func spawnChild(t testing.TB, job []byte) (*child, <-chan error) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	k := &child{cmd: exec.Command(exe, "-test.run=^$")}
	k.cmd.Env = append(os.Environ(), childEnv+"="+string(job))
	k.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Getenv("BUS_LOG") != "" {
		k.cmd.Stderr = os.Stderr
	}
	if k.in, err = k.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := k.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := k.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan error, 1)
	go func() {
		line, err := bufio.NewReader(out).ReadString('\n')
		if strings.TrimSpace(line) == "ready" {
			err = nil
		} else if line != "" {
			err = fmt.Errorf("child: %s", line)
		}
		ready <- err
	}()
	return k, ready
}

// mixed starts node 0 here and the others as processes.
func (c *testCluster) mixed() *Bus {
	c.t.Helper()
	var readies []<-chan error
	for i := 1; i < len(c.addrs); i++ {
		readies = append(readies, c.spawn(i))
	}
	c.open(0)
	for _, r := range readies {
		c.wait(r)
	}
	return c.buses[0]
}

func (c *testCluster) wait(ready <-chan error) {
	c.t.Helper()
	select {
	case err := <-ready:
		if err != nil {
			c.t.Fatal(err)
		}
	case <-time.After(90 * time.Second):
		c.t.Fatal("node is not ready")
	}
}

// kill ends a node's process with SIGKILL: no goodbye.
func (c *testCluster) kill(i int) {
	c.t.Helper()
	k := c.kids[i]
	_ = k.cmd.Process.Kill()
	_ = k.cmd.Wait()
	c.kids[i] = nil
}

func (c *testCluster) stop(i int) {
	if b := c.buses[i]; b != nil {
		b.Close()
		c.buses[i] = nil
	}
	if c.kids[i] != nil {
		c.kill(i)
	}
}

// eventually waits for a condition.
func eventually(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("after %v still not: %s", limit, what)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
