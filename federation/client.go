package federation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"syscall"
	"time"

	"concord"
	"concord/weburl"
)

const (
	idleConns   = 2 // to one operator
	idleTime    = time.Minute
	maxHeader   = 32 << 10
	searchPath  = "api/v1/search"
	receiptPath = "api/v1/receipts"
	tooLong     = "it took too long"
)

// failure is why there is no answer, for people.
type failure struct {
	reason Reason
	words  string
	status int // of HTTP, when it is not 200; 0: there was none
}

// Client reads the HTTP APIs of other operators. It is safe for concurrent use.
type Client struct {
	http      *http.Client
	userAgent string
}

// NewClient returns a client that dials addresses of this machine and of private networks only when it is told to.
func NewClient(allowPrivate bool, userAgent string) *Client {
	return &Client{newHTTPClient(allowPrivate), userAgent}
}

// Close gives up the connections that are kept open.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Get reads a file of an operator's API, at most limit bytes of the media type wanted. Errors, in words for people: NotFound when it has none, Invalid
// when it is of another type or longer, Unavailable.
func (c *Client) Get(ctx context.Context, o Operator, path string, params url.Values, wanted string, limit int) ([]byte, error) {
	data, fail := c.get(ctx, o, path, params, wanted, limit)
	switch {
	case fail == nil:
		return data, nil
	case fail.status == http.StatusNotFound:
		return nil, concord.Errorf(concord.NotFound, "%s", fail.words)
	case fail.reason == Malformed:
		return nil, concord.Errorf(concord.Invalid, "%s", fail.words)
	}
	return nil, concord.Errorf(concord.Unavailable, "%s", fail.words)
}

// privateError says that an address is not dialled.
type privateError struct{ addr netip.Addr }

func (e *privateError) Error() string {
	return fmt.Sprintf("%s is a private address: set federation.allow_private to ask there", e.addr)
}

// newHTTPClient returns a client that dials public addresses only, looking at each after its name was resolved, follows no redirect and takes
// nothing from the environment.
func newHTTPClient(allowPrivate bool) *http.Client {
	d := &net.Dialer{}
	if !allowPrivate {
		d.Control = func(_, address string, _ syscall.RawConn) error {
			ap, err := netip.ParseAddrPort(address)
			if err != nil {
				return err
			}
			if !weburl.Public(ap.Addr()) {
				return &privateError{ap.Addr()}
			}
			return nil
		}
	}
	return &http.Client{
		Transport: &http.Transport{DialContext: d.DialContext, MaxIdleConnsPerHost: idleConns, IdleConnTimeout: idleTime,
			MaxConnsPerHost: maxUnderWay, MaxResponseHeaderBytes: maxHeader, ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// results asks an operator for its results, with proofs.
func (f *Federation) results(ctx context.Context, o Operator, text string, limit int) ([]result, *failure) {
	data, fail := f.client.get(ctx, o, searchPath, url.Values{"q": {text}, "limit": {strconv.Itoa(limit)}, "scope": {"own"}, "proof": {"true"}, "total": {"any"}},
		"application/json", maxAnswer)
	if fail != nil {
		return nil, fail
	}
	list, err := decode(data, limit)
	if err != nil {
		return nil, &failure{reason: Malformed, words: concord.Clip(err.Error(), maxWords)}
	}
	return list, nil
}

// maxWords bounds what an operator can make us say about it.
const maxWords = 300

// get reads a file of an operator's API, at most limit bytes of the type wanted.
func (c *Client) get(ctx context.Context, o Operator, path string, params url.Values, wanted string, limit int) ([]byte, *failure) {
	base, err := url.Parse(o.URL)
	if err != nil || base.Host == "" || base.User != nil || base.Scheme != "http" && base.Scheme != "https" {
		return nil, &failure{reason: Unreachable, words: "its address in the ledger is not http:// or https:// and a host"}
	}
	u := base.JoinPath(path)
	u.RawQuery, u.Fragment = params.Encode(), ""
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, &failure{reason: Unreachable, words: "its address in the ledger cannot be used"}
	}
	req.Header.Set("Accept", wanted)
	req.Header.Set("User-Agent", c.userAgent)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, failed(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		words := fmt.Sprintf("it answers with status %d", resp.StatusCode)
		if resp.StatusCode/100 == 3 {
			words = "it answers with a redirect, which is not followed: the ledger should have the address it leads to"
		}
		return nil, &failure{Unreachable, words, resp.StatusCode}
	}
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || kind != wanted {
		return nil, &failure{reason: Malformed, words: "its answer is not " + wanted}
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, int64(limit)+1))
	switch {
	case err != nil:
		return nil, failed(err)
	case len(data) > limit:
		return nil, &failure{reason: Malformed, words: fmt.Sprintf("its answer is longer than %d bytes", limit)}
	}
	return data, nil
}

// failed says in plain words why a request failed.
func failed(err error) *failure {
	var dns *net.DNSError
	var private *privateError
	var sys syscall.Errno
	switch {
	case errors.As(err, &private):
		return &failure{reason: Unreachable, words: private.Error()}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.Canceled):
		return &failure{reason: Timeout, words: tooLong}
	case errors.As(err, &dns):
		return &failure{reason: Unreachable, words: "its name cannot be looked up"}
	case errors.As(err, &sys):
		return &failure{reason: Unreachable, words: sys.Error()}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &failure{reason: Unreachable, words: "it closed the connection"}
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return &failure{reason: Unreachable, words: concord.Clip(err.Error(), maxWords)}
}
