// Package blob answers "where do whole files go that every node must be able to read?": a directory, a bucket of any S3-compatible
// store, and a cache on the local disk before either. They are concord.Blobs, and package blobtest is the suite they all pass.
//
// It is not for files that change (a blob's bytes never do), nor for reading parts of one: a blob is read from its beginning.
//
// Invariants:
//   - A name has all of the bytes that were put, or is not there: after an error, a kill, a power cut.
//   - Whoever reads gets the bytes that were put or an error. The last byte comes only after the SHA-256 of the whole was compared, so
//     this holds as well for readers that stop at the size they know instead of at io.EOF.
//   - Memory is bounded: a directory and a cache take a buffer for each call, S3 takes up to 16 MiB for each Put.
package blob

import (
	"context"
	"net/url"
	"path/filepath"
	"strings"

	"concord"
)

// Place says where blobs are kept: in Dir, or in S3 when that is not nil.
type Place struct {
	Dir string
	S3  *S3Config
}

// Parse reads a place from the text that a configuration has for it:
//
//	file:///var/lib/concord/blobs                                       a directory
//	s3://bucket                                                         a bucket at Amazon
//	s3://bucket/prefix?endpoint=minio.example:9000&region=eu-central-1  a bucket elsewhere
//
// An endpoint is spoken to by https unless it is written with http://. Keys are not part of the text; see S3Config.
// Errors: Invalid, saying how to write it.
func Parse(text string) (Place, error) {
	u, err := url.Parse(text)
	if err != nil {
		return Place{}, concord.Errorf(concord.Invalid, "place of blobs %q: %w", concord.Clip(text, 80), err)
	}
	switch {
	case u.User != nil: // the text is not repeated: it holds a secret
		return Place{}, concord.Errorf(concord.Invalid, "place of blobs: keys do not belong into it; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use ~/.aws/credentials")
	case u.Scheme == "file":
		return parseFile(u)
	case u.Scheme == "s3":
		return parseS3(u)
	}
	return Place{}, concord.Errorf(concord.Invalid, "place of blobs %q: want file:///directory or s3://bucket/prefix", concord.Clip(text, 80))
}

func parseFile(u *url.URL) (Place, error) {
	dir := filepath.FromSlash(u.Path)
	if u.Host != "" || !filepath.IsAbs(dir) || u.RawQuery != "" || u.Fragment != "" {
		return Place{}, concord.Errorf(concord.Invalid, "place of blobs %q: write a directory as file:///absolute/path", concord.Clip(u.String(), 80))
	}
	return Place{Dir: dir}, nil
}

func parseS3(u *url.URL) (Place, error) {
	cfg := &S3Config{Bucket: u.Host, Prefix: strings.Trim(u.Path, "/")}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil || u.Fragment != "" {
		return Place{}, concord.Errorf(concord.Invalid, "place of blobs %q: want s3://bucket/prefix?endpoint=host:port&region=name", concord.Clip(u.String(), 80))
	}
	for key, values := range q {
		if len(values) != 1 {
			return Place{}, concord.Errorf(concord.Invalid, "place of blobs: %q is given more than once", concord.Clip(key, 40))
		}
		switch key {
		case "endpoint":
			cfg.Endpoint = values[0]
		case "region":
			cfg.Region = values[0]
		default:
			return Place{}, concord.Errorf(concord.Invalid, "place of blobs: unknown parameter %q; known are endpoint and region", concord.Clip(key, 40))
		}
	}
	if host, plain := strings.CutPrefix(cfg.Endpoint, "http://"); plain {
		cfg.Endpoint, cfg.Plain = host, true
	}
	cfg.Endpoint = strings.TrimSuffix(strings.TrimPrefix(cfg.Endpoint, "https://"), "/")
	return Place{S3: cfg}, cfg.Validate()
}

// Store is an open place of blobs. Close gives back what it holds open; calls that are running fail.
type Store interface {
	concord.Blobs
	Close() error
}

// Open opens the place and makes sure that it can be used: a directory is made where there is none, a bucket is asked for.
func (p Place) Open(ctx context.Context) (Store, error) {
	if p.S3 == nil {
		return Dir(p.Dir)
	}
	b, err := S3(*p.S3)
	if err != nil {
		return nil, err
	}
	return b, b.Check(ctx)
}
