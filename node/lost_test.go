package node

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"concord"
)

// Losing the ledger's or the bus's files must never look like a first start.
func TestLostPartsAreNotBegunAnew(t *testing.T) {
	for part, help := range map[string]string{"chain": "import", "bus": "concord rebuild"} {
		cfg := Defaults()
		cfg.Data, cfg.HTTP, cfg.Logger = t.TempDir(), "127.0.0.1:0", slog.New(slog.DiscardHandler)
		n, err := Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(filepath.Join(cfg.Data, part)); err != nil {
			t.Fatal(err)
		}
		n, err = Open(t.Context(), cfg)
		if err == nil {
			n.Close()
		}
		if concord.KindOf(err) != concord.Corrupt || !strings.Contains(err.Error(), part) || !strings.Contains(err.Error(), help) {
			t.Errorf("without %s: %v", part, err)
		}
	}
}

func TestContactInTheUserAgent(t *testing.T) {
	for _, c := range []struct{ contact, origin, want string }{
		{"https://alice.example/bot", "", "https://alice.example/bot"},
		{"crawler@alice.example", "", "mailto:crawler@alice.example"},
		{"crawler@alice.example", "https://search.alice.example/", "https://search.alice.example/bot"},
		{"", "", ""},
	} {
		n := &Node{cfg: Config{Contact: c.contact, Origin: c.origin}}
		if got := n.contactURL(); got != c.want {
			t.Errorf("contact %q, origin %q: %q, want %q", c.contact, c.origin, got, c.want)
		}
	}
}
