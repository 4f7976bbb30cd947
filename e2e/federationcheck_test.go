//go:build e2e && linux

package e2e

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"golang.org/x/mod/sumdb/tlog"

	"concord"
	"concord/note"
	"concord/receipt"
	"concord/web"
)

// archive is somebody who keeps everything that the operators ever handed out, and holds them to it.
type archive struct {
	f *federationField

	mu       sync.Mutex
	heads    map[uint64]concord.Digest // root, by size: of every head that anybody ever showed
	receipts []handedOut
	have     map[string]int // level of the best receipt, by operator and page or document
	papers   []paperOf

	// The one log, entry by entry, and its tree's hashes in the order of tlog.
	log    []string
	hashes []tlog.Hash
}

// handedOut is a receipt with the policy that its operator gave out with it.
type handedOut struct {
	who, of       string
	proof, policy []byte
	file          []byte                 // of a document
	again         func() ([]byte, error) // asks for it once more
}

// paperOf is a document that an operator was asked to notarise.
type paperOf struct {
	o    *operator
	text string
}

func newArchive(f *federationField) *archive {
	return &archive{f: f, heads: map[uint64]concord.Digest{}, have: map[string]int{}}
}

// saw keeps a head. Two of one size are what nobody may ever be shown.
func (a *archive) saw(who, text string) (note.Checkpoint, error) {
	n, err := note.Parse([]byte(text))
	if err != nil {
		return note.Checkpoint{}, fmt.Errorf("%s shows a head that is no signed note: %w", who, err)
	}
	c, err := note.ParseCheckpoint(n.Text)
	if err != nil {
		return c, fmt.Errorf("%s shows a head that is none: %w", who, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if old, ok := a.heads[c.Size]; ok && old != c.Root {
		return c, fmt.Errorf("TWO HEADS of %d entries: %s, and %s by %s", c.Size, old, c.Root, who)
	}
	a.heads[c.Size] = c.Root
	return c, nil
}

// look keeps the newest head of an operator; one whose node does not answer shows none.
func (a *archive) look(o *operator) error {
	b, status, err := o.get("/api/v1/ledger/checkpoint", nil)
	if err != nil || status != http.StatusOK {
		return nil
	}
	_, err = a.saw(o.Name, string(b))
	return err
}

// notarise has an operator notarise a new document, and returns whether it is in the log already.
func (a *archive) notarise(o *operator, text string) (logged bool, err error) {
	var answer struct{ Documents []web.NotarisedDocument }
	if err := o.post("/api/v1/notes", web.NoteSpec{Digests: []concord.Digest{concord.Sum([]byte(text))}}, &answer); err != nil {
		return false, err
	}
	a.mu.Lock()
	a.papers = append(a.papers, paperOf{o, text})
	a.mu.Unlock()
	return len(answer.Documents) == 1 && answer.Documents[0].State == web.NotarisedLogged, nil
}

// collect asks operators for the receipts of everything that has none of level 2 yet, keeps and verifies those they hand out, and says what
// is still missing.
func (a *archive) collect(list ...*operator) (missing []string, err error) {
	for _, o := range list {
		policy, status, err := o.get("/api/v1/policy", nil)
		if err != nil || status != http.StatusOK {
			return nil, fmt.Errorf("policy of %s: status %d, %v", o.Name, status, err)
		}
		for _, site := range o.sites {
			for _, p := range site.Index {
				u := site.URL(p)
				if err := a.ask(o, u, "/api/v1/receipts", url.Values{"url": {u}}, policy, nil, &missing); err != nil {
					return nil, err
				}
			}
		}
		for _, p := range a.papers {
			if p.o != o {
				continue
			}
			if err := a.ask(o, p.text, "/api/v1/documents/receipt", url.Values{"sha256": {concord.Sum([]byte(p.text)).String()}}, policy, []byte(p.text), &missing); err != nil {
				return nil, err
			}
		}
	}
	return missing, nil
}

// bestLevel is what every receipt is to have in the end: cosigned by several.
const bestLevel = 2

func (a *archive) ask(o *operator, of, path string, params url.Values, policy, file []byte, missing *[]string) error {
	key := o.Name + " " + of
	level, ok := a.have[key]
	if ok && level >= bestLevel {
		return nil
	}
	proof, status, err := o.get(path, params)
	switch {
	case err != nil:
		return fmt.Errorf("receipt of %s from %s: %w", of, o.Name, err)
	case status == http.StatusServiceUnavailable || status == http.StatusNotFound: // not yet: it is fetched or attested later
		*missing = append(*missing, fmt.Sprintf("%s: %s", o.Name, of))
		return nil
	case status != http.StatusOK:
		return fmt.Errorf("receipt of %s from %s: status %d: %s", of, o.Name, status, proof)
	}
	h := handedOut{o.Name, of, proof, policy, file, func() ([]byte, error) {
		b, status, err := o.get(path, params)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("status %d: %s", status, b)
		}
		return b, err
	}}
	r, err := a.holds(&h, policy)
	if tooFew(err) { // in the log, under a head that too few have cosigned so far
		*missing = append(*missing, fmt.Sprintf("%s: %s (%v)", o.Name, of, err))
		return nil
	}
	if err != nil {
		return err
	}
	if !ok || r.Level > level {
		a.receipts = append(a.receipts, h)
		a.have[key] = r.Level
	}
	if r.Level < bestLevel {
		*missing = append(*missing, fmt.Sprintf("%s: %s (level %d)", o.Name, of, r.Level))
	}
	return nil
}

// tooFew says whether a receipt is good but for the number of its cosigners.
func tooFew(err error) bool {
	var step *receipt.StepError
	return errors.As(err, &step) && step.Step == receipt.StepQuorum
}

// holds verifies a receipt as anybody can, offline.
func (a *archive) holds(h *handedOut, policy []byte) (*receipt.Report, error) {
	var o receipt.Options
	if h.file == nil {
		o.URL = h.of
	}
	r, err := receipt.Verify(h.proof, policy, o)
	if err == nil && h.file != nil {
		err = r.CheckContent(h.file)
	}
	if err == nil && r.Operator != h.who+".example" {
		err = fmt.Errorf("it is of %s", r.Operator)
	}
	if err == nil && r.Checkpoint != "" {
		_, err = a.saw("a receipt of "+h.who, r.Checkpoint)
	}
	if err != nil {
		return nil, fmt.Errorf("receipt of %s from %s does not hold: %w", h.of, h.who, err)
	}
	return r, nil
}

// follow reads what an operator's log has beyond what was read, and holds the whole of it against the one log: each acknowledged entry is where
// it was in every log.
func (a *archive) follow(o *operator, from uint64) error {
	for at := from; ; {
		var answer struct{ Entries []concord.LedgerEntry }
		if err := o.json("/api/v1/ledger/entries", url.Values{"from": {fmt.Sprint(at)}, "limit": {"200"}}, &answer); err != nil {
			return err
		}
		if len(answer.Entries) == 0 {
			break
		}
		for _, e := range answer.Entries {
			if e.Index != at {
				return fmt.Errorf("%s shows entry %d where %d was asked for", o.Name, e.Index, at)
			}
			if at < uint64(len(a.log)) && a.log[at] != e.Text {
				return fmt.Errorf("TWO HISTORIES: entry %d of %s is\n%s\nand was\n%s", at, o.Name, e.Text, a.log[at])
			}
			if at == uint64(len(a.log)) {
				if err := a.append(e.Text); err != nil {
					return err
				}
			}
			at++
		}
	}
	var info web.LedgerAnswer
	if err := o.json("/api/v1/ledger", nil, &info); err != nil {
		return err
	}
	if info.Size < uint64(len(a.log)) {
		return fmt.Errorf("the log of %s has %d entries, others have %d", o.Name, info.Size, len(a.log))
	}
	return nil
}

// HashReader of the one log.
func (a *archive) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		out[i] = a.hashes[x]
	}
	return out, nil
}

