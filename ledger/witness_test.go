package ledger

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"concord"
)

const pageText = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen " +
	"nineteen twenty and so the page goes on with many more words about one thing and another until it ends at last"

// saw gives each of a panel the same text.
func saw(panel []string, text string) map[string]string {
	m := map[string]string{}
	for _, p := range panel {
		m[p] = text
	}
	return m
}

func TestWitnessAgree(t *testing.T) {
	f := newFed(t, 5)
	alice := f.ops[0]
	id := f.ask(alice, 3, 4, 10)
	a := f.m.State().Ask(id)
	if a == nil || !a.Open() || len(a.Rounds[0].panel()) != 4 || a.Locked != 80 || f.balance(alice.name) != -80 {
		t.Fatalf("%+v, balance %d", a, f.balance(alice.name))
	}
	panel := names(&a.Rounds[0])
	if slices.Contains(panel, alice.name) || a.Rounds[0].seat(alice.name) == nil {
		t.Errorf("panel %v: the asker must not count, and must have a seat", panel)
	}
	see := saw(panel, pageText)
	see[panel[0]] = strings.Replace(pageText, "twenty", "20", 1) // similar
	see[panel[1]] = ""                                           // sealed, never opened
	see[alice.name] = "something quite different from all the others"
	out := f.round(id, 1, see)
	if len(out.Closed) != 1 || out.Closed[0].Verdict() != Agree {
		t.Fatalf("closed: %+v", out.Closed)
	}
	st := f.m.State()
	a = st.Ask(id)
	r := &a.Rounds[0]
	for i, want := range []Relation{Similar, Silent, Same, Same, Differ} {
		if rel, _ := st.Relation(r, &r.Seats[i]); rel != want {
			t.Errorf("seat %d: %s, want %s", i, rel, want)
		}
	}
	if got := st.Corroborated(r); len(got) != 3 {
		t.Errorf("corroborated by %v", got)
	}
	for i, p := range panel { // paid for each report opened, and no other
		if want := int64(10); i == 1 && f.balance(p) != 0 || i != 1 && f.balance(p) != want {
			t.Errorf("%s has %d", p, f.balance(p))
		}
	}
	if f.balance(alice.name) != -30 || a.Locked != 0 {
		t.Errorf("alice has %d, locked %d", f.balance(alice.name), a.Locked)
	}
	replayAll(t, f.node)
}

// One of four is shown another page: the panel agrees, its dissent stays.
func TestWitnessDissentStays(t *testing.T) {
	f := newFed(t, 5)
	id := f.ask(f.ops[0], 3, 4, 10)
	panel := names(&f.m.State().Ask(id).Rounds[0])
	see := saw(panel, pageText)
	see[panel[2]] = "buy cheap things here today only"
	f.round(id, 1, see)
	st := f.m.State()
	a := st.Ask(id)
	rel, equal := st.Relation(&a.Rounds[0], &a.Rounds[0].Seats[2])
	if a.Verdict() != Agree || rel != Differ || equal > 10 || f.balance(panel[2]) != 10 {
		t.Errorf("%s, dissent %s (%d bytes equal), paid %d", a.Verdict(), rel, equal, f.balance(panel[2]))
	}
}

// Two against two: a second panel of others decides.
func TestWitnessDispute(t *testing.T) {
	other := "another text for some of those who ask and a long one too so that nobody takes it for the first one"
	for _, c := range []struct {
		second func(i int) string
		want   Verdict
	}{
		{func(i int) string { return pageText }, Agree},
		{func(i int) string { return []string{pageText, other}[i%2] }, Split},
		{func(i int) string { return fmt.Sprintf("%d completely new text number %d for this one", i, i*7) }, Unconfirmed},
		{func(i int) string { return "" }, Unconfirmed},
	} {
		f := newFed(t, 9)
		id := f.ask(f.ops[0], 3, 4, 10)
		first := names(&f.m.State().Ask(id).Rounds[0])
		see := saw(first, pageText)
		see[first[0]], see[first[1]] = other, other
		out := f.round(id, 1, see)
		a := f.m.State().Ask(id)
		if len(out.Closed) != 0 || len(a.Rounds) != 2 || a.Rounds[0].Result != Disputed || !a.Open() || a.Locked != 40 {
			t.Fatalf("after the first panel: %+v", a)
		}
		f.step(1)
		a = f.m.State().Ask(id)
		second := names(&a.Rounds[1])
		for _, p := range second {
			if slices.Contains(first, p) || p == "alice.example" {
				t.Errorf("%s is on both panels %v %v, or asked", p, first, second)
			}
		}
		see = map[string]string{}
		for i, p := range second {
			see[p] = c.second(i)
		}
		out = f.round(id, 2, see)
		if len(out.Closed) != 1 || out.Closed[0].Verdict() != c.want {
			t.Errorf("verdict %s, want %s", f.m.State().Ask(id).Verdict(), c.want)
		}
		replayAll(t, f.node)
	}
}

