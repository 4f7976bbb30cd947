package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"concord"
	"concord/chain"
	"concord/ledger"
	"concord/note"
	"concord/web"

	"github.com/spf13/cobra"
)

// logSource is a log to replay. Its methods have one caller at a time.
type logSource interface {
	name() string
	chain() string
	head() (newest concord.Checkpoint, size uint64) // size: entries to replay
	roots(ctx context.Context) (map[uint64]concord.Digest, error)
	bundle(ctx context.Context, n uint64, width int) ([]byte, error)
	tile(ctx context.Context, level int, n uint64, width int) ([]byte, error)
	compare(m *ledger.Machine) error // with what else the source has
	close()
}

func openSource(cmd *cobra.Command, offline bool, from string) (logSource, error) {
	if offline {
		dir, err := dataDir(cmd)
		if err != nil {
			return nil, err
		}
		return openStored(dir)
	}
	c, err := newClient(cmd)
	if err != nil {
		return nil, err
	}
	s := &servedLog{client: c, from: "the node on " + c.dir}
	if from != "" {
		u, err := url.Parse(strings.TrimRight(from, "/"))
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" {
			return nil, concord.Errorf(concord.Invalid, "--url %q: want the address of a node, such as https://search.alice.example", from)
		}
		s.client, s.from = &client{base: u.String(), http: &http.Client{Timeout: remoteTimeout}}, u.String()
	}
	return s, s.open(cmd.Context())
}

// remoteTimeout bounds one request to a node elsewhere: the largest answer is a bundle of 16 MiB.
const remoteTimeout = 2 * time.Minute

// maxBundle is 256 entries of 65,535 bytes, each with its length.
const maxBundle = chain.TileWidth * (2 + note.MaxBytes)

// servedLog is the log of a running node, as its tiles have it.
type servedLog struct {
	*client
	from   string
	info   web.LedgerAnswer
	newest concord.Checkpoint
}

// open takes the newest checkpoint: what it covers is replayed, though the log may grow meanwhile.
func (s *servedLog) open(ctx context.Context) error {
	if err := s.get(ctx, "/api/v1/ledger", nil, &s.info); err != nil {
		return err
	}
	b, err := s.bounded(ctx, "/ledger/checkpoint", note.MaxBytes)
	if err != nil {
		return err
	}
	n, err := note.Parse(b)
	if err != nil {
		return differs(fmt.Errorf("checkpoint: %w", err))
	}
	c, err := note.ParseCheckpoint(n.Text)
	if err != nil {
		return differs(err)
	}
	if c.Origin != s.info.Origin {
		return differs(fmt.Errorf("the checkpoint is of log %q, the node's log is %q", concord.Clip(c.Origin, 80), concord.Clip(s.info.Origin, 80)))
	}
	s.newest = concord.Checkpoint{Origin: c.Origin, Size: c.Size, Root: c.Root, Note: string(b)}
	return nil
}

// maxWaits is how often a node may ask to wait before one answer: minutes, at its limit of some requests a second.
const maxWaits = 60

// bounded reads an answer of at most limit bytes. When the node says that this is too fast, it waits as long as told.
func (s *servedLog) bounded(ctx context.Context, path string, limit int64) ([]byte, error) {
	resp, err := s.call(ctx, http.MethodGet, path, nil, "", nil)
	var busy *tooManyError
	for i := 0; i < maxWaits && errors.As(err, &busy); i++ {
		select {
		case <-ctx.Done():
			return nil, concord.Errorf(concord.Unavailable, "interrupted")
		case <-time.After(busy.wait):
		}
		resp, err = s.call(ctx, http.MethodGet, path, nil, "", nil)
	}
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	_ = resp.Body.Close() // what was wanted has been read
	if err != nil {
		return nil, concord.Errorf(concord.Unavailable, "the node's answer to %s broke off: %w", path, err)
	}
	if int64(len(b)) > limit {
		return nil, differs(fmt.Errorf("%s has more than %d bytes", path, limit))
	}
	return b, nil
}

func (s *servedLog) name() string                       { return s.from }
func (s *servedLog) chain() string                      { return s.info.Chain }
func (s *servedLog) head() (concord.Checkpoint, uint64) { return s.newest, s.newest.Size }
func (s *servedLog) close()                             { s.http.CloseIdleConnections() }

