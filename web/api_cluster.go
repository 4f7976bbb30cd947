package web

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

type clusterOutput struct{ Body ClusterStatus }

// TokenSpec says what a token shall be good for.
type TokenSpec struct {
	Life time.Duration `json:"lifeNanoseconds,omitempty" minimum:"0" example:"3600000000000" doc:"How long; left out: an hour."`
	Uses int           `json:"uses,omitempty" minimum:"1" default:"1" example:"2" doc:"How many machines may join with it."`
}

type tokenInput struct {
	Body *TokenSpec
}

type tokenOutput struct{ Body ClusterToken }

type clusterNodeInput struct {
	Name string `path:"name" maxLength:"64" example:"node-4" doc:"Name of the node."`
}

type removeNodeInput struct {
	Name  string `path:"name" maxLength:"64" example:"node-5" doc:"Name of the node."`
	Force bool   `query:"force" example:"true" doc:"Take out one that is dead and was not drained, and give up what only it had."`
}

// exampleCluster is the answer that the description shows.
var exampleCluster = ClusterStatus{State: ClusterMember, Self: "node-1", Time: exampleTime, Hears: true, LastBeat: exampleTime,
	Nodes: []ClusterNode{{Name: "node-1", State: NodeLive, Version: "0.1.0", Capacity: 1, Started: exampleTime.Add(-time.Hour), LastSeen: exampleTime,
		DiskFree: 90_000_000_000, DiskTotal: 250_000_000_000, Owns: 3, Assigned: 3, Left: []string{}, Ledger: true}},
	Partitions: []ClusterPartition{{Name: "shard.0", State: PartitionMoving, Owner: "node-1", Fence: 41, Since: exampleTime, Assigned: "node-3",
		Why: "to node-3: node node-3 came", Replicas: []ClusterReplica{{Node: "node-1", Position: 5904}, {Node: "node-2", Position: 5892, Lag: 12}}}},
	Moving: 1, Logs: []ClusterLog{{Name: "captures", Messages: 5904, Bytes: 31_000_000, Replicas: 3, Leader: "node-1",
		Copies: []ClusterLogCopy{{Node: "node-1", Online: true, Current: true}, {Node: "node-2", Online: true, Current: true}, {Node: "node-3", Online: true, Current: true}}}},
	Blobs: ClusterBlobs{Bytes: 241_000_000}, Transfers: []ClusterTransfer{{Node: "node-1", Partition: "shard.0", Kind: TransferSave, Started: exampleTime, Done: 4_000_000, Total: 9_000_000}},
	Warnings: []string{}}

func (s *Server) clusterAPI(api huma.API) {
	tags := []string{tagCluster}
	register(s, api, call{example: exampleCluster, Operation: huma.Operation{
		OperationID: "get-cluster", Method: http.MethodGet, Path: "/cluster", Tags: tags, Summary: "The cluster as this node sees it",
		Description: "Nodes, partitions and their owners, logs and their copies, what is moving and why. A node that is alone has state \"alone\". " +
			"Addresses are left out for callers without the key.",
	}}, func(ctx context.Context, _ *struct{}) (*clusterOutput, error) {
		st, err := s.cluster(ctx)
		return &clusterOutput{Body: st}, err
	})

	register(s, api, call{write: true, example: ClusterToken{Token: "cj1-…", Join: "10.0.0.1:7668", Expires: exampleTime}, Operation: huma.Operation{
		OperationID: "make-token", Method: http.MethodPost, Path: "/cluster/tokens", Tags: tags, Summary: "Make a token with which machines can join",
		Description: "Who has it can join and gets the cluster's keys: treat it as a password.", DefaultStatus: http.StatusCreated,
	}}, func(ctx context.Context, in *tokenInput) (*tokenOutput, error) {
		if s.cfg.Cluster == nil {
			return nil, errAlone
		}
		spec := TokenSpec{Uses: 1}
		if in.Body != nil {
			spec = *in.Body
		}
		t, err := s.cfg.Cluster.Token(ctx, spec.Life, max(spec.Uses, 1))
		return &tokenOutput{Body: t}, err
	})

	register(s, api, call{write: true, Operation: huma.Operation{
		OperationID: "drain-node", Method: http.MethodPost, Path: "/cluster/nodes/{name}/drain", Tags: tags, Summary: "Have a node hand over what it has",
		Description: "It goes on by itself, through restarts; the node's state is \"drained\" when it is done. Draining twice is no error.", DefaultStatus: http.StatusNoContent,
	}}, func(ctx context.Context, in *clusterNodeInput) (*emptyOutput, error) {
		return &emptyOutput{}, s.drain(ctx, in.Name, false)
	})

	register(s, api, call{write: true, Operation: huma.Operation{
		OperationID: "undo-drain", Method: http.MethodDelete, Path: "/cluster/nodes/{name}/drain", Tags: tags, Summary: "Let a node stay after all",
		Description: "It gets its share of the partitions again.", DefaultStatus: http.StatusNoContent,
	}}, func(ctx context.Context, in *clusterNodeInput) (*emptyOutput, error) {
		return &emptyOutput{}, s.drain(ctx, in.Name, true)
	})

	register(s, api, call{write: true, Operation: huma.Operation{
		OperationID: "remove-node", Method: http.MethodDelete, Path: "/cluster/nodes/{name}", Tags: tags, Summary: "Take a node out for good",
		Description: "It has to be drained first, or dead and given up with force. Its certificate is refused from then on.", DefaultStatus: http.StatusNoContent,
	}}, func(ctx context.Context, in *removeNodeInput) (*emptyOutput, error) {
		if s.cfg.Cluster == nil {
			return nil, errAlone
		}
		return &emptyOutput{}, s.cfg.Cluster.Remove(ctx, in.Name, in.Force)
	})
}

func (s *Server) drain(ctx context.Context, node string, undo bool) error {
	if s.cfg.Cluster == nil {
		return errAlone
	}
	return s.cfg.Cluster.Drain(ctx, node, undo)
}
