package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"concord/replica"
	"concord/web"
)

func printFederation(w io.Writer, st *web.FederationStatus) {
	fmt.Fprintf(w, "ledger    %s, log %s\n", printable(st.Chain), printable(st.Origin))
	switch {
	case st.Waits != "":
		fmt.Fprintf(w, "state     WAITS: %s\n", printable(st.Waits))
	case st.State == web.FederationAlone:
		fmt.Fprintf(w, "state     %s is the only operator; see concord federation --help\n", printable(st.Self))
	case st.State == web.FederationHalted:
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
	for _, s := range st.Lapsed {
		fmt.Fprintf(w, "not made  %s\n", printable(s))
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
	printReplicas(w, &st.Replicas)
	printOutside(w, st)
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
		printReasons(w, "dropped for ", c.Dropped)
		printReasons(w, "failed for ", c.Failed)
		fmt.Fprintln(w)
		if !c.Until.IsZero() {
			fmt.Fprintf(w, "  not asked until %s: %s\n", c.Until.Local().Format(time.TimeOnly), printable(c.Last))
		}
	}
}

// printReplicas says what is kept of other operators' batches, and who else has them.
func printReplicas(w io.Writer, r *replica.Summary) {
	if len(r.Operators) == 0 {
		return
	}
	fmt.Fprintf(w, "\nreplicas  %d batches of others in %s of %s", r.Batches, size(uint64(r.Bytes)), size(uint64(r.Limit)))
	for _, x := range []struct {
		n    int
		what string
	}{{r.Missing, "missing"}, {r.Alone, "with nobody else"}, {r.Broken, "damaged"}} {
		if x.n > 0 {
			fmt.Fprintf(w, ", %d %s", x.n, x.what)
		}
	}
	fmt.Fprintf(w, "; %d own, %d of them with nobody else; %d polls, %d copies found damaged, %d mended\n", r.Own, r.OwnAlone, r.Polls, r.Damaged, r.Repaired)
	if r.Paused != "" {
		fmt.Fprintf(w, "WARNING   nothing new is kept: %s\n", printable(r.Paused))
	}
	for _, c := range r.Operators {
		fmt.Fprintf(w, "%-28s %d batches here, sent %d, %d of %d votes right", printable(c.Operator), c.Batches, c.Fetched, c.Agreed, c.Asked)
		for _, x := range []struct {
			n    uint64
			what string
		}{{uint64(c.Missing), "missing"}, {c.Wrong, "wrong"}, {c.Lost, "lost"}, {c.Damaged, "damaged"}, {c.Absent, "without a copy"}, {c.Failed, "no answer"}} {
			if x.n > 0 {
				fmt.Fprintf(w, ", %s %d", x.what, x.n)
			}
		}
		printReasons(w, "refused for ", c.Refused)
		printLast(w, c.Last)
	}
}

// printOutside says what became of asking witnesses from outside.
func printOutside(w io.Writer, st *web.FederationStatus) {
	if len(st.Outside) == 0 {
		return
	}
	fmt.Fprintln(w, "\nwitnesses from outside:")
	for _, c := range st.Outside {
		fmt.Fprintf(w, "%-28s cosigned %d", printable(c.Name), c.Size)
		if !c.Time.IsZero() {
			fmt.Fprintf(w, " at %s", stamp(c.Time))
		}
		if c.URL == "" {
			fmt.Fprint(w, ", asked by another operator")
		} else {
			fmt.Fprintf(w, ", %d of %d times asked", c.Cosigned, c.Asked)
		}
		printReasons(w, "", c.Failed)
		printLast(w, c.Last)
	}
}

// printReasons adds counts by reason to a line.
func printReasons(w io.Writer, what string, counts map[string]uint64) {
	for _, reason := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(w, ", %s%s %d", what, printable(reason), counts[reason])
	}
}

// printLast ends a line, and says below it what went wrong last, if something did.
func printLast(w io.Writer, last string) {
	fmt.Fprintln(w)
	if last != "" {
		fmt.Fprintf(w, "  last: %s\n", printable(last))
	}
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
		fmt.Fprintf(w, "  still to prove: %s (the node that has it does so when it connects)\n", printable(strings.Join(b.Missing, ", ")))
	}
}
