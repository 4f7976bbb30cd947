package chain

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"concord"
	"concord/ledger"
	"concord/note"
)

const (
	// maxBallots bounds the gov notes that wait for signatures: decisions of people.
	maxBallots = 64
	// maxUnsupported bounds those of them that no elector has signed.
	maxUnsupported = 16
	// aheadEpochs is how many decisions a gov note may be ahead: those before it wait for signatures too.
	aheadEpochs = 8
)

// Ballot is a gov note that waits for signatures.
type Ballot struct {
	ID     string   `json:"id"`     // the first 12 hex digits of the SHA-256 of its text
	Text   string   `json:"text"`   // what is signed
	Action string   `json:"action"` // its text without the head
	Epoch  uint64   `json:"epoch"`
	Signed []string `json:"signed"` // electors that signed
	Need   int      `json:"need"`   // how many electors must
	// Missing are new keys that have not signed to prove that their owner has them, as "<name> <8 hex digits>".
	Missing []string `json:"missing,omitempty"`
	Note    string   `json:"note"`
}

// ballots are the gov notes that wait, by the hash of their text. It is safe for concurrent use.
type ballots struct {
	mu        sync.Mutex
	byID      map[concord.Digest]*note.Note
	proposals []proposal // what this operator wants decided
	lapsed    []string   // what it wanted and was not, since the start, with the reason
}

func (b *ballots) notes() (list [][]byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, n := range b.byID {
		list = append(list, n.Bytes())
	}
	return list
}

func (b *ballots) all() (list []*note.Note) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, n := range b.byID {
		list = append(list, n)
	}
	return list
}

// unsupported counts those that no elector has signed: a candidate's rotations, signed by the new key alone. The lock is held.
func (b *ballots) unsupported(electors []note.Key) (count int) {
	for _, n := range b.byID {
		if !signedBy(n, electors) {
			count++
		}
	}
	return count
}

// signedBy reports whether one of the keys made a line of a note.
func signedBy(n *note.Note, keys []note.Key) bool {
	return slices.ContainsFunc(n.Sigs, func(s note.Sig) bool {
		return slices.ContainsFunc(keys, func(k note.Key) bool { return k.Made(s) })
	})
}

func (c *Chain) loadBallots() error {
	c.ballots.byID = map[concord.Digest]*note.Note{}
	var err error
	if c.ballots.proposals, err = c.store.loadProposals(); err != nil {
		return err
	}
	list, err := c.store.loadBallots()
	if err != nil {
		return err
	}
	for _, data := range list {
		n, err := note.Parse(data)
		if err != nil {
			return concord.Errorf(concord.Corrupt, "a stored gov note: %w", err)
		}
		c.ballots.byID[concord.Sum([]byte(n.Text))] = n
	}
	return nil
}

// keysOf returns whose signatures a gov note needs: the electors', of which need must sign, and the new keys', all of them.
func keysOf(st *ledger.State, g *ledger.Gov) (electors, fresh []note.Key, need int) {
	for _, want := range []ledger.Status{ledger.Active, ledger.Candidate} {
		for i := range st.Members {
			if st.Members[i].Status == want {
				electors = append(electors, st.Members[i].Op)
			}
		}
		if len(electors) > 0 {
			break
		}
	}
	if g.Admit != nil {
		fresh = g.Admit.Keys()
	}
	if x := g.Rotate; x != nil && x.Value == "" {
		fresh = []note.Key{x.Key}
	}
	return electors, fresh, ledger.Quorum(len(electors))
}

// addBallot takes a gov note with the signatures that hold, and reports whether any of them is new.
func (c *Chain) addBallot(data []byte) (n *note.Note, fresh bool, err error) {
	in, err := note.Parse(data)
	if err != nil {
		return nil, false, err
	}
	g, err := ledger.ParseGov(in.Text)
	if err != nil {
		return nil, false, err
	}
	st := c.machine.Load().State()
	switch {
	case g.Chain != c.id:
		return nil, false, concord.Errorf(concord.Invalid, "this gov note is for chain %q, not for %q", concord.Clip(g.Chain, 80), c.id)
	case g.Epoch <= st.Epoch:
		return nil, false, concord.Errorf(concord.Conflict, "this gov note is for epoch %d, which has passed: another was decided first. Propose it again", g.Epoch)
	case g.Epoch > st.Epoch+aheadEpochs:
		return nil, false, concord.Errorf(concord.Unavailable, "this gov note is for epoch %d, and %d is next; wait until this node has caught up", g.Epoch, st.Epoch+1)
	}
	electors, news, _ := keysOf(st, g)
	keys := append(electors, news...)
	out, id := &note.Note{Text: in.Text}, concord.Sum([]byte(in.Text))
	c.ballots.mu.Lock()
	defer c.ballots.mu.Unlock()
	old := c.ballots.byID[id]
	if old != nil {
		out.Sigs = slices.Clone(old.Sigs)
	}
	for _, s := range in.Sigs {
		have := slices.ContainsFunc(out.Sigs, func(x note.Sig) bool { return x.Name == s.Name && x.ID == s.ID })
		if !have && slices.ContainsFunc(keys, func(k note.Key) bool { return k.Verify(in.Text, s) }) {
			out.Sigs, fresh = append(out.Sigs, s), true
		}
	}
	switch {
	case !fresh && old != nil:
		return old, false, nil
	case !signedBy(out, electors) && (g.Rotate == nil || !signedBy(out, news) || c.ballots.unsupported(electors) >= maxUnsupported):
		return nil, false, concord.Errorf(concord.Unauthorized, "no elector has signed this gov note")
	case old == nil && len(c.ballots.byID) >= maxBallots:
		return nil, false, concord.Errorf(concord.Unavailable, "%d gov notes wait for signatures already", maxBallots)
	}
	if n, err = note.Parse(note.Join(out.Text, out.Sigs...)); err != nil {
		return nil, false, err
	}
	if err := c.store.putBallot(id, n.Bytes()); err != nil {
		return nil, false, err
	}
	c.ballots.byID[id] = n
	return n, true, nil
}

