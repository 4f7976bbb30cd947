package vault

import (
	"context"
	"encoding/json"
	"io"
	"time"

	"concord"
	"concord/warc"
)

const (
	// Service is the name under which nodes ask each other for stored bytes; Serve answers.
	Service = "archive-bytes"
	// maxAnswer is what is asked for at a time: a quarter of what a message may have.
	maxAnswer = 1 << 20
	// readsAtOnce is how many records of others are read at a time: each holds its bytes, stored and decoded.
	readsAtOnce = 16
	// listTries is how often the blobs of a file are listed anew for one record.
	listTries = 3
	// askPatience bounds one question, nodesPatience all of them for one record, and readPatience the reading from the blobs.
	askPatience, nodesPatience, readPatience = 3 * time.Second, 8 * time.Second, 30 * time.Second
)

// bytesQuestion asks for a range of a file as it is stored. The answer is these bytes.
type bytesQuestion struct {
	File   string `json:"file"`
	Offset int64  `json:"offset"`
	Length int64  `json:"length"`
}

// Serve answers another node's question for stored bytes of this node's archive: at most 1 MiB, and nothing of it is checked, which who asks
// does. Errors: Invalid, NotFound.
func (v *Vault) Serve(_ context.Context, data []byte) ([]byte, error) {
	var q bytesQuestion
	if err := json.Unmarshal(data, &q); err != nil {
		return nil, concord.Errorf(concord.Invalid, "the question cannot be read: %w", err)
	}
	if q.Length <= 0 || q.Length > maxAnswer {
		return nil, concord.Errorf(concord.Invalid, "asked for %d bytes of the archive; at most %d at a time", q.Length, maxAnswer)
	}
	p := make([]byte, q.Length)
	return p, v.local.ReadAt(q.File, p, q.Offset)
}

// Read returns the record at loc, wherever it is: here, on another live node, or in the blobs. What it returns is checked as
// warc.Archive.Read does. A record that is damaged here is read from the blobs, and the file is put right in the background. Errors:
// NotFound when nobody has it, Corrupt when all who have it have it damaged, Unavailable when who may have it does not answer.
func (v *Vault) Read(loc concord.Location) (*warc.Record, error) {
	rec, err := v.local.Read(loc)
	if err == nil || concord.KindOf(err) == concord.Unavailable || !v.local.Fits(loc) {
		return rec, err
	}
	v.reads <- struct{}{}
	defer func() { <-v.reads }()
	info, here := v.local.File(loc.File)
	damaged := here && concord.KindOf(err) != concord.NotFound
	if damaged {
		v.log.Error("a record is damaged here; it is read from its copy", "file", info.Name, "offset", loc.Offset, "error", err)
	}
	var asked error
	if !here {
		if rec, asked = v.readNodes(loc); rec != nil {
			return rec, nil
		}
	}
	rec, blobErr := v.readBlobs(loc)
	switch {
	case blobErr == nil:
		if damaged {
			v.noteDamage(loc.File)
		}
		return rec, nil
	case damaged:
		return nil, err
	case concord.KindOf(blobErr) == concord.NotFound && asked != nil:
		return nil, asked
	}
	return nil, blobErr
}

// noteDamage has the background put a file right.
func (v *Vault) noteDamage(file string) {
	v.mu.Lock()
	if u := v.files[file]; u != nil {
		u.damaged = true
	}
	v.mu.Unlock()
	wake(v.tidy)
}

// readNodes asks the other nodes. Without a record, the error is nil when all of them said that they do not have it.
func (v *Vault) readNodes(loc concord.Location) (*warc.Record, error) {
	if v.cfg.Asker == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), nodesPatience)
	defer cancel()
	var failed error
	for _, node := range v.homes.order(loc.File, v.cfg.Others()) {
		rec, err := v.readNode(ctx, node, loc)
		if err == nil {
			v.homes.set(loc.File, node)
			return rec, nil
		}
		if concord.KindOf(err) != concord.NotFound {
			failed = concord.Errorf(concord.KindOf(err), "ask %s for a record: %w", node, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, failed
}

func (v *Vault) readNode(ctx context.Context, node string, loc concord.Location) (*warc.Record, error) {
	var stored []byte
	for n := int64(0); n < loc.Length; {
		q := bytesQuestion{File: loc.File, Offset: loc.Offset + n, Length: min(maxAnswer, loc.Length-n)}
		data, err := json.Marshal(q)
		if err != nil {
			return nil, err
		}
		ask, cancel := context.WithTimeout(ctx, askPatience)
		answer, err := v.cfg.Asker.Ask(ask, node, Service, data)
		cancel()
		if err != nil {
			return nil, err
		}
		if int64(len(answer)) != q.Length {
			return nil, concord.Errorf(concord.Corrupt, "%s answered with %d bytes of %d", node, len(answer), q.Length)
		}
		stored = append(stored, answer...)
		n += q.Length
	}
	return v.local.Parse(loc, stored)
}

// readBlobs reads a record from the blobs, with the list of them that is at hand, and if that does not do, with a new one: small blobs may
// become a whole one at any time.
func (v *Vault) readBlobs(loc concord.Location) (*warc.Record, error) {
	ctx, cancel := context.WithTimeout(context.Background(), readPatience)
	defer cancel()
	s := span{loc.Offset, loc.Offset + loc.Length}
	ps, cached := v.lists.get(loc.File)
	for tries := 0; ; tries++ {
		if !cached {
			var err error
			if ps, err = listFile(ctx, v.cfg.Blobs, loc.File); err != nil {
				return nil, err
			}
			v.lists.put(loc.File, ps)
		}
		stored, err := readSpan(ctx, v.cfg.Blobs, loc.File, ps, s)
		if concord.KindOf(err) == concord.NotFound && (cached || tries < listTries && len(ps.gaps(s.from, s.to)) == 0) {
			cached = false
			continue
		}
		if err != nil {
			return nil, err
		}
		return v.local.Parse(loc, stored)
	}
}

// readSpan reads a range from the blobs that cover it, no more of each than is needed: who parses it checks it. Errors: NotFound when a
// part is in no blob.
func readSpan(ctx context.Context, blobs concord.Blobs, file string, ps pieces, s span) ([]byte, error) {
	if gaps := ps.gaps(s.from, s.to); len(gaps) > 0 {
		return nil, concord.Errorf(concord.NotFound, "neither a live node nor a blob has bytes %d to %d of archive file %s", gaps[0].from, gaps[0].to, file)
	}
	out := make([]byte, 0, s.to-s.from)
	for off := s.from; off < s.to; {
		p, _, _ := ps.at(off)
		end := min(p.end(), s.to)
		part, err := readPart(ctx, blobs, file, p, span{off, end})
		if err != nil {
			return nil, err
		}
		out = append(out, part...)
		off = end
	}
	return out, nil
}

func readPart(ctx context.Context, blobs concord.Blobs, file string, p piece, s span) ([]byte, error) {
	rc, err := blobs.Get(ctx, p.name(file))
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	if _, err := io.CopyN(io.Discard, rc, s.from-p.off); err != nil {
		return nil, cutShort(err, p.name(file))
	}
	part := make([]byte, s.to-s.from)
	if _, err := io.ReadFull(rc, part); err != nil {
		return nil, cutShort(err, p.name(file))
	}
	return part, nil
}

func cutShort(err error, name string) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return concord.Errorf(concord.Corrupt, "blob %s is shorter than it was listed", name)
	}
	return err
}
