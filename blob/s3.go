package blob

import (
	"bytes"
	"context"
	"encoding/hex"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"concord"
)

const (
	// partBytes is the size from which a blob goes up in parts, and of a part: what a Put holds in memory. A bucket takes 10,000 parts, so
	// for blobs above 160 GB the client takes larger ones.
	partBytes = 16 << 20
	// s3Retries is how often a request is tried: some ten seconds. Callers have their own retries, with their own patience.
	s3Retries = 5
	// listPage is how many names are asked for at once, the most that stores give.
	listPage = 1000
	// sumKey names the metadata that holds the SHA-256 of a blob, in hex: x-amz-meta-concord-sha256.
	sumKey = "Concord-Sha256"
	// abandonedAfter is the age at which parts of an upload that never came to its end are taken to be those of a process that died.
	abandonedAfter = 24 * time.Hour
	// defaultEndpoint is Amazon's; the client turns it into the region's own.
	defaultEndpoint = "s3.amazonaws.com"
)

// S3Config says which bucket, and how to get there. Parse makes one of a URL.
type S3Config struct {
	Endpoint string // host or host:port; default Amazon's
	Region   string // default: asked of the store
	Bucket   string
	Prefix   string // before every name, without '/' at its ends; may be empty
	Plain    bool   // http instead of https
	// AccessKey and SecretKey sign requests. When they are empty, keys come from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN,
	// else from ~/.aws/credentials (AWS_PROFILE chooses the profile), else from the machine's or pod's role (IAM).
	AccessKey, SecretKey string
	// TempDir is for blobs above 16 MiB whose reader cannot be rewound: their checksum has to be known before they are sent. Default: the
	// system's.
	TempDir string
}

// Validate says what is wrong with a configuration. Errors: Invalid.
func (c *S3Config) Validate() error {
	switch {
	case c.Bucket == "":
		return concord.Errorf(concord.Invalid, "place of blobs: s3:// lacks the bucket; write s3://bucket/prefix")
	case strings.ContainsAny(c.Endpoint, "/ ?#@"):
		return concord.Errorf(concord.Invalid, "place of blobs: endpoint %q: want host or host:port", concord.Clip(c.Endpoint, 80))
	case c.Prefix != "" && concord.CheckBlobName(c.Prefix) != nil:
		return concord.Errorf(concord.Invalid, "place of blobs: prefix %q: use letters, digits, '.', '_', '-' and '/'", concord.Clip(c.Prefix, 80))
	case (c.AccessKey == "") != (c.SecretKey == ""):
		return concord.Errorf(concord.Invalid, "place of blobs: an access key and its secret key go together")
	}
	return nil
}

// Bucket keeps blobs as objects of a bucket. Each object carries the SHA-256 of its bytes as metadata, which is there or not together with
// them, and leaves the object as other tools expect it.
type Bucket struct {
	cfg    S3Config
	client *minio.Client
	http   *http.Transport
}

// S3 returns the bucket of a configuration. It asks nothing of the store yet; Check does.
func S3(cfg S3Config) (*Bucket, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Endpoint == "" {
		cfg.Endpoint = defaultEndpoint
	}
	transport, err := minio.DefaultTransport(!cfg.Plain)
	if err != nil {
		return nil, concord.Errorf(concord.Internal, "open bucket: %w", err)
	}
	keys := credentials.NewChainCredentials([]credentials.Provider{
		&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{Client: &http.Client{Transport: transport, Timeout: 10 * time.Second}},
	})
	if cfg.AccessKey != "" {
		keys = credentials.NewStaticV4(cfg.AccessKey, cfg.SecretKey, "")
	}
	client, err := minio.New(cfg.Endpoint, &minio.Options{Creds: keys, Secure: !cfg.Plain, Region: cfg.Region, Transport: transport, MaxRetries: s3Retries})
	if err != nil {
		return nil, concord.Errorf(concord.Invalid, "open bucket %s at %s: %w", cfg.Bucket, cfg.Endpoint, err)
	}
	return &Bucket{cfg: cfg, client: client, http: transport}, nil
}

// Close gives back idle connections.
func (b *Bucket) Close() error { b.http.CloseIdleConnections(); return nil }

// Check makes sure that the bucket is there and may be read, and gives back the room of uploads that processes left when they died more
// than a day ago. Errors say in plain words what to correct.
func (b *Bucket) Check(ctx context.Context) error {
	err := b.list(ctx, "", 1, func(concord.BlobInfo) bool { return false })
	if err != nil {
		return err
	}
	b.abandon(ctx, time.Now().Add(-abandonedAfter))
	return nil
}

// abandon removes the parts of uploads that began before a time. Many stores let only their owner ask for them, and have rules of their
// own for this: so it does what it may.
func (b *Bucket) abandon(ctx context.Context, before time.Time) {
	core := minio.Core{Client: b.client}
	for upload := range b.client.ListIncompleteUploads(ctx, b.cfg.Bucket, b.key(""), true) {
		if upload.Err != nil {
			return
		}
		if upload.Initiated.Before(before) && core.AbortMultipartUpload(ctx, b.cfg.Bucket, upload.Key, upload.UploadID) != nil {
			return
		}
	}
}

