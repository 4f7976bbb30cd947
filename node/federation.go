package node

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"time"

	"concord"
	"concord/chain"
	"concord/durable"
	"concord/federation"
	"concord/note"
	"concord/replica"
	"concord/web"
)

// minSearchTimeout leaves another operator time for an answer.
const minSearchTimeout = 10 * time.Millisecond

func (c *FederationConfig) validate() error {
	if c.Addr != "" {
		if err := chain.CheckAddr(c.Addr); err != nil {
			return concord.Errorf(concord.Invalid, "federation.addr: %w", err)
		}
	}
	if c.Advertise != "" {
		if err := chain.CheckAddr(c.Advertise); err != nil {
			return concord.Errorf(concord.Invalid, "federation.advertise: %w", err)
		}
	}
	if c.SearchTimeout < minSearchTimeout || c.SearchTimeout > federation.MaxTimeout {
		return concord.Errorf(concord.Invalid, "federation.search_timeout must lie between %v and %v, not be %v; to ask nobody set federation.search to false",
			minSearchTimeout, federation.MaxTimeout, c.SearchTimeout)
	}
	if c.Replicas < 0 || c.Audit != 0 && c.Audit < replica.MinEvery {
		return concord.Errorf(concord.Invalid, "federation.replicas must not be negative, and federation.audit be 0 (never) or at least %v", replica.MinEvery)
	}
	return nil
}

// chainConfig is how this node runs the ledger.
func (n *Node) chainConfig() chain.Config {
	outside, _ := n.cfg.outsideWitnesses() // Validate has read them
	return chain.Config{Dir: n.path("chain"), Operator: n.layout.Operator, ChainName: n.layout.Chain, Keys: n.keys, Logger: n.log("chain"),
		Addr: n.cfg.Federation.Addr, Advertise: n.cfg.Federation.Advertise, Outside: keysOf(outside)}
}

// originOf names the ledger's log in its checkpoints: after its founder. Where another node of a cluster keeps the ledger, the operator's
// keys say so; for a ledger that is not there yet it is this operator.
func originOf(dir string, l layout, elsewhere bool) (string, error) {
	origin, err := chain.Origin(filepath.Join(dir, "chain"))
	if concord.KindOf(err) == concord.NotFound && elsewhere {
		origin, err = note.LogOf(filepath.Join(dir, "keys"))
	}
	if concord.KindOf(err) == concord.NotFound {
		return l.Operator + "/" + l.Chain, nil
	}
	return origin, err
}

// JoinFederation makes an empty data directory one of an operator that joins a ledger of others, and returns its identity, to be shown to
// one of them. A ledger other than want is refused, unless want is empty. Repeating it with a newer bundle renews the others' addresses. The node must not run.
func JoinFederation(cfg Config, bundle []byte, url, want string) (identity []byte, chainID string, err error) {
	b, err := chain.ParseBundle(bundle)
	if err != nil {
		return nil, "", err
	}
	if want != "" && b.Chain != want {
		return nil, "", concord.Errorf(concord.Conflict, "the bundle is of ledger %s, not of %s", b.Chain, concord.Clip(want, 80))
	}
	cfg.Chain = b.Name()
	if err := cfg.Validate(); err != nil {
		return nil, "", err
	}
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return nil, "", err
	}
	unlock, err := durable.Lock(filepath.Join(cfg.Data, "LOCK"))
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = unlock() }() // the process ends soon, and gives it up anyway
	l, err := loadLayout(filepath.Join(cfg.Data, "layout.json"), cfg)
	if err != nil {
		return nil, "", err
	}
	keys, err := note.LoadOrCreateKeys(filepath.Join(cfg.Data, "keys"), l.Operator, b.Origin)
	if err != nil {
		return nil, "", err
	}
	n := &Node{cfg: cfg, layout: l, keys: keys}
	id, err := chain.Join(n.chainConfig(), b)
	if err != nil {
		return nil, "", err
	}
	id.URL = url
	identity, err = json.MarshalIndent(id, "", "  ")
	return append(identity, '\n'), b.Chain, err
}

// members implements web.Federation on the node that keeps the ledger.
type members struct {
	c *chain.Chain
	n *Node
}

// federation is what people steer the operators with, from any node.
func (n *Node) federation() web.Federation {
	if n.chain == nil {
		return membersThere{n}
	}
	return members{n.chain, n}
}

func (f members) Bundle(context.Context) ([]byte, error) {
	b, err := f.c.Bundle()
	if err != nil {
		return nil, err
	}
	data, err := json.MarshalIndent(b, "", "  ")
	return append(data, '\n'), err
}

func (f members) Invite(_ context.Context, identity []byte) (web.FederationBallot, error) {
	var id chain.Identity
	if err := json.Unmarshal(identity, &id); err != nil || id.Operator == "" {
		return web.FederationBallot{}, concord.Errorf(concord.Invalid, "this is not an operator's identity, the file that concord federation join writes")
	}
	return ballot(f.c.Invite(id))
}

func (f members) Propose(_ context.Context, action string) (web.FederationBallot, error) {
	return ballot(f.c.Propose(action))
}

func (f members) Rotate(_ context.Context, key string) (web.FederationBallot, error) {
	return ballot(f.c.Rotate(key))
}

func (f members) Sign(_ context.Context, idOrNote string) (web.FederationBallot, error) {
	return ballot(f.c.Sign(idOrNote))
}

func ballot(b chain.Ballot, err error) (web.FederationBallot, error) {
	return web.FederationBallot{ID: b.ID, Epoch: b.Epoch, Action: b.Action, Signed: b.Signed, Need: b.Need, Missing: b.Missing, Note: b.Note}, err
}

func (f members) Status(context.Context) (web.FederationStatus, error) {
	st := f.c.Status()
	s := web.FederationStatus{State: web.FederationAlone, Chain: st.Chain, Origin: st.Origin, Self: st.Operator, Height: st.Height, Size: st.Size,
		Agreed: st.Agreed, Time: st.LastBlock, Epoch: st.Epoch, Voters: st.Validators, Need: chain.Quorum(st.Validators), Barred: st.Barred, Waits: st.Waits, Error: st.Halted, Lapsed: st.Lapsed}
	active := 0
	for _, m := range f.c.Members() {
		fm := web.FederationMember{Name: m.Name, State: m.Status, Power: m.Power, URL: m.URL, Cosigned: m.Cosigned,
			Up: m.Name == st.Operator && st.Running || slices.Contains(st.Up, m.Name)}
		if m.Power > 0 && fm.Up {
			s.VotersUp++
		}
		if m.Status == chain.Active {
			active++
		}
		s.Members = append(s.Members, fm)
	}
	s.Decide = chain.Quorum(active)
	if len(s.Members) > 1 {
		s.State = web.FederationRunning
		if s.VotersUp < s.Need {
			s.State = web.FederationHalted
		}
	}
	f.n.countSearches(&s)
	if f.n.replicas != nil {
		s.Replicas = f.n.replicas.Status()
	}
	if f.n.anchor != nil {
		s.Outside = f.n.anchor.Tallies()
	}
	for _, b := range f.c.Ballots() {
		wb, _ := ballot(b, nil)
		s.Ballots = append(s.Ballots, wb)
	}
	return s, nil
}

// countSearches says what became of asking the other operators for those who searched at this node.
func (n *Node) countSearches(st *web.FederationStatus) {
	st.AskOthers, st.Searches = n.operators != nil, nil
	if n.operators != nil {
		st.Searches = n.operators.Counters()
	}
}
