package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"concord"
	"concord/chain"
	"concord/ledger"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
)

// replayResult is what a replay found to be true, as --json prints it.
type replayResult struct {
	Source      string         `json:"source"`
	Chain       string         `json:"chain"`
	Entries     uint64         `json:"entries"`
	Blocks      uint64         `json:"blocks"`      // whose state hash followed from the entries before
	Checkpoints int            `json:"checkpoints"` // whose root was that of the entries
	Tiles       uint64         `json:"tiles"`       // whose hashes were those of the entries
	Height      int64          `json:"height"`
	Root        concord.Digest `json:"root"`
	State       concord.Digest `json:"state"` // hash of the state after the last entry
	Cosigned    int            `json:"cosigned"`
	Members     int            `json:"members"`
	Seconds     float64        `json:"seconds"`
}

func ledgerReplayCommand() *cobra.Command {
	var asJSON, offline, quiet bool
	var from string
	cmd := &cobra.Command{
		Use:   "replay",
		Short: "Rebuild the ledger's state from its first entry and compare",
		Long: `Rebuild the ledger from entry 0 and compare everything that can be: the state
hash in every block's record, the root of every checkpoint at hand, every hash
of the tree, the signatures of the newest checkpoint, and, offline, the stored
state itself.

It reads the tiles of the running node; with --url those of any node, over the
network; with --offline the data directory of a node that does not run.

Exit code 0: all of it is as it must be; 1: something is not, and the first
difference is named; 4: there is no node, or one is in the way of --offline.`,
		Example: `  concord ledger replay
  concord ledger replay --url https://search.alice.example
  concord ledger replay --offline --data /backup/concord --json`,
		Args: noArgs,
	}
	cmd.Flags().StringVar(&from, "url", "", "replay the ledger of the node at this address")
	cmd.Flags().BoolVar(&offline, "offline", false, "read the data directory itself; its node must not run")
	cmd.Flags().BoolVar(&quiet, "quiet", false, "no progress on standard error")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if offline && from != "" {
			return concord.Errorf(concord.Invalid, "--url and --offline exclude each other")
		}
		src, err := openSource(cmd, offline, from)
		if err != nil {
			return err
		}
		defer src.close()
		start := time.Now()
		r, err := replay(cmd.Context(), src, newReplayBar(cmd.ErrOrStderr(), quiet))
		if err != nil {
			return err
		}
		r.Seconds = time.Since(start).Seconds()
		if asJSON {
			return printJSON(cmd.OutOrStdout(), r)
		}
		printReplay(cmd.OutOrStdout(), r)
		return nil
	}
	return cmd
}

func printReplay(w io.Writer, r *replayResult) {
	fmt.Fprintf(w, "REPLAYED  %d entries of %s from %s in %.1f s\n", r.Entries, r.Chain, printable(r.Source), r.Seconds)
	printWrapped(w, "  + ", fmt.Sprintf("The state hash of every block record follows from the entries before it: %s.", count(int64(r.Blocks), "block")))
	printWrapped(w, "  + ", fmt.Sprintf("%s and %s hold the hashes of these entries and no others.", count(int64(r.Checkpoints), "checkpoint"), count(int64(r.Tiles), "tile")))
	if r.Members > 0 {
		printWrapped(w, "  + ", fmt.Sprintf("The newest checkpoint is signed by the log and cosigned by %d of its %s.", r.Cosigned, count(int64(r.Members), "active member")))
	}
	fmt.Fprintf(w, "  height %d\n  root   %s\n  state  %s\n", r.Height, r.Root, r.State)
}

// replayer folds the entries of a log into its state and its tree, holding each against what the source says.
type replayer struct {
	src    logSource
	roots  map[uint64]concord.Digest
	fold   *ledger.Replay
	tree   ledger.Tree
	levels [][]byte // hashes of the tile that is not full yet, by level
	tiles  []uint64 // full tiles so far, by level
	result replayResult
}

