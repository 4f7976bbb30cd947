package durable

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
	"strconv"
	"strings"
	"syscall"
	"testing"

	"concord"
)

func text(s string) func(io.Writer) error {
	return func(w io.Writer) error { _, err := io.WriteString(w, s); return err }
}

// TestFileSystems holds the real file system and the crashing one to the same contract.
func TestFileSystems(t *testing.T) {
	for name, fsys := range map[string]FS{"os": OS, "crash": NewCrashFS()} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "a")
			if _, err := fsys.ReadFile(path); !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("read of nothing: %v", err)
			}
			for _, content := range []string{"one", "", strings.Repeat("x", 3*writeBuffer)} {
				if err := WriteFileTo(fsys, path, 0o644, text(content)); err != nil {
					t.Fatal(err)
				}
				if got, err := fsys.ReadFile(path); err != nil || string(got) != content {
					t.Fatalf("read %d bytes, %v; want %d", len(got), err, len(content))
				}
			}
			boom := concord.Errorf(concord.Invalid, "boom")
			err := WriteFileTo(fsys, path, 0o644, func(w io.Writer) error { io.WriteString(w, "half"); return boom })
			if !errors.Is(err, boom) || concord.KindOf(err) != concord.Invalid {
				t.Fatalf("failing writer: %v", err)
			}
			if names, _ := fsys.ReadDir(dir); len(names) != 1 || names[0] != "a" {
				t.Fatalf("left behind: %v", names)
			}
			if _, err := fsys.Create(path, 0o644); !errors.Is(err, fs.ErrExist) {
				t.Fatalf("create over a file: %v", err)
			}
			if f, err := fsys.Create(path+tempMark+"dead", 0o644); err != nil || f.Close() != nil {
				t.Fatal(err)
			}
			if err := RemoveTemps(fsys, dir); err != nil {
				t.Fatal(err)
			}
			testAppend(t, fsys, filepath.Join(dir, "log"))
			testCutOff(t, fsys, filepath.Join(dir, "log2"))
			if names, _ := fsys.ReadDir(dir); fmt.Sprint(names) != "[a log log2]" {
				t.Fatalf("names: %v", names)
			}
			if err := fsys.Remove(path + "none"); !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("remove of nothing: %v", err)
			}
		})
	}
}

