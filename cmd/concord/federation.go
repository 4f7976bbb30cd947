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
	"time"

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

  alice$ concord federation sign --power bob.example=1 --power \
           carol.example=1 --power dave.example=1`,
		Example: `  concord federation status
  concord federation sign 3f9c41d07ab3
  concord federation sign --drop dave.example
  concord federation sign --set txbytes=16384`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(federationInitCommand(), federationJoinCommand(), federationInviteCommand(), federationSignCommand(), federationStatusCommand())
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

// wishes are decisions named by flags.
type wishes struct {
	powers, set            []string
	drop, clear, line, loc string
	url                    string
	voters                 int
}

// action returns the text of the one decision that is wanted; "": none is.
func (w *wishes) action() (string, error) {
	var b strings.Builder
	kinds := 0
	add := func(ok bool, lines ...string) {
		if ok {
			kinds++
			b.WriteString(strings.Join(lines, "\n") + "\n")
		}
	}
	pairs := func(kind string, list []string) (out []string) {
		for _, s := range list {
			out = append(out, kind+" "+strings.Replace(s, "=", " ", 1))
		}
		return out
	}
	powers := pairs("power", w.powers)
	slices.Sort(powers)
	add(len(powers) > 0, powers...)
	add(w.drop != "", "drop "+w.drop)
	add(w.clear != "", "clear "+w.clear)
	add(len(w.set) > 0, pairs("set", w.set)...)
	add(w.line != "", pairs("line", []string{w.line})...)
	add(w.loc != "", "place "+strings.NewReplacer("=", " ", ",", " ").Replace(w.loc))
	if name, value, ok := strings.Cut(w.url, "="); w.url != "" {
		if !ok {
			return "", concord.Errorf(concord.Invalid, "--url %s: want NAME=URL", w.url)
		}
		add(true, "rotate "+name+" url "+value)
	}
	if kinds > 1 || len(w.set) > 1 {
		return "", concord.Errorf(concord.Invalid, "one decision at a time: each is signed by itself")
	}
	if w.voters != 0 {
		fmt.Fprintf(&b, "voters %d\n", w.voters)
	}
	return b.String(), nil
}

func federationSignCommand() *cobra.Command {
	var w wishes
	var asJSON bool
	cmd := &cobra.Command{
		Use: "sign [ID | FILE]", Short: "Sign a decision that waits, or propose one", Args: cobra.MaximumNArgs(1),
		Long: `Sign a decision that waits for signatures: by its ID, as "concord federation
status" shows it, or in a file. Without either, the only one that waits is
signed. With a flag that names a decision, that is proposed and signed.

