package main

import (
	"fmt"
	"io"
	"runtime"
	"time"

	"concord"
	"concord/web"

	"github.com/spf13/cobra"
)

func statusCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Say what the node has, does and lacks",
		Example: "  concord status\n  concord status --json",
		Args:    noArgs,
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := newClient(cmd)
		if err != nil {
			return err
		}
		var st web.Status
		if err := c.get(cmd.Context(), "/api/v1/status", nil, &st); err != nil {
			return err
		}
		if asJSON {
			return printJSON(cmd.OutOrStdout(), &st)
		}
		var list struct {
			Crawls []web.CrawlItem `json:"crawls"`
		}
		if err := c.get(cmd.Context(), "/api/v1/crawls", nil, &list); err != nil {
			return err
		}
		printStatus(cmd.OutOrStdout(), &st, list.Crawls)
		return nil
	}
	return cmd
}

// shownCrawls bounds the crawls a person is shown; --json has all.
const shownCrawls = 10

func printStatus(w io.Writer, st *web.Status, crawls []web.CrawlItem) {
	line := func(label, format string, args ...any) {
		fmt.Fprintf(w, "%-10s"+format+"\n", append([]any{label}, args...)...)
	}
	line("node", "%s of %s, version %s, http://%s", st.Node, st.Operator, st.Version, st.Addr)
	line("running", "since %s (%s)", st.Started.Local().Format(time.DateTime), st.Uptime.Round(time.Second))
	line("data", "%s, %s free", st.DataDir, size(st.Machine.DiskFree))
	line("pages", "%d searchable, %d captures, archive of %s in %s", st.Documents, st.Captures, size(uint64(st.Archive.Bytes)), count(st.Archive.Files, "file"))
	var lag uint64
	segments := 0
	for _, s := range st.Shards {
		lag += s.Lag
		segments += s.Segments
		if s.Error != "" {
			line("shard", "%d: %s", s.Shard, s.Error)
		}
	}
	line("index", "%d shards, %d segments, %d messages behind", len(st.Shards), segments, lag)
	line("ledger", "height %d, %d entries, %d captures wait for their receipt", st.Ledger.Height, st.Ledger.Size, st.Ledger.Pending)
	line("memory", "%s", size(st.Machine.Memory))
	line("crawl", "%d running, %.1f fetches/s, %d waiting, %d in flight", st.Crawl.Running, st.Crawl.Rate, st.Crawl.Queued, st.Crawl.InFlight)
	if st.Traces != "" {
		printWrapped(w, "traces    ", printable(st.Traces))
	}
	if c := st.Cluster; c != nil {
		printWrapped(w, "cluster   ", c.Words())
		if c.Growing != nil {
			printWrapped(w, "          ", printable(growthWords(c.Growing)))
		}
	}
	for i, c := range crawls {
		if i == shownCrawls {
			fmt.Fprintf(w, "          … and %d more\n", len(crawls)-i)
			break
		}
		state := "running"
		if c.Done {
			state = "done"
		}
		if c.Stopped {
			state = "stopped"
		}
		seed := ""
		if len(c.Spec.Seeds) > 0 {
			seed = concord.Clip(printable(c.Spec.Seeds[0]), 44)
		}
		if n := len(c.Spec.Seeds) - 1; n > 0 {
			seed += fmt.Sprintf(" +%d", n)
		}
		fmt.Fprintf(w, "          %s %-7s %s\n          %d fetched, %d indexed, %d waiting, %d failed, %d refused\n",
			c.ID, state, seed, c.Fetched, c.Indexed, c.Queued, c.Failed, c.Refused)
	}
	for _, warning := range st.Warnings {
		printWrapped(w, "warning   ", printable(warning))
	}
}

// size writes bytes for a person.
func size(n uint64) string {
	units := []string{"B", "kB", "MB", "GB", "TB"}
	f, i := float64(n), 0
	for f >= 1000 && i < len(units)-1 {
		f /= 1000
		i++
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, units[i])
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			fmt.Fprintf(cmd.OutOrStdout(), "concord %s %s %s/%s\n", concord.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
		},
	}
}
