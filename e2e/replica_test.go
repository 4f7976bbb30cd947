//go:build e2e && linux

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"concord/receipt"
	"concord/replica"
	"concord/web"
)

// liar stands before an operator's API and changes one digit in each batch that it hands out.
type liar struct {
	*http.Server
	lies atomic.Bool
}

const liarPort = nodePort + 1000

func newLiar(t *testing.T, o *operator) *liar {
	t.Helper()
	l, err := o.Listen(liarPort)
	if err != nil {
		t.Fatal(err)
	}
	w := &liar{}
	w.Server = &http.Server{Handler: &httputil.ReverseProxy{
		Transport: &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) { return o.Dial(ctx, network, addr) }},
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: fmt.Sprintf("%s:%d", o.Addr, nodePort)})
		},
		ModifyResponse: func(r *http.Response) error {
			if !w.lies.Load() || !strings.HasPrefix(r.Request.URL.Path, "/api/v1/batches/") {
				return nil
			}
			b, err := io.ReadAll(r.Body)
			b = bytes.Replace(b, []byte(" 200 "), []byte(" 204 "), 1)
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
			r.Header.Set("Content-Length", strconv.Itoa(len(b)))
			return err
		},
	}}
	go func() { _ = w.Serve(l) }()
	t.Cleanup(func() { _ = w.Close() })
	o.port = liarPort
	return w
}

func standing(s *web.FederationStatus, of *operator) replica.Standing {
	for _, x := range s.Replicas.Operators {
		if x.Operator == of.name() {
			return x
		}
	}
	return replica.Standing{}
}

// Four operators keep each other's batches. What one of them sends that is not what it attested is refused and counted; when it is gone for good, a
// flipped bit in a copy of its batch is found by a poll and mended from a third, and the others make receipts of what it captured.
func TestReplicas(t *testing.T) {
	f := newOperators(t, seed(t), 4, 8)
	for _, o := range f.ops {
		c, err := os.OpenFile(o.cfg, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.WriteString("  audit: 2s\n"); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	bob := f.ops[1]
	others := f.but([]string{bob.Name})
	way := newLiar(t, bob)
	way.lies.Store(true)
	f.found(func() {})
	f.must(nil, f.crawlAndFind(goOnLimit, f.ops...))
	f.must(nil, f.crawlAndFind(goOnLimit, bob)) // another batch, after that of the first site
	f.must(nil, f.all(t.Context(), "wrong batches are refused", goOnLimit, others, func(_ *operator, s *web.FederationStatus) error {
		if x := standing(s, bob); x.Refused[replica.BadRoot] == 0 || x.Missing == 0 {
			return fmt.Errorf("%+v", x)
		}
		return nil
	}))
	begun := time.Now()
	way.lies.Store(false)
	whole := func(what string) {
		t.Helper()
		f.must(nil, within(t.Context(), 2*wholeLimit, func() error {
			kept := map[string]int{}
			for _, o := range others {
				s, err := o.federation()
				if err != nil {
					return err
				}
				if s.Replicas.Missing+s.Replicas.Broken > 0 {
					return fmt.Errorf("%s: %s: %+v", what, o.Name, s.Replicas)
				}
				for _, x := range s.Replicas.Operators {
					if n, ok := kept[x.Operator]; ok && n != x.Batches || x.Batches == 0 {
						return fmt.Errorf("%s: %s keeps %d batches of %s, another %d", what, o.Name, x.Batches, x.Operator, n)
					}
					kept[x.Operator] = x.Batches
				}
			}
			return nil
		}))
	}
	whole("all keep all batches")
	t.Logf("all have all batches %v after the last lie", time.Since(begun).Round(100*time.Millisecond))

	way.Close()
	if _, err := bob.Terminate(); err != nil {
		t.Fatal(err)
	}
	carol := f.ops[2]
	list, err := filepath.Glob(carol.Path(filepath.Join(carol.data(), "replicas", "*", "*-"+bob.name()+".batch")))
	if err != nil || len(list) == 0 {
		t.Fatalf("copies of bob's batches at carol: %v, %v", list, err)
	}
	before, err := carol.federation()
	f.must(nil, err)
	var good [][]byte
	for i, file := range list {
		b, err := os.ReadFile(file)
		f.must(nil, err)
		good = append(good, b)
		bad := bytes.Clone(b)
		bad[(i*7919+41)%len(bad)] ^= 1 << (i % 8)
		f.must(nil, os.WriteFile(file, bad, 0o600))
	}
	begun = time.Now()
	f.must(nil, f.all(t.Context(), "damage is found and mended", wholeLimit, []*operator{carol}, func(_ *operator, s *web.FederationStatus) error {
		if n := uint64(len(list)); s.Replicas.Damaged-before.Replicas.Damaged != n || s.Replicas.Repaired-before.Replicas.Repaired != n || s.Replicas.Broken > 0 {
			return fmt.Errorf("%+v", s.Replicas)
		}
		return nil
	}))
	for i, file := range list {
		if b, err := os.ReadFile(file); err != nil || !bytes.Equal(b, good[i]) {
			t.Errorf("%s: %v, it is not as it was", file, err)
		}
	}
	t.Logf("%d flipped bits were found and mended after %v", len(list), time.Since(begun).Round(100*time.Millisecond))

	receipts := 0
	for _, o := range others {
		policy, status, err := o.get("/api/v1/policy", nil)
		if err != nil || status != http.StatusOK {
			t.Fatalf("policy of %s: %d, %v", o.Name, status, err)
		}
		for _, site := range bob.sites {
			for i, p := range site.Index {
				u := site.URL(p)
				proof, status, err := o.get("/api/v1/receipts", url.Values{"url": {u}, "operator": {bob.name()}})
				if err != nil || status != http.StatusOK {
					t.Fatalf("receipt of bob's capture of %s from %s: %d, %v: %s", u, o.Name, status, err, proof)
				}
				r, err := receipt.Verify(proof, policy, receipt.Options{URL: u})
				if err != nil || r.Operator != bob.name() || r.Level < bestLevel {
					t.Fatalf("receipt of bob's capture of %s from %s: %v, %+v", u, o.Name, err, r)
				}
				receipts++
				if i == 0 {
					out := filepath.Join(f.dir, o.Name+".tlog-proof")
					f.must(o.concord("receipt", u, "--operator", bob.name(), "--out", out))
					if b, err := os.ReadFile(out); err != nil || !bytes.Equal(b, proof) {
						t.Errorf("the command's receipt is another: %v", err)
					}
				}
			}
		}
	}
	said := string(f.must(carol.concord("federation", "status")))
	t.Logf("%d receipts of %s hold, which is gone; %s says\n%s", receipts, bob.name(), carol.Name, said)
	if !strings.Contains(said, "copies found damaged") || !strings.Contains(said, "refused for root") {
		t.Errorf("federation status says\n%s", said)
	}
}
