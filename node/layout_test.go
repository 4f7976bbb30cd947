package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"concord"
)

// What was chosen when the data directory was made stays; values that are only defaults do not count.
func TestLayout(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "layout.json")
	made, err := loadLayout(path, testConfig(dir))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		change func(*Config)
		want   string // in the error; empty: accepted
	}{
		{"same", func(*Config) {}, ""},
		{"defaults", func(c *Config) {
			d := Defaults()
			c.Operator, c.Chain, c.Shards, c.Frontiers = d.Operator, d.Chain, d.Shards, d.Frontiers
		}, ""},
		{"operator", func(c *Config) { c.Operator = "other.example" }, `operator is "other.example"`},
		{"chain", func(c *Config) { c.Chain = "other" }, `chain is "other"`},
		{"shards", func(c *Config) { c.Shards = 9 }, `shards is "9" in the configuration, but this data directory was made with "2"`},
		{"frontiers", func(c *Config) { c.Frontiers = 9 }, `frontiers is "9"`},
	} {
		cfg := testConfig(dir)
		test.change(&cfg)
		got, err := loadLayout(path, cfg)
		switch {
		case test.want == "" && (err != nil || got != made):
			t.Errorf("%s: %+v, %v; want %+v", test.name, got, err, made)
		case test.want != "" && (concord.KindOf(err) != concord.Invalid || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: error %v, want %q", test.name, err, test.want)
		}
	}
	for content, kind := range map[string]concord.Kind{"": concord.Corrupt, "{}": concord.Corrupt, "{": concord.Corrupt,
		`{"version":2,"node":"n","operator":"o","chain":"c","shards":1,"frontiers":1}`: concord.Invalid} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := loadLayout(path, testConfig(dir)); concord.KindOf(err) != kind || !strings.Contains(err.Error(), path) {
			t.Errorf("layout %q: %v, want a %v error that names the file", content, err, kind)
		}
	}
}

func TestAPIKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "api.key")
	key, err := loadOrCreateAPIKey(path)
	if err != nil || len(key) != 64 {
		t.Fatalf("new key %q: %v", key, err)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("permissions %v, %v", fi.Mode(), err)
	}
	if again, err := loadOrCreateAPIKey(path); err != nil || again != key {
		t.Errorf("read again: %q, %v", again, err)
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := loadOrCreateAPIKey(path); concord.KindOf(err) != concord.Unauthorized {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
	if err := os.WriteFile(path, []byte("short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadOrCreateAPIKey(path); concord.KindOf(err) != concord.Corrupt {
		t.Errorf("short key: %v", err)
	}
}

func TestValidate(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no data":     func(c *Config) { c.Data = "" },
		"address":     func(c *Config) { c.HTTP = "7667" },
		"operator":    func(c *Config) { c.Operator = "Not A Name" },
		"chain":       func(c *Config) { c.Chain = "a.b" },
		"no shards":   func(c *Config) { c.Shards = 0 },
		"shards":      func(c *Config) { c.Shards = MaxPartitions + 1 },
		"frontiers":   func(c *Config) { c.Frontiers = -1 },
		"delays":      func(c *Config) { c.Crawl.MaxDelay = c.Crawl.MinDelay - 1 },
		"negative":    func(c *Config) { c.Crawl.AddressDelay = -1 },
		"concurrency": func(c *Config) { c.Crawl.Concurrency = 0 },
		"logger":      func(c *Config) { c.Logger = nil },
	} {
		cfg := testConfig("/x")
		if err := cfg.Validate(); err != nil {
			t.Fatal(err)
		}
		change(&cfg)
		if err := cfg.Validate(); concord.KindOf(err) != concord.Invalid {
			t.Errorf("%s: %v, want an invalid error", name, err)
		}
	}
}
