package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"concord/node"

	"github.com/knadh/koanf/providers/structs"
	"github.com/knadh/koanf/v2"
)

// One environment may serve all nodes of a deployment: the one that is to be joined joins nobody.
func TestJoinFromEnvironment(t *testing.T) {
	type want struct{ join, token string }
	for _, c := range []struct {
		name, join, token, advertise string
		flags                        []string
		want                         want
	}{
		{name: "nothing"},
		{name: "another", join: "n1:7668", token: "cj1-x", advertise: "n2:7668", want: want{"n1:7668", "cj1-x"}},
		{name: "itself", join: "n1:7668", token: "cj1-x", advertise: "n1:7668"},
		{name: "itself by its address", join: "127.0.0.1:7668", token: "cj1-x"},
		{name: "no token yet", join: "n1:7668", advertise: "n2:7668", want: want{"n1:7668", ""}},
		{name: "flags go before", join: "n1:7668", token: "cj1-x", flags: []string{"--join", "n9:7668", "--token", "cj1-y"}, want: want{"n9:7668", "cj1-y"}},
		{name: "flags are one", join: "n1:7668", token: "cj1-x", flags: []string{"--join", "n9:7668"}, want: want{"n9:7668", ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("CONCORD_JOIN", c.join)
			t.Setenv("CONCORD_TOKEN", c.token)
			cmd := upCommand()
			if err := cmd.ParseFlags(c.flags); err != nil {
				t.Fatal(err)
			}
			cfg := node.Defaults()
			cfg.Cluster.Advertise = c.advertise
			joinConfig(cmd, &cfg)
			if got := (want{cfg.Join, cfg.Token}); got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}

var variable = regexp.MustCompile(`\bCONCORD_[A-Z_]+`)

// The files of deploy/ set nothing that no node reads.
func TestDeployedSettingsExist(t *testing.T) {
	known := koanf.New(".")
	if err := known.Load(structs.Provider(node.Defaults(), "koanf"), nil); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, pattern := range []string{"Dockerfile", "compose.yaml", "kubernetes/*.yaml", "systemd/*"} {
		files, err := filepath.Glob("../../deploy/" + pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("no deploy/%s: %v", pattern, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range variable.FindAllString(string(text), -1) {
				seen++
				key := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, "CONCORD_")), "__", ".")
				if !known.Exists(key) && name != "CONCORD_JOIN" && name != "CONCORD_TOKEN" {
					t.Errorf("%s sets %s, which no node reads", file, name)
				}
			}
		}
	}
	if seen < 15 {
		t.Errorf("found only %d variables", seen)
	}
}
