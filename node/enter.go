package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"concord"
	"concord/bus"
	"concord/durable"
	"concord/join"
	"concord/note"
)

// How a node enters a cluster: the first one founds it when it is asked for a token, and the others join it. See grow.go for how the first
// one's streams become the cluster's.

// sharedLayout is what a node that joins is told. Nodes of one operator trust each other: it has the operator's keys.
type sharedLayout struct {
	Layout layout `json:"layout"`
	Keys   string `json:"keys"`   // the file of the operator's keys
	APIKey string `json:"apiKey"` // one key for all nodes
	NATS   string `json:"nats,omitempty"`
	Blobs  string `json:"blobs,omitempty"`
}

func (n *Node) layoutForOthers(context.Context) ([]byte, error) {
	keys, err := os.ReadFile(n.path("keys", note.KeysFile))
	if err != nil {
		return nil, err
	}
	l := n.layout
	l.Node = ""
	return json.Marshal(sharedLayout{l, string(keys), n.apiKey, n.cfg.NATS, n.cfg.Blobs})
}

// enter reads the node's place in a cluster, or joins the one that the configuration names. Without either the node is alone.
func (n *Node) enter(ctx context.Context) error {
	place, err := loadMembership(n.path(clusterDir, membershipFile))
	if err != nil {
		return err
	}
	n.place.Store(place)
	if n.cfg.Join != "" {
		if place == nil {
			return n.joinCluster(ctx)
		}
		n.cfg.Logger.Info("this node is in the cluster already, the token is not used")
	}
	return nil
}

// joinCluster makes an empty data directory one of a node of the cluster.
func (n *Node) joinCluster(ctx context.Context) error {
	if exists(n.path("layout.json")) {
		return concord.Errorf(concord.Conflict, "this data directory has data of its own and cannot join a cluster: give an empty one (--data), or let the other nodes join this one (concord cluster token)")
	}
	if n.cfg.Token == "" {
		return errJoinNeeds()
	}
	token, err := join.ParseToken(n.cfg.Token)
	if err != nil {
		return err
	}
	// An identity without a place is what a kill left of an earlier try.
	if err := os.RemoveAll(n.path(clusterDir)); err != nil {
		return err
	}
	name := n.cfg.Node
	if name == "" {
		name = newNodeName()
	}
	joined, err := join.Join(ctx, join.ClientConfig{Addr: n.cfg.Join, Token: token, Name: name, Dir: n.path(clusterDir), Logger: n.log("join")})
	if err != nil {
		return err
	}
	var shared sharedLayout
	if err := json.Unmarshal(joined.Layout, &shared); err != nil {
		return concord.Errorf(concord.Corrupt, "what the cluster told cannot be read: %w", err)
	}
	if shared.Layout.Version != layoutVersion {
		return concord.Errorf(concord.Invalid, "the cluster's layout has version %d, this program knows %d: use the same version of the program", shared.Layout.Version, layoutVersion)
	}
	shared.Layout.Node = name
	if err := os.MkdirAll(n.path("keys"), 0o700); err != nil {
		return err
	}
	err = errors.Join(note.WritePrivate(n.path("keys", note.KeysFile), []byte(shared.Keys)), note.WritePrivate(n.path("api.key"), []byte(shared.APIKey+"\n")),
		durable.WriteJSON(n.path(clusterDir, enginesName), 0o600, enginesFile{shared.NATS, shared.Blobs}))
	if err == nil {
		err = durable.WriteJSON(n.path("layout.json"), 0o600, shared.Layout) // the last: its presence says that the rest is there
	}
	if err != nil {
		return err
	}
	n.place.Store(&membership{path: n.path(clusterDir, membershipFile)})
	return n.place.Load().set(joining, joined.Peers)
}

// enginesFile is what the cluster told of engines of the operator's own; the configuration has precedence.
type enginesFile struct {
	NATS  string `json:"nats,omitempty"`
	Blobs string `json:"blobs,omitempty"`
}

const enginesName = "engines.json"

func (n *Node) readEngines() error {
	var e enginesFile
	err := durable.ReadJSON(n.path(clusterDir, enginesName), &e)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w; restore it from a backup, or name the engines in the configuration and remove it", err)
	}
	if n.cfg.NATS == "" {
		n.cfg.NATS = e.NATS
	}
	if n.cfg.Blobs == "" {
		n.cfg.Blobs = e.Blobs
	}
	return nil
}

// openIdentity opens what makes this node one of the cluster, and its door.
func (n *Node) openIdentity() (err error) {
	if err = n.readEngines(); err != nil {
		return err
	}
	if n.identity, err = join.Open(n.path(clusterDir), n.log("join")); err != nil {
		return err
	}
	return n.openRegistry()
}

func (n *Node) openRegistry() (err error) {
	if n.registry, err = join.NewRegistry(&n.directory, n.path(clusterDir), n.log("join")); err != nil {
		return err
	}
	n.identity.Trust(n.registry.Revoked)
	n.door, err = n.openDoor()
	return err
}

