package blob

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"

	"concord"
	"concord/durable"
)

// A copy in the cache is a header and blocks, numbers little-endian:
//
//	"CCB1", u16 length of the name, the name, u32 CRC-32C of all that
//	any number of: u32 n (1 to 65,536), n bytes, u32 CRC-32C of n, the bytes, and the number of the block as u64
//	u32 0, u64 size of the blob, u32 CRC-32C of those 12 bytes
//
// The last line is written when the store behind has said that all bytes are right, so a copy without it is none.
const (
	copyMagic = "CCB1"
	copyBlock = 64 << 10
)

// copyKey names the file of a blob's copy.
func copyKey(name string) string {
	sum := concord.Sum([]byte(name))
	return hex.EncodeToString(sum[:])
}

func copyHeader(name string) []byte {
	b := append([]byte(copyMagic), 0, 0)
	binary.LittleEndian.PutUint16(b[4:], uint16(len(name)))
	b = append(b, name...)
	return binary.LittleEndian.AppendUint32(b, durable.Checksum(b))
}

func blockSum(block []byte, number uint64) uint32 {
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], number)
	return durable.Checksum(block, n[:])
}

// blockWriter writes a copy. It never fails loudly: a copy that cannot be written is not kept.
type blockWriter struct {
	c        *Cache
	file     *os.File
	buf      []byte // u32 n and up to copyBlock bytes
	blocks   uint64
	size     int64 // of the blob, so far
	reserved int64 // bytes of the cache taken
}

// create begins a copy, nil when that is not possible.
func (c *Cache) create(name string) *blockWriter {
	f, err := os.CreateTemp(c.dir, "*"+fillSuffix)
	if err != nil {
		return nil
	}
	w := &blockWriter{c: c, file: f, buf: make([]byte, 4, 4+copyBlock+4)}
	if !w.raw(copyHeader(name)) {
		w.abandon()
		return nil
	}
	return w
}

// raw writes bytes that the cache has room for.
func (w *blockWriter) raw(b []byte) bool {
	w.c.mu.Lock()
	ok := w.c.reserve(int64(len(b)))
	w.c.mu.Unlock()
	if !ok {
		return false
	}
	w.reserved += int64(len(b))
	_, err := w.file.Write(b)
	return err == nil
}

func (w *blockWriter) write(p []byte) bool {
	w.size += int64(len(p))
	for len(p) > 0 {
		n := min(len(p), 4+copyBlock-len(w.buf))
		w.buf = append(w.buf, p[:n]...)
		p = p[n:]
		if len(w.buf) == 4+copyBlock && !w.flush() {
			return false
		}
	}
	return true
}

func (w *blockWriter) flush() bool {
	if len(w.buf) == 4 {
		return true
	}
	binary.LittleEndian.PutUint32(w.buf, uint32(len(w.buf)-4))
	ok := w.raw(binary.LittleEndian.AppendUint32(w.buf, blockSum(w.buf, w.blocks)))
	w.blocks++
	w.buf = w.buf[:4]
	return ok
}

// finish makes the copy one that is read from now on.
func (w *blockWriter) finish(key string) {
	end := binary.LittleEndian.AppendUint64(make([]byte, 4), uint64(w.size))
	end = binary.LittleEndian.AppendUint32(end, durable.Checksum(end))
	if !w.flush() || !w.raw(end) || w.file.Close() != nil {
		w.abandon()
		return
	}
	c := w.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.byKey[key]; e != nil && !c.evict(e) || os.Rename(w.file.Name(), filepath.Join(c.dir, key+copySuffix)) != nil {
		os.Remove(w.file.Name())
		c.used -= w.reserved
		return
	}
	c.byKey[key] = c.order.PushFront(&cached{key, w.reserved})
}

// abandon removes what was written.
func (w *blockWriter) abandon() {
	w.file.Close()
	os.Remove(w.file.Name())
	w.c.release(w.reserved)
}

