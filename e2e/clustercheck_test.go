//go:build e2e && linux

package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"time"

	"concord/e2e/nemesis"
	"concord/receipt"
)

// captured says how many pages of the web have a capture, asked of one node.
func (c *clusterField) captured(n *fieldNode) *nemesis.Report {
	r := &nemesis.Report{Name: "captures by " + n.Name}
	pages := 0
	for _, h := range c.web.Hosts {
		for _, p := range h.Index {
			pages++
			var a struct{ Captures []capture }
			err := n.json("/api/v1/captures", url.Values{"url": {h.URL(p)}, "limit": {"100"}}, &a)
			if err != nil || len(a.Captures) == 0 {
				r.Add("%s has %d captures: %v", h.URL(p), len(a.Captures), err)
			}
			r.Repeats += max(0, len(a.Captures)-1)
		}
	}
	r.Checked = fmt.Sprintf("%d pages, %d captures beyond the first", pages, r.Repeats)
	return r
}

// receipts verifies those of some pages, each asked of another node, with nothing but the operator's policy.
func (c *clusterField) receipts(sample int) *nemesis.Report {
	r := &nemesis.Report{Name: "receipts"}
	policy, _, err := c.nodes[0].get("/api/v1/policy", nil)
	if err != nil {
		r.Add("policy: %v", err)
		return r
	}
	for i := range sample {
		n := c.nodes[i%len(c.nodes)]
		h := c.web.Hosts[i%len(c.web.Hosts)]
		u := h.URL(h.Index[i*7%len(h.Index)])
		err := within(c.t.Context(), checkLimit, func() error {
			proof, status, err := n.get("/api/v1/receipts", url.Values{"url": {u}})
			if err != nil || status != http.StatusOK {
				return fmt.Errorf("status %d, %v: %s", status, err, proof)
			}
			_, err = receipt.Verify(proof, policy, receipt.Options{URL: u})
			return err
		})
		if err != nil {
			r.Add("receipt of %s from %s: %v", u, n.Name, err)
		}
	}
	r.Checked = fmt.Sprintf("%d receipts from %d nodes verified offline", sample, len(c.nodes))
	return r
}

// verify checks everything that must hold when the faults are over and the crawl is done. The nodes have ended when it returns.
func (c *clusterField) verify(delay time.Duration) {
	t := c.t
	t.Helper()
	start := time.Now()
	if err := c.converge(t.Context(), convergeLimit, 0); err != nil {
		t.Errorf("the cluster is not whole: %v", err)
	} else {
		t.Logf("the cluster is whole: all partitions owned, all copies of shards and logs current, %v after the crawl", time.Since(start).Round(100*time.Millisecond))
	}
	for _, n := range c.nodes {
		r := nemesis.Searchable(n.get, c.web)
		r.Name += " on " + n.Name
		report(t, r)
	}
	report(t, c.captured(c.nodes[len(c.nodes)-1]))
	report(t, c.receipts(receiptSample))
	if err := each(c.nodes, func(n *fieldNode) error {
		took, err := n.Terminate()
		if err != nil {
			err = fmt.Errorf("SIGTERM of %s: %w after %v", n.Name, err, took)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	report(t, nemesis.Manners(c.web, delay))
	var dirs []string
	for _, n := range c.nodes {
		dirs = append(dirs, n.Path(filepath.Join(n.data(), "archive")))
	}
	report(t, nemesis.Archives(c.web, dirs...))
}

const receiptSample = 40
