package warc

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/zlib"
	"errors"
	"io"
	"net/http"
	"strings"

	"concord"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// maxCodings bounds how many content codings are undone one after another: servers use one, misconfigured ones two.
const maxCodings = 3

// maxZstdWindow is the largest window a zstd content coding may ask for (RFC 9659).
const maxZstdWindow = 8 << 20

// ErrTooLong says that a decoded payload is longer than the limit; what was decoded up to the limit comes with it.
var ErrTooLong = errors.New("decoded content is longer than the limit")

// DecodeContent undoes the content codings (gzip, deflate, br, zstd) that the head of a response names and returns at
// most limit bytes. With no coding it returns payload itself. What could be decoded is returned beside an error: an
// error that wraps ErrTooLong or io.ErrUnexpectedEOF leaves a usable beginning. A payload that says gzip but does not
// begin like gzip was decoded by the tool that stored it, and is returned as it is. Errors are of kind Invalid.
func DecodeContent(h http.Header, payload []byte, limit int64) ([]byte, error) {
	codings, err := codingsOf(h)
	if err != nil {
		return nil, err
	}
	if len(codings) == 0 || len(payload) == 0 {
		return clipTo(payload, limit)
	}
	var r io.Reader = bytes.NewReader(payload)
	for i := len(codings) - 1; i >= 0; i-- {
		br := bufio.NewReader(r)
		if i == len(codings)-1 && !looksLike(codings[i], payload) {
			r = br
			continue
		}
		next, closer, err := decoder(codings[i], br)
		if err != nil {
			return nil, concord.Errorf(concord.Invalid, "decode %s content: %w", codings[i], eofIsUnexpected(err))
		}
		if closer != nil {
			defer closer()
		}
		r = next
	}
	return readUpTo(r, limit, strings.Join(codings, ", "))
}

func readUpTo(r io.Reader, limit int64, what string) ([]byte, error) {
	var buf bytes.Buffer
	_, err := buf.ReadFrom(io.LimitReader(r, limit+1))
	if int64(buf.Len()) > limit {
		return clipTo(buf.Bytes(), limit)
	}
	if err != nil {
		return buf.Bytes(), concord.Errorf(concord.Invalid, "decode %s content: %w", what, eofIsUnexpected(err))
	}
	return buf.Bytes(), nil
}

func clipTo(b []byte, limit int64) ([]byte, error) {
	if int64(len(b)) > limit {
		return b[:limit:limit], concord.Errorf(concord.Invalid, "%w of %d bytes", ErrTooLong, limit)
	}
	return b, nil
}

// codingsOf returns the codings in the order they were applied, without identity.
func codingsOf(h http.Header) ([]string, error) {
	var out []string
	for _, v := range h["Content-Encoding"] {
		for c := range strings.SplitSeq(v, ",") {
			c = strings.ToLower(strings.TrimSpace(c))
			if c == "" || c == "identity" || c == "none" || c == "utf-8" {
				continue // the last two are no codings, but servers send them
			}
			out = append(out, c)
		}
	}
	if len(out) > maxCodings {
		return nil, concord.Errorf(concord.Invalid, "response names %d content codings, more than %d", len(out), maxCodings)
	}
	return out, nil
}

// looksLike reports whether b can begin the coding; codings without a signature always can.
func looksLike(coding string, b []byte) bool {
	switch coding {
	case "gzip", "x-gzip":
		return bytes.HasPrefix(b, []byte{0x1f, 0x8b}) || len(b) < 2
	case "zstd":
		if len(b) < 4 {
			return true
		}
		skippable := b[0]&0xf0 == 0x50 && b[1] == 0x2a && b[2] == 0x4d && b[3] == 0x18
		return skippable || bytes.HasPrefix(b, []byte{0x28, 0xb5, 0x2f, 0xfd})
	}
	return true
}

func decoder(coding string, r *bufio.Reader) (io.Reader, func(), error) {
	switch coding {
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(r)
		return z, nil, err
	case "deflate":
		return inflater(r)
	case "br":
		return brotli.NewReader(r), nil, nil
	case "zstd":
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxZstdWindow),
			zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}
	return nil, nil, errors.New("this content coding is not known")
}

// inflater tells the zlib form that RFC 9110 section 8.4.1.2 demands from the raw form that some servers send.
func inflater(r *bufio.Reader) (io.Reader, func(), error) {
	b, err := r.Peek(2)
	if err != nil {
		return nil, nil, err
	}
	if b[0]&0x0f == 8 && (int(b[0])<<8|int(b[1]))%31 == 0 {
		z, err := zlib.NewReader(r)
		return z, nil, err
	}
	return flate.NewReader(r), nil, nil
}

func eofIsUnexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
