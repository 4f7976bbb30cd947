package node

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"concord"
	"concord/durable"
)

// layoutVersion is the version of the data directory as a whole. A newer one is refused, never guessed at.
const layoutVersion = 1

// layout is what is chosen once, when a data directory is made: everything later depends on it.
type layout struct {
	Version   int    `json:"version"`
	Node      string `json:"node"` // name of this node in its cluster
	Operator  string `json:"operator"`
	Chain     string `json:"chain"`
	Shards    int    `json:"shards"`
	Frontiers int    `json:"frontiers"`
}

// loadLayout reads the layout, or makes it of the configuration in a new directory. The operator of an existing
// directory stays: its keys and receipts carry the name.
func loadLayout(path string, cfg Config) (layout, error) {
	var l layout
	err := durable.ReadJSON(path, &l)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		name := cfg.Node
		if name == "" {
			name = newNodeName()
		}
		l = layout{layoutVersion, name, cfg.Operator, cfg.Chain, cfg.Shards, cfg.Frontiers}
		return l, durable.WriteJSON(path, 0o600, l)
	case err != nil && concord.KindOf(err) != concord.Corrupt:
		return layout{}, err
	case err != nil || l.Shards < 1 || l.Frontiers < 1 || l.Operator == "" || l.Node == "":
		return layout{}, concord.Errorf(concord.Corrupt, "%s is damaged, or was changed by hand: restore it from a backup; everything else in the data directory depends on it", path)
	case l.Version != layoutVersion:
		return layout{}, concord.Errorf(concord.Invalid, "%s has version %d, this program knows %d: use a newer program", path, l.Version, layoutVersion)
	}
	if err := l.agrees(cfg); err != nil {
		return layout{}, fmt.Errorf("%s: %w", path, err)
	}
	return l, nil
}

// agrees refuses a configuration that asks for what cannot be changed any more. Values that are only defaults do not count.
func (l layout) agrees(cfg Config) error {
	d := Defaults()
	for _, f := range []struct{ name, was, is, def string }{
		{"operator", l.Operator, cfg.Operator, d.Operator}, {"chain", l.Chain, cfg.Chain, d.Chain},
		{"shards", fmt.Sprint(l.Shards), fmt.Sprint(cfg.Shards), fmt.Sprint(d.Shards)},
		{"frontiers", fmt.Sprint(l.Frontiers), fmt.Sprint(cfg.Frontiers), fmt.Sprint(d.Frontiers)},
	} {
		if f.is != f.was && f.is != f.def {
			return concord.Errorf(concord.Invalid, "%s is %q in the configuration, but this data directory was made with %q, which cannot be changed; use another directory or correct the configuration", f.name, f.is, f.was)
		}
	}
	return nil
}

func newNodeName() string { return "node-" + randomHex(4) }

// loadOrCreateAPIKey reads the key for writing calls, or makes one: 32 random bytes in hex, readable by its owner only.
func loadOrCreateAPIKey(path string) (string, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		key := randomHex(32)
		return key, durable.WriteFile(path, 0o600, func(w io.Writer) error {
			_, err := io.WriteString(w, key+"\n")
			return err
		})
	}
	if err != nil {
		return "", err
	}
	fi, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if fi.Mode().Perm()&0o077 != 0 {
		return "", concord.Errorf(concord.Unauthorized, "%s can be read by others; run: chmod 600 %s", path, path)
	}
	key := strings.TrimSpace(string(data))
	if len(key) < 32 {
		return "", concord.Errorf(concord.Corrupt, "%s is damaged: delete it and a new key is made at the next start", path)
	}
	return key, nil
}

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
