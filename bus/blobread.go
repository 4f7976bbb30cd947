package bus

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"concord"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// getTries is how often a chunk is asked for, of any replica and then of the leader, before it counts as lost.
	getTries = 6
	// getPause is the wait before the second of them; each further one waits as long again. A replica may be behind for a moment.
	getPause = 20 * time.Millisecond
	// listPatience is how long a list waits for the next name before it asks for those that are missing one by one.
	listPatience = 2 * time.Second
)

// Get implements concord.Blobs. Each chunk is checked before any of it is given away, and the whole before the last chunk is. A chunk that
// a replica has lost or damaged is asked for again, at last of the stream's leader.
func (s *blobs) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	if err := concord.CheckBlobName(name); err != nil {
		return nil, err
	}
	m, err := s.meta(ctx, name)
	if err != nil {
		return nil, err
	}
	if m == nil {
		return nil, concord.Errorf(concord.NotFound, "blob %s is not there", name)
	}
	ctx, cancel := context.WithCancel(ctx)
	return &blobReader{s: s, ctx: ctx, cancel: cancel, name: name, meta: m, whole: sha256.New()}, nil
}

// blobReader reads the chunks of a blob, some ahead.
type blobReader struct {
	s      *blobs
	ctx    context.Context
	cancel context.CancelFunc
	name   string
	meta   *blobMeta
	whole  hash.Hash

	asked   int64 // chunks asked for
	taken   int64 // chunks that came
	coming  []chan chunkAnswer
	rest    []byte // of the chunk taken last
	err     error
	running sync.WaitGroup
}

type chunkAnswer struct {
	data []byte
	err  error
}

func (r *blobReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(r.rest) == 0 && r.err == nil {
		if r.err = r.ctx.Err(); r.err != nil {
			break
		}
		if r.taken == chunkCount(r.meta.Size) {
			r.err = io.EOF
			break
		}
		r.rest, r.err = r.take()
	}
	if len(r.rest) == 0 {
		return 0, r.err
	}
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// take waits for the next chunk, and asks for those behind it.
func (r *blobReader) take() ([]byte, error) {
	for len(r.coming) < readAhead && r.asked < chunkCount(r.meta.Size) {
		number, m, answer := r.asked, r.meta, make(chan chunkAnswer, 1)
		r.running.Go(func() {
			data, err := r.s.chunk(r.ctx, m, number)
			answer <- chunkAnswer{data, err}
		})
		r.coming = append(r.coming, answer)
		r.asked++
	}
	answer := <-r.coming[0]
	r.coming = r.coming[1:]
	if answer.err != nil {
		return nil, r.again(answer.err)
	}
	r.whole.Write(answer.data)
	r.taken++
	if r.taken == chunkCount(r.meta.Size) {
		var sum concord.Digest
		if r.whole.Sum(sum[:0]); sum != r.meta.Sum {
			return nil, concord.Errorf(concord.Corrupt, "blob %s is damaged: its SHA-256 is not the one it was put with", r.name)
		}
	}
	return answer.data, nil
}

// again looks why a chunk is not to be had. When the blob was put again meanwhile, reading goes on with the same bytes elsewhere.
func (r *blobReader) again(err error) error {
	if r.ctx.Err() != nil {
		return r.ctx.Err()
	}
	action := "read blob " + r.name
	if concord.KindOf(err) != concord.Corrupt {
		return wrap(action, err)
	}
	m, metaErr := r.s.meta(r.ctx, r.name)
	switch {
	case metaErr != nil:
		return metaErr
	case m == nil:
		return concord.Errorf(concord.Unavailable, "%s: it was deleted meanwhile", action)
	case m.ID == r.meta.ID || m.Sum != r.meta.Sum || m.Size != r.meta.Size:
		return concord.Errorf(concord.Corrupt, "%s: %w", action, err)
	}
	for _, answer := range r.coming {
		<-answer
	}
	r.meta, r.asked, r.coming = m, r.taken, nil
	return nil
}

func (r *blobReader) Close() error {
	r.cancel()
	r.running.Wait()
	return nil
}

// chunk fetches one chunk and checks it. Errors: Corrupt when nobody has it whole.
func (s *blobs) chunk(ctx context.Context, m *blobMeta, number int64) (data []byte, err error) {
	seq := m.seq(number)
	want := m.ID + "/" + strconv.FormatInt(number, 10)
	for try := range getTries {
		get := s.chunks.GetMsg
		if try >= getTries/2 {
			get = s.leaderMsg
		}
		var msg *jetstream.RawStreamMsg
		one, cancel := context.WithTimeout(ctx, tryTimeout)
		msg, err = get(one, seq)
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err == nil && msg.Header.Get(chunkHeader) == want && len(msg.Data) == m.chunkBytes(number) && msg.Header.Get(checksumHeader) == checksum(msg.Data):
			return msg.Data, nil
		case err == nil:
			err = concord.Errorf(concord.Corrupt, "chunk %d is damaged", number)
		case isMissing(err):
			err = concord.Errorf(concord.Corrupt, "chunk %d is lost", number)
		}
		if err := pause(ctx, time.Duration(try)*getPause); err != nil {
			return nil, err
		}
	}
	return nil, err
}

