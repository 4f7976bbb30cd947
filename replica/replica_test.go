package replica

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"concord"
	"concord/receipt"
)

const (
	alice = "alice.example"
	bob   = "bob.example"
	carol = "carol.example"
	dave  = "dave.example"
)

func flip(t *testing.T, path string, at int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[at%len(b)] ^= 4
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Everybody keeps everybody's batches; when an operator is gone, the others make receipts of what it captured, also one that came later
// and had the batch from a third.
func TestReceiptOfAnOperatorThatIsGone(t *testing.T) {
	w := newWorld(t, 4)
	first := w.attest(bob, "https://harbour.example/", "https://harbour.example/wall")
	second := w.attest(bob, "https://boats.example/", "https://harbour.example/wall")
	w.append("block", "", "a record")
	own := w.attest(alice, "https://own.example/")
	w.keepAll(alice, carol)
	if s := w.by[alice].Status(); s.Batches != 2 || s.Missing != 0 || s.Bytes != 2*blockBytes || w.by[alice].counted(bob).Fetched != 2 {
		t.Fatalf("%+v", s)
	}
	w.set(bob, true, nil)
	w.keepAll(dave)
	if s := w.by[dave].Status(); s.Batches != 3 {
		t.Fatalf("%+v", s)
	}
	if c := w.by[dave].counted(bob); c.Failed == 0 || c.Fetched != 0 || c.Batches != 2 || w.by[dave].counted(carol).Fetched+w.by[dave].counted(alice).Fetched != 3 {
		t.Errorf("%+v", c)
	}
	for _, name := range []string{alice, carol, dave} {
		for url, index := range map[string]uint64{"https://harbour.example/": first, "https://harbour.example/wall": second, "https://boats.example/": second} {
			proof, err := w.by[name].Receipt(t.Context(), bob, url)
			if err != nil {
				t.Fatal(err)
			}
			r, err := receipt.Verify(proof, w.policy(), receipt.Options{URL: url})
			if err != nil || r.Operator != bob || r.Index != index || r.Cosigners != 4 {
				t.Errorf("%s, %s: %v, %+v", name, url, err, r)
			}
		}
		if _, err := w.by[name].Receipt(t.Context(), bob, "https://harbour.example/wal"); concord.KindOf(err) != concord.NotFound {
			t.Errorf("a page that nobody captured: %v", err)
		}
	}
	if _, err := w.by[alice].Batch(t.Context(), own+1); concord.KindOf(err) != concord.NotFound {
		t.Errorf("the batch of no entry: %v", err)
	}
	if _, err := w.by[alice].Batch(t.Context(), own-1); concord.KindOf(err) != concord.NotFound {
		t.Errorf("the batch of a block's record: %v", err)
	}
	if text, err := w.by[alice].Batch(t.Context(), own); err != nil || !bytes.Contains(text, []byte("https://own.example/\n")) {
		t.Errorf("an own batch: %v, %s", err, text)
	}
}

// A batch that our ledger does not have, or not any more, does not hide those before it.
func TestReceiptUnderAShorterLedger(t *testing.T) {
	w := newWorld(t, 2)
	index := w.attest(bob, "https://harbour.example/")
	w.keepAll(alice)
	a := w.by[alice]
	text, err := os.ReadFile(a.file(index))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(a.dir, fileName(index+1000, bob)), text, 0o600); err != nil {
		t.Fatal(err)
	}
	w.open(alice, filepath.Dir(a.dir))
	if _, err := a.Receipt(t.Context(), bob, "https://harbour.example/"); err != nil {
		t.Error(err)
	}
}

