package ledger

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"concord"
)

// AskTx asks that a panel of operators, drawn by the ledger, fetches a page independently.
//
//	url <http or https URL, normal form>
//	profile <normaliser and its version>
//	need <corroborations wanted, more than half> of <panel size>
//	until <seconds of block time for sealing, and as long again for showing>
//	pay <credit for each report opened in time>
//
// Both times begin when the panel is drawn: with the first block after the ask's.
type AskTx struct {
	Head
	URL, Profile string
	Need, Of     int
	Until        int64
	Pay          int64
}

const (
	// MaxPanel bounds a panel: beyond it, more perspectives say nothing new and cost the members more.
	MaxPanel = 32
	// MinUntil is the fewest seconds for sealing: a fetch with its retries, and a block.
	MinUntil = 10
	// MaxPrice bounds what a report costs.
	MaxPrice = 1_000_000_000
	// MaxProfile is the most bytes of a profile's name.
	MaxProfile = 32
)

// String returns the text that is signed.
func (a *AskTx) String() string {
	return a.format("ask") + fmt.Sprintf("url %s\nprofile %s\nneed %d of %d\nuntil %d\npay %d\n", a.URL, a.Profile, a.Need, a.Of, a.Until, a.Pay)
}

func (l *lines) ask(h Head) *AskTx {
	a := &AskTx{Head: h, URL: l.url("url"), Profile: l.word("profile", MaxProfile)}
	a.Need, a.Of = l.need()
	a.Until = int64(l.number("until", params[ParamWindow].most))
	a.Pay = int64(l.number("pay", MaxPrice))
	if a.Until < MinUntil {
		l.fail(fmt.Sprintf("until must be at least %d seconds", MinUntil))
	}
	return a
}

// need reads "need <k> of <n>".
func (l *lines) need() (k, n int) {
	ks, ns, ok := strings.Cut(l.value("need"), " of ")
	if !ok {
		l.fail("need is not \"<k> of <n>\"")
	}
	k, n = int(l.parse(ks, "need", MaxPanel)), int(l.parse(ns, "need", MaxPanel))
	if l.err == nil && (k > n || 2*k <= n) {
		l.fail("need must be more than half of the panel, and at most all of it")
	}
	return k, n
}

// url takes a line whose value is an absolute http or https URL without a fragment, in printable ASCII. The rule is
// frozen here: were it the crawler's normal form, a newer table of host names would split the ledger.
func (l *lines) url(key string) string {
	v := l.value(key)
	rest, ok := strings.CutPrefix(v, "https://")
	if !ok {
		rest, ok = strings.CutPrefix(v, "http://")
	}
	host := rest[:len(rest)-len(strings.TrimLeft(rest, "abcdefghijklmnopqrstuvwxyz0123456789.-_:[]"))]
	after := rest[len(host):]
	plain := !strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r > '~' || r == '#' })
	if l.err == nil && (!ok || host == "" || len(v) > maxURL || !plain || !strings.HasPrefix(after, "/")) {
		l.fail(key + " is not an http or https URL in normal form: lower-case host, a path, printable ASCII, no fragment")
	}
	return v
}

// SealTx commits a member to a report before it has seen those of others.
//
//	ask <log index of the ask>
//	round <1, or 2 for the second panel>
//	commit <ShowTx.Commit of the report>
type SealTx struct {
	Head
	Ask    uint64
	Round  int
	Commit concord.Digest
}

// String returns the text that is signed.
func (s *SealTx) String() string {
	return s.format("seal") + fmt.Sprintf("ask %d\nround %d\ncommit %s\n", s.Ask, s.Round, s.Commit)
}

func (l *lines) seal(h Head) *SealTx {
	s := &SealTx{Head: h, Ask: l.number("ask", maxNumber), Round: l.round()}
	s.Commit = l.digest(l.value("commit"), "commit")
	if l.err == nil && s.Commit.IsZero() {
		l.fail("commit is zero")
	}
	return s
}