// With four operators there are no others: the second panel is the first one again, which captures anew.
func TestSecondPanelOfTheSame(t *testing.T) {
	f := newFed(t, 3)
	id := f.ask(f.ops[0], 2, 3, 1)
	panel := names(&f.m.State().Ask(id).Rounds[0])
	see := map[string]string{panel[0]: pageText, panel[1]: "quite another text for this visitor", panel[2]: ""}
	f.round(id, 1, see)
	f.step(1)
	if got := names(&f.m.State().Ask(id).Rounds[1]); len(got) != 3 {
		t.Fatalf("second panel %v", got)
	}
	f.round(id, 2, see)
	if v := f.m.State().Ask(id).Verdict(); v != Split {
		t.Errorf("verdict %s", v)
	}
}

func TestSealAndShowRefused(t *testing.T) {
	f := newFed(t, 5)
	alice := f.ops[0]
	// In the very block after the ask the panel is not known: its hash is the beacon.
	id := f.m.Size()
	f.step(1, f.sign(alice, f.askTx(alice, 3, 4, 0)))
	early := report(f.ops[1], id, 1, pageText)
	f.refuse("seal before the draw", "not drawn yet", 1, f.sealOf(f.ops[1], early))
	f.step(1)
	r := f.m.State().Ask(id).Rounds[0]
	panel := names(&r)
	in, in2 := f.op(panel[0]), f.op(panel[1])
	var out *operator
	for _, o := range f.ops[1:] {
		if !slices.Contains(panel, o.name) {
			out = o
		}
	}
	mine := report(in, id, 1, pageText)
	f.refuse("not on the panel", "is not on the panel", 1, f.sealOf(out, report(out, id, 1, pageText)))
	if err := f.m.Check(f.sealOf(out, report(out, id, 1, pageText))); concord.KindOf(err) != concord.Unauthorized {
		t.Errorf("the mempool takes a seal of an operator who is not on the panel: %v", err)
	}
	f.seq[out.name]--
	f.refuse("no such ask", "no open ask 4711", 1, f.sealOf(in, report(in, 4711, 1, pageText)))
	f.refuse("no such round", "has no round 2", 1, f.sealOf(in, report(in, id, 2, pageText)))
	f.refuse("show before seal", "sealed nothing", 1, f.showOf(in, mine))
	f.refuse("seal too late", "sealing ended", 130, f.sealOf(in, mine))
	f.step(1, f.sealOf(in, mine))
	f.refuse("second seal", "has sealed a report", 1, f.sealOf(in, report(in, id, 1, "x")))
	copied := f.sign(in2, &SealTx{f.head(in2), id, 1, mine.Commit()})
	f.refuse("another's seal", "that is the seal of "+in.name, 1, copied)
	f.refuse("show while others may seal", "others may seal until", 1, f.showOf(in, mine))
	if err := f.m.Check(f.showOf(in, mine)); err != nil {
		t.Errorf("the mempool refuses a report that is only early: %v", err)
	}
	f.seq[in.name]--
	f.refuse("another report", "not the one it sealed", 150, f.showOf(in, report(in, id, 1, "x")))
	// The copier who waits for the report to be open, and sends it as its own, has sealed nothing it can open.
	f.step(1, f.sealOf(in2, report(in2, id, 1, "a guess")))
	f.step(125, f.showOf(in, mine))
	stolen := *mine
	stolen.From = in2.name
	f.refuse("another's report", "not the one it sealed", 1, f.showOf(in2, &stolen))
	f.refuse("opened twice", "open already", 1, f.showOf(in, mine))
	f.refuse("seal after the deadline", "sealing ended", 1, f.sealOf(f.op(panel[2]), report(f.op(panel[2]), id, 1, "x")))
	f.refuse("too late", "no open ask", 300, f.showOf(in2, report(in2, id, 1, "a guess")))
	f.step(300, f.doc(alice))
	late := f.showOf(in2, report(in2, id, 1, "a guess"))
	if err := f.m.Stale(late); concord.KindOf(err) != concord.NotFound {
		t.Errorf("a report after the end is not stale: %v", err)
	}
	if v := f.m.State().Ask(id).Verdict(); v != Unconfirmed {
		t.Errorf("one report of four: %s", v)
	}
}

