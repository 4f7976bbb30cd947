package node

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"sync"
	"syscall"
	"time"

	"concord"
	"concord/web"
	"concord/weburl"
)

// What other operators' reports are about is asked for at their own API, and shown only when it has the digest that the
// report in the ledger has.

const (
	textTime     = 5 * time.Second // for one operator's answer
	maxTextBytes = 16 << 20        // of it: the longest text that a page has, in JSON
	maxTextsKept = 64              // texts remembered, so that who looks at a page again asks nobody
	maxTextKept  = 1 << 20         // of at most so many bytes
	maxTextAsks  = 8               // operators asked at a time, by all who look
)

// texts are what other operators reported, by digest.
type texts struct {
	client *http.Client
	slots  chan struct{}
	mu     sync.Mutex
	known  map[concord.Digest]string
}

func newTexts(allowPrivate bool) *texts {
	d := &net.Dialer{}
	if !allowPrivate {
		d.Control = func(_, address string, _ syscall.RawConn) error {
			ap, err := netip.ParseAddrPort(address)
			if err == nil && !weburl.Public(ap.Addr()) {
				err = fmt.Errorf("%s is a private address: set federation.allow_private to ask there", ap.Addr())
			}
			return err
		}
	}
	return &texts{slots: make(chan struct{}, maxTextAsks), known: map[concord.Digest]string{}, client: &http.Client{
		Transport:     &http.Transport{DialContext: d.DialContext, MaxResponseHeaderBytes: 32 << 10, IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Texts implements web.Witnesses.
func (x witnesses) Texts(ctx context.Context, a *web.WitnessAsk) []web.WitnessText {
	return x.n.witnessTexts(ctx, a, x.OwnText)
}

// ownText returns the text that this operator's report is about; see web.Witnesses.
type ownText func(ctx context.Context, ask uint64, round int) (string, error)

func (n *Node) witnessTexts(ctx context.Context, a *web.WitnessAsk, own ownText) []web.WitnessText {
	urls := map[string]string{}
	for _, m := range n.book().Members() {
		urls[m.Name] = m.URL
	}
	seats := a.Last().Seats
	list := make([]web.WitnessText, len(seats))
	var wait sync.WaitGroup
	for i, s := range seats {
		list[i].Operator = s.Operator
		if s.Report == nil || s.Report.Text.IsZero() {
			continue
		}
		wait.Go(func() {
			var err error
			if s.Operator == n.layout.Operator {
				list[i].Text, err = own(ctx, a.Index, len(a.Rounds))
			} else {
				list[i].Text, err = n.texts.text(ctx, a.Index, len(a.Rounds), s, urls[s.Operator])
			}
			if err != nil {
				list[i].Missing = concord.Clip(err.Error(), 300)
			}
		})
	}
	wait.Wait()
	return list
}

// text returns what another operator reported: as it says itself, and as its report's digest says.
func (t *texts) text(ctx context.Context, index uint64, round int, s web.WitnessSeat, base string) (string, error) {
	t.mu.Lock()
	text, known := t.known[s.Report.Text]
	t.mu.Unlock()
	if known {
		return text, nil
	}
	text, err := t.ask(ctx, base, index, round)
	if err != nil {
		return "", fmt.Errorf("%s was asked for the text: %w", s.Operator, err)
	}
	if concord.Sum([]byte(text)) != s.Report.Text {
		return "", fmt.Errorf("%s answers with another text than the one it reported", s.Operator)
	}
	if len(text) <= maxTextKept {
		t.mu.Lock()
		if len(t.known) >= maxTextsKept {
			clear(t.known)
		}
		t.known[s.Report.Text] = text
		t.mu.Unlock()
	}
	return text, nil
}

func (t *texts) ask(ctx context.Context, base string, index uint64, round int) (string, error) {
	u, err := url.Parse(base)
	if base == "" || err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
		return "", fmt.Errorf("the ledger has no address of its pages and API")
	}
	ctx, cancel := context.WithTimeout(ctx, textTime)
	defer cancel()
	select {
	case t.slots <- struct{}{}:
		defer func() { <-t.slots }()
	case <-ctx.Done():
		return "", fmt.Errorf("too much is asked for at the moment")
	}
	u = u.JoinPath("api/v1/witness", strconv.FormatUint(index, 10), "reports", strconv.Itoa(round))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return "", err
	}
	resp, err := t.client.Do(req)
	if err != nil {
		return "", fmt.Errorf("it does not answer")
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("it answers with status %d", resp.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxTextBytes+1))
	if err != nil || len(data) > maxTextBytes {
		return "", fmt.Errorf("its answer is cut off, or too long")
	}
	return decodeText(data)
}

// decodeText reads an operator's answer.
func decodeText(data []byte) (string, error) {
	var answer struct {
		Text *string `json:"text"`
	}
	if err := json.Unmarshal(data, &answer); err != nil || answer.Text == nil {
		return "", fmt.Errorf("its answer cannot be read")
	}
	return *answer.Text, nil
}