// What does not give the attested root is dropped, counted, and had from somebody else.
func TestWrongBatchIsRefused(t *testing.T) {
	w := newWorld(t, 3)
	index := w.attest(bob, "https://harbour.example/", "https://harbour.example/wall")
	w.keepAll(carol)
	_, forged := entriesOf(bob, testNow.Unix(), "https://harbour.example/", "https://bank.example/")
	_, longer := entriesOf(bob, testNow.Unix(), "https://harbour.example/", "https://harbour.example/wall", "https://bank.example/")
	_, good := entriesOf(bob, testNow.Unix(), "https://harbour.example/", "https://harbour.example/wall")
	_, late := entriesOf(bob, testNow.Unix()+1, "https://harbour.example/", "https://harbour.example/wall")
	lines := bytes.SplitAfter(good, []byte("\n"))
	for what, text := range map[string][]byte{"forged": forged, "longer": longer, "cut": good[:len(good)-1], "one entry": lines[0], "swapped": slices.Concat(lines[1], lines[0]),
		"late": late, "none": {}, "zeros": make([]byte, 1000), "empty lines": []byte("\n\n"), "carriage returns": bytes.ReplaceAll(good, []byte("\n"), []byte("\r\n"))} {
		t.Run(what, func(t *testing.T) {
			w.by[alice] = &one{w: w, name: alice}
			w.open(alice, t.TempDir())
			w.set(bob, false, func(string) []byte { return text })
			w.keepAll(alice)
			if c := w.by[alice].counted(bob); c.Refused[BadRoot] != 1 || c.Fetched != 0 || !strings.Contains(c.Last, "not what was attested") {
				t.Errorf("%+v", c)
			}
			if c := w.by[alice].counted(carol); c.Fetched != 1 {
				t.Errorf("%+v", c)
			}
			if got, err := w.by[alice].Batch(t.Context(), index); err != nil || !bytes.Equal(got, good) {
				t.Errorf("%v: %s", err, got)
			}
		})
	}
}

// A flipped bit is found by a poll, by a vote and by reading, each time before the damaged copy is used, and mended from another.
func TestDamageIsFoundAndMended(t *testing.T) {
	w := newWorld(t, 3)
	index := w.attest(bob, "https://harbour.example/", "https://harbour.example/wall")
	w.keepAll(alice, carol)
	a, c := w.by[alice], w.by[carol]
	good, err := os.ReadFile(a.file(index))
	if err != nil {
		t.Fatal(err)
	}
	whole := func(o *one, damaged, repaired uint64) {
		t.Helper()
		if b, err := os.ReadFile(o.file(index)); err != nil || !bytes.Equal(b, good) {
			t.Errorf("%s has %v, %q", o.name, err, b)
		}
		if s := o.Status(); s.Damaged != damaged || s.Repaired != repaired || s.Broken != 0 || s.Missing != 0 {
			t.Errorf("%s: %+v", o.name, s)
		}
	}
	t.Run("own poll", func(t *testing.T) {
		w.set(bob, true, nil) // so it comes from carol
		defer w.set(bob, false, nil)
		flip(t, a.file(index), 30)
		w.pass(2 * time.Hour)
		a.pollDue(t.Context())
		whole(a, 1, 1)
		if n := a.counted(carol); n.Fetched != 1 || n.Agreed != 1 || n.Wrong != 0 {
			t.Errorf("%+v", n)
		}
	})
	t.Run("vote", func(t *testing.T) {
		flip(t, c.file(index), 100)
		w.pass(2 * time.Hour)
		a.pollDue(t.Context())
		if n := a.counted(carol); n.Damaged != 1 || n.Wrong != 0 {
			t.Errorf("%+v", n)
		}
		if s := c.Status(); s.Damaged != 1 || s.Broken != 1 {
			t.Errorf("%+v", s)
		}
		w.keepAll(carol)
		whole(c, 1, 1)
	})
	t.Run("reading", func(t *testing.T) {
		flip(t, a.file(index), 200)
		if _, err := a.Batch(t.Context(), index); concord.KindOf(err) != concord.Unavailable {
			t.Errorf("a damaged batch is handed out: %v", err)
		}
		if _, err := a.Receipt(t.Context(), bob, "https://harbour.example/"); concord.KindOf(err) != concord.NotFound {
			t.Errorf("a receipt is made of it: %v", err)
		}
		w.keepAll(alice)
		whole(a, 2, 2)
		if _, err := a.Receipt(t.Context(), bob, "https://harbour.example/"); err != nil {
			t.Error(err)
		}
	})
	t.Run("a file that is gone", func(t *testing.T) {
		if err := os.Remove(a.file(index)); err != nil {
			t.Fatal(err)
		}
		w.pass(2 * time.Hour)
		a.pollDue(t.Context())
		whole(a, 3, 3)
	})
	t.Run("nobody has it", func(t *testing.T) {
		w.set(bob, true, nil)
		w.set(carol, true, nil)
		flip(t, a.file(index), 7)
		w.pass(2 * time.Hour)
		a.pollDue(t.Context())
		if s := a.Status(); s.Damaged != 4 || s.Repaired != 3 || s.Broken != 1 {
			t.Errorf("%+v", s)
		}
		w.set(carol, false, nil)
		w.keepAll(alice)
		whole(a, 4, 4)
	})
}