// takeBallot takes a gov note from a peer. What is about this node's own new keys it signs by itself: its operator
// asked for it by making them.
func (c *Chain) takeBallot(data []byte) {
	n, fresh, err := c.addBallot(data)
	if err != nil || !fresh {
		return
	}
	if own, err := c.possess(n.Text); err == nil && len(own) > 0 {
		if more, _, err := c.addBallot(note.Join(n.Text, unique(append(own, n.Sigs...))...)); err == nil {
			n = more
		}
	}
	c.tell(kindGov, n.Bytes())
	c.cast()
}

// possess returns the signatures of this node's keys on its own admission, or of a new key on the rotation to it.
func (c *Chain) possess(text string) ([]note.Sig, error) {
	g, err := ledger.ParseGov(text)
	if err == nil && g.Rotate != nil {
		return c.provesNew(text, g.Rotate)
	}
	if err != nil || g.Admit == nil || g.Admit.Operator != c.cfg.Operator {
		return nil, err
	}
	mine, err := c.admission()
	if err != nil {
		return nil, err
	}
	if g.Admit.Op != mine.Op || g.Admit.Cosign != mine.Cosign || g.Admit.Log != mine.Log || g.Admit.Cons != mine.Cons || g.Admit.Node != mine.Node {
		return nil, concord.Errorf(concord.Conflict, "the admission of %s is not of this node's keys", g.Admit.Operator)
	}
	cons, err := c.consSigner()
	if err != nil {
		return nil, err
	}
	return prove(text, c.cfg.Keys, cons, time.Now().Unix())
}

// prove returns the signatures of an operator's four keys on its admission.
func prove(text string, k *note.Keys, cons *note.Signer, unix int64) ([]note.Sig, error) {
	var sigs []note.Sig
	for _, s := range []*note.Signer{k.Cosign, k.Op, k.Log, cons} {
		sig, err := signNew(text, s, unix)
		if err != nil {
			return nil, err
		}
		sigs = append(sigs, sig)
	}
	return sigs, nil
}

// signNew signs a gov note with a key that is new in it, of either type.
func signNew(text string, s *note.Signer, unix int64) (note.Sig, error) {
	if s.Key().Type == note.Cosignature {
		return s.Cosign(text, unix)
	}
	return s.Sign(text)
}

// cast submits the next gov note that has its signatures, and forgets those whose epoch has passed.
func (c *Chain) cast() {
	m := c.machine.Load()
	for _, n := range c.ballots.all() {
		g, err := ledger.ParseGov(n.Text)
		switch id := concord.Sum([]byte(n.Text)); {
		case err != nil || g.Epoch <= m.State().Epoch:
			c.ballots.mu.Lock()
			delete(c.ballots.byID, id)
			c.ballots.mu.Unlock()
			_ = c.store.dropBallot(id) // it would be dropped at the next start
		case g.Epoch == m.State().Epoch+1 && m.Check(n.Bytes()) == nil:
			if e := c.running.Load(); e != nil {
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				if err := e.offer(ctx, n.Bytes()); err != nil {
					c.cfg.Logger.Debug("a gov note was not taken", "epoch", g.Epoch, "error", err)
				}
				cancel()
			}
		}
	}
}

// Propose makes a gov note of an action (ledger.Gov has their texts), signed by this operator, and asks the other
// electors for their signatures. With all it needs it goes into the ledger by itself; when another decision is made first, it is proposed
// again. It is durable when Propose returns.
func (c *Chain) Propose(action string) (Ballot, error) {
	b, err := c.propose(action)
	if err == nil {
		err = c.wants(b)
	}
	return b, err
}

