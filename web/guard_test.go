package web

import (
	"net/http/httptest"
	"testing"
)

// A proxy on this machine asks for strangers: they must not be taken for people at this machine.
func TestWhoAsksThroughAProxy(t *testing.T) {
	s := &Server{sessions: newSessions()}
	for _, c := range []struct {
		peer, via string
		local     bool
		addr      string
	}{
		{"127.0.0.1:9", "", true, "127.0.0.1"},
		{"127.0.0.1:9", "203.0.113.7", false, "203.0.113.7"},
		{"127.0.0.1:9", "127.0.0.1, 203.0.113.7", false, "203.0.113.7"},
		{"[::1]:9", "2001:db8::1", false, "2001:db8::1"},
		{"127.0.0.1:9", "unknown", false, "invalid IP"},
		{"203.0.113.9:9", "127.0.0.1", false, "203.0.113.9"},
	} {
		r := httptest.NewRequest("GET", "http://127.0.0.1/", nil)
		r.RemoteAddr = c.peer
		if c.via != "" {
			r.Header.Set("X-Forwarded-For", c.via)
		}
		if got := s.identify(httptest.NewRecorder(), r, false); got.local() != c.local || got.addr.String() != c.addr {
			t.Errorf("peer %s via %q: local %v, address %s", c.peer, c.via, got.local(), got.addr)
		}
	}
}
