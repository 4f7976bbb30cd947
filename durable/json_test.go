package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"concord"
)

type noted struct {
	Stage string   `json:"stage"`
	Peers []string `json:"peers"`
}

// Every flipped bit, every cut and every byte too many is noticed; what people write without a checksum is not refused.
func TestJSON(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.json")
	var got noted
	if err := ReadJSON(path, &got); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	want := noted{"member", []string{"127.0.0.1:7668", "<&>\u2028é"}}
	if err := WriteJSON(path, 0o600, want); err != nil {
		t.Fatal(err)
	}
	if err := ReadJSON(path, &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v, %v", got, err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what string, data []byte) {
		t.Helper()
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		var got noted
		if err := ReadJSON(path, &got); concord.KindOf(err) != concord.Corrupt {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
	for i := range data {
		for bit := range 8 {
			bad := append([]byte(nil), data...)
			bad[i] ^= 1 << bit
			refused("a flipped bit", bad)
		}
	}
	whole := len(data) - len("crc32c 00000000\n")
	for n := range data {
		if n != whole && n != whole-1 { // JSON that is whole, and no more
			refused("a cut file", data[:n])
		}
	}
	refused("more than was written", append(data, '\n'))
	for _, byHand := range []string{`{"stage": "member"}`, "{\"stage\": \"member\"}\n"} {
		if err := os.WriteFile(path, []byte(byHand), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := ReadJSON(path, &got); err != nil || got.Stage != "member" {
			t.Errorf("%q: %+v, %v", byHand, got, err)
		}
	}
}

func FuzzReadJSON(f *testing.F) {
	f.Add([]byte("{\"stage\":\"member\"}\ncrc32c 00000000\n"))
	f.Add([]byte("[]"))
	path := filepath.Join(f.TempDir(), "f.json")
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		var got noted
		if err := ReadJSON(path, &got); err != nil && concord.KindOf(err) != concord.Corrupt {
			t.Errorf("%v", err)
		}
	})
}
