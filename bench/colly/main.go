// Command colly is the colly side of the comparison: it crawls the seeds on its standard input, one a line, each host by
// itself, with at most one request at a time to a host and a fixed pause after each, and obeys robots.txt. It follows
// <a href> within the host and, with -save, writes every body to a file of its own.
//
// It is a module of its own, so that the program under test does not depend on the crawler it is compared with.
package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/gocolly/colly/v2"
)

func main() {
	delay := flag.Duration("delay", 0, "pause after each answer of a host")
	save := flag.String("save", "", "directory for bodies; empty: they are dropped")
	flag.Parse()
	if err := run(*delay, *save); err != nil {
		fmt.Fprintln(os.Stderr, "colly:", err)
		os.Exit(1)
	}
}

func run(delay time.Duration, save string) error {
	c := colly.NewCollector(colly.Async(true), colly.UserAgent("bench-colly (+http://127.0.0.1/bot)"))
	c.IgnoreRobotsTxt = false
	// The default keeps too few idle connections for as many hosts.
	c.WithTransport(&http.Transport{DialContext: (&net.Dialer{Timeout: 10 * time.Second}).DialContext, MaxIdleConns: 1000, MaxIdleConnsPerHost: 2})
	var seeds []*url.URL
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		u, err := url.Parse(in.Text())
		if err != nil {
			return err
		}
		seeds = append(seeds, u)
		// A rule of its own for each host: what one rule matches shares one bound.
		if err := c.Limit(&colly.LimitRule{DomainGlob: u.Host, Parallelism: 1, Delay: delay}); err != nil {
			return err
		}
	}
	c.OnHTML("a[href]", func(e *colly.HTMLElement) {
		u, err := e.Request.URL.Parse(e.Attr("href"))
		if err != nil || u.Host != e.Request.URL.Host || u.Scheme != e.Request.URL.Scheme {
			return
		}
		u.Fragment = ""
		_ = c.Visit(u.String()) // refused or visited before: both are the collector's business
	})
	var failed error
	if save != "" {
		c.OnResponse(func(r *colly.Response) {
			name := sha256.Sum256([]byte(r.Request.URL.String()))
			if err := os.WriteFile(filepath.Join(save, hex.EncodeToString(name[:16])), r.Body, 0o600); err != nil {
				failed = err
			}
		})
	}
	for _, u := range seeds {
		if err := c.Visit(u.String()); err != nil {
			return fmt.Errorf("%s: %w", u, err)
		}
	}
	c.Wait()
	return failed
}
