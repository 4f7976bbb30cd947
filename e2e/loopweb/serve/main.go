// Command serve runs the loopback web by itself, for benchmarks and for trying things by hand. It prints the start URL of
// every host, one a line, then an empty line, and serves until it is interrupted.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"concord/e2e/loopweb"
)

func main() {
	sites := flag.String("sites", os.Getenv("CONCORD_SITES"), "directory of unpacked documentation packages")
	only := flag.String("only", "", "comma-separated names of packages; empty: all that are there")
	odd := flag.Bool("odd", false, "hosts that are slow, broken, hostile or full of traps, too")
	generated := flag.Int("generated", 0, "hosts of made-up pages")
	pages := flag.Int("pages", 100, "pages of each of these")
	cloak := flag.String("cloak", "", "a host that shows another page to whose user agent holds this")
	subnet := flag.Uint("subnet", 77, "second number of the hosts' addresses, 127.N.x.y")
	flag.Parse()
	if err := run(*sites, *only, *cloak, *odd, *generated, *pages, byte(*subnet)); err != nil {
		fmt.Fprintln(os.Stderr, "serve:", err)
		os.Exit(1)
	}
}

func run(sites, only, cloak string, odd bool, generated, pages int, subnet byte) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var names []string
	if only != "" {
		names = strings.Split(only, ",")
	}
	var hosts []*loopweb.Host
	if sites != "" {
		docs, err := loopweb.Docs(sites, names...)
		if err != nil {
			return err
		}
		hosts = docs
	}
	if odd {
		hosts = append(hosts, loopweb.Odd()...)
	}
	if cloak != "" {
		hosts = append(hosts, loopweb.Cloaked(cloak))
	}
	for i := range generated {
		hosts = append(hosts, loopweb.Generated(fmt.Sprintf("generated %d", i), pages))
	}
	w, err := loopweb.Start(subnet, hosts...)
	if err != nil {
		return err
	}
	defer w.Close()
	fmt.Println(strings.Join(w.Seeds(), "\n"))
	fmt.Println()
	<-ctx.Done()
	return nil
}
