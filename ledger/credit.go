package ledger

import (
	"fmt"
	"strings"

	"concord"
)

// Credit between operators is zero-sum: what one has, others owe. Nothing mints it and nothing burns it. A balance may
// fall to minus the member's limit, which gov sets; the sum of all balances and of what open asks hold is 0 after every
// entry.

// maxCredit bounds amounts and limits, so that no sum of them leaves an int64.
const maxCredit = 1_000_000_000_000

// PayTx moves credit to another member.
//
//	to <operator>
//	amount <n>
//	ref <digest of what it is for; 32 zero bytes: nothing>
type PayTx struct {
	Head
	To     string
	Amount int64
	Ref    concord.Digest
}

// String returns the text that is signed.
func (p *PayTx) String() string {
	return p.format("pay") + fmt.Sprintf("to %s\namount %d\nref %s\n", p.To, p.Amount, p.Ref)
}

func (l *lines) pay(h Head) *PayTx {
	p := &PayTx{Head: h, To: l.operator("to")}
	p.Amount = int64(l.number("amount", maxCredit))
	p.Ref = l.digest(l.value("ref"), "ref")
	if p.Amount == 0 {
		l.fail("amount must be above 0")
	}
	return p
}

// DocTx notarises documents by their digests: they existed before the block that this is in. Which was first is the
// order of the log; repeats are allowed.
//
//	sha256 <digest>       1 to MaxDocs lines, sorted, each once
//	label <word>          optional
type DocTx struct {
	Head
	Digests []concord.Digest
	Label   string
}

const (
	// MaxDocs is how many documents one transaction may notarise: 64 lines of 52 bytes stay far below DefaultTxBytes.
	MaxDocs = 64
	// MaxLabel is the most bytes of a label.
	MaxLabel = 64
)

// String returns the text that is signed.
func (d *DocTx) String() string {
	var b strings.Builder
	b.WriteString(d.format("doc"))
	for _, x := range d.Digests {
		fmt.Fprintf(&b, "sha256 %s\n", x)
	}
	if d.Label != "" {
		fmt.Fprintf(&b, "label %s\n", d.Label)
	}
	return b.String()
}

func (l *lines) doc(h Head) *DocTx {
	d := &DocTx{Head: h}
	for len(d.Digests) == 0 || l.has("sha256") {
		if l.err != nil {
			return d
		}
		x := l.digest(l.value("sha256"), "sha256")
		switch n := len(d.Digests); {
		case n == MaxDocs:
			l.fail(fmt.Sprintf("more than %d documents", MaxDocs))
		case n > 0 && d.Digests[n-1].String() >= x.String():
			l.fail("sha256 lines are not sorted, each digest once")
		}
		d.Digests = append(d.Digests, x)
	}
	if l.has("label") {
		d.Label = l.word("label", MaxLabel)
	}
	return d
}

// Limit returns how far below zero a member's balance may fall.
func (s *State) Limit(m *Member) int64 {
	if m.Line != nil {
		return *m.Line
	}
	return int64(s.Param(ParamCredit))
}

// spend reports why a member cannot spend an amount.
func (s *State) spend(m *Member, amount int64, what string) error {
	if after := m.Balance - amount; after < -s.Limit(m) {
		return concord.Errorf(concord.Conflict, "%s of %s: it costs %d, the balance is %d and the credit limit %d", what, m.Operator, amount, m.Balance, s.Limit(m))
	}
	return nil
}

// Sum returns the sum of all balances and of what asks hold. It is 0.
func (s *State) Sum() (sum int64) {
	for i := range s.Members {
		sum += s.Members[i].Balance
	}
	for _, a := range s.Asks {
		sum += a.Locked
	}
	return sum
}

func (r *run) pay(t *Tx) error {
	from, to := r.Member(t.From), r.Member(t.Pay.To)
	switch {
	case to == nil || to.Status == Left:
		return concord.Errorf(concord.NotFound, "pay of %s: %s is not a member", t.From, t.Pay.To)
	case to == from:
		return concord.Errorf(concord.Invalid, "pay of %s: to itself", t.From)
	}
	if err := r.spend(from, t.Pay.Amount, "pay"); err != nil {
		return err
	}
	from.Balance -= t.Pay.Amount
	to.Balance += t.Pay.Amount
	return nil
}

// charge takes a transaction's bytes out of its sender's budget: ParamRate bytes a minute of block time, ParamBurst at
// once; rate 0 is no budget. A stale block time only refills late.
func (r *run) charge(m *Member, size int, commit bool) error {
	rate := r.Param(ParamRate)
	if rate == 0 || r.lenient {
		return nil
	}
	spent := m.Spent
	if idle := uint64(max(r.now-m.SpentAt, 0)); idle > 0 {
		spent -= min(spent, min(idle, maxIdle)*rate/60)
	}
	if spent += uint64(size); spent > r.Param(ParamBurst) {
		return concord.Errorf(concord.Unavailable, "transaction of %s: more than its budget of %d bytes a minute; send it later", m.Operator, rate)
	}
	if commit {
		m.Spent, m.SpentAt = spent, r.now
	}
	return nil
}

// maxIdle bounds the seconds that refill a budget, so that the product with the rate stays in 64 bits; it refills any
// burst at any rate.
const maxIdle = 1 << 31
