package bus

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
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
	// BlobStream is the stream that Blobs keeps bytes in, as Logs names it.
	BlobStream      = "BLOBS"
	blobNames       = "BLOBNAMES"
	blobSubject     = "blob."
	blobNameSubject = "blobname."
	// blobNameBytes bounds the register of names, as a part of the store's bytes but never less.
	blobNameBytes = 16 << 20
	// chunkHeader carries "<id>/<number>" of a chunk, blobHeader the name of its blob.
	chunkHeader, blobHeader = "Concord-Chunk", "Concord-Blob"

	// putAhead is how many chunks of a Put may be on their way, readAhead how many of a Get: what each holds in memory, in MiB.
	putAhead, readAhead = 8, 4
	// maxPutTime bounds a Put. Chunks without a name are swept when they are older than sweepAfter: twice as old, for clocks that differ.
	maxPutTime, sweepAfter = time.Hour, 3 * time.Hour
	// sweepEvery is how often a Put looks for them.
	sweepEvery = time.Hour
	// deletedTTL is how long a deleted name stays as a mark. Nobody watches names of blobs, so it need not stay long.
	deletedTTL = time.Minute
	// singleGets is up to how many names a list asks for one by one, of the leader, namesAhead how many at the same time.
	singleGets, namesAhead = 256, 16
)

// blobs keeps blobs in the cluster: chunks of 1 MiB as messages of one stream, and a register that has for each name which chunks are its.
// A blob is there when its name is, which is one message.
//
// JetStream's own object store was as fast (measured with chunks of 1 MiB on one node: put 461 MB/s, get 764; here 414 and 680), but
// checks nothing before the end, leaves the chunks of a Put that was killed for ever, and reads through a consumer, which cannot turn to
// another replica in the middle. Atomic batches of chunks were half as fast (190 MB/s): the engine writes them twice.
type blobs struct {
	bus    *Bus
	chunks jetstream.Stream
	names  *register

	sweeping sync.Mutex
	swept    time.Time // when the last sweep began
}

const (
	// NoBound, in the place of bytes for blobs, lets them take all the room there is.
	NoBound int64 = -1
	// moreThanADisk is NoBound to the engine in this process, which has to know how much its streams may take together.
	moreThanADisk = 64 << 40
)

// blobBound returns what the engine is to be told of a bound. An operator's own servers set aside what a stream is promised, so they are
// promised nothing where there is no bound.
func (b *Bus) blobBound(bytes int64) int64 {
	if bytes == NoBound && b.cfg.URL == "" {
		return moreThanADisk
	}
	return bytes
}

// Blobs opens the cluster's store of blobs, creating it when it is new; it holds at most maxBytes (or NoBound) on each of the nodes
// that keep a copy. A full store refuses Puts (Unavailable) until something is deleted; what was deleted leaves the disk within minutes, when
// the engine compacts. Chunks of Puts whose process died are removed hours later.
func (b *Bus) Blobs(ctx context.Context, maxBytes int64) (concord.Blobs, error) {
	maxBytes = b.blobBound(maxBytes)
	nameBytes := max(blobNameBytes, maxBytes/256)
	if maxBytes == NoBound {
		nameBytes = NoBound
	} else if maxBytes < blobChunkBytes {
		return nil, concord.Errorf(concord.Invalid, "open blobs: a bound of %d bytes, less than one chunk", maxBytes)
	}
	chunks, err := b.ensure(ctx, jetstream.StreamConfig{
		Name: BlobStream, Subjects: []string{blobSubject + "*"}, Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew, MaxBytes: maxBytes,
		MaxMsgSize: blobChunkBytes + headerRoom, Duplicates: dedupWindow, AllowDirect: true, MaxConsumers: maxConsumers,
	})
	var api *jetstream.APIError
	if errors.As(err, &api) && api.ErrorCode == codeStoreExceeded {
		return nil, concord.Errorf(concord.Invalid, "open blobs: the message engine has no room for %d bytes beside its logs; configure fewer, or larger logs: %w", maxBytes, err)
	}
	if err != nil {
		return nil, wrap("open blobs", err)
	}
	names, err := b.openRegister(ctx, "blob", blobNames, blobNameSubject, MaxMessageBytes-headerRoom, nameBytes)
	if err != nil {
		return nil, err
	}
	s := &blobs{bus: b, chunks: chunks, names: names}
	s.sweepSometimes(ctx)
	return s, nil
}

// sweepSometimes sweeps when it was not done for an hour and nobody else is at it.
func (s *blobs) sweepSometimes(ctx context.Context) {
	if !s.sweeping.TryLock() {
		return
	}
	defer s.sweeping.Unlock()
	if time.Since(s.swept) < sweepEvery {
		return
	}
	s.swept = time.Now()
	if n, err := s.sweep(ctx, time.Now().Add(-sweepAfter)); err != nil {
		s.bus.cfg.Logger.Warn("chunks of blobs that were never finished stay for now", "error", err)
	} else if n > 0 {
		s.bus.cfg.Logger.Info("removed blobs that were never finished", "count", n)
	}
}

