package join

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"concord"
)

func TestJoin(t *testing.T) {
	c := newCluster(t)
	dir := t.TempDir()
	j, err := c.joinIn(dir, c.token(0, 1), "node-2")
	if err != nil {
		t.Fatal(err)
	}
	if p := j.Identity.Peer(); p != (Peer{c.id.Peer().Cluster, "node-2", 1}) {
		t.Errorf("joined as %+v", p)
	}
	if string(j.Layout) != `{"shards":4}` || len(j.Peers) != 2 {
		t.Errorf("layout %s, peers %v", j.Layout, j.Peers)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		fi, err := f.Info()
		if err != nil || fi.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v (%v)", f.Name(), fi.Mode(), err)
		}
	}
	if len(files) != 2 {
		t.Errorf("%d files are left, want the authority's and the node's", len(files))
	}
	again, err := Open(dir, quiet)
	if err != nil {
		t.Fatal(err)
	}
	seen, serverErr, clientErr := talk(t, c.id.ServerTLS(), again.ClientTLS())
	if serverErr != nil || clientErr != nil {
		t.Fatalf("nodes do not talk: %v, %v", serverErr, clientErr)
	}
	if p, ok := PeerOf(seen); !ok || p.Name != "node-2" {
		t.Errorf("the server took the client for %+v", p)
	}
	if _, err := c.joinIn(dir, c.token(0, 1), "node-2"); concord.KindOf(err) != concord.Conflict {
		t.Errorf("joined twice: %v", err)
	}
}

