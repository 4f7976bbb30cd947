package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"concord"
	"concord/web"

	"github.com/spf13/cobra"
)

const clusterPath = "/api/v1/cluster"

func clusterCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cluster",
		Short: "Make many machines work as one",
		Long: `Three machines or more of one operator work as one: they share the crawl, the
index and the queries, keep copies for each other, and go on when one dies.

A token, made on a node that runs, lets other machines join it.`,
		Example: `  concord cluster token                  # prints what to run elsewhere
  concord cluster status
  concord cluster drain node-3 --wait && concord cluster remove node-3`,
		Args: noArgs,
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.AddCommand(clusterTokenCommand(), clusterStatusCommand(), clusterDrainCommand(), clusterRemoveCommand())
	return cmd
}

func clusterTokenCommand() *cobra.Command {
	var spec web.TokenSpec
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Make a token with which a machine can join",
		Long: `Make a token, and print it with the command to run on the other machine.

Who has the token can join, and gets the cluster's keys: treat it as a
password. It ends by itself.`,
		Example: `  concord cluster token
  concord cluster token --uses 2 --for 15m
  concord cluster token --json`,
		Args: noArgs,
	}
	cmd.Flags().DurationVar(&spec.Life, "for", time.Hour, "how long the token is good")
	cmd.Flags().IntVar(&spec.Uses, "uses", 1, "how many machines may join with it")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if spec.Uses < 1 || spec.Life <= 0 {
			return concord.Errorf(concord.Invalid, "--uses and --for must be positive")
		}
		c, err := newClient(cmd)
		if err != nil {
			return err
		}
		var t web.ClusterToken
		if err := c.do(cmd.Context(), http.MethodPost, clusterPath+"/tokens", nil, spec, &t); err != nil {
			return err
		}
		if asJSON {
			return printJSON(cmd.OutOrStdout(), &t)
		}
		printToken(cmd.OutOrStdout(), &t, spec.Uses)
		return nil
	}
	return cmd
}

// printToken prints the command to run on the other machine. Its last word is for the person to fill in: only they know how
// that machine is reached.
func printToken(w io.Writer, t *web.ClusterToken, uses int) {
	fmt.Fprintf(w, "%s\n\n", t.Token)
	addr, what := "ADDRESS:7668", "with the other machine's own address for ADDRESS. Its port 7668 and the one\nafter it must be reachable from all others, as must those of this machine."
	if onlyHere(t.Join) {
		addr, what = "127.0.0.1:PORT", "with a free PORT; the one after it must be free too. It has to be on this machine,\n"+
			"whose cluster address "+t.Join+" is not reachable from others: to change that,\nrestart this node with --cluster-addr and an address that is."
	}
	fmt.Fprintf(w, "Good for %s until %s. On the other machine run\n\n  concord up --join %s --token %s --cluster-addr %s\n\n%s\n",
		count(int64(uses), "machine"), t.Expires.Local().Format(time.DateTime), t.Join, t.Token, addr, what)
}

// onlyHere reports whether an address is reached from this machine only.
func onlyHere(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	ip, ipErr := netip.ParseAddr(host)
	return err == nil && (host == "localhost" || ipErr == nil && ip.IsLoopback())
}

func clusterStatusCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show nodes, partitions, logs, and what is moving",
		Long: `Show the cluster as this node sees it: nodes, partitions and their owners, logs
and their copies, what is moving and why.

It exits with 0 when a node answers, also if the cluster lacks something; the
text says so, and --json has "warnings".`,
		Example: "  concord cluster status\n  concord cluster status --json",
		Args:    noArgs,
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := newClient(cmd)
		if err != nil {
			return err
		}
		var st web.ClusterStatus
		if err := c.get(cmd.Context(), clusterPath, nil, &st); err != nil {
			return err
		}
		if asJSON {
			return printJSON(cmd.OutOrStdout(), &st)
		}
		printCluster(cmd.OutOrStdout(), &st)
		return nil
	}
	return cmd
}

func clusterDrainCommand() *cobra.Command {
	var undo, wait, asJSON bool
	cmd := &cobra.Command{
		Use:   "drain NODE",
		Short: "Have a node hand over all it has",
		Long: `Have a node hand its partitions and copies over to the others. Nothing stops for
long, and nothing is lost. It goes on by itself, through restarts; --wait stays
to watch. A node that is drained may be removed, or come back with --undo.`,
		Example: `  concord cluster drain node-3 --wait
  concord cluster drain node-3 --undo`,
		Args: exactlyOne("node"),
	}
	cmd.Flags().BoolVar(&undo, "undo", false, "let the node stay after all")
	cmd.Flags().BoolVar(&wait, "wait", false, "stay until the node is drained")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the node as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if undo && wait {
			return concord.Errorf(concord.Invalid, "--undo is done at once: leave --wait out")
		}
		c, err := newClient(cmd)
		if err != nil {
			return err
		}
		method, name := http.MethodPost, args[0]
		if undo {
			method = http.MethodDelete
		}
		if err := c.do(cmd.Context(), method, nodePath(name)+"/drain", nil, nil, nil); err != nil {
			return err
		}
		var n web.ClusterNode
		if wait {
			n, err = waitForDrain(cmd.Context(), c, name, cmd.ErrOrStderr(), asJSON)
		} else if asJSON {
			n, err = findNode(cmd.Context(), c, name)
		}
		if err != nil {
			return err
		}
		out := cmd.OutOrStdout()
		switch {
		case asJSON:
			return printJSON(out, &n)
		case undo:
			fmt.Fprintf(out, "node %s stays\n", name)
		case wait:
			fmt.Fprintf(out, "node %s is drained; take it out with: concord cluster remove %s\n", name, name)
		default:
			fmt.Fprintf(out, "node %s hands over what it has; watch it with: concord cluster status\n", name)
		}
		return nil
	}
	return cmd
}