// What is written after a file was cut off follows what is left, as who undoes half a write expects.
func testCutOff(t *testing.T, fsys FS, path string) {
	t.Helper()
	f, err := fsys.Create(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, s := range []string{"whole", "half"} {
		if _, err := io.WriteString(f, s); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Truncate(int64(len("whole"))); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(f, "again"); err != nil {
		t.Fatal(err)
	}
	if got, err := fsys.ReadFile(path); string(got) != "wholeagain" {
		t.Fatalf("content %q, %v", got, err)
	}
}

func testAppend(t *testing.T, fsys FS, path string) {
	t.Helper()
	for round, want := range []int64{0, 6} {
		a, err := OpenAppend(fsys, path, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if a.Size() != want {
			t.Fatalf("round %d: size %d, want %d", round, a.Size(), want)
		}
		for _, s := range []string{"abc", "defgh"} {
			if at, err := a.Append([]byte(s)); err != nil || at != want {
				t.Fatalf("append at %d, %v; want %d", at, err, want)
			}
			want += int64(len(s))
		}
		if err := a.Truncate(want + 1); concord.KindOf(err) != concord.Invalid {
			t.Fatalf("truncate beyond the end: %v", err)
		}
		if err := errors.Join(a.Truncate(want-2), a.Sync(), a.Close(), a.Close()); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Append([]byte("x")); err == nil {
			t.Fatal("append to a closed file")
		}
	}
	if got, _ := fsys.ReadFile(path); string(got) != "abcdefabcdef" {
		t.Fatalf("content %q", got)
	}
}

// TestWriteFileCrash crashes at every operation of a replacement, many times with random survivors, and wants old or new
// content, and the new one once WriteFile has returned nil.
func TestWriteFileCrash(t *testing.T) {
	const path, old, fresh = "/d/state", "old content", "new content, a bit longer"
	for seed := range uint64(50) {
		for n := 0; ; n++ {
			c := NewCrashFS()
			if err := WriteFileTo(c, path, 0o600, text(old)); err != nil {
				t.Fatal(err)
			}
			c.CrashAfter(n)
			err := WriteFileTo(c, path, 0o600, text(fresh))
			var rnd *rand.Rand
			if seed > 0 {
				rnd = rand.New(rand.NewPCG(seed, uint64(n)))
			}
			c.Crash(rnd)
			got, readErr := c.ReadFile(path)
			if readErr != nil || (string(got) != old && string(got) != fresh) || (err == nil && string(got) != fresh) {
				t.Fatalf("seed %d, crash after %d: %q, %v (write: %v)", seed, n, got, readErr, err)
			}
			if RemoveTemps(c, "/d") != nil || WriteFileTo(c, path, 0o600, text(fresh)) != nil {
				t.Fatal("cannot go on after a crash")
			}
			if err == nil {
				if n < 5 {
					t.Fatalf("only %d operations: one is missing", n)
				}
				break
			}
		}
	}
}

// TestCrashCatchesMistakes shows that the crashing file system finds the classic errors.
func TestCrashCatchesMistakes(t *testing.T) {
	replace := func(c *CrashFS, syncFile, syncDir bool) {
		f, err := c.Create("/d/new", 0o600)
		if err != nil {
			t.Fatal(err)
		}
		f.Write([]byte("new"))
		if syncFile {
			f.Sync()
		}
		c.Rename("/d/new", "/d/state")
		if syncDir {
			c.SyncDir("/d")
		}
	}
	for _, tc := range []struct {
		file, dir bool
		want      string
	}{{true, true, "new"}, {false, true, ""}, {true, false, "old"}} {
		c := NewCrashFS()
		if err := WriteFileTo(c, "/d/state", 0o600, text("old")); err != nil {
			t.Fatal(err)
		}
		replace(c, tc.file, tc.dir)
		c.Crash(nil)
		if got, _ := c.ReadFile("/d/state"); string(got) != tc.want {
			t.Errorf("sync file %v, directory %v: %q, want %q", tc.file, tc.dir, got, tc.want)
		}
	}
}

// TestAppendCrash appends and syncs at random, crashes at random, and wants every acknowledged byte back, in order, with
// at most a torn tail after it.
func TestAppendCrash(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		c := NewCrashFS()
		var written []byte
		acked := 0
		for range 4 {
			a, err := OpenAppend(c, "/log", 0o600)
			if err != nil {
				t.Fatal(err)
			}
			if err := a.Truncate(int64(acked)); err != nil {
				t.Fatal(err)
			}
			written = written[:acked]
			c.CrashAfter(rnd.IntN(12))
			for {
				record := bytes.Repeat([]byte{byte(rnd.IntN(256))}, 1+rnd.IntN(9))
				at, err := a.Append(record)
				if err == nil && at != int64(len(written)) {
					t.Fatalf("append at %d, want %d", at, len(written))
				}
				written = append(written, record...)
				if err != nil {
					break
				}
				if rnd.IntN(2) == 0 {
					if err = a.Sync(); err != nil {
						break
					}
					acked = len(written)
				}
			}
			if _, err := a.Append(nil); !errors.Is(err, ErrCrashed) {
				t.Fatalf("not poisoned: %v", err)
			}
			c.Crash(rnd)
			got, err := c.ReadFile("/log")
			if err != nil || len(got) < acked || len(got) > len(written) || !bytes.Equal(got, written[:len(got)]) {
				t.Fatalf("seed %d: %d bytes back, %v; %d acknowledged of %d", seed, len(got), err, acked, len(written))
			}
		}
	}
}

func TestAppendPoison(t *testing.T) {
	c := NewCrashFS()
	a, err := OpenAppend(c, "/log", 0o600)
	if err != nil {
		t.Fatal(err)
	}
	a.Append([]byte("abc"))
	c.FailSync(syscall.EIO)
	if err := a.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("sync: %v", err)
	}
	c.FailSync(nil)
	_, err = a.Append([]byte("def"))
	for _, err := range []error{err, a.Sync(), a.Truncate(0)} {
		if !errors.Is(err, syscall.EIO) {
			t.Fatalf("used after a failed sync: %v", err)
		}
	}
	c.Crash(nil)
	if a, err = OpenAppend(c, "/log", 0o600); err != nil || a.Size() != 0 {
		t.Fatalf("reopen: %v", err)
	}
	c.LimitSpace(4)
	if _, err := a.Append([]byte("abcdef")); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("full disk: %v", err)
	}
	if err := a.Sync(); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("used after a full disk: %v", err)
	}
	if err := WriteFileTo(c, "/other", 0o600, text("x")); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("full disk: %v", err)
	}
}

