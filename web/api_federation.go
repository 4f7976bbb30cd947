package web

import (
	"context"
	"net/http"

	"concord"
	"concord/federation"
	"concord/replica"

	"github.com/danielgtaylor/huma/v2"
)

type federationOutput struct{ Body FederationStatus }

type ballotOutput struct{ Body FederationBallot }

// ProposalSpec is a decision that is wanted.
type ProposalSpec struct {
	Action string `json:"action" maxLength:"65535" example:"set txbytes 16384" doc:"One action of a gov transaction, in its lines."`
}

type proposalInput struct{ Body ProposalSpec }

// RotationSpec names a key.
type RotationSpec struct {
	Key string `json:"key" enum:"op,cosign,log,cons,node" example:"cosign" doc:"What it is for: transactions, cosignatures, the log, consensus, the node's connections."`
}

type rotationInput struct{ Body RotationSpec }

// SignSpec names a decision.
type SignSpec struct {
	Ballot string `json:"ballot" maxLength:"65535" example:"3f9c41d07ab3" doc:"The ID of one that waits, or a whole signed note."`
}

type signInput struct{ Body SignSpec }

// InviteSpec is who is invited.
type InviteSpec struct {
	Identity string `json:"identity" maxLength:"65535" example:"{…}" doc:"The file that joining made on the new operator's machine."`
}

type inviteInput struct{ Body InviteSpec }

var exampleBallot = FederationBallot{ID: "3f9c41d07ab3", Epoch: 9, Action: "power bob.example 1\npower carol.example 1\npower dave.example 1\n",
	Signed: []string{"alice.example"}, Need: 1, Missing: []string{}, Note: "concord/tx/v1 gov\n…"}

var exampleFederation = FederationStatus{State: FederationRunning, Chain: "net-1:9f2c41d07ab3", Origin: "alice.example/net-1", Self: "alice.example", Height: 1190,
	Size: 1188, Agreed: 1188, Time: exampleTime, Epoch: 8, Voters: 4, Need: 3, VotersUp: 4, Decide: 3,
	Members: []FederationMember{{Name: "alice.example", State: "active", Power: 1, Up: true, Cosigned: 1188}}, Ballots: []FederationBallot{exampleBallot},
	AskOthers: true, Searches: []federation.Counters{{Operator: "bob.example", Asked: 41, Answered: 40, Verified: 212, Failed: map[string]uint64{"timeout": 1}, Last: "it took too long"}},
	Replicas: replica.Summary{Limit: replica.DefaultBytes, Bytes: 4_915_200, Batches: 1200, Own: 410, Polls: 310, Damaged: 1, Repaired: 1,
		Operators: []replica.Standing{{Operator: "bob.example", Batches: 1200, Bytes: 4_915_200, Fetched: 1201, Asked: 310, Agreed: 310}}}}

func (s *Server) federationAPI(api huma.API) {
	tags := []string{tagLedger}
	register(s, api, call{example: exampleFederation, Operation: huma.Operation{
		OperationID: "get-federation", Method: http.MethodGet, Path: "/federation", Tags: tags, Summary: "The operators that share the ledger",
		Description: "Who they are, who is up, what a quorum needs, and which decisions wait for signatures.",
	}}, func(ctx context.Context, _ *struct{}) (*federationOutput, error) {
		f, err := s.federation()
		if err != nil {
			return nil, err
		}
		st, err := f.Status(ctx)
		st.Members, st.Ballots, st.Searches, st.Lapsed = nonNil(st.Members), nonNil(st.Ballots), nonNil(st.Searches), nonNil(st.Lapsed)
		st.Replicas.Operators, st.Outside = nonNil(st.Replicas.Operators), nonNil(st.Outside)
		for i := range st.Ballots {
			st.Ballots[i] = st.Ballots[i].whole()
		}
		return &federationOutput{Body: st}, err
	})

	register(s, api, call{write: true, example: "{…}", Operation: huma.Operation{
		OperationID: "get-federation-bundle", Method: http.MethodGet, Path: "/federation/bundle", Tags: tags, Summary: "What a new operator's node needs",
		Description: "The ledger's genesis file and where the operators' nodes are. It holds no secret.",
		Responses:   fileResponse(jsonType, "The bundle."),
	}}, func(ctx context.Context, _ *struct{}) (*fileOutput, error) {
		f, err := s.federation()
		if err != nil {
			return nil, err
		}
		b, err := f.Bundle(ctx)
		return &fileOutput{Type: jsonType, Body: b}, err
	})

	register(s, api, call{write: true, example: exampleBallot, Operation: huma.Operation{
		OperationID: "invite-operator", Method: http.MethodPost, Path: "/federation/invitations", Tags: tags, Summary: "Invite an operator",
		Description: "Its node may connect from now on, and its admission waits for the members' signatures.", DefaultStatus: http.StatusCreated,
	}}, func(ctx context.Context, in *inviteInput) (*ballotOutput, error) {
		return s.ballot(func(f Federation) (FederationBallot, error) { return f.Invite(ctx, []byte(in.Body.Identity)) })
	})

	register(s, api, call{write: true, example: exampleBallot, Operation: huma.Operation{
		OperationID: "propose-decision", Method: http.MethodPost, Path: "/federation/ballots", Tags: tags, Summary: "Propose a decision",
		Description: "Signed by this operator; the others find it among what waits for signatures.", DefaultStatus: http.StatusCreated,
	}}, func(ctx context.Context, in *proposalInput) (*ballotOutput, error) {
		return s.ballot(func(f Federation) (FederationBallot, error) { return f.Propose(ctx, in.Body.Action) })
	})

	register(s, api, call{write: true, example: exampleBallot, Operation: huma.Operation{
		OperationID: "rotate-key", Method: http.MethodPost, Path: "/federation/rotations", Tags: tags, Summary: "Change a key",
		Description: "Makes a new key of this operator and proposes that it takes the place of the one in use. The node uses it when that is decided. Asked again before, it proposes the same key.", DefaultStatus: http.StatusCreated,
	}}, func(ctx context.Context, in *rotationInput) (*ballotOutput, error) {
		return s.ballot(func(f Federation) (FederationBallot, error) { return f.Rotate(ctx, in.Body.Key) })
	})

	register(s, api, call{write: true, example: exampleBallot, Operation: huma.Operation{
		OperationID: "sign-decision", Method: http.MethodPost, Path: "/federation/signatures", Tags: tags, Summary: "Sign a decision",
		Description: "With enough signatures it goes into the ledger by itself.", DefaultStatus: http.StatusCreated,
	}}, func(ctx context.Context, in *signInput) (*ballotOutput, error) {
		return s.ballot(func(f Federation) (FederationBallot, error) { return f.Sign(ctx, in.Body.Ballot) })
	})
}

func (s *Server) federation() (Federation, error) {
	if s.cfg.Federation == nil {
		return nil, concord.Errorf(concord.Unavailable, "this server knows of no federation")
	}
	return s.cfg.Federation, nil
}

func (s *Server) ballot(do func(Federation) (FederationBallot, error)) (*ballotOutput, error) {
	f, err := s.federation()
	if err != nil {
		return nil, err
	}
	b, err := do(f)
	if err != nil {
		return nil, err
	}
	return &ballotOutput{Body: b.whole()}, nil
}

func (b FederationBallot) whole() FederationBallot {
	b.Signed, b.Missing = nonNil(b.Signed), nonNil(b.Missing)
	return b
}