func nodePath(name string) string { return clusterPath + "/nodes/" + url.PathEscape(name) }

func findNode(ctx context.Context, c *client, name string) (web.ClusterNode, error) {
	var st web.ClusterStatus
	if err := c.get(ctx, clusterPath, nil, &st); err != nil {
		return web.ClusterNode{}, err
	}
	for _, n := range st.Nodes {
		if n.Name == name {
			return n, nil
		}
	}
	return web.ClusterNode{}, concord.Errorf(concord.NotFound, "node %s is not in the cluster any more", name)
}

// waitForDrain watches a node until it has nothing left, and says on w what it has, whenever that changes.
func waitForDrain(ctx context.Context, c *client, name string, w io.Writer, quiet bool) (web.ClusterNode, error) {
	said := ""
	for {
		n, err := findNode(ctx, c, name)
		switch {
		case ctx.Err() != nil:
			fmt.Fprintf(w, "\nno longer watching; node %s goes on handing over\n", name)
			return n, &quietError{exitUnavailable}
		case err != nil:
			return n, err
		case n.State == web.NodeDrained:
			return n, nil
		case n.State == web.NodeDead || n.State == web.NodeStopped:
			return n, concord.Errorf(concord.Unavailable, "node %s is %s and still has %s: start it again to hand them over, or give up what only it has with: concord cluster remove %s --force",
				name, n.State, count(int64(len(n.Left)), "part"), name)
		}
		if n.Ledger && n.Owns == 0 && len(n.Left) == 1 { // and that is the ledger
			return n, concord.Errorf(concord.Conflict, "node %s has handed over all but %s: do that as /manual/more-machines#moving-the-ledger says, or let the node stay with: concord cluster drain %s --undo", name, n.Left[0], name)
		}
		if now := leftWords(&n); !quiet && now != said && now != "" {
			fmt.Fprintln(w, now)
			said = now
		}
		select {
		case <-ctx.Done():
		case <-time.After(pollInterval):
		}
	}
}

// leftWords says what a node has left to hand over; nothing when it does not say.
func leftWords(n *web.ClusterNode) string {
	const named = 3 // of what may be a hundred
	if len(n.Left) == 0 {
		return ""
	}
	text := fmt.Sprintf("%s left: %s", count(int64(len(n.Left)), "part"), strings.Join(n.Left[:min(len(n.Left), named)], ", "))
	if len(n.Left) > named {
		text += ", …"
	}
	return printable(text)
}

func clusterRemoveCommand() *cobra.Command {
	var force, asJSON bool
	cmd := &cobra.Command{
		Use:   "remove NODE",
		Short: "Take a node out for good",
		Long: `Take a drained node out for good: its certificate is refused from then on. To
come back the machine has to join anew, with a token and an empty directory.

--force takes out a node that is dead and was not drained, and gives up what
only that machine had.`,
		Example: `  concord cluster remove node-3
  concord cluster remove node-5 --force   # its machine is gone`,
		Args: exactlyOne("node"),
	}
	cmd.Flags().BoolVar(&force, "force", false, "also a node that is dead and was not drained")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := newClient(cmd)
		if err != nil {
			return err
		}
		params := url.Values{}
		if force {
			params.Set("force", "true")
		}
		if err := c.do(cmd.Context(), http.MethodDelete, nodePath(args[0]), params, nil, nil); err != nil {
			return forceHint(err, args[0], force)
		}
		if asJSON {
			return printJSON(cmd.OutOrStdout(), map[string]any{"name": args[0], "removed": true})
		}
		fmt.Fprintf(cmd.OutOrStdout(), "node %s is removed; its certificate is refused from now on\n", args[0])
		return nil
	}
	return cmd
}

// forceHint names the flag that the node, which does not know of flags, cannot name.
func forceHint(err error, name string, forced bool) error {
	var quiet *quietError
	if forced || errors.As(err, &quiet) || concord.KindOf(err) != concord.Conflict || !strings.Contains(err.Error(), "use force") {
		return err
	}
	return fmt.Errorf("%w: concord cluster remove %s --force", err, name)
}