// filling reads a blob from the store and copies it on the way.
type filling struct {
	c         *Cache
	name, key string
	inner     io.ReadCloser
	w         *blockWriter // nil: no copy is made, or no longer
}

func (f *filling) Read(p []byte) (int, error) {
	n, err := f.inner.Read(p)
	if f.w == nil {
		return n, err
	}
	if n > 0 && !f.w.write(p[:n]) || err != nil && err != io.EOF {
		f.w.abandon()
		f.w = nil
	} else if err == io.EOF {
		f.w.finish(f.key)
		f.w = nil
	}
	return n, err
}

// Close keeps the copy as well when the reader stopped at the last byte, short of io.EOF.
func (f *filling) Close() error {
	if f.w != nil {
		f.Read(make([]byte, 1))
	}
	if f.w != nil {
		f.w.abandon()
		f.w = nil
	}
	return f.inner.Close()
}

// blockReader reads a copy block by block, each checked before it is given away.
type blockReader struct {
	r      *bufio.Reader
	buf    []byte // n and block as they were read
	rest   []byte // of buf, not yet given away
	blocks uint64
	size   int64
	done   bool
}

// errCopy is what a copy is refused with; nobody but the cache sees it.
var errCopy = concord.Errorf(concord.Corrupt, "damaged copy in the cache of blobs")

func newBlockReader(r io.Reader, name string) (*blockReader, error) {
	b := &blockReader{r: bufio.NewReaderSize(r, copyBlock), buf: make([]byte, 4+copyBlock+4)}
	want := copyHeader(name)
	got := b.buf[:len(want)]
	if _, err := io.ReadFull(b.r, got); err != nil || string(got) != string(want) {
		return nil, errCopy
	}
	return b, nil
}

// next reads the next block into rest, or sets done.
func (b *blockReader) next() error {
	if _, err := io.ReadFull(b.r, b.buf[:4]); err != nil {
		return errCopy
	}
	n := binary.LittleEndian.Uint32(b.buf)
	if n == 0 {
		end := b.buf[:16]
		_, err := io.ReadFull(b.r, end[4:])
		if err != nil || binary.LittleEndian.Uint64(end[4:]) != uint64(b.size) || binary.LittleEndian.Uint32(end[12:]) != durable.Checksum(end[:12]) {
			return errCopy
		}
		b.done = true
		return nil
	}
	if n > copyBlock {
		return errCopy
	}
	block := b.buf[:4+n+4]
	if _, err := io.ReadFull(b.r, block[4:]); err != nil || binary.LittleEndian.Uint32(block[4+n:]) != blockSum(block[:4+n], b.blocks) {
		return errCopy
	}
	b.blocks++
	b.size += int64(n)
	b.rest = block[4 : 4+n]
	return nil
}

func (b *blockReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(b.rest) == 0 {
		if b.done {
			return 0, io.EOF
		}
		if err := b.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// fromCopy reads a copy, and from the store behind when the copy turns out damaged.
type fromCopy struct {
	c         *Cache
	ctx       context.Context
	name, key string
	file      io.Closer
	r         io.Reader
	given     int64
}

func (f *fromCopy) Read(p []byte) (int, error) {
	if err := f.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := f.r.Read(p)
	if err == errCopy {
		if err := f.goOn(); err != nil {
			return 0, err
		}
		n, err = f.r.Read(p)
	}
	f.given += int64(n)
	return n, err
}

// goOn drops the copy and reads on behind it, making a new copy.
func (f *fromCopy) goOn() error {
	f.c.drop(f.key)
	rc, err := f.c.inner.Get(f.ctx, f.name)
	if err != nil {
		return err
	}
	f.file.Close()
	again := &filling{c: f.c, name: f.name, key: f.key, inner: rc, w: f.c.create(f.name)}
	f.file, f.r = again, again
	_, err = io.CopyN(io.Discard, again, f.given)
	return err
}

func (f *fromCopy) Close() error { return f.file.Close() }
