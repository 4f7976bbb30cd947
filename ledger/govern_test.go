package ledger

import (
	"strings"
	"testing"

	"concord"
	"concord/note"
)

func (f *fed) key(name, which string, typ note.Type) *note.Signer {
	f.t.Helper()
	keyName := name
	if which == "log" {
		keyName = testLog
	}
	s, err := note.NewSigner(keyName, typ, sha256Seed(name, which+" second"))
	if err != nil {
		f.t.Fatal(err)
	}
	return s
}

// Two or three voters come about only when the note says so, one step at a time; from one to four in one step.
func TestFewVoters(t *testing.T) {
	f := newFed(t, 4)
	bob, carol, dave := Power{"bob.example", 1}, Power{"carol.example", 1}, Power{"dave.example", 1}
	f.refuse("two silently", `"voters 2"`, 1, f.gov(&Gov{Powers: []Power{bob}}))
	f.refuse("two, said to be three", `"voters 2"`, 1, f.gov(&Gov{Powers: []Power{bob}, Voters: 3}))
	f.refuse("one to three", "below a third", 1, f.gov(&Gov{Powers: []Power{bob, carol}, Voters: 3}))
	f.refuse("unequal", "below a third", 1, f.gov(&Gov{Powers: []Power{{"bob.example", 2}}, Voters: 2}))
	f.refuse("four, said to be three", "there would be 4 voters, not 3", 1, f.gov(&Gov{Powers: []Power{bob, carol, dave}, Voters: 3}))
	f.step(1, f.gov(&Gov{Powers: []Power{bob}, Voters: 2}))
	f.refuse("three silently", `"voters 3"`, 1, f.gov(&Gov{Powers: []Power{carol}}))
	f.step(1, f.gov(&Gov{Powers: []Power{carol}, Voters: 3}))
	f.step(1, f.gov(&Gov{Powers: []Power{dave}}))
	f.refuse("back to three silently", `"voters 3"`, 1, f.gov(&Gov{Drop: "dave.example"}))
	f.step(1, f.gov(&Gov{Drop: "dave.example", Voters: 3}))
	f.step(1, f.gov(&Gov{Powers: []Power{{"carol.example", 0}}, Voters: 2}))
	f.step(1, f.gov(&Gov{Powers: []Power{{"bob.example", 0}}}))
	f.step(1, f.gov(&Gov{Powers: []Power{bob, carol, {"erin.example", 1}}}))
	if n := f.m.State().voters(); n != 4 {
		t.Errorf("%d voters", n)
	}
	replayAll(t, f.node)
}

func TestLeaveAndComeBack(t *testing.T) {
	f := newFed(t, 4)
	bob := f.ops[1]
	f.step(1, f.sign(bob, &PayTx{f.head(bob), "alice.example", 5, concord.Digest{}}), f.gov(&Gov{Powers: []Power{{"bob.example", 1}, {"carol.example", 1}, {"dave.example", 1}}}))
	out := f.step(1, f.gov(&Gov{Drop: "bob.example", Voters: 3}))
	if len(out.Updates) != 1 || out.Updates[0].Power != 0 || out.Updates[0].Cons != bob.cons.Key().Public {
		t.Errorf("updates %+v", out.Updates)
	}
	f.refuse("after leaving", "not a member", 1, f.doc(bob))
	f.refuse("pay to who left", "not a member", 1, f.sign(f.ops[0], &PayTx{f.head(f.ops[0]), bob.name, 5, concord.Digest{}}))
	f.refuse("leave twice", "not a member", 1, f.gov(&Gov{Drop: bob.name}))
	f.refuse("power", "not a member", 1, f.gov(&Gov{Powers: []Power{{bob.name, 1}}}))
	f.refuse("the last voters", "below a third", 1, f.gov(&Gov{Powers: []Power{{"alice.example", 0}, {"carol.example", 0}, {"dave.example", 0}, {"erin.example", 1}}}))
	if m := f.m.State().Member(bob.name); m.Status != Left || m.Balance != -5 || m.Seq != 1 {
		t.Errorf("%+v", m)
	}
	epoch := f.m.State().Epoch + 1
	f.step(1, bob.admit(t, testID, epoch, f.ops[0], f.ops[2], f.ops[3]))
	if m := f.m.State().Member(bob.name); m.Status != Candidate || m.Balance != -5 || m.Seq != 1 {
		t.Errorf("back: %+v", m)
	}
	f.seq[bob.name] = 0
	f.refuse("an old seq", "seq 1, the next is 2", 1, f.doc(bob))
	f.seq[bob.name] = 1
	f.step(1, f.doc(bob))
	replayAll(t, f.node)
}

