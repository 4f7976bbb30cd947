package web

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	manualHref = regexp.MustCompile(`href="(/manual/[^"#]*)?(#[^"]*)?"`)
	manualID   = regexp.MustCompile(` id="([^"]+)"`)
	configTag  = regexp.MustCompile(`koanf:"([a-z_]+)"`)
	configType = regexp.MustCompile(`(?s)type (\w+) struct \{(.*?)\n\}`)
	subcommand = regexp.MustCompile(`Use:\s+"([a-z-]+)`)
)

// TestManualLinks follows every link between chapters, to the heading.
func TestManualLinks(t *testing.T) {
	m, err := loadManual(carriedManual())
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string][]string{}
	for _, p := range m.pages {
		for _, id := range manualID.FindAllStringSubmatch(string(p.Body), -1) {
			ids[p.Link] = append(ids[p.Link], id[1])
		}
	}
	links := 0
	for _, p := range m.pages {
		for _, l := range manualHref.FindAllStringSubmatch(string(p.Body), -1) {
			target, anchor := l[1], strings.TrimPrefix(l[2], "#")
			if target == "" {
				target = p.Link
			}
			if m.byName[strings.TrimPrefix(target, "/manual/")] == nil {
				t.Errorf("%s links to %s, which does not exist", p.Link, target)
			} else if anchor != "" && !slices.Contains(ids[target], anchor) {
				t.Errorf("%s links to %s#%s: there is no such heading", p.Link, target, anchor)
			}
			links++
		}
		if strings.Contains(string(p.Body), ".md\"") || strings.Contains(string(p.Body), "raw HTML omitted") {
			t.Errorf("%s has a link to a file, or HTML that is left out", p.Link)
		}
	}
	if len(m.pages) < 10 || links < 20 {
		t.Errorf("%d pages with %d links between them: is this the manual?", len(m.pages), links)
	}
	for _, p := range m.pages[1:] {
		if !strings.Contains(string(m.pages[0].Body), `href="`+p.Link+`"`) {
			t.Errorf("the first page does not lead to %s", p.Link)
		}
	}
}

// TestManualIsComplete looks every setting and every command up in the manual.
func TestManualIsComplete(t *testing.T) {
	text := wholeManual(t)
	config, err := os.ReadFile("../node/config.go")
	if err != nil {
		t.Fatal(err)
	}
	keys := configKeys(string(config))
	if len(keys) < 15 {
		t.Fatalf("found only the settings %q in node/config.go", keys)
	}
	for _, key := range keys {
		if !strings.Contains(text, "| `"+key+"` |") {
			t.Errorf("the manual has no row for the setting %s", key)
		}
	}
	files, err := filepath.Glob("../cmd/concord/*.go")
	if err != nil {
		t.Fatal(err)
	}
	commands := 0
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range subcommand.FindAllStringSubmatch(string(source), -1) {
			name := c[1]
			if name == "concord" || name == "pdf-text" { // the program; a part of it that nobody calls
				continue
			}
			switch name {
			case "export", "import":
				name = "archive " + name
			case "show", "tx", "find", "members", "replay":
				name = "ledger " + name
			case "token", "drain", "remove":
				name = "cluster " + name
			case "init", "join", "invite", "sign", "propose", "rotate", "leave":
				name = "federation " + name
			}
			if !strings.Contains(text, "concord "+name) && !strings.Contains(text, "`"+name+"`") {
				t.Errorf("the manual does not mention concord %s", name)
			}
			commands++
		}
	}
	if commands < 12 {
		t.Errorf("found only %d commands", commands)
	}
}

// configKeys returns the settings that node/config.go declares, those of the crawler after "crawl.".
func configKeys(source string) []string {
	var keys []string
	for _, typ := range configType.FindAllStringSubmatch(source, -1) {
		prefix := map[string]string{"CrawlConfig": "crawl.", "ClusterConfig": "cluster.", "FederationConfig": "federation."}[typ[1]]
		for _, tag := range configTag.FindAllStringSubmatch(typ[2], -1) {
			if tag[1] != "crawl" && tag[1] != "cluster" && tag[1] != "federation" && tag[1] != "-" {
				keys = append(keys, prefix+tag[1])
			}
		}
	}
	return keys
}

func wholeManual(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob("manual/*.md")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var b bytes.Buffer
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(data)
	}
	return b.String()
}

// TestManualShowsUnit holds the unit for systemd that the manual shows equal to the one in deploy/.
func TestManualShowsUnit(t *testing.T) {
	unit, err := os.ReadFile("../deploy/systemd/concord.service")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(wholeManual(t), "\n```\n"+string(unit)+"```\n") {
		t.Error("manual/70-operating.md does not show deploy/systemd/concord.service as it is")
	}
}
