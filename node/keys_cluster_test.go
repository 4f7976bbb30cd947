//go:build e2e

package node

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"concord/note"
	"concord/web"
)

// The op key is changed at one node of a cluster, and all others go on with the new one: also who attests elsewhere, and who was away meanwhile.
func TestKeysReachAllNodes(t *testing.T) {
	c := newCluster(t, 3)
	c.nodes[1].post("/api/v1/cluster/nodes/n1/drain", `{}`) // all but the ledger goes to the others, the attestor too
	c.await("another node attests", func() bool { return c.owner(attestorName) > 0 })
	page := 0
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `<title>Harbour %s</title><p>Ferries leave from the quay of %s every hour.`, r.URL.Path, strings.Trim(r.URL.Path, "/"))
	}))
	defer site.Close()
	receipt := func() {
		t.Helper()
		page++
		link := fmt.Sprintf("%s/page%d", site.URL, page)
		c.nodes[1].post("/api/v1/crawls", `{"seeds":["`+link+`"],"maxPages":1,"allowPrivate":true}`)
		c.await("a receipt of "+link, func() bool {
			b, status := c.nodes[1].get("/api/v1/captures", url.Values{"url": {link}})
			var list struct{ Captures []struct{ ID string } }
			if status != http.StatusOK || json.Unmarshal(b, &list) != nil || len(list.Captures) == 0 {
				return false
			}
			_, status = c.nodes[1].get("/api/v1/receipts", url.Values{"capture": {list.Captures[0].ID}})
			return status == http.StatusOK
		})
	}
	keys := func(i int) string {
		b, _ := os.ReadFile(filepath.Join(c.specs[i].Dir, "keys", note.KeysFile))
		return string(b)
	}
	rotate := func(at int) {
		t.Helper()
		was := keys(0)
		c.nodes[at].post("/api/v1/federation/rotations", `{"key":"op"}`)
		c.await("the key is changed", func() bool { return strings.Count(keys(0), "\nold ") > strings.Count(was, "\nold ") })
	}
	receipt()
	rotate(1)
	receipt()
	for _, i := range []int{1, 2} {
		c.await("the other nodes have the key", func() bool { return keys(i) == keys(0) })
		if info, err := os.Stat(filepath.Join(c.specs[i].Dir, "keys", note.KeysFile)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("node %d: %v, %v", i+1, info, err)
		}
	}
	c.stop(2)
	rotate(1)
	receipt()
	c.start(2)
	c.await("a node that was away has the key", func() bool { return keys(2) == keys(0) })
	for _, p := range c.nodes {
		c.await("it says that all is well", func() bool {
			b, status := p.get("/api/v1/status", nil)
			var st web.Status
			return status == http.StatusOK && json.Unmarshal(b, &st) == nil && !strings.Contains(string(b), "was changed")
		})
	}
	resp, err := (&http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}).Get("https://" + c.specs[0].Cluster + keysPath)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("who is no node is answered with %d", resp.StatusCode)
	}
}
