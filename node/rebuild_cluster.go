package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"concord"
	"concord/blob"
	"concord/durable"
	"concord/join"
	"concord/vault"
	"concord/warc"
)

// A cluster whose nodes have all lost logs and states is made again from its archive in three steps, with all nodes stopped. On the node with
// the ledger, Rebuild with From takes the archive files of the other nodes over and makes everything again, as a node alone that others may
// join: it keeps its identity, and its epoch is one higher. On each other node Rejoin deletes what is of the old epoch. Then all are started: the
// others wait at the door of the first, and it grows as it did before.

// FromBlobs is the source that stands for the operator's own store of blobs.
const FromBlobs = "blobs"

// swapFounder makes a member the first node of its cluster when a rebuild is put in place.
type swapFounder struct {
	Epoch int `json:"epoch"`
}

// finish may be done twice.
func (s *swapFounder) finish(dir string) error {
	if err := os.RemoveAll(filepath.Join(dir, clusterDir, "bus")); err != nil {
		return err
	}
	m := &membership{Stage: founder, Ledger: true, Epoch: s.Epoch}
	return durable.WriteJSON(filepath.Join(dir, clusterDir, membershipFile), 0o600, m)
}

// ofCluster says what a rebuild may do on this node, and takes the archives of the other nodes over.
func (r *rebuilder) ofCluster(ctx context.Context) error {
	place := r.place.Load()
	r.place.Store(nil) // everything is made as on a node alone
	r.members = place != nil
	switch {
	case place == nil && len(r.opt.From) == 0:
		return nil
	case place == nil:
		return concord.Errorf(concord.Invalid, "--from is for the nodes of a cluster, and this one never was in any; to take other archives in, use concord archive import")
	case len(r.opt.From) == 0 && place.Stage == founder:
		return nil
	case len(r.opt.From) == 0:
		return concord.Errorf(concord.Conflict, "this node is a member of a cluster, and the other nodes have copies of its logs and states: "+
			"to get them from there, run concord rebuild --rejoin; if all nodes have lost theirs, stop all and run concord rebuild --from on the node with the ledger")
	case !place.Ledger:
		return concord.Errorf(concord.Conflict, "another node has the ledger: run concord rebuild --from there, and concord rebuild --rejoin here")
	}
	if err := noneRuns(ctx, r.path(clusterDir), place.Peers); err != nil {
		return err
	}
	r.founds = &swapFounder{Epoch: place.Epoch + 1}
	for _, from := range r.opt.From {
		if err := r.takeOver(ctx, from); err != nil {
			return fmt.Errorf("take the archive over from %s: %w", from, err)
		}
	}
	if others := len(place.Peers); others > len(r.opt.From) && !r.fromBlobs() {
		r.report.Problems = appendProblem(r.report.Problems, fmt.Sprintf(
			"this node knew %d others, and %d archives were given: what only the rest had fetched is missing, until it is run again with them", others, len(r.opt.From)))
	}
	return nil
}

func (r *rebuilder) fromBlobs() bool {
	for _, from := range r.opt.From {
		if from == FromBlobs {
			return true
		}
	}
	return false
}

// doorLook bounds the question whether a node runs.
const doorLook = 3 * time.Second

// noneRuns refuses to make a cluster again of which a node still runs: there would be two.
func noneRuns(ctx context.Context, dir string, peers []string) error {
	id, err := join.Open(dir, quiet())
	if err != nil {
		return err
	}
	client := doorClient(id, doorLook)
	q, err := json.Marshal(readyQuestion{"127.0.0.1:1"})
	if err != nil {
		return err
	}
	for _, addr := range peers {
		if _, err := askDoor(ctx, client, addr, q); err == nil {
			return concord.Errorf(concord.Conflict, "the node at %s runs: stop all nodes of the cluster first", addr)
		}
	}
	return nil
}

// takeOver copies archive files from another node's directory, or from the blobs, into this node's archive.
func (r *rebuilder) takeOver(ctx context.Context, from string) error {
	r.show("taking over "+from, 0)
	if from == FromBlobs {
		return r.takeBlobs(ctx)
	}
	dir := from
	if exists(filepath.Join(from, "layout.json")) {
		if err := r.sameCluster(from); err != nil {
			return err
		}
		dir = filepath.Join(from, "archive")
	}
	if !exists(dir) {
		return concord.Errorf(concord.NotFound, "there is no such directory")
	}
	if sameDir(dir, r.path("archive")) {
		return concord.Errorf(concord.Invalid, "this is the archive of this node itself")
	}
	// Opening it repairs the end of its newest file, and shows that no node runs on it. Sealed it stays as it is: what this node has of a file
	// must not differ from what the other node will have of it.
	a, err := warc.Open(warc.Config{Dir: dir, Operator: r.layout.Operator, Log: quiet()})
	if err != nil {
		return fmt.Errorf("it must be a directory that can be written, of a node that is stopped: %w", err)
	}
	n, bytes := 0, int64(0)
	err = a.Seal()
	for _, f := range a.Files() {
		if err != nil {
			break
		}
		var copied bool
		if copied, err = r.takeFile(ctx, a, f); copied {
			n++
			bytes += f.Bytes
		}
	}
	r.report.Sources = append(r.report.Sources, fmt.Sprintf("%s: %d files, %d of them new, %d bytes", from, a.Stats().Files, n, bytes))
	return errors.Join(err, a.Close())
}