func (l *lines) round() int {
	n := int(l.number("round", maxRounds))
	if n == 0 {
		l.fail("round must be 1 or 2")
	}
	return n
}

// ShowTx opens a sealed report: what this operator saw.
//
//	ask <log index of the ask>
//	round <1 or 2>
//	salt <32 random bytes, so that a seal cannot be guessed open>
//	status <HTTP status; 0: no answer>
//	final <URL after redirects>
//	time <unix seconds>
//	raw <digest of the payload as received>
//	text <digest of the normalised text under the ask's profile>
//	sketch <base64 of SketchOf that text>
//	cert <digest of the TLS certificate chain>
//	warc <digest of the WARC record>
//	net <ASN> <region>        where from, as this operator claims it; "- -": it claims nothing. No rule reads it
type ShowTx struct {
	Head
	Ask         uint64
	Round       int
	Salt        concord.Digest
	Status      int
	Final       string
	Time        int64
	Raw, Text   concord.Digest
	Sketch      Sketch
	Cert, WARC  concord.Digest
	ASN, Region string
}

// String returns the text that is signed.
func (s *ShowTx) String() string { return s.format("show") + s.report() }

func (s *ShowTx) report() string {
	return fmt.Sprintf("ask %d\nround %d\nsalt %s\nstatus %d\nfinal %s\ntime %d\nraw %s\ntext %s\nsketch %s\ncert %s\nwarc %s\nnet %s %s\n",
		s.Ask, s.Round, s.Salt, s.Status, s.Final, s.Time, s.Raw, s.Text, s.Sketch, s.Cert, s.WARC, s.ASN, s.Region)
}

// Commit returns what the seal of this report holds: the digest of the text without its seq line. It names the operator,
// the chain, the ask and the round, so a copy of another's seal can never be opened by the copier.
func (s *ShowTx) Commit() concord.Digest {
	return concord.Sum([]byte(fmt.Sprintf("%sshow\nchain %s\nfrom %s\n", txHead, s.Chain, s.From) + s.report()))
}

func (l *lines) show(h Head) *ShowTx {
	s := &ShowTx{Head: h, Ask: l.number("ask", maxNumber), Round: l.round(), Salt: l.digest(l.value("salt"), "salt")}
	s.Status = int(l.number("status", 999))
	s.Final = l.url("final")
	s.Time = int64(l.number("time", maxNumber))
	s.Raw = l.digest(l.value("raw"), "raw")
	s.Text = l.digest(l.value("text"), "text")
	s.Sketch = l.sketch(l.value("sketch"))
	s.Cert = l.digest(l.value("cert"), "cert")
	s.WARC = l.digest(l.value("warc"), "warc")
	s.ASN, s.Region = l.place(l.value("net"))
	return s
}

// regions are the regional internet registries.
var regions = [...]string{"AFRINIC", "APNIC", "ARIN", "LACNIC", "RIPE"}

// place reads "AS<number> <RIR>", or "- -" for a place nobody knows.
func (l *lines) place(v string) (asn, region string) {
	if v == "- -" {
		return "-", "-"
	}
	asn, region, _ = strings.Cut(v, " ")
	n, ok := strings.CutPrefix(asn, "AS")
	l.parse(n, "the ASN", 1<<32-1)
	if l.err == nil && (!ok || !slices.Contains(regions[:], region)) {
		l.fail("a place is AS<number> and one of " + strings.Join(regions[:], ", ") + ", or \"- -\"")
	}
	return asn, region
}

func (l *lines) sketch(v string) (s Sketch) {
	b, err := base64.StdEncoding.Strict().DecodeString(v)
	if l.err == nil && (err != nil || len(b) != SketchSize) {
		l.fail(fmt.Sprintf("sketch is not the base64 of %d bytes", SketchSize))
	}
	copy(s[:], b)
	return s
}
