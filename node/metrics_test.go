package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// inProcess is a node of a cluster in this process. It is asked over its socket.
type inProcess struct {
	dir   string
	ended chan error
}

func (m *inProcess) ask(method, path, body string) (string, error) {
	c := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(m.dir, SocketName))
	}}}
	req, err := http.NewRequest(method, "http://node"+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if resp.StatusCode >= 300 {
		err = errors.Join(err, errors.New(resp.Status))
	}
	return string(b), err
}

// await asks until the answer holds all of what is wanted.
func (m *inProcess) await(t *testing.T, path string, want ...string) string {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		answer, err := m.ask(http.MethodGet, path, "")
		missing := ""
		for _, w := range want {
			if !strings.Contains(answer, w) {
				missing = w
			}
		}
		if err == nil && missing == "" {
			return answer
		}
		select {
		case err := <-m.ended:
			t.Fatalf("a node ended: %v", err)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s has no %s: %v\n%s", path, missing, err, answer)
		}
	}
}

// openCluster runs three nodes that grow into a cluster.
func openCluster(t *testing.T) []*inProcess {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var nodes []*inProcess
	dirs := []string{shortDir(t), shortDir(t), shortDir(t)} // removed after the nodes have stopped
	t.Cleanup(func() {
		stop()
		for _, m := range nodes {
			<-m.ended
		}
	})
	var join, token string
	for i, dir := range dirs {
		cfg := testConfig(dir)
		cfg.Node, cfg.Cluster.Addr, cfg.Join, cfg.Token = fmt.Sprint("n", i+1), freePair(t), join, token
		cfg.Cluster.Save = time.Second
		cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo})).With("node", cfg.Node)
		m := &inProcess{cfg.Data, make(chan error, 1)}
		go func() {
			m.ended <- Serve(ctx, cfg, nil)
			close(m.ended)
		}()
		nodes = append(nodes, m)
		if i == 0 {
			m.await(t, "/readyz", "ready")
			answer, err := m.ask(http.MethodPost, "/api/v1/cluster/tokens", `{"uses":2}`)
			if err != nil {
				t.Fatal(err, answer)
			}
			join, token = cfg.Cluster.Addr, regexp.MustCompile(`cj1-[^"]+`).FindString(answer)
		}
	}
	return nodes
}

// freePair returns an address whose port, and the one after it, are free.
func freePair(t *testing.T) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := l.Addr().String()
		next, _ := engineAddr(addr)
		l2, err := net.Listen("tcp", next)
		l.Close()
		if err == nil {
			l2.Close()
			return addr
		}
	}
	t.Fatal("no two ports in a row are free")
	return ""
}

var (
	metricName = regexp.MustCompile(`\bconcord_[a-z0-9_]+`)
)

// TestMetricsAreThere grows a cluster, crawls, and looks every metric up that dashboard, alerts and manual name; and everything a node tells
// in the manual.
func TestMetricsAreThere(t *testing.T) {
	nodes := openCluster(t)
	for _, m := range nodes {
		m.await(t, "/metrics", `concord_cluster_nodes{state="live"} 3`, `concord_cluster_partitions{state="unowned"} 0`, "concord_log_copies_wanted")
	}
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/robots.txt" {
			fmt.Fprint(w, "User-agent: *\nDisallow: /private\n")
			return
		}
		fmt.Fprintf(w, `<title>Harbour</title><p>Ferries leave from the northern quay every hour. <a href="/private">log</a>`)
	}))
	defer site.Close()
	if answer, err := nodes[1].ask(http.MethodPost, "/api/v1/crawls", `{"seeds":["`+site.URL+`/","http://127.0.0.1:1/"],"allowPrivate":true}`); err != nil {
		t.Fatal(err, answer)
	}
	var told strings.Builder
	for _, m := range nodes {
		m.await(t, "/api/v1/search?q=ferries", "Harbour")
		told.WriteString(m.await(t, "/metrics", `concord_query_copies_asked_total{`))
	}
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(told.String(), "concord_crawl_failures_total") || !strings.Contains(told.String(), "concord_crawl_refused_total"); time.Sleep(200 * time.Millisecond) {
		for _, m := range nodes {
			told.WriteString(m.await(t, "/metrics", "concord_build_info"))
		}
		if time.Now().After(deadline) {
			t.Error("no node tells of a fetch that failed, or of one that robots.txt forbade")
			break
		}
	}
	there := map[string]bool{}
	for _, name := range metricName.FindAllString(told.String(), -1) {
		there[name] = true
	}
	for _, file := range []string{"../deploy/grafana/concord.json", "../deploy/prometheus/alerts.yml", "../web/manual/70-operating.md", "../web/manual/72-more-machines.md"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		names := metricName.FindAllString(string(text), -1)
		for _, name := range names {
			if !there[name] && !strings.HasSuffix(name, "_") { // "names begin with concord_"
				t.Errorf("%s names %s, which no node tells", file, name)
			}
		}
		if strings.Contains(file, "deploy") && len(names) < 20 {
			t.Errorf("%s names only %d metrics", file, len(names))
		}
	}
	manual, err := os.ReadFile("../web/manual/70-operating.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range there {
		name = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_count"), "_sum")
		if !strings.Contains(string(manual), "`"+name) {
			t.Errorf("the manual does not name %s", name)
		}
	}
}
