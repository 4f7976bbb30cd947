package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"concord"
	"concord/web"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
)

const (
	pollInterval = 250 * time.Millisecond
	plainLines   = 2 * time.Second // between two lines of progress when the output is no terminal
)

func crawlCommand() *cobra.Command {
	var spec concord.CrawlSpec
	var scope string
	var wait, asJSON, stop bool
	cmd := &cobra.Command{
		Use:   "crawl URL…",
		Short: "Crawl pages: fetch, archive, index and attest them",
		Long: `Crawl from one or more URLs. The crawl goes on in the node, through restarts,
until nothing is left to fetch; --wait stays to watch. robots.txt and the
node's delays are always respected.

--scope says which links belong to the crawl: those of the same host
(default), of the same site (the registrable domain with all its hosts), or
those that begin with the URL given up to its last slash (prefix).`,
		Example: `  concord crawl https://example.org/ --wait
  concord crawl https://example.org/docs/ --scope prefix --max-pages 2000
  concord crawl https://example.org/ --exclude '/(login|cart)' --json
  concord crawl http://127.0.0.1:8000/ --allow-private --wait`,
		Args: atLeastOne("URL"),
	}
	f := cmd.Flags()
	f.StringVar(&scope, "scope", string(concord.ScopeHost), "which links belong to the crawl: host, site or prefix")
	f.IntVar(&spec.Depth, "depth", concord.DefaultDepth, "links away from a URL given; 0: only the URLs given")
	f.IntVar(&spec.MaxPages, "max-pages", concord.DefaultMaxPages, "pages to fetch at most")
	f.StringArrayVar(&spec.Include, "include", nil, "only URLs that match this regular expression (repeatable: any of them)")
	f.StringArrayVar(&spec.Exclude, "exclude", nil, "no URLs that match this regular expression (repeatable)")
	f.BoolVar(&spec.AllowPrivate, "allow-private", false, "allow addresses of this machine and of private networks")
	f.BoolVar(&wait, "wait", false, "stay until the crawl is done and its pages can be found")
	f.BoolVar(&asJSON, "json", false, "print the crawl as JSON")
	f.BoolVar(&stop, "stop", false, "stop crawls, named by their IDs in place of URLs")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		spec.Seeds, spec.Scope = args, concord.Scope(scope)
		if spec.Depth == 0 {
			spec.Depth = concord.SeedsOnly // the API takes 0 for "the default"; a person who types 0 means the given pages alone
		}
		c, err := newClient(cmd)
		if err != nil {
			return err
		}
		if stop {
			return stopCrawls(cmd, c, args)
		}
		var item web.CrawlItem
		if err := c.do(cmd.Context(), http.MethodPost, "/api/v1/crawls", nil, spec, &item); err != nil {
			return privateHint(err, spec.AllowPrivate)
		}
		out := cmd.OutOrStdout()
		if wait {
			if item, err = waitForCrawl(cmd.Context(), c, item, cmd.ErrOrStderr(), asJSON); err != nil {
				return err
			}
		}
		if asJSON {
			return printJSON(out, item)
		}
		if !wait {
			fmt.Fprintf(out, "crawl %s has begun; watch it with: concord status\n", item.ID)
			return nil
		}
		fmt.Fprintln(out, crawlSummary(&item))
		return nil
	}
	return cmd
}

// stopCrawls ends crawls before they are done.
func stopCrawls(cmd *cobra.Command, c *client, ids []string) error {
	for _, id := range ids {
		if err := c.do(cmd.Context(), http.MethodDelete, "/api/v1/crawls/"+url.PathEscape(id), nil, nil, nil); err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "crawl %s is stopped; what it fetched stays\n", id)
	}
	return nil
}

// privateHint names the flag that the node, which does not know of flags, cannot name.
func privateHint(err error, allowed bool) error {
	if allowed || concord.KindOf(err) != concord.Invalid || !strings.Contains(err.Error(), "private address") {
		return err
	}
	return fmt.Errorf("%w: use --allow-private", err)
}

// crawlSummary is what a finished crawl came to: one line, and one more for each kind of page that cannot be found.
func crawlSummary(c *web.CrawlItem) string {
	lines := []string{fmt.Sprintf("crawl %s is done: %s fetched, %s searchable", c.ID, count(c.Fetched, "page"), count(c.Indexed, "page"))}
	for _, p := range []struct {
		n    int64
		text string
	}{{c.Skipped, "fetched and kept on record only (redirects, duplicates, noindex, …)"}, {c.Failed, "failed"},
		{c.Refused, "not fetched (robots.txt, private addresses, limits)"}} {
		if p.n > 0 {
			lines = append(lines, fmt.Sprintf("  %d %s", p.n, p.text))
		}
	}
	return strings.Join(lines, "\n")
}

func count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// waitForCrawl watches a crawl until it is done and searchable.
func waitForCrawl(ctx context.Context, c *client, item web.CrawlItem, w io.Writer, quiet bool) (web.CrawlItem, error) {
	show := newProgress(w, quiet)
	defer show.end()
	for !item.Searchable {
		select {
		case <-ctx.Done():
			fmt.Fprintf(w, "\nno longer watching; crawl %s goes on in the node\n", item.ID)
			return item, &quietError{exitUnavailable}
		case <-time.After(pollInterval):
		}
		if err := c.get(ctx, "/api/v1/crawls/"+item.ID, nil, &item); err != nil {
			if concord.KindOf(err) == concord.Unavailable && ctx.Err() != nil {
				continue
			}
			return item, err
		}
		show.update(&item)
	}
	return item, nil
}

// progress shows how far a crawl is: a bar on a terminal, a line every two seconds elsewhere, nothing when quiet.
type progress struct {
	w     io.Writer
	bar   *progressbar.ProgressBar
	quiet bool
	last  time.Time
	start time.Time
}

func newProgress(w io.Writer, quiet bool) *progress {
	p := &progress{w: w, quiet: quiet, start: time.Now(), last: time.Now()}
	if !quiet && isTerminal(w) {
		p.bar = progressbar.NewOptions64(1, progressbar.OptionSetWriter(w), progressbar.OptionShowCount(), progressbar.OptionSetWidth(30),
			progressbar.OptionClearOnFinish(), progressbar.OptionSetDescription("crawling"), progressbar.OptionSetPredictTime(false))
	}
	return p
}

func (p *progress) update(c *web.CrawlItem) {
	total := c.Fetched + c.Queued + c.InFlight + c.Failed + c.Refused
	switch {
	case p.quiet:
	case p.bar != nil:
		p.bar.ChangeMax64(max(total, 1))
		if c.Done {
			p.bar.Describe("making searchable")
		} else {
			p.bar.Describe(fmt.Sprintf("crawling, %.1f pages/s", float64(c.Fetched)/time.Since(p.start).Seconds()))
		}
		_ = p.bar.Set64(min(c.Fetched+c.Failed+c.Refused, max(total-1, 0)))
	case time.Since(p.last) >= plainLines:
		p.last = time.Now()
		fmt.Fprintf(p.w, "%d fetched, %d waiting, %d failed, %.1f pages/s\n", c.Fetched, c.Queued+c.InFlight, c.Failed, float64(c.Fetched)/time.Since(p.start).Seconds())
	}
}

func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