// Any node can let the next one in: the first may be gone.
func TestJoinAtAJoinedNode(t *testing.T) {
	c := newCluster(t)
	dir := t.TempDir()
	j, err := c.joinIn(dir, c.token(0, 1), "node-2")
	if err != nil {
		t.Fatal(err)
	}
	reg := c.registry(dir, j.Identity)
	tok, err := reg.NewToken(t.Context(), j.Identity, time.Minute, 1)
	if err != nil {
		t.Fatal(err)
	}
	_, addr := c.serve(j.Identity, reg)
	third, err := Join(t.Context(), ClientConfig{Addr: addr, Token: tok, Name: "node-3", Dir: t.TempDir(), Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	if _, serverErr, clientErr := talk(t, third.Identity.ServerTLS(), c.id.ClientTLS()); serverErr != nil || clientErr != nil {
		t.Fatalf("first and third do not talk: %v, %v", serverErr, clientErr)
	}
}

func TestTokensThatDoNotHold(t *testing.T) {
	c := newCluster(t)
	wrong := c.token(0, 1)
	wrong.Secret[0] ^= 1
	usedUp := c.token(0, 1)
	c.mustJoin(usedUp, "node-2")
	expired := c.token(time.Second, 1)
	c.later.Store(int64(2 * time.Second))
	other := newCluster(t).token(0, 1)
	for _, x := range []struct {
		what, says string
		tok        Token
	}{
		{"wrong secret", "not valid in this cluster", wrong},
		{"used up", "used up", usedUp},
		{"expired", "ended at", expired},
		{"of another cluster", "for another cluster", other},
	} {
		_, err := c.join(x.tok, "node-9")
		if concord.KindOf(err) != concord.Unauthorized || !strings.Contains(err.Error(), x.says) {
			t.Errorf("%s: %v", x.what, err)
		}
	}
}

func TestTokenForSeveral(t *testing.T) {
	c := newCluster(t)
	tok := c.token(0, 2)
	c.mustJoin(tok, "node-2")
	c.mustJoin(tok, "node-3")
	if _, err := c.join(tok, "node-4"); concord.KindOf(err) != concord.Unauthorized {
		t.Errorf("a token for two let three in: %v", err)
	}
	for _, x := range []struct {
		life time.Duration
		uses int
	}{{time.Hour, 0}, {-time.Hour, 1}, {1000 * time.Hour, 1}, {time.Hour, maxTokenUses + 1}} {
		if _, err := c.reg.NewToken(t.Context(), c.id, x.life, x.uses); concord.KindOf(err) != concord.Invalid {
			t.Errorf("token for %v, %d uses: %v", x.life, x.uses, err)
		}
	}
}

// However many ask at once, a token lets in as many as it says, and a name goes to one.
func TestManyAtOnce(t *testing.T) {
	c := newCluster(t)
	tok := c.token(0, 3)
	results := make(chan error)
	const machines = 8
	for i := range machines {
		dir := t.TempDir()
		go func() {
			_, err := c.joinIn(dir, tok, fmt.Sprintf("node-%d", 2+i/2)) // two ask for each name
			results <- err
		}()
	}
	in := 0
	for range machines {
		switch err := <-results; concord.KindOf(err) {
		case concord.Unauthorized, concord.Conflict:
		default:
			if err != nil {
				t.Error(err)
			} else {
				in++
			}
		}
	}
	if in < 1 || in > 3 {
		t.Errorf("%d of %d machines were let in by a token for 3", in, machines)
	}
}

func TestNameBelongsToOneKey(t *testing.T) {
	c := newCluster(t)
	tok := c.token(0, 5)
	c.mustJoin(tok, "node-2")
	for _, name := range []string{"node-1", "node-2"} {
		if _, err := c.join(tok, name); concord.KindOf(err) != concord.Conflict || !strings.Contains(err.Error(), name) {
			t.Errorf("%s twice: %v", name, err)
		}
	}
	if _, err := c.join(tok, "Node 5"); concord.KindOf(err) != concord.Invalid {
		t.Errorf("a name that is none: %v", err)
	}
}

// A machine that did not hear the answer asks again with the same key, and the token counts once.
func TestAnswerThatWasNotHeard(t *testing.T) {
	c := newCluster(t)
	tok, dir := c.token(0, 1), t.TempDir()
	cfg := ClientConfig{Addr: c.addr, Token: tok, Name: "node-2", Dir: dir, Logger: quiet}
	key, err := requestKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := connect(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	q, err := newRequest(cfg, key, conn.ConnectionState())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := post(t.Context(), conn, c.addr, q); err != nil { // and dies here
		t.Fatal(err)
	}
	if _, err := c.joinIn(dir, tok, "node-2"); err != nil {
		t.Errorf("the second try: %v", err)
	}
	if _, err := c.join(tok, "node-3"); concord.KindOf(err) != concord.Unauthorized {
		t.Errorf("the token counted too little: %v", err)
	}
}

// Who stands between a machine and its cluster learns nothing that it could use: not the secret, and no proof that holds
// on another connection.
func TestProofHoldsOnItsConnectionOnly(t *testing.T) {
	c := newCluster(t)
	tok := c.token(0, 1)
	cfg := ClientConfig{Addr: c.addr, Token: tok, Name: "node-2", Dir: t.TempDir(), Logger: quiet}
	key, err := requestKey(cfg.Dir)
	if err != nil {
		t.Fatal(err)
	}
	one, err := connect(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	two, err := connect(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	q, err := newRequest(cfg, key, one.ConnectionState())
	if err != nil {
		t.Fatal(err)
	}
	if sent, _ := json.Marshal(q); bytes.Contains(sent, tok.Secret[:]) || len(sent) > 2000 {
		t.Error("the secret is sent")
	}
	if _, err := post(t.Context(), two, c.addr, q); concord.KindOf(err) != concord.Unauthorized {
		t.Fatalf("a proof of another connection was taken: %v", err)
	}
}

// A server that is not the token's cluster sees a handshake and no request.
func TestNothingIsSentToAnImpostor(t *testing.T) {
	c, impostor := newCluster(t), newCluster(t)
	got := make(chan error, 1)
	ln := listen(t)
	go func() {
		conn, err := ln.Accept()
		if err == nil {
			_, err = io.ReadFull(tls.Server(conn, impostor.id.JoinTLS()), make([]byte, 1))
			conn.Close()
		}
		got <- err
	}()
	_, err := Join(t.Context(), ClientConfig{Addr: ln.Addr().String(), Token: c.token(0, 1), Name: "node-2", Dir: t.TempDir(), Logger: quiet})
	if concord.KindOf(err) != concord.Unauthorized {
		t.Errorf("joined at an impostor: %v", err)
	}
	if err := <-got; err == nil {
		t.Error("the impostor was sent something")
	}
}

func TestNobodyThere(t *testing.T) {
	c := newCluster(t)
	ln := listen(t)
	ln.Close()
	_, err := Join(t.Context(), ClientConfig{Addr: ln.Addr().String(), Token: c.token(0, 1), Name: "node-2", Dir: t.TempDir(), Logger: quiet})
	if concord.KindOf(err) != concord.Unavailable {
		t.Errorf("%v", err)
	}
}

func TestHostileRequests(t *testing.T) {
	c := newCluster(t)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	ask := func(body string) int {
		resp, err := client.Post("https://"+c.addr+Path, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode
	}
	for _, body := range []string{"", "{}", "[", strings.Repeat("x", 1<<20), `{"name":"node-2","token":"zz"}`} {
		if got := ask(body); got != http.StatusBadRequest {
			t.Errorf("%.40q: status %d", body, got)
		}
	}
	for range maxFailures {
		ask("{}")
	}
	if got := ask("{}"); got != http.StatusServiceUnavailable {
		t.Errorf("no limit of failures: status %d", got)
	}
	now := time.Now()
	c.server.limit.now = func() time.Time { return now.Add(2 * failurePause * maxFailures) }
	c.mustJoin(c.token(0, 1), "node-2")
}

func TestOldTLSIsRefused(t *testing.T) {
	c := newCluster(t)
	conn, err := tls.Dial("tcp", c.addr, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
	if err == nil {
		conn.Close()
		t.Error("TLS 1.2 was spoken")
	}
}

func TestLimiterIsBounded(t *testing.T) {
	now := time.Unix(0, 0)
	l := newLimiter(func() time.Time { return now })
	for i := range 3 * maxAddresses {
		now = now.Add(time.Millisecond)
		l.failed(addressOf("[2001:db8:" + strings.ToLower(string(rune('a'+i%6))) + ":" + itox(i) + "::1]:80"))
	}
	if len(l.blocked) > maxAddresses {
		t.Errorf("%d addresses remembered", len(l.blocked))
	}
	if addressOf("[2001:db8::1]:1") != addressOf("[2001:db8::2]:9") || addressOf("192.0.2.1:1") == addressOf("192.0.2.2:1") {
		t.Error("addresses are counted wrongly")
	}
}

func itox(i int) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[i>>8&15], digits[i>>4&15], digits[i&15]})
}

func TestTokensAreForgotten(t *testing.T) {
	c := newCluster(t)
	tok := c.token(time.Second, 1)
	c.later.Store(int64(2 * forgetToken))
	c.registry(t.TempDir(), c.id)
	for {
		if _, err := c.store.Get(t.Context(), tokenPath+tok.id()); concord.KindOf(err) == concord.NotFound {
			return
		}
		select {
		case <-t.Context().Done():
			t.Fatal("never")
		case <-time.After(time.Millisecond):
		}
	}
}

func TestEndOfServer(t *testing.T) {
	c := newCluster(t)
	s, err := NewServer(c.server.cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	ln := listen(t)
	go func() { done <- s.Run(ctx, ln) }()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := NewServer(ServerConfig{}); concord.KindOf(err) != concord.Invalid {
		t.Error(err)
	}
}
