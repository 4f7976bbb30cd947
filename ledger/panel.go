package ledger

import (
	"bytes"
	"fmt"
	"slices"

	"concord"
)

// draw gives an undrawn round its panel. The order of members is by rendezvous hash of ask, round, beacon and name, so
// whoever asks cannot know who will answer, and everybody can check who had to. Distinct autonomous systems come first,
// and a panel in one region only gives its last seat to another region, if there is one. A second panel takes others
// than the first, in the same regions, and falls back on the first's members only where there are no others: their
// second captures are new captures.
func (s *State) draw(a *Ask, beacon Mark) {
	r := a.last()
	r.Beacon = beacon.Hash
	r.SealBy = beacon.Time + a.Until
	r.ShowBy = r.SealBy + a.Until
	pool := s.pool(a, beacon.Hash)
	d := drawing{size: a.Of}
	if len(a.Rounds) > 1 {
		first := a.Rounds[0].panel()
		old := func(m *Member) bool {
			return slices.ContainsFunc(first, func(x Seat) bool { return x.Operator == m.Operator })
		}
		var fresh, again []*Member
		for _, m := range pool {
			if old(m) {
				again = append(again, m)
			} else {
				fresh = append(fresh, m)
			}
		}
		for _, x := range first {
			d.take(fresh, func(m *Member) bool { return m.region() == x.Region && d.newNet(m) }, 1)
		}
		d.fill(fresh)
		d.fill(again)
	} else {
		d.fill(pool)
		d.spread(pool)
	}
	for _, m := range d.seats {
		r.Seats = append(r.Seats, Seat{Operator: m.Operator, ASN: m.asn(), Region: m.region()})
	}
	asker := s.Member(a.From)
	r.Seats = append(r.Seats, Seat{Operator: a.From, ASN: asker.asn(), Region: asker.region()})
}

// eligible reports whether a member can be on the panel of an ask.
func (m *Member) eligible(asker string) bool {
	return (m.Status == Active || m.Status == Candidate) && m.Operator != asker
}

// pool returns who can be on the panel, in the order of their hashes.
func (s *State) pool(a *Ask, beacon concord.Digest) []*Member {
	var list []*Member
	score := map[string]concord.Digest{} // read by key only
	for i := range s.Members {
		if m := &s.Members[i]; m.eligible(a.From) {
			list = append(list, m)
			score[m.Operator] = concord.Sum(fmt.Appendf(nil, "concord/panel/v1\n%d\n%d\n%s\n%s\n", a.Index, len(a.Rounds), beacon, m.Operator))
		}
	}
	slices.SortFunc(list, func(x, y *Member) int {
		p, q := score[x.Operator], score[y.Operator]
		return bytes.Compare(p[:], q[:])
	})
	return list
}

func (m *Member) asn() string    { return known(m.ASN) }
func (m *Member) region() string { return known(m.Region) }

func known(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

type drawing struct {
	size  int
	seats []*Member
}

// take adds up to n members of the pool that are not in yet and fit.
func (d *drawing) take(pool []*Member, fits func(*Member) bool, n int) {
	for _, m := range pool {
		if n == 0 || len(d.seats) == d.size {
			return
		}
		if !slices.Contains(d.seats, m) && fits(m) {
			d.seats = append(d.seats, m)
			n--
		}
	}
}

// newNet reports whether no seat is in the member's autonomous system. An unknown one is like no other.
func (d *drawing) newNet(m *Member) bool {
	return m.asn() == "-" || !slices.ContainsFunc(d.seats, func(x *Member) bool { return x.asn() == m.asn() })
}

// fill adds members of new networks first, then any.
func (d *drawing) fill(pool []*Member) {
	d.take(pool, d.newNet, d.size)
	d.take(pool, func(*Member) bool { return true }, d.size)
}

// spread gives the last seat to another region when all seats are in one.
func (d *drawing) spread(pool []*Member) {
	n := len(d.seats)
	if n < 2 || slices.ContainsFunc(d.seats, func(m *Member) bool { return m.region() != d.seats[0].region() }) {
		return
	}
	for _, m := range pool {
		if m.region() != "-" && m.region() != d.seats[0].region() {
			d.seats[n-1] = m
			return
		}
	}
}