More than two thirds of the voting operators must sign; then it goes into the
ledger by itself. Two or three voters are worse than one, since any of them
that stops halts the ledger: go from one to four in one step, or say so with
--voters.`,
		Example: `  concord federation sign 3f9c41d07ab3
  concord federation sign --power bob.example=1 --power carol.example=1 \
    --power dave.example=1
  concord federation sign --drop dave.example --voters 3
  concord federation sign --place bob.example=AS64500,RIPE
  concord federation sign --url alice.example=https://search.alice.example/`,
	}
	f := cmd.Flags()
	f.StringArrayVar(&w.powers, "power", nil, "give a member voting power: NAME=N; may repeat")
	f.IntVar(&w.voters, "voters", 0, "2 or 3: so few voters are wanted")
	f.StringVar(&w.drop, "drop", "", "end a membership: NAME; one's own too")
	f.StringVar(&w.clear, "clear", "", "make a faulted member a candidate again: NAME")
	f.StringArrayVar(&w.set, "set", nil, "change a parameter: NAME=VALUE")
	f.StringVar(&w.line, "line", "", "set a member's credit limit: NAME=LIMIT")
	f.StringVar(&w.loc, "place", "", "where a member was observed to be: NAME=ASN,REGION")
	f.StringVar(&w.url, "url", "", "where a member's pages and API are: NAME=URL")
	f.BoolVar(&asJSON, "json", false, "print as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		action, err := w.action()
		switch {
		case err != nil:
			return err
		case action != "" && len(args) > 0:
			return concord.Errorf(concord.Invalid, "either sign %s or propose a decision, not both", args[0])
		case action != "":
			return ballotCall(cmd, "/ballots", web.ProposalSpec{Action: action}, asJSON)
		}
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

func printBallot(w io.Writer, b *web.FederationBallot) {
	fmt.Fprintf(w, "decision %s, epoch %d, signed by %d of the %d it needs", printable(b.ID), b.Epoch, len(b.Signed), b.Need)
	if len(b.Signed) > 0 {
		fmt.Fprintf(w, ": %s", printable(strings.Join(b.Signed, ", ")))
	}
	fmt.Fprintln(w)
	for line := range strings.Lines(b.Action) {
		fmt.Fprintf(w, "  %s\n", printable(strings.TrimSuffix(line, "\n")))
	}
	if len(b.Missing) > 0 {
		fmt.Fprintf(w, "  still to prove: %s (the new operator's node does so when it connects)\n", printable(strings.Join(b.Missing, ", ")))
	}
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

func printFederation(w io.Writer, st *web.FederationStatus) {
	fmt.Fprintf(w, "ledger    %s, log %s\n", printable(st.Chain), printable(st.Origin))
	switch st.State {
	case web.FederationAlone:
		fmt.Fprintf(w, "state     %s is the only operator; see concord federation --help\n", printable(st.Self))
	case web.FederationHalted:
		fmt.Fprintf(w, "state     HALTED: %d of %d voters are up as seen from here, %d must be; it goes on by itself\n", st.VotersUp, st.Voters, st.Need)
	default:
		fmt.Fprintf(w, "state     running: %d of %d voters are up, %d must be\n", st.VotersUp, st.Voters, st.Need)
	}
	fmt.Fprintf(w, "height    %d, %d entries, of which %d are cosigned by a quorum\n", st.Height, st.Size, st.Agreed)
	fmt.Fprintf(w, "decisions %d made; one needs %d signatures\n", st.Epoch, st.Decide)
	for _, s := range []string{st.Barred, st.Error} {
		if s != "" {
			fmt.Fprintf(w, "WARNING   %s\n", printable(s))
		}
	}
	fmt.Fprintln(w)
	for _, m := range st.Members {
		up := "away"
		if m.Up {
			up = "up"
		}
		fmt.Fprintf(w, "%-28s %-10s power %d  %-5s cosigned %d\n", printable(m.Name), printable(m.State), m.Power, up, m.Cosigned)
	}
	printSearches(w, st)
	for i := range st.Ballots {
		fmt.Fprintln(w)
		printBallot(w, &st.Ballots[i])
	}
	if len(st.Ballots) > 0 {
		fmt.Fprintf(w, "\nSign one with: concord federation sign ID\n")
	}
}

// printSearches says what became of asking the others when this operator was searched.
func printSearches(w io.Writer, st *web.FederationStatus) {
	if !st.AskOthers || len(st.Searches) == 0 {
		return
	}
	fmt.Fprintln(w, "\nsearched here, they were asked:")
	for _, c := range st.Searches {
		fmt.Fprintf(w, "%-28s %d of %d times answered, %d results verified", printable(c.Operator), c.Answered, c.Asked, c.Verified)
		for _, list := range []struct {
			what   string
			counts map[string]uint64
		}{{"dropped", c.Dropped}, {"failed", c.Failed}} {
			for _, reason := range slices.Sorted(maps.Keys(list.counts)) {
				fmt.Fprintf(w, ", %s for %s %d", list.what, printable(reason), list.counts[reason])
			}
		}
		fmt.Fprintln(w)
		if !c.Until.IsZero() {
			fmt.Fprintf(w, "  not asked until %s: %s\n", c.Until.Local().Format(time.TimeOnly), printable(c.Last))
		}
	}
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
