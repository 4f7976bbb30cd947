package bus

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"concord"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// snapshotChunk and snapshotWindow bound what is on its way between two engines.
	snapshotChunk, snapshotWindow = 512 << 10, 4 << 20
	// chunkTimeout bounds the wait for one chunk, the check of all messages before the first included.
	chunkTimeout = 5 * time.Minute
	// interestTries bounds the wait for a subscription to be known on all nodes.
	interestTries = 30
)

// copy makes a stream in the cluster from a snapshot of the old one.
func (g *growth) copy(ctx context.Context, name string) error {
	g.to.cfg.Logger.Info("moving stream", "stream", name)
	inbox := g.from.conn.NewRespInbox()
	chunks, err := g.from.conn.SubscribeSync(inbox)
	if err != nil {
		return err
	}
	defer func() { _ = chunks.Unsubscribe() }()
	_ = chunks.SetPendingLimits(-1, -1) // the engine's window bounds it
	var snapshot struct {
		Error  *jetstream.APIError
		Config map[string]any
		State  json.RawMessage
	}
	if err := call(ctx, g.from.conn, fmt.Sprintf(server.JSApiStreamSnapshotT, name), server.JSApiStreamSnapshotRequest{DeliverSubject: inbox,
		NoConsumers: true, ChunkSize: snapshotChunk, WindowSize: snapshotWindow, CheckMsgs: true}, &snapshot); err != nil {
		return err
	}
	if snapshot.Error != nil {
		return concord.Errorf(concord.Corrupt, "read stream %s: %w", name, snapshot.Error)
	}
	deliver, err := g.startRestore(ctx, name, snapshot.Config, snapshot.State)
	if err != nil {
		return err
	}
	return g.pump(ctx, name, chunks, deliver)
}

// startRestore asks the cluster to make the stream, and returns where to send its chunks.
func (g *growth) startRestore(ctx context.Context, name string, config map[string]any, state json.RawMessage) (string, error) {
	metadata := map[string]any{movingKey: movingValue}
	if old, ok := config["metadata"].(map[string]any); ok {
		for k, v := range old {
			if !strings.HasPrefix(k, "_nats.") {
				metadata[k] = v
			}
		}
	}
	config["metadata"], config["num_replicas"], config["compression"] = metadata, 1, g.to.compression()
	var answer struct {
		Error   *jetstream.APIError
		Deliver string `json:"deliver_subject"`
	}
	err := g.to.retry(ctx, 0, func(ctx context.Context) error {
		answer.Error = nil
		if err := call(ctx, g.to.conn, fmt.Sprintf(server.JSApiStreamRestoreT, name), map[string]any{"config": config, "state": state}, &answer); err != nil {
			return err
		}
		if answer.Error != nil {
			return answer.Error
		}
		return nil
	})
	return answer.Deliver, g.to.explain(name, err)
}

// pump hands the chunks of a snapshot on until the cluster says that the stream is there.
func (g *growth) pump(ctx context.Context, name string, chunks *nats.Subscription, deliver string) error {
	var sent uint64
	for {
		wait, cancel := context.WithTimeout(ctx, chunkTimeout)
		chunk, err := chunks.NextMsgWithContext(wait)
		cancel()
		if err != nil {
			return fmt.Errorf("read stream %s: %w", name, err)
		}
		if status := chunk.Header.Get("Status"); len(chunk.Data) == 0 && status != "" && status != "204" {
			return concord.Errorf(concord.Corrupt, "read stream %s: %s %s", name, status, chunk.Header.Get("Description"))
		}
		if err := g.send(ctx, deliver, chunk.Data); err != nil {
			return fmt.Errorf("restore stream %s: %w", name, err)
		}
		if len(chunk.Data) == 0 {
			return nil
		}
		sent += uint64(len(chunk.Data))
		g.progress(GrowProgress{Stage: "copy", Stream: name, Done: sent})
		if chunk.Reply != "" {
			if err := chunk.Respond(nil); err != nil {
				return err
			}
		}
	}
}

// send hands one chunk to the node that makes the stream, and waits until it is written; an empty one is the end.
func (g *growth) send(ctx context.Context, deliver string, chunk []byte) error {
	ctx, cancel := context.WithTimeout(ctx, chunkTimeout)
	defer cancel()
	answer, err := g.to.conn.RequestWithContext(ctx, deliver, chunk)
	for try := 0; errors.Is(err, nats.ErrNoResponders) && try < interestTries; try++ {
		if err := pause(ctx, retryPause); err != nil { // what that node listens to may be known here later than its answer
			return err
		}
		answer, err = g.to.conn.RequestWithContext(ctx, deliver, chunk)
	}
	if err != nil || len(answer.Data) == 0 {
		return err
	}
	var result struct{ Error *jetstream.APIError }
	if err := json.Unmarshal(answer.Data, &result); err != nil {
		return err
	}
	if result.Error != nil {
		return result.Error
	}
	return nil
}

// call makes one request of the engine's API.
func call(ctx context.Context, conn *nats.Conn, subject string, request, answer any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	msg, err := conn.RequestWithContext(ctx, subject, body)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(msg.Data))
	d.UseNumber() // 64-bit limits in a configuration must not become floats
	return d.Decode(answer)
}