// Votes that a stored hash, an old vote or a guess gives are counted as wrong; who has lost its own batch, has no copy or is away, as that.
func TestPolls(t *testing.T) {
	w := newWorld(t, 4)
	index := w.attest(bob, "https://harbour.example/")
	w.keepAll(alice, carol)
	a := w.by[alice]
	poll := func() {
		w.pass(2 * time.Hour)
		a.pollDue(t.Context())
	}
	poll()
	for name, want := range map[string]Standing{bob: {Asked: 1, Agreed: 1}, carol: {Asked: 1, Agreed: 1}, dave: {Asked: 1, Absent: 1}} {
		if got := a.counted(name); got.Asked != want.Asked || got.Agreed != want.Agreed || got.Absent != want.Absent || got.Wrong+got.Lost+got.Damaged+got.Failed != 0 {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if s := a.Status(); s.Polls != 1 || s.Alone != 0 {
		t.Errorf("%+v", s)
	}
	old, err := w.by[carol].Vote(t.Context(), index, concord.Sum([]byte("another poll")))
	if err != nil {
		t.Fatal(err)
	}
	text, _ := w.by[carol].Batch(t.Context(), index)
	nonce := concord.Sum(nil)
	clear(w.by[bob].own)
	for i, answer := range []string{`{"nonce":"` + old.Nonce.String() + `","hash":"` + old.Hash.String() + `"}`,
		`{"nonce":"` + nonce.String() + `","hash":"` + concord.Sum(text).String() + `"}`} {
		w.set(carol, false, func(path string) []byte {
			if strings.HasSuffix(path, "/vote") {
				return []byte(answer)
			}
			return nil
		})
		poll()
		if got := a.counted(carol); got.Wrong != uint64(i)+1 || got.Agreed != 1 {
			t.Errorf("%+v", got)
		}
	}
	w.set(carol, false, func(string) []byte { return []byte(`{"hash":true}`) })
	poll()
	if got := a.counted(carol); got.Refused[Malformed] != 1 {
		t.Errorf("%+v", got)
	}
	if got := a.counted(bob); got.Lost != 3 {
		t.Errorf("%+v", got)
	}
	if s := a.Status(); s.Alone != 1 {
		t.Errorf("%+v", s)
	}
	if s := w.by[bob].Status(); s.Own != 0 {
		t.Errorf("%+v", s)
	}
	w.set(dave, true, nil)
	poll()
	if got := a.counted(dave); got.Failed != 1 || got.Last == "" {
		t.Errorf("%+v", got)
	}
}

// An operator hears who has its own batches; when nobody answers, what was known stays.
func TestOwnBatches(t *testing.T) {
	w := newWorld(t, 3)
	w.attest(bob, "https://harbour.example/")
	b := w.by[bob]
	poll := func() Summary {
		w.keepAll(bob)
		w.pass(2 * time.Hour)
		b.pollDue(t.Context())
		return b.Status()
	}
	if s := poll(); s.Own != 1 || s.OwnAlone != 1 || s.Batches != 0 || s.Polls != 1 || b.counted(alice).Absent != 1 {
		t.Errorf("%+v", s)
	}
	w.keepAll(alice)
	if s := poll(); s.Own != 1 || s.OwnAlone != 0 || b.counted(alice).Agreed != 1 {
		t.Errorf("%+v", s)
	}
	w.set(alice, true, nil)
	w.set(carol, true, nil)
	if s := poll(); s.OwnAlone != 0 {
		t.Errorf("%+v", s)
	}
	w.set(carol, false, nil)
	if s := poll(); s.OwnAlone != 1 {
		t.Errorf("%+v", s)
	}
}

// After a change of its keys only the operator itself can say whose the key of before was: it is asked while it is there, what it says counts only if
// it proves that, and others hear it from who knows it.
func TestChangedKeys(t *testing.T) {
	w := newWorld(t, 4)
	w.attest(bob, "https://harbour.example/")
	w.keepAll(alice, carol, dave)
	admit := w.rotate(bob)
	proves := func(name string, can bool) {
		t.Helper()
		proof, err := w.by[name].Receipt(t.Context(), bob, "https://harbour.example/")
		if !can {
			if concord.KindOf(err) != concord.NotFound {
				t.Errorf("%s: %v", name, err)
			}
			return
		}
		if err == nil {
			_, err = receipt.Verify(proof, w.policy(), receipt.Options{URL: "https://harbour.example/"})
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	poll := func(name string) {
		w.pass(2 * time.Hour)
		w.by[name].pollDue(t.Context())
	}
	says := func(admit []byte) {
		w.set(bob, false, func(path string) []byte {
			if strings.HasSuffix(path, "/admission") {
				return admit
			}
			return nil
		})
	}
	proves(alice, false)
	for _, forged := range [][]byte{[]byte("nothing"), bytes.Replace(admit, []byte("epoch 2"), []byte("epoch 3"), 1), w.admits[carol]} {
		says(forged)
		poll(alice)
		proves(alice, false)
	}
	says(admit)
	poll(alice)
	proves(alice, true)
	w.open(alice, filepath.Dir(w.by[alice].dir))
	proves(alice, true)
	proves(carol, false)
	w.set(bob, true, nil)
	poll(carol)
	proves(carol, true)
	if err := os.WriteFile(w.by[carol].admissionPath(bob), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	proves(carol, false)
	poll(carol)
	proves(carol, true)
	proves(dave, false)
}

// Of very many own batches some are asked about, always the same.
func TestManyOwnBatches(t *testing.T) {
	w := newWorld(t, 2)
	k := w.by[alice].Keeper
	for range 2 {
		for i := range uint64(5 * maxOwn) {
			k.consider(&concord.LedgerEntry{Index: i, Type: attestType, From: alice}, testNow)
		}
		if n := k.Status().Own; n > maxOwn || n < maxOwn/4 {
			t.Errorf("%d are asked about", n)
		}
	}
}

// A filter knows every page it was made of, and few others.
func TestFilter(t *testing.T) {
	for _, n := range []int{1, 2, 100, 4096} {
		var pages []string
		for i := range n {
			pages = append(pages, fmt.Sprintf("https://example.org/%d", i))
		}
		_, text := entriesOf(bob, testNow.Unix(), pages...)
		f, wrong := newFilter(text), 0
		for i := range n {
			if !f.mayHave(hashPage([]byte(pages[i]))) {
				t.Fatalf("of %d: page %d is not known", n, i)
			}
		}
		for i := range 10_000 {
			if f.mayHave(hashPage(fmt.Appendf(nil, "https://example.com/%d", i))) {
				wrong++
			}
		}
		if wrong > 300 {
			t.Errorf("of %d: %d of 10000 others may be in it", n, wrong)
		}
	}
	if !filter(nil).mayHave(hashPage(nil)) {
		t.Error("what was not read has nothing")
	}
}

// Whatever is in a file, looking for a page in it is safe.
func FuzzFilter(f *testing.F) {
	_, text := entriesOf(bob, testNow.Unix(), "https://example.org/", "https://example.org/2")
	f.Add(text, "https://example.org/2")
	f.Add([]byte("\n\n  \nx"), "")
	f.Add([]byte(nil), "x")
	f.Fuzz(func(t *testing.T, text []byte, page string) {
		has := false
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSuffix(line, "\n")
			has = has || line[strings.LastIndexByte(line, ' ')+1:] == page
		}
		if has && !newFilter(text).mayHave(hashPage([]byte(page))) {
			t.Fatalf("%q is not found in %q", page, text)
		}
	})
}

// A vote tells apart whose nonces and which text it is of.
func TestVoteHash(t *testing.T) {
	n, m := concord.Sum([]byte("n")), concord.Sum([]byte("m"))
	seen := map[concord.Digest]bool{VoteHash(n, m, []byte("text")): true, VoteHash(m, n, []byte("text")): true, VoteHash(n, n, []byte("text")): true, VoteHash(n, m, []byte("texT")): true,
		VoteHash(n, m, nil): true}
	if len(seen) != 5 || VoteHash(n, m, []byte("text")) != concord.Sum(slices.Concat([]byte("concord/vote/v1\n"), n[:], m[:], []byte("text"))) {
		t.Error("the hash is not that of the documentation")
	}
}

// The disk that replicas take is bounded, each author has its share of it, operators with little room keep different batches, and a restart
// changes nothing.
func TestBound(t *testing.T) {
	few := func(c *Config) { c.Bytes = 3 * 4 * blockBytes } // four batches of each of three others
	w := newWorld(t, 4, few)
	for i := range 40 {
		w.attest(bob, "https://bob.example/"+strings.Repeat("x", i))
	}
	w.attest(carol, "https://carol.example/")
	kept := map[string][]string{}
	for _, name := range []string{alice, dave} {
		dir := filepath.Dir(w.by[name].dir)
		w.keepAll(name)
		files := func() (list []string) {
			for _, f := range must(os.ReadDir(w.by[name].dir)) {
				list = append(list, f.Name())
			}
			return list
		}
		kept[name] = files()
		s := w.by[name].Status()
		if len(kept[name]) != 5 || s.Batches != 5 || s.Bytes != 5*blockBytes || s.Bytes > s.Limit || s.Missing != 0 {
			t.Errorf("%s keeps %v: %+v", name, kept[name], s)
		}
		w.open(name, dir, few)
		w.keepAll(name)
		if again := files(); !slices.Equal(again, kept[name]) {
			t.Errorf("%s keeps %v after a restart, and kept %v", name, again, kept[name])
		}
		if got := w.by[name].Status(); got.Batches != 5 || got.Bytes != s.Bytes || got.Missing != 0 {
			t.Errorf("%s after a restart: %+v", name, got)
		}
		w.open(name, dir, func(c *Config) { c.Bytes = 0 })
		w.keepAll(name)
		if s := w.by[name].Status(); len(files()) != 0 || s.Batches != 0 || s.Bytes != 0 || s.Missing != 0 {
			t.Errorf("%s, told to keep none, keeps %v: %+v", name, files(), s)
		}
	}
	if slices.Equal(kept[alice], kept[dave]) {
		t.Errorf("both keep %v", kept[alice])
	}
}

// Who does not answer is asked less, and holds up nobody else's batches.
func TestRest(t *testing.T) {
	w := newWorld(t, 3)
	for range 20 {
		w.attest(bob, "https://bob.example/")
	}
	w.set(bob, true, nil)
	w.set(carol, true, nil)
	last := w.attest(carol, "https://carol.example/")
	a := w.by[alice]
	w.pass(time.Minute)
	a.keep(t.Context())
	w.pass(time.Minute)
	a.keep(t.Context())
	if c := a.counted(bob); c.Failed < tolerated || c.Failed > tolerated+1 || c.Missing != 20 {
		t.Errorf("%+v", c)
	}
	w.set(carol, false, nil)
	w.pass(longestRest)
	a.keep(t.Context())
	if _, err := a.Batch(t.Context(), last); err != nil {
		t.Error(err)
	}
	w.set(bob, false, nil)
	w.keepAll(alice)
	if s := a.Status(); s.Batches != 21 || s.Missing != 0 {
		t.Errorf("%+v", s)
	}
}

// While the disk is nearly full nothing new is kept, and what is damaged is mended all the same.
func TestFullDisk(t *testing.T) {
	w := newWorld(t, 2)
	index := w.attest(bob, "https://harbour.example/")
	w.keepAll(alice)
	a := w.by[alice]
	a.cfg.FreeSpace = 1 << 62
	w.attest(bob, "https://boats.example/")
	flip(t, a.file(index), 3)
	if _, err := a.Batch(t.Context(), index); err == nil {
		t.Error("a damaged batch is handed out")
	}
	w.keepAll(alice)
	if s := a.Status(); s.Batches != 1 || s.Missing != 1 || s.Repaired != 1 || s.Paused == "" {
		t.Errorf("%+v", s)
	}
	a.cfg.FreeSpace = 0
	w.keepAll(alice)
	if s := a.Status(); s.Batches != 2 || s.Paused != "" {
		t.Errorf("%+v", s)
	}
}

// Files that are not ours are left alone, those of another operator's name are not believed, and Run does all of it by itself.
func TestRun(t *testing.T) {
	w := newWorld(t, 3, func(c *Config) { c.Every, c.Now = time.Second, nil })
	index := w.attest(bob, "https://harbour.example/")
	a := w.by[alice]
	stray := filepath.Join(a.dir, "notes.txt")
	_, text := entriesOf(bob, testNow.Unix(), "https://harbour.example/")
	for name, data := range map[string][]byte{stray: nil, filepath.Join(a.dir, fileName(index, carol)): text} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.open(alice, filepath.Dir(a.dir), func(c *Config) { c.Every, c.Now, c.Settle = time.Second, nil, time.Millisecond })
	a = w.by[alice]
	if _, err := a.Batch(t.Context(), index); err == nil {
		t.Error("a file of another name is believed")
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	for end := time.Now().Add(20 * time.Second); a.counted(bob).Agreed == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no poll: %+v", a.Status())
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(stray); err != nil {
		t.Error(err)
	}
}

func TestValidate(t *testing.T) {
	w := newWorld(t, 2)
	for what, change := range map[string]func(*Config){"no directory": func(c *Config) { c.Dir = "" }, "negative": func(c *Config) { c.Bytes = -1 },
		"too often": func(c *Config) { c.Every = time.Millisecond }} {
		cfg := w.by[alice].cfg
		change(&cfg)
		if _, err := Open(cfg); concord.KindOf(err) != concord.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Whatever an operator votes, it is read within bounds, and agrees only when it has the text.
func FuzzVote(f *testing.F) {
	good := Vote{Nonce: concord.Sum([]byte("v")), Hash: VoteHash(concord.Sum([]byte("p")), concord.Sum([]byte("v")), []byte("text"))}
	f.Add([]byte(`{"nonce":"` + good.Nonce.String() + `","hash":"` + good.Hash.String() + `"}`))
	for _, s := range []string{``, `{}`, `null`, `{"damaged":true}`, `{"nonce":"","hash":""}`, `{"nonce":1}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := decodeVote(data)
		if err == nil && !v.Damaged && (v.Nonce.IsZero() || v.Hash.IsZero()) {
			t.Fatalf("%+v", v)
		}
	})
}

// Names of files lead to one batch and no other place.
func FuzzName(f *testing.F) {
	for _, s := range []string{"7-bob.example.batch", "07-bob.example.batch", "7-../x.batch", "7-.batch", "-7-b.batch", "18446744073709551616-b.batch"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		index, author, ok := parseName(name)
		if ok && (fileName(index, author) != name || strings.ContainsAny(name, "/\\\x00") || strings.HasPrefix(author, ".")) {
			t.Fatalf("%q is %d of %q", name, index, author)
		}
	})
}
