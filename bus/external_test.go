package bus

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"concord"
	"concord/e2e/ports"

	"github.com/nats-io/nats-server/v2/server"
)

// operatorServer is a NATS server as an operator runs one, with a port.
func operatorServer(t testing.TB, change func(*server.Options)) (url string) {
	t.Helper()
	opts := &server.Options{ServerName: "operator", Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true, JetStream: true, StoreDir: t.TempDir(),
		SyncAlways: true, MaxPayload: 8 << 20, JetStreamMaxStore: 16 << 30, JetStreamMaxMemory: 64 << 20}
	if change != nil {
		change(opts)
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	go srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server does not start")
	}
	return srv.ClientURL()
}

func openURL(t testing.TB, url string) *Bus {
	t.Helper()
	b, err := Open(t.Context(), Config{URL: url, NodeName: "node-1", Replicas: 1, Logger: testLogger()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// eachKind runs a test on a node's own engine and on an operator's server.
func eachKind(t *testing.T, test func(t *testing.T, b *Bus)) {
	t.Parallel()
	t.Run("embedded", func(t *testing.T) { test(t, open(t, t.TempDir())) })
	t.Run("external", func(t *testing.T) { test(t, openURL(t, operatorServer(t, nil))) })
}

func TestExternalStatus(t *testing.T) {
	b := openURL(t, operatorServer(t, nil))
	l := openLog(t, b)
	if _, err := l.Append(t.Context(), batch("capture.0", 0, 10)...); err != nil {
		t.Fatal(err)
	}
	logs, err := b.Logs(t.Context())
	if err != nil || len(logs) != 1 || logs[0].Messages != 10 || logs[0].Replicas != 1 {
		t.Fatalf("%+v, %v", logs, err)
	}
	if err := b.Yield(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.Remove(t.Context(), "x"); concord.KindOf(err) != concord.Invalid {
		t.Fatalf("remove: %v", err)
	}
	if b.Bytes() == 0 {
		t.Error("no bytes are kept")
	}
}

// An operator's server sets aside what a store may take, which nobody has without bound.
func TestExternalBlobsWithoutBound(t *testing.T) {
	b := openURL(t, operatorServer(t, nil))
	blobs, err := b.Blobs(t.Context(), NoBound)
	if err != nil {
		t.Fatal(err)
	}
	if err := blobs.Put(t.Context(), "a", strings.NewReader("data"), 4); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Blobs(t.Context(), 64<<40); concord.KindOf(err) == concord.Internal {
		t.Errorf("a bound beyond the server's: %v", err)
	}
}

// Three servers of the operator's, of which one stops: the client goes to another, logs and leases go on.
func TestExternalCluster(t *testing.T) {
	long(t)
	t.Parallel()
	var addrs, urls []string
	for range 3 {
		addrs = append(addrs, freeAddress(t))
	}
	var servers []*server.Server
	for i, addr := range addrs {
		host, port, _ := splitHostPort(addr)
		opts := &server.Options{ServerName: fmt.Sprintf("operator-%d", i), Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true, JetStream: true,
			StoreDir: t.TempDir(), SyncAlways: true, MaxPayload: 8 << 20, JetStreamMaxStore: 16 << 30, JetStreamMaxMemory: 64 << 20,
			Cluster: server.ClusterOpts{Name: "operator", Host: host, Port: port}, Routes: server.RoutesFromStr("nats://" + strings.Join(addrs, ",nats://"))}
		srv, err := server.NewServer(opts)
		if err != nil {
			t.Fatal(err)
		}
		go srv.Start()
		t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
		servers = append(servers, srv)
	}
	for _, srv := range servers {
		if !srv.ReadyForConnections(10 * time.Second) {
			t.Fatal("a server does not start")
		}
		urls = append(urls, srv.ClientURL())
	}
	b, err := Open(t.Context(), Config{URL: strings.Join(urls, ","), NodeName: "node-1", Logger: testLogger()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	l := openLog(t, b)
	leases, err := b.Leases(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	lease, err := leases.Acquire(t.Context(), "shard.0", "node-1", 30*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	settled(t, b, "")
	r := follow(t, l, "capture.0")
	a := &appender{l: l}
	a.run(t, 300*time.Millisecond)
	for _, srv := range servers {
		if srv.ClientURL() == b.conn.ConnectedUrl() {
			go srv.Shutdown()
		}
	}
	a.run(t, time.Second)
	t.Logf("longest append %v", a.longest)
	r.complete(t, a.next)
	if _, err := leases.Renew(t.Context(), "shard.0", "node-1", 30*time.Second, lease); err != nil {
		t.Fatal(err)
	}
	if peers, err := b.Peers(t.Context()); err != nil || len(peers) != 3 {
		t.Fatalf("%+v, %v", peers, err)
	}
}

func freeAddress(t testing.TB) string {
	t.Helper()
	addr, err := ports.Free("127.0.0.1", 1)
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

func TestExternalRefusals(t *testing.T) {
	t.Parallel()
	locked := func(o *server.Options) { o.Username, o.Password = "concord", "secret" }
	denied := func(o *server.Options) {
		o.Users = []*server.User{{Username: "concord", Password: "secret", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Deny: []string{"$JS.>"}}}}}
	}
	for _, test := range []struct {
		name   string
		change func(*server.Options)
		user   string
		cfg    Config
		kind   concord.Kind
		say    string
	}{
		{"no JetStream", func(o *server.Options) { o.JetStream = false }, "", Config{}, concord.Invalid, "JetStream is off"},
		{"small messages", func(o *server.Options) { o.MaxPayload = 1 << 20 }, "", Config{}, concord.Invalid, "max_payload"},
		{"wrong password", locked, "concord:wrong@", Config{}, concord.Unauthorized, "refuse"},
		{"no permission", denied, "concord:secret@", Config{}, concord.Unauthorized, "may not use JetStream"},
		{"fewer servers than copies", nil, "", Config{Replicas: 3}, concord.Invalid, "cannot keep 3 copies"},
		{"less storage than a log may have", func(o *server.Options) { o.JetStreamMaxStore = 1 << 20 }, "", Config{Replicas: 1}, concord.Invalid, "storage"},
	} {
		t.Run(test.name, func(t *testing.T) {
			url := strings.Replace(operatorServer(t, test.change), "nats://", "nats://"+test.user, 1)
			test.cfg.URL, test.cfg.NodeName, test.cfg.Logger = url, "node-1", testLogger()
			b, err := Open(t.Context(), test.cfg)
			if err == nil {
				defer b.Close()
				_, err = b.Log(t.Context(), "CAPTURES", "capture.*")
			}
			if concord.KindOf(err) != test.kind || !strings.Contains(fmt.Sprint(err), test.say) {
				t.Errorf("%v error: %v", concord.KindOf(err), err)
			}
			if strings.Contains(fmt.Sprint(err), "secret") || strings.Contains(fmt.Sprint(err), "wrong@") {
				t.Errorf("the error shows a password: %v", err)
			}
		})
	}
	for _, url := range []string{"http://host", "nats://", "ftp://a,b"} {
		if _, err := Open(t.Context(), Config{URL: url, NodeName: "n", Logger: testLogger()}); concord.KindOf(err) != concord.Invalid {
			t.Errorf("%s: %v", url, err)
		}
	}
	if _, err := Open(t.Context(), Config{URL: "nats://127.0.0.1:1", NodeName: "n", Logger: testLogger()}); concord.KindOf(err) != concord.Unavailable {
		t.Errorf("nobody there: %v", err)
	}
}

func TestRecent(t *testing.T) {
	for v, want := range map[string]bool{"2.12.0": true, "2.15.2": true, "3.0.0": true, "2.12.0-RC.1": true, "2.11.9": false, "1.4.1": false, "": false, "x.y": false} {
		if recent(v) != want {
			t.Errorf("%q: %v", v, !want)
		}
	}
}

func FuzzHostsOf(f *testing.F) {
	for _, s := range []string{"nats://user:password@host:4222,host2", "tls://host", "host", "nats://a@b:1,,", "::", "nats://u:p%40@[::1]:4222"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		hosts, err := hostsOf(s)
		if err != nil && concord.KindOf(err) != concord.Invalid {
			t.Fatal(err)
		}
		if strings.Contains(hosts, "@") {
			t.Fatalf("%q shows who connects: %q", s, hosts)
		}
		recent(s)
		_, _, _ = splitHostPort(s)
	})
}