// replay reads the whole log. A difference is a Corrupt error that names where it is.
func replay(ctx context.Context, src logSource, bar *replayBar) (*replayResult, error) {
	defer bar.end()
	head, size := src.head()
	roots, err := src.roots(ctx)
	if err != nil {
		return nil, err
	}
	p := &replayer{src: src, roots: roots, fold: ledger.NewReplay(src.chain())}
	if head.Size > 0 {
		roots[head.Size] = head.Root
	}
	for p.tree.Size < size {
		if err := p.bundle(ctx, int(min(chain.TileWidth, size-p.tree.Size))); err != nil {
			return nil, err
		}
		bar.at(p.tree.Size, size)
	}
	if err := p.lastTiles(ctx); err != nil {
		return nil, err
	}
	m, err := p.fold.End()
	if err != nil {
		return nil, differs(err)
	}
	if head.Size > 0 {
		if p.result.Cosigned, p.result.Members, err = chain.Signed(m.State(), []byte(head.Note)); err != nil {
			return nil, differs(err)
		}
	}
	if err := src.compare(m); err != nil {
		return nil, err
	}
	p.result.Source, p.result.Chain, p.result.Entries, p.result.Height = src.name(), src.chain(), m.Size(), m.Height()
	p.result.Root, p.result.State = m.Root(), m.State().Hash()
	return &p.result, nil
}

func differs(err error) error {
	return concord.Errorf(concord.Corrupt, "the ledger does not replay: %w", err)
}

// bundle takes the next entries.
func (p *replayer) bundle(ctx context.Context, width int) error {
	n := p.tree.Size / chain.TileWidth
	b, err := p.src.bundle(ctx, n, width)
	if err != nil {
		return err
	}
	list, err := chain.SplitBundle(b, width)
	if err != nil {
		return differs(err)
	}
	for _, e := range list {
		if err := p.fold.Add(e); err != nil {
			return differs(err)
		}
		if ledger.IsRecord(e) {
			p.result.Blocks++
		}
		leaf := ledger.LeafHash(e)
		p.tree = p.tree.Append(leaf)
		if err := p.hash(ctx, 0, leaf); err != nil {
			return err
		}
		if want, ok := p.roots[p.tree.Size]; ok {
			if got := p.tree.Root(); got != want {
				return differs(fmt.Errorf("the checkpoint of %d entries has root %s, these entries have %s", p.tree.Size, want, got))
			}
			p.result.Checkpoints++
		}
	}
	return nil
}

// hash takes the next hash of a level of tiles. A full tile is compared, and its own hash is the next one above.
func (p *replayer) hash(ctx context.Context, level int, h concord.Digest) error {
	if level == len(p.levels) {
		p.levels, p.tiles = append(p.levels, nil), append(p.tiles, 0)
	}
	p.levels[level] = append(p.levels[level], h[:]...)
	if len(p.levels[level]) < chain.TileWidth*len(h) {
		return nil
	}
	if err := p.tile(ctx, level); err != nil {
		return err
	}
	row := p.levels[level]
	p.levels[level] = nil
	p.tiles[level]++
	return p.hash(ctx, level+1, tileRoot(row))
}

// tile compares the hashes of a level's last tile with those of the source.
func (p *replayer) tile(ctx context.Context, level int) error {
	width := len(p.levels[level]) / len(concord.Digest{})
	got, err := p.src.tile(ctx, level, p.tiles[level], width)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, p.levels[level]) {
		return differs(fmt.Errorf("tile %d at level %d does not have the hashes of the entries", p.tiles[level], level))
	}
	p.result.Tiles++
	return nil
}

// lastTiles compares the tiles that are not full.
func (p *replayer) lastTiles(ctx context.Context) error {
	for level, row := range p.levels {
		if len(row) > 0 {
			if err := p.tile(ctx, level); err != nil {
				return err
			}
		}
	}
	return nil
}

// tileRoot returns the hash over a full tile (RFC 6962, section 2.1).
func tileRoot(row []byte) concord.Digest {
	var t ledger.Tree
	for ; len(row) > 0; row = row[len(concord.Digest{}):] {
		t = t.Append(concord.Digest(row[:len(concord.Digest{})]))
	}
	return t.Root()
}

// replayBar shows how far a replay is, on a terminal only.
type replayBar struct{ bar *progressbar.ProgressBar }

func newReplayBar(w io.Writer, quiet bool) *replayBar {
	if quiet || !isTerminal(w) {
		return &replayBar{}
	}
	return &replayBar{progressbar.NewOptions64(1, progressbar.OptionSetWriter(w), progressbar.OptionShowCount(), progressbar.OptionSetWidth(30),
		progressbar.OptionClearOnFinish(), progressbar.OptionSetDescription("replaying"))}
}

func (b *replayBar) at(done, total uint64) {
	if b.bar != nil {
		b.bar.ChangeMax64(int64(total))
		_ = b.bar.Set64(int64(done)) // a terminal that does not take it stays without
	}
}

func (b *replayBar) end() {
	if b.bar != nil {
		_ = b.bar.Finish()
	}
}
