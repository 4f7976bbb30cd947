// Command concord is a search engine, an archive and a ledger in one program: `concord up` runs a node, the other
// commands talk to it over a Unix socket in its data directory, and `concord verify` needs no node at all.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"concord"
	"concord/query"

	"github.com/spf13/cobra"
)

func main() { os.Exit(run(os.Args[1:])) }

// run executes one command line and returns the exit code.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := rootCommand()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	if cmd == root { // cobra's own error, which has no kind: there is no such command
		err = concord.Errorf(concord.Invalid, "%w", err)
	}
	report(err)
	return exitCode(err)
}

// report prints an error for a person, and for a malformed query its place.
func report(err error) {
	var silent *quietError
	if errors.As(err, &silent) {
		return
	}
	var q *concord.QueryError
	if errors.As(err, &q) && q.Query != "" {
		fmt.Fprintf(os.Stderr, "concord: the query is malformed\n%s\n", query.Explain(q))
		return
	}
	first := "concord: "
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimRight(printable(line), " \t"); line != "" {
			printWrapped(os.Stderr, first, strings.TrimLeft(line, "\t"))
			first = "  "
		}
	}
}

// helpWidth is that of the narrowest terminals in use; texts of help are written for it.
const helpWidth = 80

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "concord",
		Short: "Crawl, index, search, and prove what you found",
		Long: `Concord is a search engine whose every result carries a receipt: a small file
that anyone can check offline, of who saw that page say that, and when.

Start a node with "concord up"; the other commands talk to it through its data
directory (--data, or CONCORD_DATA). "concord verify" needs no node.

Exit codes: 0 done; 1 failed, or a receipt does not prove what it should; 2
wrong use or input; 3 not found; 4 not available now (no node, not ready,
stopped); 5 an answer from only some of the shards or other operators.`,
		Example: `  concord up                                   # http://127.0.0.1:7667
  concord crawl https://example.org/ --wait    # crawl a site
  concord search "exact phrase" site:example.org
  concord receipt https://example.org/ --out r.tlog-proof
  concord policy > policy
  concord verify r.tlog-proof --policy policy  # anywhere, without a node`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.PersistentFlags().String("data", "", "data directory (default $CONCORD_DATA, else "+defaultDataText+")")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if cmd.Name() == "search" && strings.Contains(err.Error(), "shorthand") {
			return concord.Errorf(concord.Invalid, "%w; put a query that begins with - behind --, as in: concord search -- -word other", err)
		}
		return concord.Errorf(concord.Invalid, "%w; see: %s --help", err, cmd.CommandPath())
	})
	// Flags are listed within helpWidth; templates of subcommands are inherited.
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), "Flags.FlagUsages |", fmt.Sprintf("Flags.FlagUsagesWrapped %d |", helpWidth)))
	root.AddCommand(upCommand(), crawlCommand(), searchCommand(), receiptCommand(), verifyCommand(), notariseCommand(), witnessCommand(), policyCommand(),
		statusCommand(), clusterCommand(), ledgerCommand(), federationCommand(), explainCommand(), whyCommand(), deleteCommand(), archiveCommand(), rebuildCommand(), versionCommand(), pdfTextCommand())
	return root
}
