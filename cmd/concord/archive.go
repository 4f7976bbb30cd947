package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"concord"
	"concord/web"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
)

func archiveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "archive", Short: "Move WARC files in and out", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(exportCommand(), importCommand())
	return cmd
}

func exportCommand() *cobra.Command {
	var dir, site string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write WARC files that other tools read",
		Long: `Copy the archive, or one site of it, into a new directory: WARC 1.1 files with
one gzip member a record, and a CDXJ index. The directory appears when it is
complete.`,
		Example: "  concord archive export --warc ./export --site example.org",
		Args:    noArgs,
	}
	cmd.Flags().StringVar(&dir, "warc", "", "directory to write; it must not exist yet, or be empty (required)")
	cmd.Flags().StringVar(&site, "site", "", "only this site (registrable domain or host)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the summary as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if dir == "" {
			return concord.Errorf(concord.Invalid, "no directory given: use --warc DIR")
		}
		c, err := newClient(cmd)
		if err != nil {
			return err
		}
		if dir, err = filepath.Abs(dir); err != nil {
			return err
		}
		var sum web.ExportSummary
		if err := c.do(cmd.Context(), http.MethodPost, "/api/v1/archive/export", nil, map[string]string{"dir": dir, "site": site}, &sum); err != nil {
			return err
		}
		if asJSON {
			return printJSON(cmd.OutOrStdout(), &sum)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "wrote %d records, %s, to %s\n", sum.Records, size(uint64(sum.Bytes)), sum.Dir)
		return nil
	}
	return cmd
}

func importCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "import FILE…",
		Short: "Take in WARC files of other tools",
		Long: `Archive and index what WARC files hold. It is found like other pages, but gets
no receipts: this node did not fetch it. Importing a file twice adds nothing.
Damaged places are passed over and counted.`,
		Example: "  concord archive import collection-*.warc.gz",
		Args:    atLeastOne("file"),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the summaries as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := newClient(cmd)
		if err != nil {
			return err
		}
		var sums []web.ImportSummary
		var errs []error
		for _, name := range args {
			sum, err := importFile(cmd, c, name, asJSON)
			if err != nil {
				if !strings.HasPrefix(err.Error(), filepath.Base(name)) {
					err = fmt.Errorf("%s: %w", name, err)
				}
				errs = append(errs, err)
				continue
			}
			sums = append(sums, sum)
			if asJSON {
				continue
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %d records, %d captures taken, %d indexed, %d left out, %d damaged\n", name, sum.Records, sum.Captures, sum.Indexed, sum.Skipped, sum.Damaged)
			for _, p := range sum.Problems {
				fmt.Fprintln(cmd.OutOrStdout(), "  "+printable(p))
			}
		}
		if asJSON {
			errs = append(errs, printJSON(cmd.OutOrStdout(), sums))
		}
		return errors.Join(errs...)
	}
	return cmd
}

func importFile(cmd *cobra.Command, c *client, name string, quiet bool) (sum web.ImportSummary, err error) {
	f, err := os.Open(name)
	if err != nil {
		return sum, concord.Errorf(concord.Invalid, "%w", errors.Unwrap(err))
	}
	defer f.Close()
	body := io.Reader(f)
	if fi, err := f.Stat(); err == nil && !quiet && isTerminal(os.Stderr) {
		bar := progressbar.NewOptions64(fi.Size(), progressbar.OptionSetWriter(os.Stderr), progressbar.OptionShowBytes(true),
			progressbar.OptionClearOnFinish(), progressbar.OptionSetDescription(filepath.Base(name)))
		defer bar.Finish() //nolint:errcheck // a progress bar
		body = io.TeeReader(f, bar)
	}
	resp, err := c.call(cmd.Context(), http.MethodPost, "/api/v1/archive/import", url.Values{"name": {filepath.Base(name)}}, "application/warc", body)
	if err != nil {
		return sum, err
	}
	defer resp.Body.Close()
	return sum, decode(resp.Body, &sum)
}