// Deadlines do nothing on their own: empty blocks leave asks, root and log alone, however late.
func TestEmptyBlocksCloseNothing(t *testing.T) {
	f := newFed(t, 5)
	id := f.ask(f.ops[0], 3, 4, 10)
	root := f.m.Root()
	hash := f.m.State().Hash()
	for range 3 {
		if out := f.step(10_000); len(out.Entries) != 0 || len(out.Closed) != 0 {
			t.Fatalf("%+v", out)
		}
	}
	if f.m.Root() != root || f.m.State().Hash() != hash || !f.m.State().Ask(id).Open() {
		t.Error("an empty block changed something")
	}
	if out := f.step(1, f.doc(f.ops[0])); len(out.Closed) != 1 {
		t.Error("the next transaction did not close the ask")
	}
	replayAll(t, f.node)
}

func TestAskRefused(t *testing.T) {
	f := newFed(t, 5)
	alice := f.ops[0]
	f.refuse("too large a panel", "only 5 other operators", 1, f.sign(alice, f.askTx(alice, 4, 6, 0)))
	f.refuse("too dear", "credit limit 1000", 1, f.sign(alice, f.askTx(alice, 3, 4, 126)))
	long := f.askTx(alice, 3, 4, 0)
	long.Until = 3601
	f.refuse("too long", "the limit is 3600", 1, f.sign(alice, long))
	f.step(1, f.gov(&Gov{Set: &Setting{ParamPanel, 3}}))
	f.refuse("larger than allowed", "the limit is 3", 1, f.sign(alice, f.askTx(alice, 3, 4, 0)))
	f.step(1, f.gov(&Gov{Set: &Setting{ParamAsks, 1}}))
	tx := f.sign(alice, f.askTx(alice, 2, 3, 0))
	_, notes := founded(t, f.ops)
	early := &AskTx{Head: Head{FoundingID(testName), alice.name, 1}, URL: "https://example.com/page", Profile: "text-1", Need: 1, Of: 1, Until: 120}
	if _, err := Found(testID, append(notes, f.sign(alice, early))); err == nil || !strings.Contains(err.Error(), "needs a block's time") {
		t.Errorf("an ask where no time is known: %v", err)
	}
	if got := f.m.Prepare(f.at(1, tx), 1<<20); len(got) != 1 {
		t.Errorf("%d asks prepared, want 1", len(got))
	}
	f.step(1, tx)
	f.refuse("too many", "the limit; wait for one to close", 1, f.sign(alice, f.askTx(alice, 2, 3, 0)))
}

// Panels take distinct networks first, and another region for the last seat.
func TestPanelDiversity(t *testing.T) {
	f := newFed(t, 9)
	for i, o := range f.ops[1:] {
		place := &Place{o.name, fmt.Sprintf("AS%d", 64500+i/2), "RIPE"}
		if i == 8 {
			place.ASN, place.Region = "AS65000", "ARIN"
		}
		f.step(1, f.gov(&Gov{Place: place}))
	}
	f.step(1, f.gov(&Gov{Set: &Setting{ParamRegions, 2}}))
	for range 5 {
		id := f.ask(f.ops[0], 3, 4, 0)
		r := f.m.State().Ask(id).Rounds[0]
		var asns, rirs []string
		for _, s := range r.panel() {
			asns, rirs = append(asns, s.ASN), append(rirs, s.Region)
		}
		slices.Sort(asns)
		if len(slices.Compact(asns)) != 4 || !slices.Contains(rirs, "ARIN") {
			t.Errorf("panel of networks %v, regions %v", asns, rirs)
		}
	}
	id := f.ask(f.ops[0], 3, 4, 0)
	panel := f.m.State().Ask(id).Rounds[0]
	see := saw(names(&panel), pageText)
	see["judy.example"] = "" // the only one of another region
	f.round(id, 1, see)
	if v := f.m.State().Ask(id).Verdict(); v != Unconfirmed {
		t.Errorf("three of one region, where two regions must agree: %s", v)
	}
}

