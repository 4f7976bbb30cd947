package state

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"concord"

	"github.com/google/go-cmp/cmp"
)

func sample() *Manifest {
	shared := File{"segments/00000001.seg", 123, concord.Sum([]byte("a")), 12}
	return &Manifest{Partition: part, Fence: 18, Node: "carol", States: []State{
		{991, 17, "carol", time.Unix(1000, 0).UTC(), []File{shared, {"segments/00000002.seg", 77, concord.Sum([]byte("b")), 17}}},
		{640, 12, "alice", time.Unix(900, 0).UTC(), []File{shared}},
	}}
}

func TestManifest(t *testing.T) {
	m := sample()
	data, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeManifest(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m, got); diff != "" {
		t.Error(diff)
	}
	if n := bytes.Count(data, []byte("00000001.seg")); n != 1 {
		t.Errorf("a file of both states is listed %d times", n)
	}
	for name, change := range map[string][2]string{
		"climbs out":        {"segments/00000001.seg", "../00000001.seg"},
		"absolute":          {"segments/00000001.seg", "/etc/passwd"},
		"twice":             {"00000002.seg", "00000001.seg"},
		"no such file":      {`"files":[0,1]`, `"files":[0,2]`},
		"negative":          {`"size":123`, `"size":-1`},
		"fence to come":     {`"fence":18`, `"fence":16`},
		"backwards":         {`"position":991`, `"position":639`},
		"another partition": {part, "shard/4"},
		"cut":               {`}]}`, ``},
	} {
		_, err := DecodeManifest([]byte(strings.Replace(string(data), change[0], change[1], 1)))
		if concord.KindOf(err) != concord.Corrupt || err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = DecodeManifest([]byte(strings.Replace(string(data), `"version":1`, `"version":2`, 1)))
	wantKind(t, err, concord.Unavailable)
}

// TestManifestHolds says how large a partition can be: two states that share nothing must fit.
func TestManifestHolds(t *testing.T) {
	m := sample()
	for s := range m.States {
		m.States[s].Files = nil
		for i := range 3500 {
			m.States[s].Files = append(m.States[s].Files, File{"catalog/" + strings.Repeat("0", i%6) + ".sst", 1 << 25, concord.Sum(noise(uint64(s*10_000+i), 32)), 12})
		}
	}
	if data, err := m.Encode(); err != nil {
		t.Error(len(data), err)
	}
	for range 2 {
		m.States[0].Files = append(m.States[0].Files, m.States[0].Files...)
		for i := range m.States[0].Files {
			m.States[0].Files[i].Size = int64(i)
		}
	}
	_, err := m.Encode()
	wantKind(t, err, concord.Invalid)
}

func FuzzManifest(f *testing.F) {
	data, err := sample().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"version":1,"partition":"p","fence":1,"node":"n","states":[]}`))
	f.Add([]byte(`{"version":1,"partition":"p","fence":1,"node":"n","states":[{"position":1,"fence":1,"time":"2026-11-22T14:00:00+24:00"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := DecodeManifest(data)
		if err != nil {
			return
		}
		again, err := m.Encode()
		if err != nil {
			wantKind(t, err, concord.Invalid) // longer than values may be
			return
		}
		back, err := DecodeManifest(again)
		if err != nil {
			t.Fatalf("%s: %v", again, err)
		}
		if diff := cmp.Diff(m, back); diff != "" {
			t.Error(diff)
		}
	})
}
