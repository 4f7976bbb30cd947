package node

import (
	"context"
	"maps"

	"concord/state"
)

// serveOthers answers the other nodes of the cluster until stop is called.
func (n *Node) serveOthers(ctx context.Context) (stop func(), err error) {
	var stops []func()
	stop = func() {
		for _, s := range stops {
			s()
		}
	}
	if !n.clustered() {
		return stop, nil
	}
	services := map[string]handler{}
	maps.Copy(services, n.crawlServices())
	maps.Copy(services, n.importServices())
	maps.Copy(services, n.shardReadServices())
	maps.Copy(services, shardServices(n.searcherHere))
	maps.Copy(services, n.attestServices())
	maps.Copy(services, archiveServices(n.vault))
	if n.chain != nil {
		maps.Copy(services, ledgerServices(n.chain))
		maps.Copy(services, n.errandServices())
	}
	services[serviceMoving] = answers(func(context.Context, none) ([]state.Transfer, error) { return n.states.Moving(), nil })
	for name, handle := range services {
		s, err := n.bus.Serve(ctx, name, handle)
		if err != nil {
			stop()
			return func() {}, err
		}
		stops = append(stops, s)
	}
	return stop, nil
}