func (c *Chain) propose(action string) (Ballot, error) {
	st := c.machine.Load().State()
	g := &ledger.Gov{Chain: c.id, Epoch: st.Epoch + 1, Drop: c.cfg.Operator}
	head := strings.TrimSuffix(g.String(), "drop "+c.cfg.Operator+"\n")
	text := head + strings.TrimRight(action, "\n") + "\n"
	parsed, err := ledger.ParseGov(text)
	if err != nil {
		return Ballot{}, err
	}
	if a := parsed.Admit; a != nil && st.Origin != a.Log.Name {
		return Ballot{}, concord.Errorf(concord.Invalid, "the log key of %s is named %q, this log is %q: it must join with a bundle of this chain", a.Operator, concord.Clip(a.Log.Name, 80), st.Origin)
	}
	if err := c.machine.Load().Possible(parsed); err != nil {
		return Ballot{}, fmt.Errorf("this cannot be decided: %w", err)
	}
	// A candidate's new key speaks for itself; everything else needs somebody with a say.
	electors, fresh, _ := keysOf(st, parsed)
	if !slices.Contains(electors, c.cfg.Keys.Op.Key()) && (parsed.Rotate == nil || len(fresh) == 0) {
		return Ballot{}, concord.Errorf(concord.Unauthorized, "operator %s has no say in decisions. Let one that votes propose it: concord federation propose %s",
			c.cfg.Operator, strings.ReplaceAll(strings.TrimSpace(action), "\n", " "))
	}
	return c.vote(text)
}

// Sign adds this operator's signature to a gov note: one that waits, by its ID, or one in a file.
func (c *Chain) Sign(idOrNote string) (Ballot, error) {
	if strings.Contains(idOrNote, "\n") {
		n, err := note.Parse([]byte(idOrNote))
		if err != nil {
			return Ballot{}, err
		}
		return c.vote(n.Text, n.Sigs...)
	}
	for _, n := range c.ballots.all() {
		if ballotID(n.Text) == idOrNote {
			return c.vote(n.Text)
		}
	}
	return Ballot{}, concord.Errorf(concord.NotFound, "no gov note %q waits for signatures; see: concord federation status", concord.Clip(idOrNote, 40))
}

// vote signs a gov note as an elector. Others are signatures that it has already.
func (c *Chain) vote(text string, others ...note.Sig) (Ballot, error) {
	m := c.machine.Load().State().Member(c.cfg.Operator)
	if m == nil || m.Op != c.cfg.Keys.Op.Key() {
		return Ballot{}, concord.Errorf(concord.Unauthorized, "operator %s is not a member of chain %s, and cannot sign its decisions", c.cfg.Operator, c.id)
	}
	sig, err := c.cfg.Keys.Op.Sign(text)
	if err != nil {
		return Ballot{}, err
	}
	sigs := append([]note.Sig{sig}, others...)
	if own, err := c.possess(text); err == nil {
		sigs = append(sigs, own...)
	}
	n, _, err := c.addBallot(note.Join(text, unique(sigs)...))
	if err != nil {
		return Ballot{}, fmt.Errorf("sign gov note: %w", err)
	}
	c.tell(kindGov, n.Bytes())
	c.cast()
	return c.ballot(n), nil
}

// unique drops all but the first line of each key.
func unique(sigs []note.Sig) (list []note.Sig) {
	for _, s := range sigs {
		if !slices.ContainsFunc(list, func(x note.Sig) bool { return x.Name == s.Name && x.ID == s.ID }) {
			list = append(list, s)
		}
	}
	return list
}

func ballotID(text string) string {
	d := concord.Sum([]byte(text))
	return fmt.Sprintf("%x", d[:6])
}

func (c *Chain) ballot(n *note.Note) Ballot {
	g, err := ledger.ParseGov(n.Text)
	if err != nil {
		return Ballot{Text: n.Text}
	}
	electors, fresh, need := keysOf(c.machine.Load().State(), g)
	b := Ballot{ID: ballotID(n.Text), Text: n.Text, Action: actionOf(n.Text), Epoch: g.Epoch, Need: need, Note: string(n.Bytes())}
	for _, k := range electors {
		if slices.ContainsFunc(n.Sigs, k.Made) {
			b.Signed = append(b.Signed, k.Name)
		}
	}
	for _, k := range fresh {
		if !slices.ContainsFunc(n.Sigs, k.Made) {
			b.Missing = append(b.Missing, fmt.Sprintf("%s %08x", k.Name, k.ID()))
		}
	}
	return b
}

// Ballots returns the gov notes that wait for signatures, the next to be decided first.
func (c *Chain) Ballots() (list []Ballot) {
	epoch := c.machine.Load().State().Epoch
	for _, n := range c.ballots.all() {
		if b := c.ballot(n); b.Epoch > epoch {
			list = append(list, b)
		}
	}
	slices.SortFunc(list, func(a, b Ballot) int { return cmp.Or(cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.ID, b.ID)) })
	return list
}