// key is the object's name.
func (b *Bucket) key(name string) string {
	if b.cfg.Prefix == "" {
		return name
	}
	return b.cfg.Prefix + "/" + name
}

// Put implements concord.Blobs. A blob of up to 16 MiB is read into memory; a larger one is read twice, for its checksum and for sending,
// and written to a temporary file first when r is no io.Seeker.
func (b *Bucket) Put(ctx context.Context, name string, r io.Reader, size int64) error {
	if err := checkPut(name, size); err != nil {
		return err
	}
	in := newExact(ctx, r, size)
	if size <= partBytes {
		data := bytes.NewBuffer(make([]byte, 0, size+bytes.MinRead))
		if _, err := data.ReadFrom(in); err != nil {
			return concord.Errorf(concord.KindOf(err), "put blob %s: %w", name, err)
		}
		return b.send(ctx, name, bytes.NewReader(data.Bytes()), size, in.digest())
	}
	again, done, err := b.readTwice(in, r)
	if err != nil {
		return concord.Errorf(concord.KindOf(err), "put blob %s: %w", name, err)
	}
	defer done()
	return b.send(ctx, name, newVerified(ctx, name, io.NopCloser(again), size, in.digest(), concord.Invalid), size, in.digest())
}

// readTwice reads in to its end and returns a reader of the same bytes.
func (b *Bucket) readTwice(in *exact, r io.Reader) (again io.Reader, done func(), err error) {
	if seeker, ok := r.(io.Seeker); ok {
		if start, err := seeker.Seek(0, io.SeekCurrent); err == nil {
			if _, err := io.Copy(io.Discard, in); err != nil {
				return nil, nil, err
			}
			_, err = seeker.Seek(start, io.SeekStart)
			return r, func() {}, err
		}
	}
	f, err := os.CreateTemp(b.cfg.TempDir, "concord-blob-")
	if err != nil {
		return nil, nil, err
	}
	done = func() { f.Close(); os.Remove(f.Name()) }
	os.Remove(f.Name()) // where the system allows it, so that a kill leaves nothing
	if _, err = io.Copy(f, in); err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		done()
		return nil, nil, err
	}
	return f, done, nil
}

// send uploads size bytes, all or nothing. The store compares the MD5 of each part with what it received.
func (b *Bucket) send(ctx context.Context, name string, r io.Reader, size int64, sum concord.Digest) error {
	_, err := b.client.PutObject(ctx, b.cfg.Bucket, b.key(name), r, size, minio.PutObjectOptions{
		UserMetadata: map[string]string{sumKey: hex.EncodeToString(sum[:])}, ContentType: "application/octet-stream",
		PartSize: partBytes, NumThreads: 1, SendContentMd5: true,
	})
	return b.explain(ctx, "put blob "+name, err)
}

// Get implements concord.Blobs.
func (b *Bucket) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	if err := concord.CheckBlobName(name); err != nil {
		return nil, err
	}
	core := minio.Core{Client: b.client}
	body, info, _, err := core.GetObject(ctx, b.cfg.Bucket, b.key(name), minio.GetObjectOptions{})
	if err != nil {
		return nil, b.explain(ctx, "get blob "+name, err)
	}
	var sum concord.Digest
	raw, err := hex.DecodeString(info.UserMetadata[sumKey])
	if err != nil || len(raw) != len(sum) || info.Size < 0 {
		body.Close()
		return nil, concord.Errorf(concord.Corrupt, "blob %s lacks its checksum (metadata %s): it was not put by concord, or the store lost it", name, sumKey)
	}
	return newVerified(ctx, name, body, info.Size, concord.Digest(raw), concord.Unavailable), nil
}

// List implements concord.Blobs. Objects that cannot be blobs are left out.
func (b *Bucket) List(ctx context.Context, prefix string, yield func(concord.BlobInfo) bool) error {
	return b.list(ctx, prefix, listPage, yield)
}

func (b *Bucket) list(ctx context.Context, prefix string, page int, yield func(concord.BlobInfo) bool) error {
	noOwner := false
	opts := minio.ListObjectsOptions{Prefix: b.key(prefix), Recursive: true, MaxKeys: page, FetchOwner: &noOwner}
	for o := range b.client.ListObjectsIter(ctx, b.cfg.Bucket, opts) {
		if o.Err != nil {
			return b.explain(ctx, "list blobs", o.Err)
		}
		name := strings.TrimPrefix(o.Key, b.key(""))
		if concord.CheckBlobName(name) != nil {
			continue
		}
		if !yield(concord.BlobInfo{Name: name, Size: o.Size, Stored: o.LastModified}) {
			return nil
		}
	}
	return ctx.Err()
}

// Delete implements concord.Blobs.
func (b *Bucket) Delete(ctx context.Context, name string) error {
	if err := concord.CheckBlobName(name); err != nil {
		return err
	}
	err := b.explain(ctx, "delete blob "+name, b.client.RemoveObject(ctx, b.cfg.Bucket, b.key(name), minio.RemoveObjectOptions{}))
	if concord.KindOf(err) == concord.NotFound {
		return nil
	}
	return err
}
