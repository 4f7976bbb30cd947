package chain

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"concord"
	"concord/ledger"
	"concord/note"
)

// A head of the log is what the operators sign: its size and root after a block. Each operator's node signs every head that it has executed,
// tells the others, and adds to its own copy what they signed, until a quorum did and beyond. Who signs what is not part of
// consensus: a cosigner that is slow or gone holds nothing up.

const (
	// maxUnsigned bounds the heads that wait to be signed one by one; after a long catch-up only the newest is.
	maxUnsigned = 16
	// maxEarly bounds the notes kept of heads that this node has not reached yet.
	maxEarly = 256
	// greetingHeads are the newest heads that a peer is told when it connects.
	greetingHeads = 8
	// searched bounds the heads looked at for the earliest with a quorum. When the quorum has changed since an entry was
	// made, none of the first may have it; then the newest that has it serves.
	searched = 64
)

// head is one that a block has led to.
type head struct {
	note.Checkpoint
	height int64
	time   int64 // unix seconds
}

// addHead remembers a head that was committed. Commit calls it.
func (c *Chain) addHead(h head) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unsigned = append(c.unsigned, h)
	if n := len(c.unsigned); n > maxUnsigned {
		c.unsigned = slices.Delete(c.unsigned, 0, n-1)
	}
}

func (c *Chain) takeHeads() []head {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.unsigned
	c.unsigned = nil
	return list
}

// headOf returns the head of a machine.
func (c *Chain) headOf(m *ledger.Machine) head {
	return head{note.Checkpoint{Origin: m.State().Origin, Size: m.Size(), Root: m.Root()}, m.Height(), c.last.Load() / 1e9}
}

// sign signs what the log has grown by, stores the checkpoints, and wakes those who wait for them.
func (c *Chain) sign() error {
	list := c.takeHeads()
	if len(list) == 0 {
		now := c.headOf(c.machine.Load())
		unsigned, err := c.unsignedHere(now.Size)
		if err != nil {
			return err
		}
		if unsigned { // committed before the last stop, perhaps with empty blocks after it
			if now.height, now.time, _, err = c.blockEnd(now.Size); err != nil {
				return err
			}
			list = []head{now}
		}
	}
	for _, h := range list {
		if err := c.signHead(h); err != nil {
			return err
		}
	}
	if len(list) == 0 && !c.networked() {
		if err := c.signer.check(c.headOf(c.machine.Load()).Checkpoint); err != nil {
			return fmt.Errorf("check the log's head: %w", err)
		}
	}
	c.wakeWaiters()
	return nil
}

// mayCosign reports why this node signs no heads: only members do, with the keys that the ledger knows.
func (c *Chain) mayCosign() error {
	m, k := c.machine.Load().State().Member(c.cfg.Operator), c.cfg.Keys
	switch {
	case m == nil || m.Status == ledger.Left:
		return concord.Errorf(concord.Unauthorized, "operator %s is not a member", c.cfg.Operator)
	case m.Cosign != k.Cosign.Key() || m.Log != k.Log.Key():
		return concord.Errorf(concord.Unauthorized, "the keys of operator %s are others in the ledger", c.cfg.Operator)
	}
	return nil
}

// unsignedHere reports whether this node has yet to sign the head of a size, or what it signed is not in the store, as after a power cut. That others
// have signed it, and were heard of before this node came to it, changes nothing.
func (c *Chain) unsignedHere(size uint64) (bool, error) {
	if size > c.signer.last.Size {
		return true, nil
	}
	own, err := c.store.cosignedBy(c.cfg.Operator)
	return own == nil || size > own.Size, err
}

// signHead signs one head and tells the others.
func (c *Chain) signHead(h head) error {
	unsigned, err := c.unsignedHere(h.Size)
	if err != nil {
		return err
	}
	if c.mayCosign() != nil || !unsigned {
		return c.takeEarly(h.Size)
	}
	if ok, err := c.reached(h); err != nil || !ok {
		return err
	}
	n, err := c.signer.sign(h.Checkpoint, time.Now())
	if err != nil {
		return fmt.Errorf("sign the log's head: %w", err)
	}
	own, err := note.Parse(n)
	if err == nil {
		_, err = c.merge(h, own.Sigs)
	}
	if err != nil {
		return fmt.Errorf("store checkpoint: %w", err)
	}
	c.tell(kindHeads, n)
	return c.takeEarly(h.Size)
}

