package bus

import (
	"fmt"
	"os"
	"path/filepath"

	"concord"
	"concord/durable"

	"github.com/nats-io/nats-server/v2/server"
)

// DropCopy removes a node's copy of a stream, as Logs told of it, from the node's directory while the node is stopped. When it is
// opened again it gets the copy anew from the others: this is how a damaged copy is mended. The order is: Scrub, to know that the
// others have the stream; Settled and Logs; Yield and Close on the node with the damage; DropCopy; Open; and one node at a time, since
// until the copy is there again the stream has one fewer. Errors: Invalid when the others do not have all of it; NotFound.
//
// The copy's files and its part of the engine's own log go together: without the files alone the engine would take an empty copy for
// one that is up to date (seen with nats-server 2.15.2).
func DropCopy(dir, node string, l LogStatus) error {
	others := 0
	for _, c := range l.Copies {
		if c.Node == node {
			continue
		}
		if !c.Online || !c.Current || !c.has(&l) {
			return concord.Errorf(concord.Invalid, "drop copy of %s at %s: the one at %s is not up to date", l.Name, node, c.Node)
		}
		others++
	}
	if others < 2 || l.group == "" {
		return concord.Errorf(concord.Invalid, "drop copy of %s at %s: it needs two others, up to date, to be made anew from", l.Name, node)
	}
	root := filepath.Join(dir, server.JetStreamStoreDir)
	streams, groups := filepath.Join(root, streamAccount, "streams"), filepath.Join(root, systemAccount, "_js_")
	if _, err := os.Stat(filepath.Join(groups, l.group)); err != nil {
		return concord.Errorf(concord.NotFound, "drop copy: %s has no copy of stream %s", dir, l.Name)
	}
	// The group goes last: after a crash in between DropCopy is done again.
	for _, path := range []string{filepath.Join(streams, l.Name), filepath.Join(groups, l.group)} {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("drop copy: %w", err)
		}
		if err := durable.SyncDir(filepath.Dir(path)); err != nil {
			return fmt.Errorf("drop copy: %w", err)
		}
	}
	return nil
}
