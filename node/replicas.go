package node

import (
	"context"
	"net/url"

	"concord"
	"concord/federation"
	"concord/replica"
	"concord/web"
)

// Replicas of other operators' batches lie where the ledger is kept, for they are worth nothing without it; own batches are read where the attestor
// runs.

// serviceBatchText is how the node that keeps the ledger reads an own batch on the node that attests.
const serviceBatchText = "attest-batch"

// batchQuestion asks for the text of a batch from a byte on.
type batchQuestion struct {
	Attest []byte
	From   int
}

func (n *Node) openReplicas(context.Context) (err error) {
	if n.chain == nil {
		return nil
	}
	n.askers = &askers{n: n, client: federation.NewClient(n.cfg.Federation.AllowPrivate, n.crawler.UserAgent())}
	n.replicas, err = replica.Open(replica.Config{Dir: n.path("replicas"), Self: n.layout.Operator, Ledger: n.chain, Peers: n.askers, Own: n.batchText,
		Bytes: n.cfg.Federation.Replicas, Every: n.cfg.Federation.Audit, FreeSpace: n.cfg.Crawl.FreeSpace, Logger: n.log("replicas")})
	return err
}

// replicasForWeb hands out batches, and makes receipts of them, from any node.
func (n *Node) replicasForWeb() web.Replicas {
	if n.chain == nil {
		return replicasThere{n}
	}
	return n.replicas
}

// replicasThere implements web.Replicas on a node that does not keep the ledger.
type replicasThere struct{ n *Node }

const (
	batchErrand          errand[uint64, []byte]         = "replica-batch"
	voteErrand           errand[voteOn, replica.Vote]   = "replica-vote"
	admissionErrand      errand[uint64, []byte]         = "replica-admission"
	replicaReceiptErrand errand[receiptOfOther, []byte] = "replica-receipt"
)

// voteOn asks for a vote on the batch of an entry.
type voteOn struct {
	Entry uint64         `json:"entry"`
	Nonce concord.Digest `json:"nonce"`
}

// receiptOfOther asks for the receipt of another operator's newest capture of a page.
type receiptOfOther struct {
	Operator string `json:"operator"`
	URL      string `json:"url"`
}

func (x replicasThere) Batch(ctx context.Context, index uint64) ([]byte, error) {
	return batchErrand.read(ctx, x.n, index)
}
func (x replicasThere) Vote(ctx context.Context, index uint64, poller concord.Digest) (replica.Vote, error) {
	return voteErrand.read(ctx, x.n, voteOn{index, poller})
}
func (x replicasThere) Admission(ctx context.Context, index uint64) ([]byte, error) {
	return admissionErrand.read(ctx, x.n, index)
}
func (x replicasThere) Receipt(ctx context.Context, operator, pageURL string) ([]byte, error) {
	return replicaReceiptErrand.do(ctx, x.n, receiptOfOther{operator, pageURL}) // it may read much
}

// askers are the other operators' APIs, for replicas.
type askers struct {
	n      *Node
	client *federation.Client
}

// Others implements replica.Peers.
func (p *askers) Others() (list []string) {
	for _, o := range p.n.otherOperators() {
		list = append(list, o.Name)
	}
	return list
}

// Get implements replica.Peers.
func (p *askers) Get(ctx context.Context, operator, path string, params url.Values, wanted string, limit int) ([]byte, error) {
	for _, o := range p.n.otherOperators() {
		if o.Name == operator {
			return p.client.Get(ctx, o, path, params, wanted, limit)
		}
	}
	return nil, concord.Errorf(concord.Unavailable, "it is no operator that can be asked any more")
}

// batchText returns the text of an own batch, from whichever node attests: from here at once, from another piece by piece.
func (n *Node) batchText(ctx context.Context, attest []byte) (text []byte, err error) {
	for {
		q := batchQuestion{attest, len(text)}
		p, err := fromAttestor(ctx, n, serviceBatchText, q, func() (ledgerPiece, error) { return n.batchRestHere(q) })
		if err != nil {
			return nil, err
		}
		if text = append(text, p.Data...); !p.More {
			return text, nil
		}
	}
}
