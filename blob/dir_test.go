package blob

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"concord"
	"concord/blob/blobtest"
	"concord/durable"
)

func openDir(t testing.TB, path string) *Directory {
	t.Helper()
	d, err := Dir(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// damageFile flips a bit in the middle of a file, or cuts it.
func damageFile(t *testing.T, path string, cut int64) {
	t.Helper()
	if cut >= 0 {
		if err := os.Truncate(path, cut); err != nil {
			t.Fatal(err)
		}
		return
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 4
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDirectory(t *testing.T) {
	var dir string
	blobtest.Run(t, func(t *testing.T) concord.Blobs {
		dir = t.TempDir()
		d := openDir(t, dir)
		t.Cleanup(func() { wantNoTemps(t, d) })
		return d
	}, blobtest.Options{Damage: func(t *testing.T, name string, cut int64) { damageFile(t, filepath.Join(dir, name), cut) }})
}

// wantNoTemps looks for what a Put left behind.
func wantNoTemps(t *testing.T, d *Directory) {
	t.Helper()
	entries, err := os.ReadDir(d.temp)
	if err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestDirectoryIsReadableByOtherTools(t *testing.T) {
	dir := t.TempDir()
	d := openDir(t, dir)
	data := blobtest.Bytes(100_000, 1)
	blobtest.Put(t, d, "archive/a.warc.gz", data)
	blobtest.Put(t, d, "archive/b.warc.gz", data)
	if got, err := os.ReadFile(filepath.Join(dir, "archive/a.warc.gz")); err != nil || !bytes.Equal(got, data) {
		t.Fatalf("the file is not what was put: %v", err)
	}
	tool, err := exec.LookPath("sha256sum")
	if err != nil {
		t.Skip("SKIPPED: our checksums are not checked by another program: sha256sum(1) is missing, install coreutils")
	}
	check := exec.Command(tool, "--strict", "-c", "a.warc.gz+sha256", "b.warc.gz+sha256")
	check.Dir = filepath.Join(dir, "archive")
	if out, err := check.CombinedOutput(); err != nil {
		t.Fatalf("sha256sum: %v\n%s", err, out)
	}
}

func TestDirectorySaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	d := openDir(t, dir)
	blobtest.Put(t, d, "a/b", []byte("one"))
	for name, content := range map[string]string{"a": "x", "a/b/c": "x", "a/b": "two"} {
		if err := d.Put(t.Context(), name, strings.NewReader(content), int64(len(content))); concord.KindOf(err) != concord.Conflict {
			t.Errorf("put %s: %v; want conflict", name, err)
		}
	}
	blobtest.Want(t, d, "a/b", []byte("one"))
	// A file of somebody else has no checksum, one whose checksum is spoiled has none either.
	if err := os.WriteFile(filepath.Join(dir, "foreign"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Get(t.Context(), "foreign"); concord.KindOf(err) != concord.Corrupt {
		t.Errorf("a file without checksum: %v", err)
	}
	damageFile(t, filepath.Join(dir, "a/b+sha256"), -1)
	if _, err := blobtest.Get(t, d, "a/b"); concord.KindOf(err) != concord.Corrupt {
		t.Errorf("a spoiled checksum: %v", err)
	}
	blobtest.Put(t, d, "a/b", []byte("one"))
	blobtest.Want(t, d, "a/b", []byte("one"))
}

func TestDirectorySweepsOnlyTheDead(t *testing.T) {
	dir := t.TempDir()
	alive := openDir(t, dir)
	mid := make(chan struct{})
	done := make(chan error)
	r, w := io.Pipe()
	go func() {
		w.Write([]byte("first half, "))
		close(mid)
		<-done
		w.Write([]byte("second half"))
		w.Close()
	}()
	go func() { <-mid; openDir(t, dir); done <- nil }()
	if err := alive.Put(t.Context(), "a", r, 23); err != nil {
		t.Fatalf("another process opened the directory in the middle of a put: %v", err)
	}
	blobtest.Want(t, alive, "a", []byte("first half, second half"))
}

// What a power cut leaves is everything or nothing, at whichever step it comes.
func TestDirectoryPowerCut(t *testing.T) {
	data := blobtest.Bytes(300_000, 1)
	acknowledged, absent := false, false
	for steps := 0; !acknowledged; steps++ {
		for seed := range 6 {
			d := openDir(t, t.TempDir())
			disk := durable.NewCrashFS()
			d.fsys = disk
			disk.CrashAfter(steps)
			err := d.Put(t.Context(), "x/a", bytes.NewReader(data), int64(len(data)))
			var rnd *rand.Rand
			if seed > 0 {
				rnd = rand.New(rand.NewPCG(uint64(steps), uint64(seed)))
			}
			disk.Crash(rnd)
			got, readErr := disk.ReadFile(filepath.Join(d.path, "x/a"))
			line, _ := disk.ReadFile(filepath.Join(d.path, "x/a"+sumSuffix))
			whole := readErr == nil && bytes.Equal(got, data) && string(line) == sumLine(concord.Sum(data), "a")
			switch {
			case err == nil && !whole:
				t.Fatalf("after %d steps and an acknowledgement: %d bytes, checksum %q", steps, len(got), line)
			case !whole && !errors.Is(readErr, fs.ErrNotExist):
				t.Fatalf("after %d steps: %d bytes, checksum %q", steps, len(got), line)
			}
			acknowledged, absent = acknowledged || err == nil, absent || !whole
		}
	}
	if !absent {
		t.Fatal("no step was cut")
	}
}

// A process that is killed in the middle of putting leaves whole blobs, or none, and no other files once the next one has opened.
func TestDirectoryKill(t *testing.T) {
	const env = "CONCORD_TEST_BLOB_KILL"
	if dir := os.Getenv(env); dir != "" {
		putForever(t, dir)
	}
	dir := t.TempDir()
	whole := 0
	for round := range 6 {
		child := exec.Command(os.Args[0], "-test.run=^TestDirectoryKill$")
		child.Env = append(os.Environ(), env+"="+dir)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		acknowledged := make([]byte, 4*(1+round))
		if _, err := io.ReadFull(out, acknowledged); err != nil {
			t.Fatalf("the child said nothing: %v", err)
		}
		time.Sleep(time.Duration(round) * 1500 * time.Microsecond)
		child.Process.Kill()
		rest, _ := io.ReadAll(out)
		child.Wait()
		d := openDir(t, dir)
		wantOnlyBlobs(t, dir)
		for i := range (len(acknowledged) + len(rest)) / 4 {
			blobtest.Want(t, d, fmt.Sprintf("kill/%d", i), killData(i))
		}
		for _, name := range blobtest.List(t, d, "") {
			var i int
			fmt.Sscanf(name, "kill/%d", &i)
			blobtest.Want(t, d, name, killData(i))
			whole++
		}
		d.Close()
		os.RemoveAll(filepath.Join(dir, "kill"))
	}
	if whole == 0 {
		t.Fatal("nothing was put")
	}
}

func killData(i int) []byte { return blobtest.Bytes(1<<20+i, uint64(i)) }

// putForever writes four bytes for every acknowledged put.
func putForever(t *testing.T, dir string) {
	d := openDir(t, dir)
	for i := 0; ; i++ {
		blobtest.Put(t, d, fmt.Sprintf("kill/%d", i), killData(i))
		fmt.Print("done")
	}
}

// wantOnlyBlobs looks for files that are neither blobs nor checksums nor the opener's own.
func wantOnlyBlobs(t *testing.T, dir string) {
	t.Helper()
	temps := 0
	filepath.WalkDir(filepath.Join(dir, tempDir), func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			temps++
		}
		return err
	})
	if temps != 1 {
		t.Errorf("%d files in %s, want the lock alone", temps, tempDir)
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]Place{
		"file:///var/lib/blobs": {Dir: "/var/lib/blobs"},
		"s3://bucket":           {S3: &S3Config{Bucket: "bucket"}},
		"s3://bucket/a/b/?endpoint=https://s3.example.com/&region=eu-1": {S3: &S3Config{Bucket: "bucket", Prefix: "a/b", Endpoint: "s3.example.com", Region: "eu-1"}},
		"s3://bucket/a?endpoint=http://127.0.0.1:9000":                  {S3: &S3Config{Bucket: "bucket", Prefix: "a", Endpoint: "127.0.0.1:9000", Plain: true}},
	} {
		got, err := Parse(text)
		if err != nil || got.Dir != want.Dir || (got.S3 == nil) != (want.S3 == nil) || got.S3 != nil && *got.S3 != *want.S3 {
			t.Errorf("%s: %+v %+v, %v", text, got, got.S3, err)
		}
	}
	for _, text := range []string{"", "blobs", "file://host/dir", "file:dir", "file:///a?b=c", "s3://", "s3:///prefix", "s3://b?endpoint=a/b", "s3://b?zone=1",
		"s3://b?region=a&region=b", "s3://b/a%20b", "s3://b/a#c", "http://x/y", "s3://b?endpoint=u@h", "s3://b?%zz", "\x00"} {
		if _, err := Parse(text); concord.KindOf(err) != concord.Invalid {
			t.Errorf("%q: %v; want invalid", text, err)
		}
	}
	if _, err := Parse("s3://key:secret-word@bucket"); concord.KindOf(err) != concord.Invalid || strings.Contains(err.Error(), "secret-word") {
		t.Errorf("keys in the text: %v", err)
	}
}

func FuzzParseSum(f *testing.F) {
	f.Add(sumLine(concord.Sum([]byte("a")), "a.warc.gz"), "a.warc.gz")
	f.Add("", "")
	f.Add(strings.Repeat("0", 64)+"  a", "a")
	f.Fuzz(func(t *testing.T, line, base string) {
		if sum, err := parseSum(line, base); err == nil && sumLine(sum, base) != line {
			t.Fatalf("%q read as %x", line, sum)
		}
	})
}

// benchmark puts and gets blobs of 16 MiB.
func benchmark(b *testing.B, s concord.Blobs) {
	data := blobtest.Bytes(16<<20, 1)
	b.Run("put", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			blobtest.Put(b, s, "a", data)
		}
	})
	b.Run("get", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			r, err := s.Get(b.Context(), "a")
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, r); err != nil {
				b.Fatal(err)
			}
			r.Close()
		}
	})
}

func BenchmarkDirectory(b *testing.B) { benchmark(b, openDir(b, b.TempDir())) }

func BenchmarkCache(b *testing.B) {
	benchmark(b, openCache(b, openDir(b, b.TempDir()), b.TempDir(), 64<<20))
}