// Every key can be changed by a note that the new key signed too; an old key is of no use to anybody any more.
func TestRotate(t *testing.T) {
	f := newFed(t, 4)
	f.step(1, f.gov(&Gov{Powers: []Power{{"bob.example", 1}, {"carol.example", 1}, {"dave.example", 1}}}))
	bob := f.ops[1]
	for which, typ := range map[string]note.Type{"op": note.Ed25519, "cosign": note.Cosignature, "log": note.Ed25519, "cons": note.Ed25519} {
		k := f.key(bob.name, which, typ)
		g := &Gov{Rotate: &Rotation{Operator: bob.name, Which: which, Key: k.Key()}}
		f.refuse(which+" without possession", "0 of the 1 new keys signed", 1, f.gov(g))
		out := f.step(1, f.gov(g, k))
		if which != "cons" {
			if len(out.Updates) != 0 {
				t.Errorf("%s: updates %+v", which, out.Updates)
			}
		} else if len(out.Updates) != 2 || out.Updates[0] != (Update{bob.cons.Key().Public, 0}) || out.Updates[1] != (Update{k.Key().Public, 1}) {
			t.Errorf("updates of a consensus key %+v", out.Updates)
		}
		if which == "op" {
			f.refuse("old op key", "exactly one signature", 1, f.doc(bob))
			bob.op = k
			f.step(1, f.doc(bob))
			continue
		}
		f.refuse(which+" again", "already", 1, f.gov(g, k))
	}
	old := f.ops[1].log
	f.refuse("a retired key", "in use already, or was", 1, f.gov(&Gov{Rotate: &Rotation{Operator: bob.name, Which: "log", Key: old.Key()}}, old))
	f.refuse("another's key", "in use already", 1, f.gov(&Gov{Rotate: &Rotation{Operator: "carol.example", Which: "log", Key: f.key(bob.name, "log", note.Ed25519).Key()}}, f.key(bob.name, "log", note.Ed25519)))
	f.refuse("another's node", "is that of", 1, f.gov(&Gov{Rotate: &Rotation{Operator: bob.name, Which: "node", Value: f.ops[0].node}}))
	f.step(1, f.gov(&Gov{Rotate: &Rotation{Operator: bob.name, Which: "node", Value: strings.Repeat("ab", 20)}}), f.sign(f.ops[0], &DocTx{Head: f.head(f.ops[0]), Digests: []concord.Digest{{1}}}))
	f.step(1, f.gov(&Gov{Rotate: &Rotation{Operator: bob.name, Which: "url", Value: "https://bob.example/c/"}}))
	if m := f.m.State().Member(bob.name); m.URL != "https://bob.example/c/" || len(m.Retired) != 4 {
		t.Errorf("%+v", m)
	}
	replayAll(t, f.node)
}

