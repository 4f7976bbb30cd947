package blob

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"concord"
	"concord/blob/blobtest"
	"concord/e2e/ports"
)

const (
	testAccess, testSecret = "concord-test", "concord-test-secret"
	testBucket             = "concord-test"
)

// s3Server is an S3-compatible server of the tests' own, with its files in root.
type s3Server struct {
	root, addr string
	process    *exec.Cmd
}

// startS3 starts a server, or skips the test and says what is missing.
func startS3(t testing.TB) *s3Server {
	t.Helper()
	bin, err := filepath.Abs("../bin/versitygw")
	if err == nil {
		_, err = os.Stat(bin)
	}
	if err != nil {
		if bin, err = exec.LookPath("versitygw"); err != nil {
			t.Skip("SKIPPED: S3 is not tested: there is no server. Run `go build -C e2e/s3server -o ../../bin/versitygw github.com/versity/versitygw/cmd/versitygw` at the top " +
				"of the repository, or set CONCORD_TEST_S3=s3://bucket/prefix?endpoint=… and AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY")
		}
	}
	addr, err := ports.Free("127.0.0.1", 1)
	if err != nil {
		t.Fatal(err)
	}
	s := &s3Server{root: t.TempDir(), addr: addr}
	s.process = exec.Command(bin, "--port", s.addr, "--access", testAccess, "--secret", testSecret, "--region", "us-east-1", "--quiet", "posix", s.root)
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kill)
	if err := os.Mkdir(filepath.Join(s.root, testBucket), 0o700); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", s.addr)
		if err == nil {
			conn.Close()
			return s
		}
		if time.Now().After(deadline) {
			t.Fatalf("the S3 server does not listen: %v", err)
		}
	}
}

func (s *s3Server) kill() { s.process.Process.Kill(); s.process.Wait() }

// config returns that of the test bucket.
func (s *s3Server) config(prefix string) S3Config {
	return S3Config{Endpoint: s.addr, Plain: true, Bucket: testBucket, Prefix: prefix, AccessKey: testAccess, SecretKey: testSecret}
}

func openBucket(t testing.TB, cfg S3Config) *Bucket {
	t.Helper()
	b, err := S3(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func TestBucket(t *testing.T) {
	if place := os.Getenv("CONCORD_TEST_S3"); place != "" {
		testForeignBucket(t, place)
		return
	}
	s := startS3(t)
	n := 0
	var prefix string
	blobtest.Run(t, func(t *testing.T) concord.Blobs {
		n++
		prefix = fmt.Sprintf("tests/%d", n)
		b := openBucket(t, s.config(prefix))
		t.Cleanup(func() { wantNoUploads(t, b) })
		return b
	}, blobtest.Options{Damage: func(t *testing.T, name string, cut int64) {
		damageFile(t, filepath.Join(s.root, testBucket, prefix, name), cut)
	}})
}

// testForeignBucket runs the suite on a store that is not ours, below a prefix of its own, which it empties.
func testForeignBucket(t *testing.T, place string) {
	p, err := Parse(place)
	if err != nil || p.S3 == nil {
		t.Fatalf("CONCORD_TEST_S3: %v", err)
	}
	root := strings.Trim(p.S3.Prefix+"/"+fmt.Sprintf("concord-test-%d", time.Now().UnixNano()), "/")
	n := 0
	blobtest.Run(t, func(t *testing.T) concord.Blobs {
		n++
		cfg := *p.S3
		cfg.Prefix = fmt.Sprintf("%s/%d", root, n)
		b := openBucket(t, cfg)
		if err := b.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			ctx := context.WithoutCancel(t.Context())
			b.List(ctx, "", func(i concord.BlobInfo) bool { b.Delete(ctx, i.Name); return true })
		})
		return b
	}, blobtest.Options{})
}

// wantNoUploads looks for parts of uploads that failed.
func wantNoUploads(t *testing.T, b *Bucket) {
	t.Helper()
	for u := range b.client.ListIncompleteUploads(context.Background(), b.cfg.Bucket, b.key(""), true) {
		t.Errorf("left behind: an upload of %s, %v", u.Key, u.Err)
	}
}

