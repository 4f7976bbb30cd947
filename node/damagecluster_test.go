//go:build e2e

package node

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"concord/web"
)

// volatile are files that carry no state, or none that a flipped bit could make wrong.
var volatile = regexp.MustCompile(`(^|/)(LOCK|lock|LOG|concord\.sock|tmp-.*)$`)

var groups = regexp.MustCompile(`_js_/[^/]+/`)

// only chooses some of the files: the whole takes half an hour.
var only = regexp.MustCompile(os.Getenv("CONCORD_TEST_DAMAGE"))

// few are the kinds of file that -short is content with: a log of the engine, a segment of the index, a database, and the ledger.
var few = []*regexp.Regexp{regexp.MustCompile(`/CAPTURES/msgs/.*\.blk$`), regexp.MustCompile(`\.seg$`), regexp.MustCompile(`^frontier/.*\.sst$`), regexp.MustCompile(`^chain/.*\.(log|ldb|sst)$`)}

// One flipped bit in any kind of file of a member: the cluster goes on; the node refuses with a message that names the place, or mends itself, or
// leaves the damage where it is and a comparison of the copies finds it; and nobody ever shows what is not so. What refuses is made whole by
// the byte that was there, which is what restoring from a backup does, or by what the message says: concord rebuild --rejoin.
func TestDamagedMember(t *testing.T) {
	c := newClusterWith(t, 3, func(m *memberSpec) { m.Scrub = 5 * time.Second })
	s := newSite(t, 24, 0)
	c.nodes[0].await(c.nodes[0].crawl(s.URL))
	c.attested(c.nodes[0])
	policy, _ := c.nodes[0].get("/api/v1/policy", nil)
	for _, p := range c.nodes {
		c.whole(p, s, policy)
	}
	members := []int{1, 0} // one, and the one with the ledger
	if testing.Short() {
		members = members[1:]
	}
	for _, victim := range members {
		kinds := map[string]bool{}
		for _, rel := range chosen(victims(t, c.specs[victim].Dir)) {
			kind := memberKind(rel)
			if !kinds[kind] && exists(filepath.Join(c.specs[victim].Dir, rel)) {
				kinds[kind] = true
				c.damageFile(t, victim, kind, s, policy)
			}
		}
	}
}

// chosen are the files to damage.
func chosen(files []string) (list []string) {
	if testing.Short() {
		for _, kind := range few {
			if i := slices.IndexFunc(files, kind.MatchString); i >= 0 {
				list = append(list, files[i])
			}
		}
		return list
	}
	return slices.DeleteFunc(files, func(rel string) bool { return volatile.MatchString(rel) || !only.MatchString(rel) })
}

// memberKind is kind; each stream has a group of its own in the engine.
func memberKind(rel string) string { return groups.ReplaceAllString(kind(rel), "_js_/G/") }

func (c *testCluster) damageFile(t *testing.T, victim int, kind string, s site, policy []byte) {
	c.stop(victim)
	rel := ""
	for _, r := range victims(t, c.specs[victim].Dir) { // the names of many change with every start
		if memberKind(r) == kind {
			rel = r
		}
	}
	t.Logf("%s: %s, a file like %s", c.specs[victim].Name, rel, kind)
	name := filepath.Join(c.specs[victim].Dir, rel)
	data, err := os.ReadFile(name)
	if rel == "" || err != nil || len(data) == 0 {
		c.start(victim)
		c.settled()
		return // gone meanwhile
	}
	fi, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	at := len(data) / 2
	data[at] ^= 0x10
	if err := os.WriteFile(name, data, fi.Mode().Perm()); err != nil {
		t.Fatal(err)
	}
	p := c.start(victim)
	other := c.nodes[(victim+1)%3]
	up := false
	for deadline := time.Now().Add(60 * time.Second); p.runs() && !up && time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		st, ok := p.cluster()
		up = ok && st.State == web.ClusterMember && st.Unowned == 0
	}
	if found, _ := s.check(other, policy); found != s.pages {
		t.Errorf("another node finds %d of %d", found, s.pages)
	}
	if up { // late damage shows when states are read and copies are compared
		time.Sleep(8 * time.Second)
		if p.runs() {
			s.check(p, policy)
		}
		up = p.runs()
	}
	said := p.says()
	if strings.Contains(said, "panic:") || strings.Contains(said, "goroutine ") {
		t.Errorf("panic:\n%s", tail(said))
	}
	damagedCopies := func() (warnings []string, known bool) {
		st, known := other.cluster()
		return slices.DeleteFunc(st.Warnings, func(w string) bool { return !strings.Contains(w, "damaged copy") }), known
	}
	warned, _ := damagedCopies()
	restored := false
	lines := strings.Split(strings.TrimSpace(said), "\n")
	t.Logf("up %v, runs %v, warnings %q, says: %s", up, p.runs(), warned, lines[len(lines)-1])
	switch {
	case up && len(warned) == 0:
		c.settled()
		c.whole(p, s, policy)
		return
	case up:
		c.stop(victim)
		c.rejoin(t, victim)
	default:
		if p.runs() {
			t.Errorf("it neither works nor ends:\n%s", tail(said))
			p.kill()
		}
		part, _, _ := strings.Cut(rel, "/")
		if !strings.Contains(said, filepath.Base(rel)) && !strings.Contains(said, filepath.Join(c.specs[victim].Dir, part)) {
			t.Errorf("the refusal does not say what is damaged: %s", lines[len(lines)-1])
		}
		c.nodes[victim] = nil
		if slices.Contains([]string{"shard", "frontier", "attest"}, part) || strings.HasPrefix(rel, "cluster/bus") {
			c.rejoin(t, victim)
		} else {
			data[at] ^= 0x10
			if err := os.WriteFile(name, data, fi.Mode().Perm()); err != nil {
				t.Fatal(err)
			}
			c.start(victim)
			restored = true
		}
	}
	c.settled()
	if late, _ := damagedCopies(); restored && len(late) > 0 { // by the file before this one, and noticed since
		c.stop(victim)
		c.rejoin(t, victim)
		c.settled()
	}
	c.whole(c.nodes[victim], s, policy)
	c.await("the copies are whole again", func() bool {
		left, known := damagedCopies()
		return known && len(left) == 0
	})
}

func (c *testCluster) rejoin(t *testing.T, i int) {
	t.Helper()
	if err := Rejoin(t.Context(), c.specs[i].config()); err != nil {
		t.Fatal(err)
	}
	c.start(i)
}