// sameCluster refuses the data directory of somebody else.
func (r *rebuilder) sameCluster(dir string) error {
	var l layout
	if err := durable.ReadJSON(filepath.Join(dir, "layout.json"), &l); concord.KindOf(err) == concord.Corrupt {
		return fmt.Errorf("%w; give the directory of the archive itself: %s", err, filepath.Join(dir, "archive"))
	} else if err != nil {
		return err
	}
	if l.Operator != r.layout.Operator || l.Chain != r.layout.Chain {
		return concord.Errorf(concord.Invalid, "it is of the operator %s with the ledger %s, not of %s with %s", l.Operator, l.Chain, r.layout.Operator, r.layout.Chain)
	}
	return nil
}

// takeFile copies one file, unless this node has as much of it, undamaged.
func (r *rebuilder) takeFile(ctx context.Context, a *warc.Archive, f warc.FileInfo) (copied bool, err error) {
	own := r.path("archive", f.Name)
	fi, err := os.Stat(own)
	switch {
	case err == nil && fi.Size() >= f.Bytes && (len(f.Damages) > 0 || !exists(own+".damage")):
		return false, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return false, err
	}
	if err := r.room(); err != nil {
		return false, err
	}
	_, err = warc.Place(r.path("archive"), f.Name, func(w io.Writer) error {
		buf := make([]byte, 1<<20)
		for off := int64(0); off < f.Bytes; {
			if err := ctx.Err(); err != nil {
				return err
			}
			p := buf[:min(int64(len(buf)), f.Bytes-off)]
			if err := a.ReadAt(f.Name, p, off); err != nil {
				return err
			}
			if _, err := w.Write(p); err != nil {
				return err
			}
			off += int64(len(p))
		}
		return nil
	})
	return err == nil, err
}

// takeBlobs writes what the operator's own store of blobs has.
func (r *rebuilder) takeBlobs(ctx context.Context) error {
	if err := r.readEngines(); err != nil {
		return err
	}
	if r.cfg.Blobs == "" {
		return concord.Errorf(concord.Invalid, "the blobs of this cluster are on its nodes, and lost with their logs: give the archives of the other nodes")
	}
	place, err := blob.Parse(r.cfg.Blobs)
	if err != nil {
		return err
	}
	blobs, err := place.Open(ctx)
	if err != nil {
		return err
	}
	sum, err := vault.Restore(ctx, blobs, r.path("archive"), func(s vault.Restored) { r.show("taking over blobs", s.Bytes) })
	if err != nil {
		return err
	}
	r.report.Sources = append(r.report.Sources, fmt.Sprintf("%s: %d files, %d of them new, %d bytes", r.cfg.Blobs, sum.Files+sum.Kept, sum.Files, sum.Bytes))
	for _, d := range sum.Damages {
		r.problem(d)
	}
	return nil
}

func sameDir(a, b string) bool {
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}

// derived are the parts of a member's data directory that others have copies of.
var derived = []string{"shard", "frontier", "attest", "bus", "trimmed.json"}

// Rejoin deletes a member's logs and states, so that it gets them from the other nodes when it is started again, or from a cluster that was made
// again with Rebuild. Identity, archive and keys stay. No node may be running on the directory. It may be cut short at any moment and run
// again. Errors: Conflict while a node runs, and on a node that has no cluster to join; NotFound without a data directory.
func Rejoin(ctx context.Context, cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	n := &Node{cfg: cfg}
	if _, err := os.Stat(n.path("layout.json")); errors.Is(err, fs.ErrNotExist) {
		return concord.Errorf(concord.NotFound, "%s is no data directory: layout.json is not there", cfg.Data)
	}
	if err := n.openDir(ctx); err != nil {
		return errors.Join(err, n.Close())
	}
	return errors.Join(n.rejoin(), n.Close())
}

func (n *Node) rejoin() error {
	if n.place.Load() == nil || n.place.Load().Stage == founder || n.place.Load().Stage == growing {
		return concord.Errorf(concord.Conflict, "this node is not a member of a cluster that it could join again")
	}
	if len(n.place.Load().Peers) == 0 {
		return concord.Errorf(concord.Conflict, "this node knows no other node: write the cluster address of one into %s, as \"peers\": [\"HOST:PORT\"]", n.place.Load().path)
	}
	a, err := warc.Open(warc.Config{Dir: n.path("archive"), Operator: n.layout.Operator, Log: n.log("archive")})
	if err != nil {
		return err
	}
	// The node that made the cluster again has its files as they are now: they must not grow.
	if err := errors.Join(a.Seal(), a.Close()); err != nil {
		return err
	}
	// Gone as a whole: of a part of its files the engine would make a copy that it takes for whole.
	old := n.path(rebuildDir, "old")
	if err := os.MkdirAll(old, 0o700); err != nil {
		return err
	}
	engine := n.path(clusterDir, "bus")
	if err := os.Rename(engine, filepath.Join(old, "engine-"+strings.ToLower(randomHex(4)))); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := durable.SyncDir(n.path(clusterDir)); err != nil {
		return err
	}
	if err := n.place.Load().set(joining, n.place.Load().Peers); err != nil {
		return err
	}
	for _, part := range derived {
		if err := os.RemoveAll(n.path(part)); err != nil {
			return err
		}
	}
	_, err = finishRebuild(n.cfg.Data)
	return err
}
