package page

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"concord"
)

var dumpFile = flag.String("dump", "", "print the blocks of this HTML file with their scores, for work on the extraction")

// TestDump is not a test but a view into the choice of blocks, for a person to read.
func TestDump(t *testing.T) {
	if *dumpFile == "" {
		t.Skip("no -dump FILE: this is no test but a view of one page's blocks; run go test -run TestDump -v -dump FILE")
	}
	b, err := os.ReadFile(*dumpFile)
	if err != nil {
		t.Fatal(err)
	}
	body, charset := decode(b, "text/html", true)
	tree := parse(body, false)
	s := segment(tree, false, false)
	prose := s.choose()
	if !prose {
		s.keepVisible()
	}
	fmt.Printf("%s, %d nodes, prose %v, root %s\n", charset, len(tree.nodes), prose, pathOf(tree, s.root))
	for i := range s.blocks {
		b := &s.blocks[i]
		keep := " "
		if b.keep {
			keep = "+"
		}
		text := strings.ReplaceAll(string(s.text[b.a:b.b]), "\n", "⏎")
		fmt.Printf("%s %7.1f zone %2d ld %.2f %s\n        %s\n", keep, b.score, b.zone, b.linkDensity(), pathOf(tree, b.el), concord.Clip(text, 160))
	}
}

// pathOf is the path of an element with its classes.
func pathOf(t *tree, n nodeID) string {
	var parts []string
	for ; n != 0; n = t.nodes[n].parent {
		p := t.nodes[n].tag.String()
		if id := t.get(n, attrID); id != "" {
			p += "#" + id
		}
		if c := t.get(n, attrClass); c != "" {
			p += "." + strings.Join(strings.Fields(c), ".")
		}
		parts = append([]string{concord.Clip(p, 60)}, parts...)
	}
	return strings.Join(parts, ">")
}