// newBlobID begins with the time, so that the sweep knows how old a Put is.
func newBlobID(now time.Time) string {
	var random [8]byte
	rand.Read(random[:])
	return strconv.FormatInt(now.Unix(), 10) + "-" + hex.EncodeToString(random[:])
}

func blobIDTime(id string) (time.Time, bool) {
	digits, _, _ := strings.Cut(id, "-")
	s, err := strconv.ParseInt(digits, 10, 64)
	return time.Unix(s, 0), err == nil
}

// meta reads what a name stands for, nil when it is not there.
func (s *blobs) meta(ctx context.Context, name string) (*blobMeta, error) {
	v, err := s.names.get(ctx, name)
	if err != nil {
		return nil, err
	}
	if v.revision == 0 || v.deleted {
		return nil, nil
	}
	m, err := decodeBlobMeta(name, v.data)
	if err != nil {
		return nil, err
	}
	m.stored = v
	return m, nil
}

// Put implements concord.Blobs. Putting a name again with other bytes is a Conflict.
func (s *blobs) Put(ctx context.Context, name string, r io.Reader, size int64) error {
	if err := concord.CheckBlobName(name); err != nil {
		return err
	}
	if size < 0 || size > maxBlobChunks*blobChunkBytes {
		return concord.Errorf(concord.Invalid, "put blob %s: a size of %d bytes, want up to 64 GiB", name, size)
	}
	s.sweepSometimes(ctx)
	ctx, cancel := context.WithTimeout(ctx, maxPutTime)
	defer cancel()
	m := &blobMeta{ID: newBlobID(time.Now()), Size: size}
	stored, err := false, s.send(ctx, name, m, r)
	if err == nil {
		stored, err = s.commit(ctx, name, m)
	}
	if !stored && size > 0 {
		s.drop(ctx, m.ID)
	}
	return err
}

// send stores the chunks and notes their numbers.
func (s *blobs) send(ctx context.Context, name string, m *blobMeta, r io.Reader) error {
	action := "put blob " + name
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	type sent struct {
		seq uint64
		err error
	}
	var window []chan sent
	settle := func() error {
		ack := <-window[0]
		window = window[1:]
		if ack.err == nil {
			m.add(ack.seq)
		}
		return ack.err
	}
	whole := sha256.New()
	for i := range chunkCount(m.Size) {
		if len(window) == putAhead {
			if err := settle(); err != nil {
				return wrap(action, err)
			}
		}
		data := make([]byte, m.chunkBytes(i))
		if err := readChunk(ctx, r, data); err != nil {
			return concord.Errorf(concord.KindOf(err), "%s: chunk %d: %w", action, i, err)
		}
		whole.Write(data)
		done := make(chan sent, 1)
		window = append(window, done)
		running.Go(func() {
			seq, err := s.sendChunk(ctx, name, m.ID, i, data)
			done <- sent{seq, err}
		})
	}
	if err := readEnd(ctx, r); err != nil {
		return concord.Errorf(concord.KindOf(err), "%s: after %d bytes: %w", action, m.Size, err)
	}
	for len(window) > 0 {
		if err := settle(); err != nil {
			return wrap(action, err)
		}
	}
	whole.Sum(m.Sum[:0])
	return nil
}

func readChunk(ctx context.Context, r io.Reader, data []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := io.ReadFull(r, data)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return concord.Errorf(concord.Invalid, "the reader ended before the promised size")
	}
	return err
}

func readEnd(ctx context.Context, r io.Reader) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var one [1]byte
	_, err := io.ReadFull(r, one[:])
	switch {
	case err == io.EOF:
		return nil
	case err == nil:
		return concord.Errorf(concord.Invalid, "the reader goes on after the promised size")
	}
	return err
}

// sendChunk stores one chunk. It carries a message ID, so a try whose answer was lost is not stored twice.
func (s *blobs) sendChunk(ctx context.Context, name, id string, number int64, data []byte) (seq uint64, err error) {
	chunk := id + "/" + strconv.FormatInt(number, 10)
	msg := &nats.Msg{Subject: blobSubject + id, Data: data, Header: nats.Header{}}
	msg.Header.Set(checksumHeader, checksum(data))
	msg.Header.Set(chunkHeader, chunk)
	msg.Header.Set(blobHeader, name)
	msg.Header.Set(jetstream.MsgIDHeader, chunk)
	// A try is not cut short: a chunk that is stored after the Put was given up, and cleaned up, would stay for hours.
	err = s.bus.patiently(context.WithoutCancel(ctx), func(try context.Context) error {
		if ctx.Err() != nil {
			return errGivenUp
		}
		ack, err := s.bus.js.PublishMsg(try, msg)
		if err == nil {
			seq = ack.Sequence
		}
		return err
	})
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return seq, err
}

