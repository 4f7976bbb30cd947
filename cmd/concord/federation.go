package main

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"concord"
	"concord/node"
	"concord/note"
	"concord/web"

	"github.com/spf13/cobra"
)

const federationPath = "/api/v1/federation"

func federationCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "federation",
		Short: "Share the ledger with other operators",
		Long: `Several operators that need not trust each other share one ledger: each holds
all of it, signs its heads, and up to a third of them may fail or lie.

A new operator comes in like this:

  alice$ concord federation init --out net-1.bundle
  bob$   concord federation join net-1.bundle --operator bob.example \
           --federation-addr ledger.bob.example:7670 \
           --url https://search.bob.example/ --out bob.identity
  bob$   concord up --federation-addr ledger.bob.example:7670
  alice$ concord federation invite bob.identity
  others$ concord federation sign        # more than two thirds must

Both compare the chain's ID by telephone. Then bob is a candidate: it follows
and cosigns. Voting power comes by a later decision, to four at once:

  alice$ concord federation propose power bob.example 1 \
           power carol.example 1 power dave.example 1`,
		Example: `  concord federation status
  concord federation sign 3f9c41d07ab3
  concord federation propose set txbytes 16384
  concord federation rotate cosign
  concord federation leave`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(federationInitCommand(), federationJoinCommand(), federationInviteCommand(), federationSignCommand(), federationStatusCommand(),
		federationProposeCommand(), federationRotateCommand(), federationLeaveCommand())
	return cmd
}

func federationInitCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use: "init", Short: "Write the file with which new operators join", Args: noArgs,
		Long: `Write the file with which new operators join this ledger: its genesis file, and
where the operators' nodes are reached. It holds no secret. The node must run
with an address that others reach: --federation-addr.`,
		Example: "  concord federation init --out net-1.bundle",
	}
	cmd.Flags().StringVar(&out, "out", "", "file to write (default: standard output)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := newClient(cmd)
		if err != nil {
			return err
		}
		var st web.FederationStatus
		if err := c.get(cmd.Context(), federationPath, nil, &st); err != nil {
			return err
		}
		data, err := c.bytes(cmd.Context(), federationPath+"/bundle", nil)
		if err != nil || out == "" {
			return orWrite(cmd.OutOrStdout(), err, data)
		}
		if err := writeNew(out, data); err != nil {
			return err
		}
		w := cmd.OutOrStdout()
		fmt.Fprintf(w, "%s is for operators that join. They should compare with you, by\nanother way than the one the file takes, that the ledger is\n\n  %s\n\n", printable(out), printable(st.Chain))
		fmt.Fprintf(w, "On their machine, with a data directory of its own that is empty:\n\n  concord federation join %s --operator NAME --federation-addr HOST:PORT --out NAME.identity\n", printable(filepath.Base(out)))
		return nil
	}
	return cmd
}

func federationJoinCommand() *cobra.Command {
	var out, chainID, url, operator string
	cmd := &cobra.Command{
		Use: "join BUNDLE", Short: "Make a data directory of an operator that joins", Args: exactlyOne("bundle"),
		Long: `Make an empty data directory one of an operator that joins the ledger of others:
its keys, the ledger's genesis file, and where the others are. It writes the
identity that one of them invites. The node must not run; "concord up" with the
same --federation-addr then follows the ledger as soon as it was invited.`,
		Example: "  concord federation join net-1.bundle --operator bob.example \\\n    --federation-addr ledger.bob.example:7670 --out bob.identity",
	}
	cmd.Flags().StringVar(&out, "out", "", "file to write the identity to (default: standard output)")
	cmd.Flags().StringVar(&chainID, "chain-id", "", "refuse any other ledger than this")
	cmd.Flags().StringVar(&url, "url", "", "where this operator's pages and API will be: the others ask there when they search")
	cmd.Flags().StringVar(&operator, "operator", "", "name of this operator, a lower-case host name")
	addNodeFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		bundle, err := readInput(args[0])
		if err != nil {
			return err
		}
		cfg, err := loadConfig(cmd)
		if err != nil {
			return err
		}
		if operator != "" {
			cfg.Operator = operator
		}
		identity, id, err := node.JoinFederation(cfg, bundle, url, chainID)
		if err != nil || out == "" {
			return orWrite(cmd.OutOrStdout(), err, identity)
		}
		if err := writeNew(out, identity); err != nil {
			return err
		}
		w := cmd.OutOrStdout()
		fmt.Fprintf(w, "%s joins the ledger\n\n  %s\n\nCompare that with an operator of it by another way than the one the bundle\ntook, and give them %s. Then start the node:\n\n  concord up --data %s --federation-addr %s\n",
			printable(cfg.Data), printable(id), printable(out), printable(cfg.Data), printable(cfg.Federation.Addr))
		return nil
	}
	return cmd
}

func federationInviteCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "invite IDENTITY", Short: "Let an operator's node connect, and propose to admit it", Args: exactlyOne("identity file"),
		Long: `Let the node of an operator connect, and propose to admit it. The other members
sign with "concord federation sign"; the new operator's node adds the
signatures of its own keys when it connects. Then it is a candidate: it follows
and cosigns, and has no vote.`,
		Example: "  concord federation invite bob.identity",
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		data, err := readInput(args[0])
		if err != nil {
			return err
		}
		return ballotCall(cmd, "/invitations", web.InviteSpec{Identity: string(data)}, asJSON)
	}
	return cmd
}

// words says how many words follow the first of each line of a decision.
var words = map[string]int{"power": 2, "drop": 1, "clear": 1, "set": 2, "line": 2, "place": 3, "url": 2, "rotate": 3, "voters": 1}

// actionOf returns the lines of a decision from the words of a command line.
func actionOf(args []string) (string, error) {
	var lines []string
	rest := strings.Fields(strings.Join(args, " "))
	for len(rest) > 0 {
		n, ok := words[rest[0]]
		switch {
		case rest[0] == "admit":
			return "", concord.Errorf(concord.Invalid, "an operator is admitted by its identity file: concord federation invite FILE")
		case !ok:
			return "", concord.Errorf(concord.Invalid, "%q begins no decision; there are %s", rest[0], strings.Join(slices.Sorted(maps.Keys(words)), ", "))
		case len(rest) <= n:
			return "", concord.Errorf(concord.Invalid, "%s: want %d words after it, not %d", rest[0], n, len(rest)-1)
		}
		line := strings.Join(rest[:n+1], " ")
		if rest[0] == "url" { // an address is rotated like a key
			line = "rotate " + rest[1] + " url " + rest[2]
		}
		lines, rest = append(lines, line), rest[n+1:]
	}
	slices.SortStableFunc(lines, func(x, y string) int { // the ledger has the changes of power sorted, and voters last
		return strings.Compare(strings.Replace(x, "voters", "~", 1), strings.Replace(y, "voters", "~", 1))
	})
	return strings.Join(lines, "\n") + "\n", nil
}

func federationProposeCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "propose DECISION", Short: "Propose a decision about the ledger", Args: cobra.MinimumNArgs(1),
		Long: `Propose a decision in the ledger's own words, and sign it:

  power NAME N [power NAME N]...   voting power; 0: a candidate again
  drop NAME                        an operator leaves, or is made to
  clear NAME                       one that was faulted is a candidate again
  set PARAMETER VALUE              txbytes, asks, credit and so on
  line NAME LIMIT                  an operator's own credit limit
  place NAME ASN REGION            where it is, as the others observed it
  url NAME URL                     where its pages and API are
  rotate NAME KEY VALUE            a key; see: concord federation rotate

The others sign with "concord federation sign". Two or three voters are worse
than one, since any of them that stops halts the ledger: go from one to four in
one step. If so few are wanted, say so: "voters 2" or "voters 3" at the end.`,
		Example: `  concord federation propose power bob.example 1 power carol.example 1 \
    power dave.example 1
  concord federation propose drop dave.example voters 3
  concord federation propose clear dave.example
  concord federation propose set txbytes 16384
  concord federation propose line bob.example 500
  concord federation propose place bob.example AS64500 RIPE
  concord federation propose url alice.example https://search.alice.example/`,
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		action, err := actionOf(args)
		if err != nil {
			return err
		}
		return ballotCall(cmd, "/ballots", web.ProposalSpec{Action: action}, asJSON)
	}
	return cmd
}

func federationLeaveCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "leave [voters N]", Short: "Propose that this operator leaves", Args: cobra.MaximumNArgs(2),
		Long: `Propose that this operator leaves the ledger. The others sign; until then its
node must go on. Afterwards the others cut its node off, and its receipts stay
good under the policies of before. When two or three voters would remain, say
so with "voters 2" or "voters 3": any of them that stops halts the ledger.`,
		Example: "  concord federation leave\n  concord federation leave voters 3",
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := newClient(cmd)
		if err != nil {
			return err
		}
		var st web.FederationStatus
		if err := c.get(cmd.Context(), federationPath, nil, &st); err != nil {
			return err
		}
		if len(args) > 0 && args[0] != "voters" {
			return concord.Errorf(concord.Invalid, "leave takes no more than %q and a number", "voters")
		}
		action, err := actionOf(append([]string{"drop", st.Self}, args...))
		if err != nil {
			return err
		}
		return ballotCall(cmd, "/ballots", web.ProposalSpec{Action: action}, asJSON)
	}
	return cmd
}

func federationRotateCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "rotate op|cosign|log|cons|node", Short: "Change one of this operator's keys", Args: exactlyOne("key"),
		Long: `Make a new key of this operator, and propose that it takes the place of the one
in use:

  op       signs transactions
  cosign   signs the ledger's heads as a witness: policies list it
  log      signs them as the log: policies list it
  cons     votes in consensus
  node     other operators' nodes know this node by it

The others sign with "concord federation sign". Until then the old key is used,
and this command proposes the same new one again. When it is decided the node
changes to it by itself; the old key signs nothing more. Back up the keys anew.
Receipts of before stay good under the policy of before; after a new cosign or
log key, give out the new policy.

An operator whose node votes no more, because its files came from a backup,
votes again after "rotate cons". One of two or three voters first gives its
vote back: concord federation propose power NAME 0.`,
		Example: "  concord federation rotate cosign\n  concord federation rotate cons --json",
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return ballotCall(cmd, "/rotations", web.RotationSpec{Key: args[0]}, asJSON)
	}
	return cmd
}

func federationSignCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "sign [ID | FILE]", Short: "Sign a decision that waits", Args: cobra.MaximumNArgs(1),
		Long: `Sign a decision that waits for signatures: by its ID, as "concord federation
status" shows it, or in a file. Without either, the only one that waits is
signed. More than two thirds of the voting operators must sign; then it goes
into the ledger by itself.`,
		Example: "  concord federation sign 3f9c41d07ab3\n  concord federation sign decision.note",
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		what, err := ballotWanted(cmd, args)
		if err != nil {
			return err
		}
		return ballotCall(cmd, "/signatures", web.SignSpec{Ballot: what}, asJSON)
	}
	return cmd
}

// ballotWanted returns the ID or the note that is to be signed.
func ballotWanted(cmd *cobra.Command, args []string) (string, error) {
	if len(args) == 1 {
		if _, err := os.Stat(args[0]); err == nil || args[0] == "-" {
			data, err := readInput(args[0])
			return string(data), err
		}
		return args[0], nil
	}
	c, err := newClient(cmd)
	if err != nil {
		return "", err
	}
	var st web.FederationStatus
	if err := c.get(cmd.Context(), federationPath, nil, &st); err != nil {
		return "", err
	}
	if len(st.Ballots) != 1 {
		return "", concord.Errorf(concord.Invalid, "%d decisions wait for signatures; name one: concord federation status shows them", len(st.Ballots))
	}
	return st.Ballots[0].ID, nil
}

// ballotCall asks the node to do something with a decision, and prints how far that is.
func ballotCall(cmd *cobra.Command, path string, spec any, asJSON bool) error {
	c, err := newClient(cmd)
	if err != nil {
		return err
	}
	var b web.FederationBallot
	if err := c.do(cmd.Context(), http.MethodPost, federationPath+path, nil, spec, &b); err != nil || asJSON {
		return orJSON(cmd, err, b)
	}
	printBallot(cmd.OutOrStdout(), &b)
	return nil
}

func federationStatusCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "status", Short: "Who shares the ledger, who is up, and what waits for signatures", Args: noArgs,
		Example: "  concord federation status\n  concord federation status --json",
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := newClient(cmd)
		if err != nil {
			return err
		}
		var st web.FederationStatus
		if err := c.get(cmd.Context(), federationPath, nil, &st); err != nil || asJSON {
			return orJSON(cmd, err, st)
		}
		printFederation(cmd.OutOrStdout(), &st)
		return nil
	}
	return cmd
}

// maxInput bounds the files of the ceremony.
const maxInput = 4 << 20

// readInput reads a file, or standard input for "-".
func readInput(path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(io.LimitReader(os.Stdin, maxInput))
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, concord.Errorf(concord.Invalid, "%w", err)
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxInput))
}

// orWrite writes data unless there is an error.
func orWrite(w io.Writer, err error, data []byte) error {
	if err == nil {
		_, err = w.Write(data)
	}
	return err
}

// writeNew writes a file whole, readable by its owner only.
func writeNew(path string, data []byte) error {
	if err := note.WritePrivate(path, data); err != nil {
		return concord.Errorf(concord.Invalid, "%w", err)
	}
	return nil
}