// reached reports whether a head may be signed after what the key signed before, as its state and others say: the log holds that. What
// follows from the log cannot contradict it then.
func (c *Chain) reached(h head) (bool, error) {
	for _, b := range []note.Checkpoint{c.signer.last, c.signer.beyond} {
		switch {
		case b.Size == 0 || b == h.Checkpoint:
			continue
		case h.Size < b.Size && c.networked():
			return false, nil // to be fetched from the others once more
		case h.Size <= b.Size:
			return true, nil // refused with its reason by the cosigner
		}
		root, err := c.store.root(b.Size)
		if err != nil {
			return false, err
		}
		if root != b.Root {
			return false, concord.Errorf(concord.Conflict, "the cosigning key has signed another history: a root of %d entries that is not this log's", b.Size)
		}
	}
	return true, nil
}

// takeEarly adds what others signed before this node reached the head.
func (c *Chain) takeEarly(size uint64) error {
	for s, list := range c.early {
		if s > size {
			continue
		}
		delete(c.early, s)
		c.earlyCount -= len(list)
		for _, n := range list {
			if err := c.takeHead(n); err != nil {
				return err
			}
		}
	}
	return nil
}

// takeHead adds the signatures of a head that a peer sent. What is malformed, unknown or forged is dropped; the error is one
// of the store.
func (c *Chain) takeHead(data []byte) error {
	n, err := note.Parse(data)
	if err != nil {
		return nil
	}
	cp, err := note.ParseCheckpoint(n.Text)
	st := c.machine.Load().State()
	if err != nil || cp.Origin != st.Origin || cp.Size == 0 {
		return nil
	}
	sigs := append(membersSigs(st, n), c.outsideSigs(n)...)
	if len(sigs) == 0 {
		return nil
	}
	if err := c.recognise(cp, sigs); err != nil {
		return err
	}
	if cp.Size > c.machine.Load().Size() {
		if c.earlyCount < maxEarly {
			c.early[cp.Size] = append(c.early[cp.Size], data)
			c.earlyCount++
		}
		return nil
	}
	root, err := c.store.root(cp.Size)
	if err != nil {
		return err
	}
	if root != cp.Root {
		c.accuse(cp, sigs)
		return nil
	}
	height, at, ok, err := c.blockEnd(cp.Size)
	if err != nil || !ok {
		return err
	}
	fresh, err := c.merge(head{cp, height, at}, c.dropBackdated(sigs, at))
	if err == nil && fresh {
		c.stirred = true
		c.wakeWaiters()
	}
	return err
}

// membersSigs returns the lines of a head that members made with their keys for heads.
func membersSigs(st *ledger.State, n *note.Note) (list []note.Sig) {
	for _, s := range n.Sigs {
		for i := range st.Members {
			m := &st.Members[i]
			if m.Status != ledger.Left && (m.Cosign.Verify(n.Text, s) || m.Log.Verify(n.Text, s)) {
				list = append(list, s)
				break
			}
		}
	}
	return list
}

// recognise looks for this node's own signature on a head that it does not know to have signed.
func (c *Chain) recognise(cp note.Checkpoint, sigs []note.Sig) error {
	own := c.cfg.Keys.Cosign.Key()
	for _, s := range sigs {
		if !own.Made(s) || cp.Size < c.signer.last.Size || cp == c.signer.last || cp == c.signer.beyond {
			continue
		}
		if err := c.signer.remember(cp); err != nil {
			return err
		}
		c.cfg.Logger.Error("others hold a head that this node's key signed and its state does not know: its files are older than they were. It signs nothing until it has caught up, and votes no more", "size", cp.Size, "known", c.signer.last.Size)
		if v := c.validator.Load(); v != nil {
			v.bar(concord.Errorf(concord.Conflict, "the files of this node are older than they were, as after the restore of a backup: its key signed a head of %d entries, and its state knows of %d only. It votes no more, so that it cannot contradict itself; %s", cp.Size, c.signer.last.Size, unbarred))
		}
	}
	return nil
}

// blockEnd returns height and time of the block that ends after size entries; ok is false when none does.
func (c *Chain) blockEnd(size uint64) (height, unix int64, ok bool, err error) {
	list, err := c.store.entries(size-1, 2)
	if err != nil || len(list) == 0 {
		return 0, 0, false, err
	}
	if len(list) == 2 && list[0].height == list[1].height {
		return 0, 0, false, nil
	}
	return list[0].height, list[0].time.Unix(), true, nil
}

