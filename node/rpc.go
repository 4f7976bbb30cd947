package node

import (
	"context"
	"encoding/json"
	"fmt"

	"concord"
)

// asker puts questions to other nodes of the cluster; a *bus.Bus is one. See bus.Ask for bounds and errors.
type asker interface {
	Ask(ctx context.Context, node, service string, data []byte) ([]byte, error)
	AskAny(ctx context.Context, service string, data []byte) ([]byte, error)
}

// handler answers the questions of other nodes for one service; see bus.Serve.
type handler func(ctx context.Context, data []byte) ([]byte, error)

// none is the question or the answer that says nothing.
type none struct{}

// call asks one node, or, where node is empty, some node that has the service. Question and answer travel as JSON: a field that one of two
// nodes of neighbouring versions does not know is left out.
func call[Q, A any](ctx context.Context, to asker, node, service string, q Q) (a A, err error) {
	data, err := json.Marshal(q)
	if err != nil {
		return a, fmt.Errorf("encode a question for %s: %w", service, err)
	}
	if node == "" {
		data, err = to.AskAny(ctx, service, data)
	} else {
		data, err = to.Ask(ctx, node, service, data)
	}
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(data, &a); err != nil {
		return a, concord.Errorf(concord.Corrupt, "the answer of %s to %s cannot be read: %w", node, service, err)
	}
	return a, nil
}

// answers makes a handler of a function; call is its other side.
func answers[Q, A any](f func(ctx context.Context, q Q) (A, error)) handler {
	return func(ctx context.Context, data []byte) ([]byte, error) {
		var q Q
		if err := json.Unmarshal(data, &q); err != nil {
			return nil, concord.Errorf(concord.Invalid, "the question cannot be read: %w", err)
		}
		a, err := f(ctx, q)
		if err != nil {
			return nil, err
		}
		return json.Marshal(a)
	}
}