// Where a report says that it is from counts for nothing: only what the others decided that they observed does.
func TestPlaceIsNotClaimed(t *testing.T) {
	f := newFed(t, 3)
	f.step(1, f.gov(&Gov{Set: &Setting{ParamASNs, 2}}))
	verdict := func() Verdict {
		t.Helper()
		id := f.ask(f.ops[0], 2, 3, 0)
		claims := func(i int, o *operator) *ShowTx {
			r := report(o, id, 1, pageText)
			r.ASN, r.Region = fmt.Sprintf("AS%d", 64600+i), regions[i]
			return r
		}
		var seals, shows [][]byte
		for i, o := range f.ops[1:] {
			seals = append(seals, f.sealOf(o, claims(i, o)))
		}
		f.step(5, seals...)
		for i, o := range f.ops[1:] {
			shows = append(shows, f.showOf(o, claims(i, o)))
		}
		f.step(121, shows...)
		f.step(200, f.doc(f.ops[0]))
		for _, s := range f.m.State().Ask(id).Rounds[0].panel() {
			if s.ASN == "AS64600" || s.ASN == "AS64601" || s.ASN == "AS64602" {
				t.Errorf("the seat of %s has the network that its report claims", s.Operator)
			}
		}
		return f.m.State().Ask(id).Verdict()
	}
	if v := verdict(); v != Unconfirmed {
		t.Errorf("networks that are only claimed: %s", v)
	}
	for i, o := range f.ops[1:] {
		f.step(1, f.gov(&Gov{Place: &Place{o.name, fmt.Sprintf("AS%d", 64500+i), "RIPE"}}))
	}
	if v := verdict(); v != Agree {
		t.Errorf("networks that the others observed: %s", v)
	}
}

func TestPanelIsNotChosen(t *testing.T) {
	f := newFed(t, 9)
	count := map[string]int{}
	for range 40 {
		id := f.ask(f.ops[0], 2, 3, 0)
		for _, p := range names(&f.m.State().Ask(id).Rounds[0]) {
			count[p]++
		}
		f.step(1000, f.doc(f.ops[0]))
	}
	for _, o := range f.ops[1:] { // 40*3/9 = 13 expected
		if n := count[o.name]; n < 3 || n > 28 {
			t.Errorf("%s is on %d of 40 panels", o.name, n)
		}
	}
	open := 0
	for _, a := range f.m.State().Asks {
		if a.Open() {
			open++
		}
	}
	if len(f.m.State().Asks) > KeepClosed+open {
		t.Errorf("%d asks kept", len(f.m.State().Asks))
	}
}

func TestSketch(t *testing.T) {
	a := SketchOf(pageText)
	for _, c := range []struct {
		text        string
		least, most int
	}{
		{pageText, 64, 64},
		{strings.Replace(pageText, "twenty", "20", 1), 40, 63},
		{"entirely other words that have nothing to do with it", 0, 6},
		{"", 0, 6},
	} {
		if n := a.Equal(SketchOf(c.text)); n < c.least || n > c.most {
			t.Errorf("%q: %d bytes equal, want %d to %d", c.text, n, c.least, c.most)
		}
	}
	if got := concord.Sum([]byte(a.String())).String(); got != "+rCUwEd6FBYrD7Hds4d0ksbetjlCDVpBA2wXUWQTtmw=" {
		t.Errorf("the sketch of a text has changed: digest %s", got)
	}
}

// Three of five are enough, but not against two: the table allows one contradiction. Silence contradicts nobody.
func TestSlack(t *testing.T) {
	for _, c := range []struct {
		against, silent int
		want            Verdict
	}{{1, 1, Agree}, {0, 2, Agree}, {2, 0, Disputed}, {0, 3, Unconfirmed}} {
		f := newFed(t, 6)
		id := f.ask(f.ops[0], 3, 5, 1)
		panel := names(&f.m.State().Ask(id).Rounds[0])
		see := saw(panel, pageText)
		for i := range c.against {
			see[panel[i]] = "what the others did not see at all"
		}
		for i := range c.silent {
			see[panel[4-i]] = ""
		}
		f.round(id, 1, see)
		if got := f.m.State().Ask(id).Rounds[0].Result; got != c.want {
			t.Errorf("%d against, %d silent: %s, want %s", c.against, c.silent, got, c.want)
		}
	}
	for n, want := range map[int]int{0: 0, 1: 0, 2: 1, 5: 1, 6: 2, 32: 2} {
		if Slack(n) != want {
			t.Errorf("slack of %d is %d", n, Slack(n))
		}
	}
}
