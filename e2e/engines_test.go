//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"concord/e2e/nemesis"
	"concord/web"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	natsUser, natsPassword = "concord", "open-sesame-4711"
	s3Access, s3Secret     = "concord-e2e", "concord-e2e-secret"
	s3Bucket               = "pages"
)

// operatorNATS is a cluster of three servers as an operator runs it, with a password. It returns their URL.
func operatorNATS(t *testing.T) string {
	t.Helper()
	var routes, urls []string
	for range 3 {
		routes = append(routes, freeAddr(t))
	}
	for i, route := range routes {
		opts := &server.Options{ServerName: fmt.Sprintf("operator-%d", i), Host: loopbackHost, Port: -1, NoSigs: true, NoLog: true, JetStream: true,
			StoreDir: t.TempDir(), SyncAlways: true, MaxPayload: 8 << 20, JetStreamMaxStore: 16 << 30, JetStreamMaxMemory: 64 << 20,
			Username: natsUser, Password: natsPassword,
			Cluster: server.ClusterOpts{Name: "operator", Host: loopbackHost, Port: int(netip.MustParseAddrPort(route).Port())}, Routes: server.RoutesFromStr("nats://" + strings.Join(routes, ",nats://"))}
		srv, err := server.NewServer(opts)
		if err != nil {
			t.Fatal(err)
		}
		go srv.Start()
		t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
		if !srv.ReadyForConnections(20 * time.Second) {
			t.Fatal("a NATS server does not start")
		}
		urls = append(urls, srv.Addr().String())
	}
	return fmt.Sprintf("nats://%s:%s@%s", natsUser, natsPassword, strings.Join(urls, ","))
}

// operatorS3 is a store as an operator runs one, with its files in root; or the test is skipped.
func operatorS3(t *testing.T) (place string) {
	t.Helper()
	bin, err := filepath.Abs("../bin/versitygw")
	if err == nil {
		_, err = os.Stat(bin)
	}
	if err != nil {
		if bin, err = exec.LookPath("versitygw"); err != nil {
			t.Skip("SKIPPED: there is no S3 server; blobs in one were not tried: run: go build -C e2e/s3server -o ../../bin/versitygw github.com/versity/versitygw/cmd/versitygw")
		}
	}
	addr, root := freeAddr(t), t.TempDir()
	if err := os.Mkdir(filepath.Join(root, s3Bucket), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "--port", addr, "--access", s3Access, "--secret", s3Secret, "--region", "us-east-1", "--quiet", "posix", root)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
			return "s3://" + s3Bucket + "/alice?endpoint=http://" + addr + "&region=us-east-1"
		}
		if time.Now().After(deadline) {
			t.Fatalf("the S3 server does not listen: %v", err)
		}
	}
}

// Two nodes on engines of the operator's own crawl, one dies, and everything is there.
func TestOwnEngines(t *testing.T) {
	for i, kind := range []struct {
		name  string
		blobs func(t *testing.T) string
	}{
		{"file", func(t *testing.T) string { return "file://" + t.TempDir() }},
		{"s3", operatorS3},
		{"nats alone", func(*testing.T) string { return "" }},
	} {
		t.Run(kind.name, func(t *testing.T) {
			place := kind.blobs(t)
			w := smallWeb(t, byte(88+i), 10, 40)
			first := newMachine(t, "node-1", "CONCORD_NATS="+operatorNATS(t), "CONCORD_BLOBS="+place, "AWS_ACCESS_KEY_ID="+s3Access, "AWS_SECRET_ACCESS_KEY="+s3Secret)
			// The other node is told what the cluster uses when it joins, but for the keys of the store.
			other := newMachine(t, "node-2", "AWS_ACCESS_KEY_ID="+s3Access, "AWS_SECRET_ACCESS_KEY="+s3Secret)
			first.up()
			first.awaitReady(1, time.Minute)
			other.join(first, first.token(1))
			other.awaitReady(1, time.Minute)
			awaitCluster(t, 2, time.Minute, first, other)
			var st web.ClusterStatus // callers without the key are not told the place
			if err := json.Unmarshal([]byte(other.must("cluster", "status", "--json")), &st); err != nil || place != "" && st.Blobs.Place != place {
				t.Errorf("blobs in %q, %v; want %q", st.Blobs.Place, err, place)
			}
			id := other.crawl(w.Seeds())
			other.eventually(time.Minute, "at work", func() bool { c, err := other.crawlState(id); return err == nil && c.Fetched > 100 })
			other.kill()
			c := first.await(id, 3*time.Minute)
			t.Logf("one of two died in the crawl: %+v", c)
			report(t, nemesis.Searchable(first.get, w))
			policy := []byte(first.must("policy"))
			first.attested(urlsOf(w), policy, time.Minute)
			checkSecret(t, first)
			other.up()
			other.awaitReady(1, time.Minute)
			awaitCluster(t, 2, time.Minute, first, other)
			report(t, nemesis.Searchable(other.get, w))
			other.receipts(every(5, urlsOf(w)), policy)
			checkSecret(t, other)
			other.stopSoon("a member on the operator's engines")
			first.stopSoon("a member on the operator's engines")
		})
	}
}

// checkSecret looks for passwords wherever a node says something.
func checkSecret(t *testing.T, m *machine) {
	t.Helper()
	said := map[string]string{}
	b, err := os.ReadFile(m.log.Name())
	if err != nil {
		t.Fatal(err)
	}
	said["log"] = string(b)
	for _, path := range []string{"/", "/cluster", "/status", "/api/v1/status", "/api/v1/cluster", "/api/v1/config", "/metrics", "/manual/configuration"} {
		b, _, err := m.get(path, url.Values{})
		if err != nil {
			t.Fatal(err)
		}
		said[path] = string(b)
	}
	said["status"], _ = m.run("status", "--json")
	said["cluster status"], _ = m.run("cluster", "status")
	said["cluster status --json"], _ = m.run("cluster", "status", "--json")
	for where, text := range said {
		if strings.Contains(text, natsPassword) || strings.Contains(text, s3Secret) {
			t.Errorf("%s: %s tells a password", m.name, where)
		}
	}
}

// A wrong password and a server that is not there are said without the password.
func TestOwnEnginesRefused(t *testing.T) {
	good, err := url.Parse(strings.SplitN(operatorNATS(t), ",", 2)[0])
	if err != nil {
		t.Fatal(err)
	}
	const wrong = "not-the-password-42"
	for name, addr := range map[string]string{"wrong password": good.Host, "no server": freeAddr(t)} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, "node-1", "CONCORD_NATS=nats://"+natsUser+":"+wrong+"@"+addr)
			m.up()
			m.eventually(time.Minute, "told why", func() bool { return m.says(addr) || m.says("refuse") })
			b, _ := os.ReadFile(m.log.Name())
			if strings.Contains(string(b), wrong) {
				t.Errorf("the log has the password: %s", b)
			}
			t.Logf("%s", m.tail(2))
			m.kill()
		})
	}
}
