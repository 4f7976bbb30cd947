package node

import (
	"context"
	"fmt"

	"concord/trace"
	"concord/trace/otlp"
)

func (c *Config) validateTraces() error {
	if c.Traces != "" {
		if err := otlp.CheckEndpoint(c.Traces); err != nil {
			return err
		}
	}
	for _, share := range []float64{c.TracesPages, c.TracesQueries} {
		if err := trace.CheckShare(share); err != nil {
			return err
		}
	}
	return nil
}

// openTraces opens the way to the operator's collector, if there is one. Without it nothing is recorded.
func (n *Node) openTraces(ctx context.Context) error {
	if n.cfg.Traces == "" {
		return nil
	}
	p, err := otlp.Open(ctx, otlp.Config{Endpoint: n.cfg.Traces, Node: n.layout.Node, Operator: n.layout.Operator, Logger: n.log("traces")})
	if err != nil {
		return err
	}
	n.spans = &p
	n.tracer, err = trace.New(trace.Config{Provider: p, Pages: n.cfg.TracesPages, Queries: n.cfg.TracesQueries})
	return err
}

// tracesGo says where traces go, of what, and whether they arrive; empty: there are none.
func (n *Node) tracesGo() string {
	if n.spans == nil {
		return ""
	}
	said := fmt.Sprintf("%g %% of pages and %g %% of queries to %s", 100*n.cfg.TracesPages, 100*n.cfg.TracesQueries, n.spans.Collector())
	if n.spans.Failing() {
		said += ", which does not take them: they are dropped"
	}
	return said
}

// closeTraces sends what waits.
func (n *Node) closeTraces() {
	if n.spans != nil {
		n.spans.Close()
	}
}
