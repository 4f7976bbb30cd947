// Package anchor answers "who outside has seen our log's head?". It asks public witnesses (c2sp.org/tlog-witness), which are no operators of the ledger, to
// cosign the log's newest head, again and again, and hands over what they signed. A receipt under such a head is anchored: the ledger's operators
// together could not have shown its reader one history and the witnesses another.
//
// It keeps nothing and decides nothing: package chain keeps the cosignatures, package receipt says what they are worth.
//
// Invariants:
//   - A witness is asked at most once in Config.Interval, less often while it fails, and nothing waits for it.
//   - Nothing that a witness sends is believed: a line counts if the witness's own key made it over the head that was shown, at a time near ours.
//   - All that is read of an answer has a bound, and so has its time. No redirect is followed.
package anchor

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"concord"
	"concord/note"
)

// Log is our own log. Package chain provides it.
type Log interface {
	// ToAnchor returns the newest head that may be shown, signed by the log; the zero value: none.
	ToAnchor() concord.Checkpoint
	// AnchoredBy returns the newest head that a witness is known to have cosigned; the zero value: none.
	AnchoredBy(k note.Key) (concord.Checkpoint, error)
	// Consistency returns the RFC 6962 consistency proof between the first old and the first size entries, old at least 1.
	Consistency(old, size uint64) ([]concord.Digest, error)
	// Anchor takes a head with the line of a witness.
	Anchor(ctx context.Context, n []byte) error
}

// Witness is whom to ask.
type Witness struct {
	Key note.Key
	URL string // prefix of its calls; empty: it is not asked from here, another operator asks it
}

// keyBytes is the length of base64 of a key's type and 32 bytes, the last part of a vkey.
const keyBytes = 44

// ParseWitness reads a witness's verifier key and, after a space or none, the prefix of its URL, which may be missing.
func ParseWitness(s string) (w Witness, err error) {
	name, rest, _ := strings.Cut(s, "+")
	id, b64, ok := strings.Cut(rest, "+")
	if !ok || len(b64) < keyBytes {
		return w, concord.Errorf(concord.Invalid, "witness %q: want its verifier key and its URL, as in \"witness.example/w1+0123abcd+BK… https://witness.example/w1\"", concord.Clip(s, 120))
	}
	if w.Key, err = note.ParseKey(name + "+" + id + "+" + b64[:keyBytes]); err != nil {
		return w, err
	}
	if w.URL = strings.TrimRight(strings.TrimSpace(b64[keyBytes:]), "/"); w.URL == "" {
		return w, nil
	}
	u, err := url.Parse(w.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return w, concord.Errorf(concord.Invalid, "witness %s: %q is not the start of its addresses, such as https://witness.example/w1", w.Key.Name, concord.Clip(w.URL, 120))
	}
	return w, nil
}

// Config says whom to ask about which log.
type Config struct {
	Log       Log
	Witnesses []Witness
	Interval  time.Duration // least time between two questions to a witness; 0: DefaultInterval
	Timeout   time.Duration // for which an answer is waited; 0: DefaultTimeout
	UserAgent string
	Now       func() time.Time
	Logger    *slog.Logger
}

const (
	// DefaultInterval is what a public witness bears from each of many logs.
	DefaultInterval = time.Minute
	// DefaultTimeout is long for a signature over three lines.
	DefaultTimeout = 10 * time.Second
	// lookEvery bounds how long a new head waits to be noticed.
	lookEvery = time.Second
	// restAtMost bounds the pause before a witness that fails is asked again; it doubles from Interval on.
	restAtMost = 30 * time.Minute
	// maxHeader and idleConns bound what a witness's server costs.
	maxHeader, idleConns = 32 << 10, 1
)

// Anchor asks the witnesses. It is safe for concurrent use; New starts nothing.
type Anchor struct {
	cfg  Config
	http *http.Client
	list []*asker
}

// New returns an Anchor.
func New(cfg Config) *Anchor {
	if cfg.Interval == 0 {
		cfg.Interval = DefaultInterval
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	a := &Anchor{cfg: cfg, http: &http.Client{
		Transport:     &http.Transport{MaxResponseHeaderBytes: maxHeader, MaxIdleConnsPerHost: idleConns, MaxConnsPerHost: idleConns, ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	for _, w := range cfg.Witnesses {
		a.list = append(a.list, &asker{cfg: &a.cfg, http: a.http, Witness: w, tally: Tally{Name: w.Key.Name, URL: w.URL, Failed: map[string]uint64{}}})
	}
	return a
}

// Run asks until ctx ends.
func (a *Anchor) Run(ctx context.Context) error {
	defer a.http.CloseIdleConnections()
	var all sync.WaitGroup
	for _, w := range a.list {
		if w.URL != "" {
			all.Go(func() { w.run(ctx) })
		}
	}
	all.Wait()
	<-ctx.Done()
	return nil
}

// Tally is what became of asking one witness since the node started.
type Tally struct {
	Name     string            `json:"name"`
	URL      string            `json:"url,omitempty"` // empty: another operator asks it
	Asked    uint64            `json:"asked"`
	Cosigned uint64            `json:"cosigned"` // heads
	Failed   map[string]uint64 `json:"failed"`   // questions without a line that counts, by reason
	Size     uint64            `json:"size"`     // entries under the newest head that it is known to have cosigned
	Time     time.Time         `json:"time,omitzero"`
	Last     string            `json:"last,omitempty"` // why the last question had no line that counts; empty: it had one
}

// Tallies returns those of each witness, in the order of the configuration.
func (a *Anchor) Tallies() (list []Tally) {
	for _, w := range a.list {
		list = append(list, w.count())
	}
	return list
}