// roots returns those of the newest checkpoints, as many as the API gives at once.
func (s *servedLog) roots(ctx context.Context) (map[uint64]concord.Digest, error) {
	var list struct {
		Checkpoints []concord.Checkpoint `json:"checkpoints"`
	}
	if err := s.get(ctx, "/api/v1/ledger/checkpoints", url.Values{"limit": {u64(entriesPerCall)}}, &list); err != nil {
		return nil, err
	}
	roots := map[uint64]concord.Digest{}
	for _, c := range list.Checkpoints {
		roots[c.Size] = c.Root
	}
	return roots, nil
}

func (s *servedLog) bundle(ctx context.Context, n uint64, width int) ([]byte, error) {
	return s.bounded(ctx, tilePath(-1, n, width), maxBundle)
}

func (s *servedLog) tile(ctx context.Context, level int, n uint64, width int) ([]byte, error) {
	return s.bounded(ctx, tilePath(level, n, width), chain.TileWidth*tlog.HashSize)
}

// tilePath is golang.org/x/mod's, without the height and with the standard's name for entries.
func tilePath(level int, n uint64, width int) string {
	p := tlog.Tile{H: 8, L: level, N: int64(n), W: width}.Path()
	return "/ledger/" + strings.Replace(strings.Replace(p, "tile/8/", "tile/", 1), "tile/data/", "tile/entries/", 1)
}

// compare holds the members that the node names against those that the entries make.
func (s *servedLog) compare(m *ledger.Machine) error {
	if s.info.Checkpoint.Size != m.Size() || s.info.Size != m.Size() {
		return nil // the log grew meanwhile: the node spoke of another state
	}
	if got, want := len(s.info.Operators), len(m.State().Members); got != want {
		return differs(fmt.Errorf("the node names %d members, the entries make %d", got, want))
	}
	for _, o := range s.info.Operators {
		if mem := m.State().Member(o.Name); mem == nil || int64(mem.Power) != o.Power || string(mem.Status) != o.State || o.Keys["op"] != mem.Op.String() {
			return differs(fmt.Errorf("the member %q that the node names is not as the entries make it", concord.Clip(o.Name, 80)))
		}
	}
	return nil
}

// storedLog is the log of a stopped node, in its data directory.
type storedLog struct {
	*chain.Log
	dir    string
	newest concord.Checkpoint
}

func openStored(dir string) (*storedLog, error) {
	l, err := chain.OpenLog(filepath.Join(dir, "chain"))
	if concord.KindOf(err) == concord.Unavailable {
		return nil, concord.Errorf(concord.Unavailable, "a node runs on %s: leave out --offline, or stop it first", dir)
	}
	if err != nil {
		return nil, err
	}
	cp, err := l.Checkpoint()
	if err != nil {
		_ = l.Close() // the error before it says more
		return nil, err
	}
	return &storedLog{l, dir, cp}, nil
}

func (s *storedLog) name() string                       { return s.dir }
func (s *storedLog) chain() string                      { return s.Chain() }
func (s *storedLog) head() (concord.Checkpoint, uint64) { return s.newest, s.Machine().Size() }
func (s *storedLog) close()                             { _ = s.Close() } // nothing was written
func (s *storedLog) roots(context.Context) (map[uint64]concord.Digest, error) {
	return s.Roots()
}
func (s *storedLog) bundle(ctx context.Context, n uint64, width int) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, concord.Errorf(concord.Unavailable, "interrupted")
	}
	return s.EntryBundle(n, width)
}
func (s *storedLog) tile(_ context.Context, level int, n uint64, width int) ([]byte, error) {
	return s.HashTile(level, n, width)
}

// compare holds the stored state against the rebuilt one. Blocks without entries move its height and the mark of the
// first block after the last record; both come into the log with the next record.
func (s *storedLog) compare(m *ledger.Machine) error {
	stored, st := s.Machine(), *s.Machine().State()
	st.After = m.State().After
	switch {
	case s.newest.Size > m.Size():
		return differs(fmt.Errorf("the newest checkpoint is of %d entries, the log has %d", s.newest.Size, m.Size()))
	case stored.Root() != m.Root():
		return differs(fmt.Errorf("the stored state has root %s, the entries make %s", stored.Root(), m.Root()))
	case stored.Height() < m.Height() || st.String() != m.State().String():
		return differs(fmt.Errorf("the stored state, at height %d, has hash %s; the entries make %s at height %d", stored.Height(), st.Hash(), m.State().Hash(), m.Height()))
	}
	return nil
}
