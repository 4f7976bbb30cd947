package crawl

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"

	"concord/weburl"
)

// Only the answer that there is no such name says something about the name, and lets its host rest for an hour. A name server that cannot be
// reached or fails says something about the network: that is tried again as any other failure.
func TestOnlyANameThatIsNotThereDoesNotResolve(t *testing.T) {
	u, err := weburl.Parse("http://site.example/")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		err     error
		missing bool
	}{
		"no such name":     {&net.DNSError{Err: "no such host", IsNotFound: true}, true},
		"no address":       {nil, true},
		"no answer":        {&net.DNSError{Err: "i/o timeout", IsTimeout: true, IsTemporary: true}, false},
		"server fails":     {&net.DNSError{Err: "server misbehaving", IsTemporary: true}, false},
		"nobody listens":   {&net.DNSError{Err: "connection refused"}, false},
		"time has run out": {context.DeadlineExceeded, false},
	} {
		cfg := Config{Resolve: func(context.Context, string) ([]netip.Addr, error) { return nil, c.err }}.withDefaults()
		_, err := newClient(&cfg, new(atomic.Int64)).resolve(t.Context(), u, true)
		if missing := errors.As(err, new(*nameError)); err == nil || missing != c.missing {
			t.Errorf("%s: %v counts as a missing name: %v, want %v", name, err, missing, c.missing)
		}
	}
}