func TestSections(t *testing.T) {
	var file bytes.Buffer
	w := NewSectionWriter(&file)
	var sections []Section
	for _, s := range []string{"header", "", "a longer section"} {
		io.WriteString(w, s[:len(s)/2])
		io.WriteString(w, s[len(s)/2:])
		sections = append(sections, w.End())
	}
	b := file.Bytes()
	if w.Offset() != uint64(len(b)) || Checksum([]byte("123456789")) != 0xE3069283 || Checksum([]byte("1234"), []byte("56789")) != 0xE3069283 {
		t.Fatal("wrong offset or not CRC-32C")
	}
	for i, want := range []string{"header", "", "a longer section"} {
		if got, err := sections[i].In(b); err != nil || string(got) != want {
			t.Fatalf("section %d: %q, %v", i, got, err)
		}
	}
	for i := range b {
		b[i] ^= 4
		_, first := sections[0].In(b)
		_, last := sections[2].In(b)
		if (concord.KindOf(first) == concord.Corrupt) == (concord.KindOf(last) == concord.Corrupt) {
			t.Fatalf("flip of byte %d: %v, %v", i, first, last)
		}
		b[i] ^= 4
	}
	for _, s := range []Section{{Offset: 23}, {Length: 23}, {Offset: 1, Length: ^uint64(0)}, {Offset: ^uint64(0), Length: 2}} {
		if _, err := s.In(b); concord.KindOf(err) != concord.Corrupt {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

func TestMap(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if _, err := Map(path); concord.KindOf(err) != concord.NotFound {
		t.Fatalf("map of nothing: %v", err)
	}
	for _, content := range []string{"", "hello", strings.Repeat("z", 100_000)} {
		if err := WriteFile(path, 0o600, text(content)); err != nil {
			t.Fatal(err)
		}
		m, err := Map(path)
		if err != nil || string(m.Bytes()) != content {
			t.Fatalf("map of %d bytes: %v", len(content), err)
		}
		if err := WriteFile(path, 0o600, text("replaced")); err != nil || string(m.Bytes()) != content {
			t.Fatalf("replacing changed the map, or %v", err)
		}
		if err := errors.Join(m.Close(), m.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFreeSpace(t *testing.T) {
	free, total, err := FreeSpace(t.TempDir())
	if err != nil || total == 0 || free > total {
		t.Fatalf("%d of %d, %v", free, total, err)
	}
	if _, _, err := FreeSpace("/does/not/exist"); err == nil {
		t.Fatal("no error for a missing directory")
	}
}

// TestLock takes the lock in a second process, kills it, and takes it here.
func TestLock(t *testing.T) {
	if path := os.Getenv("DURABLE_TEST_LOCK"); path != "" {
		if _, err := Lock(path); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("locked")
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}
	path := filepath.Join(t.TempDir(), "lock")
	child := exec.Command(os.Args[0], "-test.run=^TestLock$")
	child.Env = append(os.Environ(), "DURABLE_TEST_LOCK="+path)
	stdin, _ := child.StdinPipe()
	defer stdin.Close()
	stdout, _ := child.StdoutPipe()
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var line [7]byte
	if _, err := io.ReadFull(stdout, line[:]); err != nil || string(line[:]) != "locked\n" {
		t.Fatalf("child: %q, %v", line, err)
	}
	_, err := Lock(path)
	if concord.KindOf(err) != concord.Conflict || !strings.Contains(err.Error(), "process "+strconv.Itoa(child.Process.Pid)+" ") {
		t.Fatalf("lock that is taken: %v", err)
	}
	child.Process.Kill()
	child.Wait()
	unlock, err := Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(path); concord.KindOf(err) != concord.Conflict {
		t.Fatalf("lock taken twice: %v", err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	if unlock, err = Lock(path); err != nil || unlock() != nil {
		t.Fatalf("lock given back: %v", err)
	}
}

// TestAdvice: what is advised changes no byte, and ranges outside the file are left alone.
func TestAdvice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	want := bytes.Repeat([]byte("0123456789abcdef"), 1<<12)
	if err := os.WriteFile(path, want, 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := Map(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	m.Scattered(true)
	for _, r := range [][2]int{{0, len(want)}, {4097, 10}, {len(want) - 1, 1}, {len(want), 1}, {-1, 5}, {5, -1}, {10, len(want)}, {0, 0}} {
		m.Ahead(r[0], r[1])
	}
	m.Scattered(false)
	if !bytes.Equal(m.Bytes(), want) {
		t.Error("bytes differ")
	}
}
