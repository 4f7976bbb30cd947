//go:build e2e

package node

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var metricName = regexp.MustCompile(`\bconcord_[a-z0-9_]+`)

// tells waits until a node's answer holds all of what is wanted, and returns it.
func (c *testCluster) tells(p *process, path string, want ...string) (answer string) {
	c.t.Helper()
	c.await(fmt.Sprintf("%s tells %q", path, want), func() bool {
		b, status := p.get(path, nil)
		answer = string(b)
		return status == http.StatusOK && !slices.ContainsFunc(want, func(w string) bool { return !strings.Contains(answer, w) })
	})
	return answer
}

// TestMetricsAreThere grows a cluster, crawls, and looks every metric up that dashboard, alerts and manual name; and everything a node tells
// in the manual.
func TestMetricsAreThere(t *testing.T) {
	c := newCluster(t, 3)
	for _, p := range c.nodes {
		c.tells(p, "/metrics", `concord_cluster_nodes{state="live"} 3`, `concord_cluster_partitions{state="unowned"} 0`, "concord_log_copies_wanted")
	}
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/robots.txt" {
			fmt.Fprint(w, "User-agent: *\nDisallow: /private\n")
			return
		}
		fmt.Fprintf(w, `<title>Harbour</title><p>Ferries leave from the northern quay every hour. <a href="/private">log</a>`)
	}))
	defer site.Close()
	c.nodes[1].post("/api/v1/crawls", `{"seeds":["`+site.URL+`/","http://127.0.0.1:1/"],"allowPrivate":true}`)
	var told strings.Builder
	for _, p := range c.nodes {
		c.await("the page is found", func() bool { return len(p.search("ferries")) > 0 })
		told.WriteString(c.tells(p, "/metrics", `concord_query_copies_asked_total{`))
	}
	c.await("a node tells of a fetch that failed, and of one that robots.txt forbade", func() bool {
		for _, p := range c.nodes {
			told.WriteString(c.tells(p, "/metrics", "concord_build_info"))
		}
		return strings.Contains(told.String(), "concord_crawl_failures_total") && strings.Contains(told.String(), "concord_crawl_refused_total")
	})
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