func (a *archive) append(text string) error {
	h, err := tlog.StoredHashes(int64(len(a.log)), []byte(text), a)
	a.log, a.hashes = append(a.log, text), append(a.hashes, h...)
	return err
}

// rooted holds every head that anybody ever showed against the one log.
func (a *archive) rooted() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, size := range slices.Sorted(maps.Keys(a.heads)) {
		if size > uint64(len(a.log)) {
			return fmt.Errorf("a head of %d entries was shown, and the log has %d", size, len(a.log))
		}
		root, err := tlog.TreeHash(int64(size), a)
		if err != nil {
			return err
		}
		if concord.Digest(root) != a.heads[size] {
			return fmt.Errorf("the head of %d entries that was shown is not of the log that all have", size)
		}
	}
	return nil
}

// everything is the invariant: whatever broke, it holds of all operators once the fault is over. whole compares the logs from their first
// entries, not only where they have grown.
func (a *archive) everything(whole bool) (string, error) {
	from := uint64(len(a.log))
	if whole {
		from = 0
	}
	for _, o := range a.f.ops {
		if err := a.follow(o, from); err != nil {
			return "", err
		}
	}
	for _, o := range a.f.ops {
		var answer struct{ Checkpoints []concord.Checkpoint }
		if err := o.json("/api/v1/ledger/checkpoints", url.Values{"limit": {"200"}}, &answer); err != nil {
			return "", err
		}
		for _, c := range answer.Checkpoints {
			if _, err := a.saw(o.Name, c.Note); err != nil {
				return "", err
			}
		}
	}
	if err := a.rooted(); err != nil {
		return "", err
	}
	policies := map[string]bool{}
	for _, o := range a.f.ops {
		b, status, err := o.get("/api/v1/policy", nil)
		if err != nil || status != http.StatusOK {
			return "", fmt.Errorf("policy of %s: status %d, %v", o.Name, status, err)
		}
		policies[string(b)] = true
	}
	if len(policies) != 1 {
		return "", fmt.Errorf("the operators have %d policies", len(policies))
	}
	acked := 0
	for i := range a.receipts {
		h := &a.receipts[i]
		for _, policy := range append(slices.Collect(maps.Keys(policies)), string(h.policy)) {
			r, err := a.holds(h, []byte(policy))
			if tooFew(err) && policy != string(h.policy) { // one vote was a quorum then; the same statement has better proof now
				now := *h
				if now.proof, err = h.again(); err == nil {
					r, err = a.holds(&now, []byte(policy))
				}
			}
			if err != nil {
				return "", err
			}
			if r.Level == 0 {
				continue
			}
			acked++
			if want := fmt.Sprintf("\nfrom %s\nseq %d\n", r.Operator, r.Seq); r.Index >= uint64(len(a.log)) || !strings.Contains(a.log[r.Index], want) {
				return "", fmt.Errorf("entry %d was acknowledged to %s as its transaction %d and is another", r.Index, h.who, r.Seq)
			}
		}
	}
	return fmt.Sprintf("%d receipts under the policies of then and of now, %d heads, %d entries in %d logs", len(a.receipts), len(a.heads), len(a.log), len(a.f.ops)), nil
}