// The only voter can change its consensus key, and a rotation and a drop in one block leave no trace of
// the key that never was a validator's.
func TestRotateAndDropInOneBlock(t *testing.T) {
	f := newFed(t, 6)
	k := f.key("alice.example", "cons", note.Ed25519)
	if out := f.step(1, f.gov(&Gov{Rotate: &Rotation{Operator: "alice.example", Which: "cons", Key: k.Key()}}, k)); len(out.Updates) != 2 {
		t.Errorf("updates %+v", out.Updates)
	}
	f.step(1, f.gov(&Gov{Powers: []Power{{"bob.example", 1}, {"carol.example", 1}, {"dave.example", 1}}}))
	kb := f.key("bob.example", "cons", note.Ed25519)
	rotate := f.gov(&Gov{Rotate: &Rotation{Operator: "bob.example", Which: "cons", Key: kb.Key()}}, kb)
	drop := &Gov{Chain: testID, Epoch: f.m.State().Epoch + 2, Drop: "bob.example", Voters: 3}
	dropTx := note.Join(drop.String(), sign(t, f.ops[0].op, drop.String()), sign(t, f.ops[2].op, drop.String()), sign(t, f.ops[3].op, drop.String()))
	if err := f.m.Process(f.at(1, rotate, dropTx)); err == nil || !strings.Contains(err.Error(), "below a third") {
		t.Errorf("half of the power moved in one block: %v", err)
	}
	for _, o := range f.ops[4:] {
		f.step(1, f.gov(&Gov{Powers: []Power{{o.name, 1}}}))
	}
	rotate = f.gov(&Gov{Rotate: &Rotation{Operator: "bob.example", Which: "cons", Key: kb.Key()}}, kb)
	drop.Epoch, drop.Voters = f.m.State().Epoch+2, 0
	var sigs []note.Sig
	for _, o := range f.ops {
		sigs = append(sigs, sign(t, o.op, drop.String()))
	}
	out := f.step(1, rotate, note.Join(drop.String(), sigs...))
	if len(out.Updates) != 1 || out.Updates[0] != (Update{f.ops[1].cons.Key().Public, 0}) {
		t.Errorf("updates %+v: want the old key's end and nothing of the new one", out.Updates)
	}
}

func TestGovRefused(t *testing.T) {
	f := newFed(t, 4)
	for name, c := range map[string]struct{ line, want string }{
		"unknown parameter": {"set speed 9", "the parameter is not one of"},
		"too much":          {"set panel 33", "panel is not a decimal number up to 32"},
		"too little":        {"set txbytes 10", "txbytes must be at least"},
		"no number":         {"set panel ", "panel is not a decimal"},
		"no place":          {"place bob.example AS1 MOON", "a place is AS<number>"},
		"no ASN":            {"place bob.example 1 RIPE", "a place is AS<number>"},
		"leading zero":      {"line bob.example 05", "the credit limit is not a decimal"},
		"no limit":          {"line bob.example", "the credit limit is not"},
		"voters 4":          {"drop bob.example\nvoters 4", "voters is not a decimal number up to 3"},
		"voters 1":          {"drop bob.example\nvoters 1", "voters is 2 or 3"},
		"voters elsewhere":  {"clear bob.example\nvoters 2", "unexpected line"},
		"two actions":       {"clear bob.example\nclear alice.example", "unexpected line"},
		"not faulted":       {"clear bob.example", "is not faulted"},
		"nobody":            {"line zoe.example 5", "not a member"},
		"no power moved":    {"drop bob.example\nvoters 2", "only for a change of power"},
		"what":              {"rotate bob.example hat x", "what is rotated must be"},
		"cons":              {"rotate bob.example cons x", "cons is not the base64 of 32 bytes"},
		"node":              {"rotate bob.example node x", "node is not 40 hex digits"},
		"upper case":        {"drop Bob.example", "lower-case host name"},
	} {
		text := "concord/tx/v1 gov\nchain " + testID + "\nepoch " + "8" + "\n" + c.line + "\n"
		f.refuse(name, c.want, 1, note.Join(text, sign(t, f.ops[0].op, text)))
	}
	f.step(1, f.gov(&Gov{Line: &Line{"bob.example", 7}}))
	f.step(1, f.gov(&Gov{Place: &Place{"bob.example", "AS64500", "RIPE"}}))
	if m := f.m.State().Member("bob.example"); f.m.State().Limit(m) != 7 || m.ASN != "AS64500" || m.Region != "RIPE" {
		t.Errorf("%+v", m)
	}
	f.step(1, f.gov(&Gov{Set: &Setting{ParamPanel, 5}}))
	if f.m.State().Param(ParamPanel) != 5 || !strings.Contains(f.m.State().String(), "param panel 5\n") {
		t.Error("panel is not 5")
	}
	f.step(1, f.gov(&Gov{Set: &Setting{ParamPanel, 16}}))
	if strings.Contains(f.m.State().String(), "param panel") {
		t.Error("a default is in the state's text")
	}
	replayAll(t, f.node)
}
