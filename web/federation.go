package web

import (
	"context"
	"time"

	"concord/anchor"
	"concord/federation"
	"concord/replica"
)

// Federation is the operators that share the ledger, as people see and steer it. Implementations are safe for concurrent use.
type Federation interface {
	Status(ctx context.Context) (FederationStatus, error)
	// Bundle returns the file with which a new operator's node joins. Invalid when this node has no address for others.
	Bundle(ctx context.Context) ([]byte, error)
	// Invite lets the node of an identity, a file that joining made, connect, and proposes its operator's admission.
	Invite(ctx context.Context, identity []byte) (FederationBallot, error)
	// Propose makes a decision of an action's text, signed by this operator, and asks the others for their signatures.
	Propose(ctx context.Context, action string) (FederationBallot, error)
	// Rotate makes a new key of this operator, "op", "cosign", "log", "cons" or "node", and proposes that it takes the place of the one in use.
	// Invalid for another word; Unauthorized, Conflict and Unavailable say why it cannot be now.
	Rotate(ctx context.Context, key string) (FederationBallot, error)
	// Sign adds this operator's signature to a decision: one that waits, by its ID, or one in a file. NotFound; Conflict when
	// another was made first.
	Sign(ctx context.Context, idOrNote string) (FederationBallot, error)
}

// States of a ledger between operators.
const (
	FederationAlone   = "alone"   // one operator
	FederationRunning = "running" // enough voters are up to go on
	FederationHalted  = "halted"  // too few voters are up; it goes on by itself when they are back
)

// FederationStatus is the federation as one operator's node sees it.
type FederationStatus struct {
	State    string    `json:"state" enum:"alone,running,halted" doc:"Alone; running; or halted, because too few voters are up."`
	Chain    string    `json:"chain" doc:"The ledger's identity: compare it with the other operators by another way."`
	Origin   string    `json:"origin"`
	Self     string    `json:"self" doc:"This operator."`
	Height   int64     `json:"height"`
	Size     uint64    `json:"size" doc:"Entries in the log."`
	Agreed   uint64    `json:"agreed" doc:"Entries under the newest checkpoint that a quorum cosigned."`
	Time     time.Time `json:"time,omitzero" doc:"Of the last block."`
	Epoch    uint64    `json:"epoch" doc:"Decisions made so far."`
	Voters   int       `json:"voters"`
	Need     int       `json:"need" doc:"Voters that must be up for the ledger to go on, if all have the same power."`
	VotersUp int       `json:"votersUp" doc:"Voters that are connected to this node, itself included."`
	Decide   int       `json:"decide" doc:"Signatures that a decision needs."`
	Barred   string    `json:"barred,omitempty" doc:"Why this node votes no more."`
	Waits    string    `json:"waits,omitempty" doc:"Why the ledger does not run on this node for now."`
	Error    string    `json:"error,omitempty" doc:"Why the ledger stopped on this node."`

	Lapsed []string `json:"lapsed" nullable:"false" doc:"What this operator proposed that came to nothing since its node started, with the reason."`

	Members []FederationMember `json:"members" nullable:"false"`
	Ballots []FederationBallot `json:"ballots" nullable:"false" doc:"Decisions that wait for signatures, the next first."`

	AskOthers bool                  `json:"askOthers" doc:"Searches ask the other operators as well."`
	Searches  []federation.Counters `json:"searches" nullable:"false" doc:"What became of asking each, since this node started."`

	Replicas replica.Summary `json:"replicas" doc:"The entries of other operators' batches that are kept here, and who else has them."`
	Outside  []anchor.Tally  `json:"outside" nullable:"false" doc:"What became of asking witnesses that are no operators to cosign the log's heads, since this node started."`
}

// FederationMember is one operator.
type FederationMember struct {
	Name     string `json:"name"`
	State    string `json:"state" enum:"candidate,active,faulted,left"`
	Power    uint64 `json:"power"`
	Up       bool   `json:"up" doc:"Its node is connected to this one, or is this one."`
	Cosigned uint64 `json:"cosigned" doc:"Entries under the newest checkpoint that it cosigned."`
	URL      string `json:"url,omitempty"`
}

// FederationBallot is a decision that waits for signatures.
type FederationBallot struct {
	ID      string   `json:"id"`
	Epoch   uint64   `json:"epoch"`
	Action  string   `json:"action" doc:"What is decided, in the ledger's own words."`
	Signed  []string `json:"signed" nullable:"false" doc:"Operators that signed."`
	Need    int      `json:"need" doc:"Of them, how many must."`
	Missing []string `json:"missing" nullable:"false" doc:"New keys that have not signed yet; they do by themselves when their node connects."`
	Note    string   `json:"note" doc:"The signed note, to be passed on as a file."`
}