// found makes this node, which is alone, the first of a cluster, unless it is already.
func (n *Node) found(ctx context.Context) error {
	n.placeMu.Lock()
	defer n.placeMu.Unlock()
	if n.place.Load() != nil {
		return nil
	}
	m, err := n.bus.Manifests(ctx, directoryBucket)
	if err != nil {
		return err
	}
	n.directory.set(m)
	// What a kill left of an earlier try nobody has heard of.
	if err := os.RemoveAll(n.path(clusterDir)); err != nil {
		return err
	}
	if n.identity, err = join.Create(n.path(clusterDir), n.layout.Node, n.log("join")); err != nil {
		return err
	}
	place := &membership{path: n.path(clusterDir, membershipFile), Ledger: true}
	if err := place.set(founder, nil); err != nil {
		return err
	}
	if err := n.openRegistry(); err != nil {
		return err
	}
	if err := n.registry.Register(ctx, n.identity); err != nil {
		err = errors.Join(err, n.door.Close())
		n.door = nil
		return err
	}
	n.place.Store(place)
	return nil
}

// newToken lets machines join: it returns a token, and the address to join at.
func (n *Node) newToken(ctx context.Context, life time.Duration, uses int) (join.Token, string, error) {
	if err := n.found(ctx); err != nil {
		return join.Token{}, "", err
	}
	t, err := n.registry.NewToken(ctx, n.identity, life, uses)
	return t, n.cfg.Cluster.advertised(), err
}

// directoryBucket has the small facts of a cluster: names, tokens, heartbeats, and that it works (readyName). stateBucket has the manifests of
// partitions.
const (
	directoryBucket = "cluster"
	stateBucket     = "state"
	readyName       = "node/ready"
)

// late is concord.Manifests whose store is opened later, over connections that need what is kept in it.
type late struct {
	mu    sync.Mutex
	inner concord.Manifests
}

func (l *late) set(m concord.Manifests) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inner = m
}

func (l *late) get() (concord.Manifests, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inner == nil {
		return nil, concord.Errorf(concord.Unavailable, "this node does not reach its cluster yet")
	}
	return l.inner, nil
}

func (l *late) Get(ctx context.Context, name string) (concord.Manifest, error) {
	m, err := l.get()
	if err != nil {
		return concord.Manifest{}, err
	}
	return m.Get(ctx, name)
}

func (l *late) Put(ctx context.Context, name string, data []byte, revision uint64) (uint64, error) {
	m, err := l.get()
	if err != nil {
		return 0, err
	}
	return m.Put(ctx, name, data, revision)
}

func (l *late) Delete(ctx context.Context, name string, revision uint64) error {
	m, err := l.get()
	if err != nil {
		return err
	}
	return m.Delete(ctx, name, revision)
}

func (l *late) Watch(ctx context.Context, prefix string, f func(string, concord.Manifest) error) error {
	m, err := l.get()
	if err != nil {
		return err
	}
	return m.Watch(ctx, prefix, f)
}

func readerOf(b []byte) io.Reader { return bytes.NewReader(b) }

// waitsFor says what a cluster of one and so many nodes that wait still needs.
func (n *Node) waitsFor(others int) string {
	if missing := n.needs() - 1 - others; missing > 0 {
		return fmt.Sprintf("%d of %d nodes are here: let %d more join (concord cluster token)", 1+others, n.needs(), missing)
	}
	return "the first node moves what it has into the cluster"
}

// clusterNodes is how many nodes a cluster with engines of its own needs: see bus.Cluster for why not two.
const clusterNodes = 3

// needs returns how many nodes there must be for the cluster to work.
func (n *Node) needs() int {
	if n.cfg.NATS != "" {
		return 1
	}
	return clusterNodes
}

// busConfig is how this node's message engine is opened, alone or in the cluster.
func (n *Node) busConfig(alone bool) (bus.Config, error) {
	c := bus.Config{Dir: n.path("bus"), NodeName: n.layout.Node, Trace: n.tracer, Logger: n.log("bus")}
	if alone {
		return c, nil
	}
	c.Dir, c.MaxBlobBytes = n.path(clusterDir, "bus"), n.blobSpace()
	if c.URL = n.cfg.NATS; c.URL != "" {
		return c, nil
	}
	listen, err := engineAddr(n.cfg.Cluster.Addr)
	if err != nil {
		return c, err
	}
	advertise, err := engineAddr(n.cfg.Cluster.advertised())
	if err != nil {
		return c, err
	}
	if advertise == listen {
		advertise = ""
	}
	c.Cluster = &bus.Cluster{Name: n.place.Load().clusterName(n.identity.Peer().Cluster), Listen: listen, Advertise: advertise, Peers: engineAddrs(n.place.Load().others()), TLS: n.identity.ServerTLS()}
	return c, nil
}

// movedDir is what the directory of the old engine is called while it is deleted.
const movedDir = "bus.moved"

// removeOld deletes the directory of the engine that this node had when it was alone. Its streams are in the cluster, and verified.
func (n *Node) removeOld() {
	moved, err := bus.Moved(n.path("bus"))
	if err == nil && moved { // under another name first: what a kill leaves of it no longer says that it was moved
		err = os.Rename(n.path("bus"), n.path(movedDir))
	}
	if err == nil {
		err = os.RemoveAll(n.path(movedDir))
	}
	if err != nil {
		n.cfg.Logger.Warn("the message engine's old directory is left", "error", err)
	}
}
