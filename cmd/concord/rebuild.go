package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"concord"
	"concord/node"

	"github.com/spf13/cobra"
)

func rebuildCommand() *cobra.Command {
	var asJSON, rejoin bool
	var opt node.RebuildOptions
	cmd := &cobra.Command{
		Use:   "rebuild",
		Short: "Make lost or damaged parts again from the archive",
		Long: `Make parts of a data directory again from what is in its archive. No node may
be running on it. By default these are the parts that are missing or damaged:

  index      what is searched, and the list of captures (shard/)
  frontier   crawls, known addresses, when to look again (frontier/)
  receipts   which capture is in which attestation (attest/)
  logs       messages on their way between these (bus/)

The archive, the keys and the ledger stay as they are: nothing else has what
they hold. New parts are made beside the old ones, verified, and then put in
their place; until then the disk holds both. On a disk that is nearly full it
stops and changes nothing. After a kill at any moment, run it again.

On a member of a cluster the other nodes have copies. --rejoin deletes logs,
index, frontier and receipts of this node alone, and it gets them from the
others when it is started. When all nodes have lost them, stop all; run
rebuild --from on the node with the ledger, with the data or archive directory
of each other node, copied or mounted (or --from blobs, when the operator's own
store has the blobs); run rebuild --rejoin on the others; start all.

Give it the node's configuration file, if the node has one.`,
		Example: `  concord rebuild
  concord rebuild --from /mnt/node-2 --from /mnt/node-3
  concord rebuild --rejoin
  concord rebuild --only index
  concord rebuild --all --config /etc/concord.yaml`,
		Args: noArgs,
	}
	cmd.Flags().StringSliceVar(&opt.Only, "only", nil, "make these again, whatever their state: index, frontier, receipts, logs")
	cmd.Flags().BoolVar(&opt.All, "all", false, "make all parts again")
	cmd.Flags().StringArrayVar(&opt.From, "from", nil, "of a whole cluster, with the archive in this directory, or \"blobs\"")
	cmd.Flags().BoolVar(&rejoin, "rejoin", false, "let this member get everything from the other nodes at its next start")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the summary as JSON")
	cmd.Flags().String("config", "", "YAML configuration file")
	cmd.Flags().String("log", "warn", "what to log on standard error: debug, info, warn or error")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if opt.All && len(opt.Only) > 0 {
			return concord.Errorf(concord.Invalid, "--all and --only exclude each other")
		}
		if len(opt.From) > 0 && (opt.All || len(opt.Only) > 0 || rejoin) || rejoin && (opt.All || len(opt.Only) > 0) {
			return concord.Errorf(concord.Invalid, "--from and --rejoin stand alone: they are about all parts")
		}
		cfg, err := loadConfig(cmd)
		if err != nil {
			return err
		}
		if rejoin {
			if err := node.Rejoin(cmd.Context(), cfg); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), "this node gets everything from the others when it is started again")
			return nil
		}
		line := &progressLine{w: os.Stderr, began: time.Now()}
		shown := !asJSON && isTerminal(os.Stderr)
		if shown {
			opt.Progress = line.show
		}
		report, err := node.Rebuild(cmd.Context(), cfg, opt)
		if shown {
			line.clear()
		}
		if err != nil {
			return err
		}
		if asJSON {
			return printJSON(cmd.OutOrStdout(), &report)
		}
		printRebuild(cmd.OutOrStdout(), &report)
		return nil
	}
	return cmd
}

// printRebuild says what was done and what could not be.
func printRebuild(w io.Writer, r *node.RebuildReport) {
	if r.Resumed {
		fmt.Fprintln(w, "an earlier rebuild was complete; its parts have been put in place")
	}
	if len(r.Made) == 0 {
		fmt.Fprintln(w, "nothing is missing or damaged; to make parts again all the same, use --only or --all")
		return
	}
	for _, s := range r.Sources {
		printWrapped(w, "from      ", printable(s))
	}
	f := &r.Found
	for _, part := range slices.Sorted(maps.Keys(r.Made)) {
		printWrapped(w, fmt.Sprintf("%-10s", part), "made again: "+printable(r.Made[part]))
	}
	rate := float64(f.Captures) / max(r.Seconds, 0.001)
	fmt.Fprintf(w, "\nread %d captures, %s, in %s (%.0f a second)\n", f.Captures, size(uint64(r.Bytes)), (time.Duration(r.Seconds * float64(time.Second))).Round(time.Millisecond), rate)
	line := func(n int64, text string) {
		if n > 0 {
			printWrapped(w, "  ", fmt.Sprintf("%d %s", n, text))
		}
	}
	line(int64(r.Pages), "pages can be searched")
	line(f.Crawls, "crawls are known")
	line(r.Waiting, "addresses wait to be fetched")
	line(f.Removals, "pages were deleted and stay so")
	line(f.Imported, "captures were imported from elsewhere")
	line(r.Receipts, "captures have their receipts again")
	line(r.NoReceipts, "captures were attested, but their receipts cannot be made again: the archive of that time lacks what is needed. Receipts that somebody has stay valid.")
	line(f.Undecided, "captures are from before the archive kept what was concluded of them: they were judged anew, and where they lead was not followed")
	line(f.NoCrawl, "captures are of crawls that the archive does not describe: they can be searched, and are not looked at again unless a new crawl finds them")
	line(f.Reread, "pages are read differently by this version of the program")
	line(f.Unread, "pages were in the index and cannot be read from the archive any more")
	line(r.Damaged, "places of the archive could not be used:")
	for _, p := range r.Problems {
		printWrapped(w, "    ", printable(p))
	}
}

// progressLine shows how far a rebuild is, in one line of a terminal.
type progressLine struct {
	w     io.Writer
	began time.Time
}

// settleTime is how long a rate must have been seen before it says when the end will come.
const settleTime = 2 * time.Second

func (l *progressLine) show(p node.RebuildProgress) {
	text := p.Stage
	if p.Read > 0 && p.Read < p.Of {
		took := time.Since(l.began)
		text += fmt.Sprintf(": %s of %s, %d captures, %.0f/s", size(uint64(p.Read)), size(uint64(p.Of)), p.Captures, float64(p.Captures)/took.Seconds())
		if took > settleTime {
			left := time.Duration(float64(took) * float64(p.Of-p.Read) / float64(p.Read))
			text += fmt.Sprintf(", %s left", left.Round(time.Second))
		}
	}
	fmt.Fprintf(l.w, "\r\x1b[K%.*s", max(columns(l.w)-1, 1), text)
}

func (l *progressLine) clear() { fmt.Fprint(l.w, "\r\x1b[K") }
