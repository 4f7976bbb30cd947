package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"concord"
	"concord/node"
	"concord/web"

	"github.com/spf13/cobra"
)

const (
	defaultDataText = "$XDG_DATA_HOME/concord, else ~/.local/share/concord"
	// maxAnswer bounds what a node's answer may hold in memory: the largest are archived bodies.
	maxAnswer = 256 << 20
)

// dataDir returns the data directory a command is about: --data, $CONCORD_DATA, or the XDG default.
func dataDir(cmd *cobra.Command) (string, error) {
	dir, err := cmd.Flags().GetString("data")
	if err != nil {
		return "", err
	}
	if dir == "" {
		dir = os.Getenv("CONCORD_DATA")
	}
	if dir == "" {
		base := os.Getenv("XDG_DATA_HOME")
		if base == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				return "", concord.Errorf(concord.Invalid, "no home directory: use --data DIR")
			}
			base = filepath.Join(home, ".local", "share")
		}
		dir = filepath.Join(base, "concord")
	}
	return filepath.Abs(dir)
}

// client talks to the node of one data directory over its socket, or to any node at an address.
type client struct {
	dir  string
	base string // address of a node elsewhere; empty: the socket in dir
	http *http.Client
}

func newClient(cmd *cobra.Command) (*client, error) {
	dir, err := dataDir(cmd)
	if err != nil {
		return nil, err
	}
	socket := filepath.Join(dir, node.SocketName)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	return &client{dir: dir, http: &http.Client{Transport: &http.Transport{DialContext: dial}}}, nil
}

// call sends a request and returns the response of a success; errors are those the node states.
func (c *client) call(ctx context.Context, method, path string, params url.Values, contentType string, body io.Reader) (*http.Response, error) {
	u := cmp.Or(c.base, "http://node") + path
	if len(params) > 0 {
		u += "?" + params.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, u, body)
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" && c.base == "" {
			return nil, concord.Errorf(concord.Unavailable, "no node is running on %s; start one with: concord up --data %s", c.dir, c.dir)
		}
		if ctx.Err() != nil {
			return nil, concord.Errorf(concord.Unavailable, "interrupted")
		}
		return nil, concord.Errorf(concord.Unavailable, "the node did not answer: %w", err)
	}
	if resp.StatusCode/100 != 2 {
		defer resp.Body.Close()
		return nil, problem(resp)
	}
	return resp, nil
}

// problem turns an RFC 9457 answer back into an error.
func problem(resp *http.Response) error {
	var p web.Problem
	data, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err := json.Unmarshal(data, &p); err != nil || p.Detail == "" {
		p.Detail = fmt.Sprintf("the node answered %s", resp.Status)
	}
	kind := concord.Internal
	switch resp.StatusCode {
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusRequestEntityTooLarge:
		kind = concord.Invalid
	case http.StatusNotFound:
		kind = concord.NotFound
	case http.StatusConflict:
		kind = concord.Conflict
	case http.StatusTooManyRequests:
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		return concord.Errorf(concord.Unavailable, "%w", &tooManyError{p.Detail, time.Duration(min(max(seconds, 1), maxRetryAfter)) * time.Second})
	case http.StatusServiceUnavailable:
		kind = concord.Unavailable
	case http.StatusUnauthorized, http.StatusForbidden:
		kind = concord.Unauthorized
	}
	for _, e := range p.Errors {
		if s, ok := e.Value.(string); ok && e.Offset != nil {
			return concord.Errorf(kind, "%w", &concord.QueryError{Query: s, Offset: *e.Offset, Length: e.Length, Reason: e.Message})
		}
		if e.Message != "" && !strings.Contains(p.Detail, e.Message) {
			_, name, _ := strings.Cut(e.Location, ".")
			p.Detail = strings.TrimPrefix(strings.TrimSpace(name+": "+e.Message), ": ")
			if e.Value != nil {
				p.Detail += fmt.Sprintf(", got %v", e.Value)
			}
		}
	}
	return concord.Errorf(kind, "%s", p.Detail)
}

// maxRetryAfter bounds, in seconds, how long a node can make a command wait at once.
const maxRetryAfter = 30

// tooManyError is the answer of a node that wants fewer requests.
type tooManyError struct {
	detail string
	wait   time.Duration
}

func (e *tooManyError) Error() string { return e.detail }

// get reads a JSON answer into v.
func (c *client) get(ctx context.Context, path string, params url.Values, v any) error {
	return c.do(ctx, http.MethodGet, path, params, nil, v)
}

// do sends in as JSON, unless it is nil, and reads the answer into out, unless that is nil.
func (c *client) do(ctx context.Context, method, path string, params url.Values, in, out any) error {
	var body io.Reader
	contentType := ""
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body, contentType = bytes.NewReader(data), "application/json"
	}
	resp, err := c.call(ctx, method, path, params, contentType, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		return nil
	}
	return decode(resp.Body, out)
}

// bytes reads an answer whole.
func (c *client) bytes(ctx context.Context, path string, params url.Values) ([]byte, error) {
	resp, err := c.call(ctx, http.MethodGet, path, params, "", nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
}

// printJSON writes v for programs.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// decode reads one JSON value of a bounded answer.
func decode(r io.Reader, v any) error {
	if err := json.NewDecoder(io.LimitReader(r, maxAnswer)).Decode(v); err != nil {
		return fmt.Errorf("read the node's answer: %w", err)
	}
	return nil
}