// errGivenUp ends the tries for a Put whose context has ended.
var errGivenUp = errors.New("given up")

// commit makes the blob visible. stored is false when its chunks are not needed: another Put of the same bytes came first, or it failed.
func (s *blobs) commit(ctx context.Context, name string, m *blobMeta) (stored bool, err error) {
	for range casTries {
		old, err := s.meta(ctx, name)
		if err != nil && concord.KindOf(err) != concord.Corrupt {
			return false, err
		}
		if err != nil {
			return false, concord.Errorf(concord.Corrupt, "put blob %s: delete it first: %w", name, err)
		}
		var revision uint64
		if old != nil {
			if old.Sum != m.Sum || old.Size != m.Size {
				return false, concord.Errorf(concord.Conflict, "put blob %s: the name has other bytes, which never change; use another name, or delete it first", name)
			}
			revision = old.stored.revision
		}
		data, err := m.encode()
		if err != nil {
			return false, concord.Errorf(concord.Internal, "put blob %s: %w", name, err)
		}
		_, err = s.names.put(ctx, name, data, revision)
		if concord.KindOf(err) == concord.Conflict {
			continue // somebody put or deleted it just now
		}
		if err != nil {
			return concord.KindOf(err) == concord.Unavailable || ctx.Err() != nil, err // unknown: then the sweep decides
		}
		if old != nil && old.Size > 0 {
			s.drop(ctx, old.ID)
		}
		return true, nil
	}
	return false, concord.Errorf(concord.Unavailable, "put blob %s: others change it all the time", name)
}

// drop removes chunks that no name has. When that fails, the sweep does it hours later.
func (s *blobs) drop(ctx context.Context, id string) {
	patience := requestTimeout
	if ctx.Err() != nil { // of a Put that was given up, maybe by a process that ends
		patience = tryTimeout
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	err := s.bus.patiently(ctx, func(ctx context.Context) error {
		return s.chunks.Purge(ctx, jetstream.WithPurgeSubject(blobSubject+id))
	})
	if err != nil {
		s.bus.cfg.Logger.Warn("the chunks of a blob stay for now", "id", id, "error", err)
	}
}

// Delete implements concord.Blobs.
func (s *blobs) Delete(ctx context.Context, name string) error {
	if err := concord.CheckBlobName(name); err != nil {
		return err
	}
	for range casTries {
		v, err := s.names.get(ctx, name)
		if err != nil && concord.KindOf(err) != concord.Corrupt {
			return err
		}
		if err != nil { // what cannot be read goes as it is; the sweep finds its chunks
			return wrap("delete blob "+name, s.names.stream.Purge(ctx, jetstream.WithPurgeSubject(s.names.subject(name))))
		}
		if v.revision == 0 || v.deleted {
			return nil
		}
		err = s.names.del(ctx, name, v.revision, deletedTTL)
		if concord.KindOf(err) == concord.Conflict {
			continue
		}
		if err != nil {
			return err
		}
		if m, err := decodeBlobMeta(name, v.data); err == nil && m.Size > 0 {
			s.drop(ctx, m.ID)
		}
		return nil
	}
	return concord.Errorf(concord.Unavailable, "delete blob %s: others change it all the time", name)
}

// sweep removes the chunks of Puts that began before a time and are under no name, and returns of how many Puts. What a name says is asked
// of the leader.
func (s *blobs) sweep(ctx context.Context, before time.Time) (removed int, err error) {
	subjects, _, err := s.bus.subjects(ctx, s.chunks, blobSubject+"*")
	if err != nil {
		return 0, wrap("sweep blobs", err)
	}
	var old []string
	for subject := range subjects {
		id := strings.TrimPrefix(subject, blobSubject)
		if began, ok := blobIDTime(id); ok && began.Before(before) {
			old = append(old, id)
		}
	}
	named := map[string]bool{}
	if len(old) > 0 { // who is found here need not be asked for
		if err := s.each(ctx, "", func(_ string, m *blobMeta) { named[m.ID] = true }); err != nil {
			return 0, err
		}
	}
	slices.Sort(old)
	for _, id := range old {
		if named[id] {
			continue
		}
		chunk, err := s.chunks.GetLastMsgForSubject(ctx, blobSubject+id)
		if err != nil {
			continue
		}
		m, err := s.meta(ctx, chunk.Header.Get(blobHeader))
		if err != nil || m != nil && m.ID == id {
			continue
		}
		s.drop(ctx, id)
		removed++
	}
	return removed, nil
}