func TestBucketPlace(t *testing.T) {
	s := startS3(t)
	t.Setenv("AWS_ACCESS_KEY_ID", testAccess)
	t.Setenv("AWS_SECRET_ACCESS_KEY", testSecret)
	p, err := Parse("s3://" + testBucket + "/a/b?endpoint=http://" + s.addr)
	if err != nil {
		t.Fatal(err)
	}
	b, err := p.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	blobtest.Put(t, b, "c", []byte("content"))
	if data, err := os.ReadFile(filepath.Join(s.root, testBucket, "a/b/c")); err != nil || string(data) != "content" {
		t.Fatalf("the object is not what was put: %q, %v", data, err)
	}
	other := openBucket(t, s.config("a"))
	blobtest.Put(t, other, "bb", []byte("x"))
	if names := blobtest.List(t, b, ""); len(names) != 1 || names[0] != "c" {
		t.Errorf("a prefix lists %v", names)
	}
	// What other tools put has no checksum of ours.
	if _, err := b.(*Bucket).client.PutObject(t.Context(), testBucket, "a/b/foreign", strings.NewReader("x"), 1, minio.PutObjectOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Get(t.Context(), "foreign"); concord.KindOf(err) != concord.Corrupt {
		t.Errorf("an object without checksum: %v", err)
	}
}

// Parts that a killed process left are removed when they are old, and only then.
func TestBucketAbandonsUploads(t *testing.T) {
	s := startS3(t)
	b := openBucket(t, s.config("a"))
	core := minio.Core{Client: b.client}
	id, err := core.NewMultipartUpload(t.Context(), testBucket, "a/dead", minio.PutObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := core.PutObjectPart(t.Context(), testBucket, "a/dead", id, 1, strings.NewReader("part"), 4, minio.PutObjectPartOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := b.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := core.ListObjectParts(t.Context(), testBucket, "a/dead", id, 0, 10); err != nil {
		t.Errorf("an upload that may still run was removed: %v", err)
	}
	b.abandon(t.Context(), time.Now().Add(time.Hour))
	wantNoUploads(t, b)
	if names := blobtest.List(t, b, ""); len(names) != 0 {
		t.Errorf("listed %v", names)
	}
}

func TestBucketSaysWhatIsWrong(t *testing.T) {
	s := startS3(t)
	for name, c := range map[string]struct {
		change func(*S3Config)
		kind   concord.Kind
		says   string
	}{
		"no bucket":      {func(c *S3Config) { c.Bucket = "nothing-here" }, concord.Invalid, "does not exist"},
		"unknown key":    {func(c *S3Config) { c.AccessKey = "nobody" }, concord.Unauthorized, "does not know the access key"},
		"wrong secret":   {func(c *S3Config) { c.SecretKey = "guess-guess-guess" }, concord.Unauthorized, "secret key is wrong"},
		"another region": {func(c *S3Config) { c.Region = "eu-north-7" }, concord.Invalid, "region"},
	} {
		cfg := s.config("p")
		c.change(&cfg)
		b := openBucket(t, cfg)
		_, getErr := b.Get(t.Context(), "a")
		for action, err := range map[string]error{
			"check": b.Check(t.Context()), "get": getErr, "put": b.Put(t.Context(), "a", strings.NewReader("x"), 1), "delete": b.Delete(t.Context(), "a"),
			"put in parts": b.Put(t.Context(), "a", bytes.NewReader(make([]byte, partBytes+1)), partBytes+1),
		} {
			if concord.KindOf(err) != c.kind || !strings.Contains(fmt.Sprint(err), c.says) {
				t.Errorf("%s, %s: %v (%v)", name, action, err, concord.KindOf(err))
			}
		}
	}
	b := openBucket(t, s.config("p"))
	data := blobtest.Bytes(40<<20, 1)
	blobtest.Put(t, b, "a", data)
	r, err := b.Get(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadFull(r, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	s.kill()
	if _, err := io.Copy(io.Discard, r); concord.KindOf(err) != concord.Unavailable {
		t.Errorf("a store that dies while it is read: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := b.Put(ctx, "b", strings.NewReader("x"), 1); concord.KindOf(err) != concord.Unavailable || !strings.Contains(err.Error(), "cannot reach") {
		t.Errorf("a store that is not there: %v", err)
	}
}

// Answers that a server of the tests does not give by itself.
func TestBucketExplainsOtherAnswers(t *testing.T) {
	for code, want := range map[string]struct {
		status int
		kind   concord.Kind
		says   string
	}{
		"AccessDenied":         {403, concord.Unauthorized, "may not be used with these keys"},
		"RequestTimeTooSkewed": {403, concord.Unavailable, "clock"},
		"PermanentRedirect":    {301, concord.Invalid, "another region"},
		"QuotaExceeded":        {403, concord.Unavailable, "full"},
		"ServiceUnavailable":   {503, concord.Unavailable, "does not serve right now"},
		"MethodNotAllowed":     {405, concord.Internal, "refused"},
		"NoSuchKey":            {404, concord.NotFound, "not there"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(want.status)
			fmt.Fprintf(w, "<?xml version=\"1.0\"?><Error><Code>%s</Code><Message>no</Message></Error>", code)
		}))
		cfg := S3Config{Endpoint: strings.TrimPrefix(server.URL, "http://"), Plain: true, Region: "us-east-1", Bucket: "bucket", AccessKey: "a", SecretKey: "b"}
		b := openBucket(t, cfg)
		_, err := b.Get(t.Context(), "a")
		if concord.KindOf(err) != want.kind || !strings.Contains(fmt.Sprint(err), want.says) {
			t.Errorf("%s: %v (%v)", code, err, concord.KindOf(err))
		}
		server.Close()
	}
}

func BenchmarkBucket(b *testing.B) {
	s := startS3(b)
	benchmark(b, openBucket(b, s.config("bench")))
}
