package node

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"strconv"
	"sync"

	"concord"
	"concord/durable"
)

// stage is how far a node is on its way from one to many.
type stage string

const (
	founder stage = "founder" // works alone, and lets others join
	growing stage = "growing" // moves its streams into the cluster; nobody else works yet
	joining stage = "joining" // has an identity, and waits until the cluster works
	settled stage = "member"
)

// membership is what a node remembers of its cluster between two starts, beside its identity. It lies in its own directory of the data
// directory, with the identity and the cluster's message engine.
type membership struct {
	Stage stage    `json:"stage"`
	Peers []string `json:"peers,omitempty"` // cluster addresses of other nodes, as heard of last
	// Ledger is set on the node that runs the operator's validator. It moves only by hand: two of one key would be taken for a fraud.
	Ledger bool `json:"ledger,omitempty"`
	// Epoch counts how often the cluster was made again from its archive. Message engines of different epochs do not speak to each other: one
	// that has what was before would take the new for its own.
	Epoch int `json:"epoch,omitempty"`

	path string
	mu   sync.Mutex // of all but path: the door and the node's parts read while stage and peers change
}

// is says whether the node is so far. Nobody is anything without a place.
func (m *membership) is(s stage) bool {
	if m == nil {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.Stage == s
}

// others returns the cluster addresses of other nodes, as heard of last.
func (m *membership) others() []string {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.Peers)
}

const (
	clusterDir     = "cluster"
	membershipFile = "membership.json"
)

// loadMembership reads the file; nil when this node never was in a cluster.
func loadMembership(path string) (*membership, error) {
	m := &membership{path: path}
	err := durable.ReadJSON(path, m)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil && concord.KindOf(err) != concord.Corrupt {
		return nil, err
	}
	if err != nil || !slices.Contains([]stage{founder, growing, joining, settled}, m.Stage) {
		return nil, concord.Errorf(concord.Corrupt, "%s is damaged: restore it from a backup, or write {\"stage\": \"member\", \"peers\": [\"HOST:PORT\"]} with the cluster address of another node", path)
	}
	return m, nil
}

// set changes stage and peers, durably.
func (m *membership) set(s stage, peers []string) error {
	peers = slices.Sorted(slices.Values(peers))
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.Stage == s && slices.Equal(m.Peers, peers) {
		return nil
	}
	next := membership{Stage: s, Peers: peers, Ledger: m.Ledger, Epoch: m.Epoch}
	err := durable.WriteJSON(m.path, 0o600, &next)
	if err == nil {
		m.Stage, m.Peers = s, peers
	}
	return err
}

// engineAddr is where the message engine of a node with a cluster address listens: on the port after it.
func engineAddr(cluster string) (string, error) {
	host, port, err := net.SplitHostPort(cluster)
	n, perr := strconv.Atoi(port)
	if err != nil || perr != nil || n < 1 || n > 65534 {
		return "", concord.Errorf(concord.Invalid, "cluster address %q: write HOST:PORT, for example 127.0.0.1:7668; the port after it is used as well", cluster)
	}
	return net.JoinHostPort(host, strconv.Itoa(n+1)), nil
}

// engineAddrs is engineAddr of many; those that are none are left out.
func engineAddrs(cluster []string) []string {
	var list []string
	for _, a := range cluster {
		if e, err := engineAddr(a); err == nil {
			list = append(list, e)
		}
	}
	return list
}

// enter sets the epoch of the cluster that this node is to be a member of, durably.
func (m *membership) enter(epoch int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.Epoch == epoch {
		return nil
	}
	next := membership{Stage: m.Stage, Peers: m.Peers, Ledger: m.Ledger, Epoch: epoch}
	err := durable.WriteJSON(m.path, 0o600, &next)
	if err == nil {
		m.Epoch = epoch
	}
	return err
}

func (m *membership) epoch() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.Epoch
}

// clusterName is what the message engines of a cluster know each other by.
func (m *membership) clusterName(name string) string {
	if e := m.epoch(); e > 0 {
		return fmt.Sprintf("%s-%d", name, e)
	}
	return name
}
