package loopweb

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
)

const (
	linksAcross = 2          // links of a page to pages of other hosts
	forbidden   = "/never/1" // linked from every start page, and forbidden by every robots.txt
)

// Population is a web of so many hosts with so many pages in all, the same for the same seed: names under .test, each a site of its own,
// sizes between half the average and one and a half times that, links down a tree that reaches every page of a host, and links across to other
// hosts. It is for Serve. There are at least as many pages as hosts.
func Population(seed uint64, hosts, pages int) []*Host {
	rng := rand.New(rand.NewPCG(seed, 2))
	sizes := shares(rng, hosts, pages)
	list := make([]*Host, hosts)
	for i := range list {
		list[i] = &Host{Name: fmt.Sprintf("s%04d.test", i), Start: "/", Forbidden: []string{forbidden}}
		list[i].Addr = list[i].Name
		for p := range sizes[i] {
			list[i].Index = append(list[i].Index, pagePath(p))
		}
	}
	for i, h := range list {
		h.Handler = &site{seed: seed, at: i, hosts: list, robots: "User-agent: *\nDisallow: /never/\n"}
	}
	return list
}

// shares splits pages over hosts, each at least one.
func shares(rng *rand.Rand, hosts, pages int) []int {
	sizes := make([]int, hosts)
	left := pages
	for i := range sizes {
		rest := hosts - i - 1 // hosts that still need a page each
		average := left / (rest + 1)
		n := max(1, average/2+rng.IntN(average+1))
		if rest == 0 {
			n = left
		}
		sizes[i] = min(n, left-rest)
		left -= sizes[i]
	}
	return sizes
}

func pagePath(p int) string {
	if p == 0 {
		return "/"
	}
	return "/p/" + strconv.Itoa(p)
}

// site answers for one host of a population. It keeps nothing but who its neighbours are: a page is made from its path.
type site struct {
	seed   uint64
	at     int
	hosts  []*Host
	robots string
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	me := s.hosts[s.at]
	p, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/p/"))
	switch {
	case r.URL.Path == "/robots.txt":
		fmt.Fprint(w, s.robots)
		return
	case r.URL.Path == "/":
		p = 0
	case err != nil || p < 1 || p >= len(me.Index):
		http.NotFound(w, r)
		return
	}
	rng := rand.New(rand.NewPCG(s.seed+uint64(s.at)<<32, uint64(p)))
	var to []string
	for _, j := range []int{2*p + 1, 2*p + 2, rng.IntN(len(me.Index))} {
		if j < len(me.Index) {
			to = append(to, pagePath(j))
		}
	}
	if p == 0 {
		to = append(to, forbidden)
	}
	for range linksAcross {
		other := s.hosts[rng.IntN(len(s.hosts))]
		to = append(to, other.URL(other.Index[rng.IntN(len(other.Index))]))
	}
	page(fmt.Sprintf("%s page %d", me.Name, p), to...)(w, r)
}
