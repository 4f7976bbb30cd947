package node

import (
	"context"

	"concord"
	"concord/anchor"
	"concord/chain"
	"concord/note"
)

// outsideWitnesses reads those of the configuration.
func (c *Config) outsideWitnesses() (list []anchor.Witness, err error) {
	for _, s := range c.OutsideWitnesses {
		w, err := anchor.ParseWitness(s)
		if err != nil {
			return nil, concord.Errorf(concord.Invalid, "outside_witnesses: %w", err)
		}
		list = append(list, w)
	}
	if err := chain.CheckOutside(keysOf(list)); err != nil {
		return nil, concord.Errorf(concord.Invalid, "outside_witnesses: %w", err)
	}
	return list, nil
}

func keysOf(list []anchor.Witness) (keys []note.Key) {
	for _, w := range list {
		keys = append(keys, w.Key)
	}
	return keys
}

// openAnchor makes what asks the witnesses from outside, on the node that keeps the ledger. It must follow the ledger and the crawler.
func (n *Node) openAnchor(context.Context) error {
	list, err := n.cfg.outsideWitnesses()
	if err != nil || n.chain == nil || len(list) == 0 {
		return err
	}
	n.anchor = anchor.New(anchor.Config{Log: n.chain, Witnesses: list, UserAgent: n.crawler.UserAgent(), Logger: n.log("anchor")})
	return nil
}