func isMissing(err error) bool {
	var api *jetstream.APIError
	return errors.Is(err, jetstream.ErrMsgNotFound) || errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeMessageNotFound
}

// leaderMsg reads a message as the stream's leader has it, and not any replica, as GetMsg does where AllowDirect is on.
func (s *blobs) leaderMsg(ctx context.Context, seq uint64, _ ...jetstream.GetMsgOpt) (*jetstream.RawStreamMsg, error) {
	res, err := s.bus.conn.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+BlobStream, []byte(`{"seq":`+strconv.FormatUint(seq, 10)+`}`))
	if err != nil {
		return nil, err
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Headers string `json:"hdrs"`
			Data    string `json:"data"`
		} `json:"message"`
	}
	if err := json.Unmarshal(res.Data, &answer); err != nil {
		return nil, err
	}
	if answer.Error != nil {
		return nil, answer.Error
	}
	head, err := base64.StdEncoding.DecodeString(answer.Message.Headers)
	if err != nil {
		return nil, err
	}
	data, err := base64.StdEncoding.DecodeString(answer.Message.Data)
	if err != nil {
		return nil, err
	}
	header, err := nats.DecodeHeadersMsg(head)
	if err != nil {
		return nil, err
	}
	return &jetstream.RawStreamMsg{Sequence: seq, Header: header, Data: data}, nil
}

// List implements concord.Blobs. It holds what it lists in memory, some hundred bytes a name.
func (s *blobs) List(ctx context.Context, prefix string, yield func(concord.BlobInfo) bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var all []concord.BlobInfo
	err := s.each(ctx, prefix, func(name string, m *blobMeta) {
		all = append(all, concord.BlobInfo{Name: name, Size: m.Size, Stored: m.stored.stored})
	})
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b concord.BlobInfo) int { return strings.Compare(a.Name, b.Name) })
	for _, b := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !yield(b) {
			return nil
		}
	}
	return nil
}

// each calls f with every blob whose name begins with prefix. Which names there are is what the leader says; what they stand for comes from
// any replica where there are many, and what that one does not have yet from the leader.
func (s *blobs) each(ctx context.Context, prefix string, f func(name string, m *blobMeta)) error {
	filter, ok := s.names.filter(prefix)
	if !ok {
		return nil
	}
	subjects, _, err := s.bus.subjects(ctx, s.names.stream, filter)
	if err != nil {
		return wrap("list blobs", err)
	}
	left := map[string]bool{}
	for subject := range subjects {
		if name := s.names.name(subject); strings.HasPrefix(name, prefix) {
			left[name] = true
		}
	}
	if len(left) > singleGets {
		if err := s.eachOfMany(ctx, filter, left, f); err != nil {
			return err
		}
	}
	var mu sync.Mutex
	var failed error
	var g sync.WaitGroup
	slots := make(chan struct{}, namesAhead)
	for _, name := range slices.Collect(maps.Keys(left)) {
		slots <- struct{}{}
		g.Go(func() {
			defer func() { <-slots }()
			m, err := s.meta(ctx, name)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = err
			} else if m != nil {
				f(name, m)
			}
		})
	}
	g.Wait()
	return failed
}

// eachOfMany reads names in one stream and takes those it came by out of left.
func (s *blobs) eachOfMany(ctx context.Context, filter string, left map[string]bool, f func(name string, m *blobMeta)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := concord.Errorf(concord.Internal, "no more names") // ends follow, and goes no further
	patience := time.AfterFunc(listPatience, func() { cancel(done) })
	defer patience.Stop()
	err := s.names.follow(ctx, filter, 0, func(name string, v value, pending uint64) error {
		patience.Reset(listPatience)
		if left[name] && !v.deleted { // one that is deleted here may have been put again
			m, err := decodeBlobMeta(name, v.data)
			if err != nil {
				return err
			}
			m.stored = v
			f(name, m)
			delete(left, name)
		}
		if pending == 0 || len(left) == 0 {
			return done
		}
		return nil
	})
	if err == done || context.Cause(ctx) == done {
		return nil
	}
	return err
}
