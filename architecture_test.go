package concord_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// floors is the import table of ARCHITECTURE.md: a package imports only from lower floors, never sideways.
var floors = map[string]int{
	"concord": 0,

	"concord/weburl": 1, "concord/text": 1, "concord/pack": 1, "concord/durable": 1, "concord/note": 1, "concord/trace": 1, "concord/cluster/memstore": 1, "concord/blob/blobtest": 1,

	"concord/warc": 2, "concord/page": 2, "concord/query": 2, "concord/index": 2, "concord/ledger": 2,
	"concord/receipt": 2, "concord/anchor": 2, "concord/bus": 2, "concord/blob": 2, "concord/join": 2, "concord/trace/otlp": 2,

	"concord/search": 3, "concord/chain": 3, "concord/state": 3, "concord/vault": 3, "concord/federation": 3, "concord/replica": 3,

	"concord/crawl": 4, "concord/shard": 4, "concord/attest": 4, "concord/cluster": 4, "concord/web": 4, "concord/witness": 4,

	"concord/node": 5,

	"concord/bench/scale": 1, "concord/bench/game": 3, "concord/cmd/concord-bench": 6, "concord/bench/peers/bleve": 7, "concord/bench/peers/tessera": 7,

	"concord/cmd/concord": 6, "concord/bench": 6, "concord/bench/colly": 7, "concord/pack/asm": 7, "concord/e2e": 6,
	"concord/e2e/loopweb": 4, "concord/e2e/ports": 1, "concord/e2e/loopweb/serve": 5, "concord/e2e/nemesis": 5, "concord/e2e/outsidewitness": 7,
}

// fences names the one package, with those below it, that may know each engine.
var fences = map[string]string{
	"github.com/nats-io/":            "concord/bus",
	"github.com/cometbft/":           "concord/chain",
	"github.com/danielgtaylor/huma/": "concord/web",
	"github.com/minio/minio-go/":     "concord/blob",
	"go.opentelemetry.io/":           "concord/trace",
}

func TestImportsGoDownFloorsOnly(t *testing.T) {
	seen := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); path != "." && (strings.HasPrefix(name, ".") || name == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		pkg := "concord"
		if dir := filepath.ToSlash(filepath.Dir(path)); dir != "." {
			pkg += "/" + dir
		}
		floor, known := floors[pkg]
		if !known {
			t.Errorf("%s: package %s has no floor: give it one here and in ARCHITECTURE.md", path, pkg)
			return nil
		}
		seen[pkg] = true
		checkFile(t, path, pkg, floor)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkFile(t *testing.T, path, pkg string, floor int) {
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	isTest := strings.HasSuffix(path, "_test.go")
	for _, spec := range f.Imports {
		imp, _ := strconv.Unquote(spec.Path.Value)
		if imp == pkg && isTest {
			continue
		}
		if imp == "concord" || strings.HasPrefix(imp, "concord/") {
			if below, known := floors[imp]; !known || below >= floor {
				t.Errorf("%s: %s (floor %d) imports %s (floor %d)", path, pkg, floor, imp, below)
			}
		} else if pkg == "concord" && !isTest && strings.Contains(imp, ".") {
			t.Errorf("%s: the root package imports only the standard library, not %s", path, imp)
		}
		for engine, fence := range fences {
			if strings.HasPrefix(imp, engine) && pkg != fence && !strings.HasPrefix(pkg, fence+"/") && !strings.HasPrefix(pkg, "concord/bench") && !isTest {
				t.Errorf("%s: only %s knows %s", path, fence, engine)
			}
		}
	}
}

// CometBFT's "latest" resolves to an abandoned line, so the pin is held here.
func TestCometBFTIsPinned(t *testing.T) {
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mod)) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "github.com/cometbft/cometbft v"); ok && !strings.HasPrefix(rest, "0.40.") {
			t.Errorf("go.mod has CometBFT v%s; only v0.40.x is maintained and tested here", rest)
		}
	}
}