// merge adds signatures to the checkpoint of a head, and reports whether any was new.
func (c *Chain) merge(h head, sigs []note.Sig) (fresh bool, err error) {
	n := &note.Note{Text: h.String()}
	old, err := c.store.checkpointAt(h.Size)
	if err != nil {
		return false, err
	}
	if old != nil {
		if n, err = note.Parse([]byte(old.Note)); err != nil {
			return false, err
		}
	}
	for _, s := range sigs {
		if !slices.ContainsFunc(n.Sigs, func(x note.Sig) bool { return x.Name == s.Name && x.ID == s.ID }) && len(n.Sigs) < note.MaxSigs {
			n.Sigs, fresh = append(n.Sigs, s), true
		}
	}
	if !fresh {
		return false, nil
	}
	cp := concord.Checkpoint{Origin: h.Origin, Size: h.Size, Root: h.Root, Height: h.height, Time: time.Unix(h.time, 0).UTC(), Note: string(n.Bytes())}
	if err := c.store.putCheckpoint(cp, n.Sigs, len(c.outsideSigs(n)) > 0); err != nil {
		return false, err
	}
	if cp.Size >= c.signed().Size {
		c.head.Store(&cp)
	}
	if a := c.agreed.Load(); (a == nil || cp.Size >= a.Size) && c.hasQuorum(&cp) {
		c.agreed.Store(&cp)
	}
	return true, nil
}

// signed returns the newest head that somebody signed; the zero value before the first.
func (c *Chain) signed() concord.Checkpoint {
	if cp := c.head.Load(); cp != nil {
		return *cp
	}
	return concord.Checkpoint{}
}

// hasQuorum reports whether more than two thirds of the active members cosigned a head. Its signatures were verified when they came.
func (c *Chain) hasQuorum(cp *concord.Checkpoint) bool {
	n, err := note.Parse([]byte(cp.Note))
	if err != nil {
		return false
	}
	k, active := 0, 0
	for _, m := range c.machine.Load().State().Members {
		if m.Status == ledger.Active {
			active++
			if slices.ContainsFunc(n.Sigs, m.Cosign.Made) {
				k++
			}
		}
	}
	return k >= ledger.Quorum(active)
}

// presentable returns a checkpoint with the lines that Policy knows: of the logs' signatures one, every cosignature by a
// current key, and a few from outside. A verifier refuses others, which nothing would cover.
func (c *Chain) presentable(cp concord.Checkpoint) concord.Checkpoint {
	n, err := note.Parse([]byte(cp.Note))
	if err != nil {
		return cp
	}
	out := note.Note{Text: n.Text}
	var cosigs []note.Sig
	for _, m := range c.machine.Load().State().Members {
		for _, s := range n.Sigs {
			if m.Status == ledger.Active && m.Log.Made(s) && len(out.Sigs) == 0 {
				out.Sigs = append(out.Sigs, s)
			}
			if (m.Status == ledger.Active || m.Status == ledger.Candidate) && m.Cosign.Made(s) {
				cosigs = append(cosigs, s)
			}
		}
	}
	from := c.outsideSigs(n)
	if out.Sigs = slices.Concat(out.Sigs, cosigs, from[:min(len(from), maxPresented)]); len(out.Sigs) > 0 {
		cp.Note = string(out.Bytes())
	}
	return cp
}

// greeting returns the newest heads, and the newest that an operator signed.
func (c *Chain) greeting(operator string) (notes [][]byte) {
	list, err := c.store.checkpoints(0, greetingHeads)
	if err != nil {
		return nil
	}
	if cp, err := c.store.cosignedBy(operator); err == nil && cp != nil {
		list = append(list, *cp)
	}
	for _, cp := range list {
		notes = append(notes, []byte(cp.Note))
	}
	return notes
}

// awaitMeeting returns when this node may vote: at once, unless it is the only voter and has partners who could say that it
// voted before. It does not wait for long: partners may be away, and then nobody else can go on either. quit ends it.
func (c *Chain) awaitMeeting(quit <-chan struct{}) {
	if c.others() == 0 || c.voters() > 1 {
		return
	}
	select {
	case <-c.met:
	case <-quit:
	case <-time.After(time.Until(c.opened.Add(meetWithin))):
	}
}

func (c *Chain) voters() (n int) {
	for _, m := range c.machine.Load().State().Members {
		if m.Power > 0 {
			n++
		}
	}
	return n
}

// read takes one letter of a peer.
func (c *Chain) read(l letter) error {
	switch l.kind {
	case kindHello, kindHeads:
		var errs []error
		for _, n := range l.notes {
			errs = append(errs, c.takeHead(n))
		}
		if l.kind == kindHello {
			c.metOnce.Do(func() { close(c.met) })
		}
		return errors.Join(errs...)
	case kindGov:
		for _, n := range l.notes {
			c.takeBallot(n)
		}
	case kindPeers:
		for _, n := range l.notes {
			c.takeAddresses(n)
		}
	}
	return nil
}
