//go:build linux

package nemesis

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	dnsPort   = 53
	dnsTTL    = 60   // seconds; the names never change
	dnsPacket = 1500 // a question and its answer have one name each, of at most 255 bytes
)

// resolvConf is mounted over /etc/resolv.conf of every host. A host that is cut off from the server gives a name up after two seconds.
func (n *Net) resolvConf() string { return filepath.Join(n.dir, "resolv.conf") }

// ServeNames makes a host the name server of all hosts: it says that it has all the names itself, and that others do not exist. Whoever
// cannot reach it cannot resolve a name, as on any network. Close ends it.
func (n *Net) ServeNames(h *Host, names ...string) error {
	s := &nameServer{addr: h.Addr, names: make(map[string]bool, len(names))}
	for _, name := range names {
		s.names[strings.ToLower(name)+"."] = true
	}
	err := h.space.enter(func() (err error) {
		s.conn, err = net.ListenPacket("udp4", netip.AddrPortFrom(h.Addr, dnsPort).String())
		return err
	})
	if err != nil {
		return err
	}
	s.done.Go(s.serve)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.servers = append(n.servers, s)
	return os.WriteFile(n.resolvConf(), []byte("nameserver "+h.Addr.String()+"\noptions timeout:1 attempts:2\n"), 0o644)
}

// nameServer answers questions for addresses over UDP (RFC 1035).
type nameServer struct {
	conn  net.PacketConn
	addr  netip.Addr
	names map[string]bool // lower case, with the dot of the root
	done  sync.WaitGroup
}

func (s *nameServer) close() {
	_ = s.conn.Close()
	s.done.Wait()
}

func (s *nameServer) serve() {
	buf := make([]byte, dnsPacket)
	for {
		size, from, err := s.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		if answer := s.answer(buf[:size]); answer != nil {
			_, _ = s.conn.WriteTo(answer, from) // a lost answer is asked for again
		}
	}
}

// answer is what to say to a packet, nil: nothing.
func (s *nameServer) answer(packet []byte) []byte {
	var p dnsmessage.Parser
	header, err := p.Start(packet)
	if err != nil {
		return nil
	}
	q, err := p.Question()
	if err != nil {
		return nil
	}
	reply := dnsmessage.Message{Header: dnsmessage.Header{ID: header.ID, Response: true, Authoritative: true}, Questions: []dnsmessage.Question{q}}
	switch {
	case !s.names[strings.ToLower(q.Name.String())]:
		reply.RCode = dnsmessage.RCodeNameError
	case q.Type == dnsmessage.TypeA:
		reply.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: dnsTTL},
			Body: &dnsmessage.AResource{A: s.addr.As4()}}}
	}
	b, err := reply.Pack()
	if err != nil {
		return nil
	}
	return b
}
