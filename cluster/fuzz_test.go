package cluster

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"concord"
)

func FuzzDecodeRecord(f *testing.F) {
	full := Record{Name: "a", Generation: 1, Life: "x", Beat: 7, Version: "1", Addrs: map[string]string{"http": "h:1"}, Capacity: 1,
		Started: time.Unix(1e9, 0).UTC(), DiskFree: 1, DiskTotal: 2, Owns: []Holding{{"shard.0", 3, time.Unix(1e9, 0).UTC(), "b", "why"}},
		Wants: []string{"shard.1"}, Serves: []Replica{{Partition: "shard.0", Position: 9}}, Keeps: []string{"log"}}
	seed, err := full.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte(`{"name":"a","owns":[{"partition":""}]}`))
	f.Add([]byte(`{"name":"b"}`))
	f.Add([]byte(`{"name":"a","started":"2026-11-22T14:00:00+24:00"}`))
	f.Add([]byte(`{"name":"a","owns":[{"partition":"p","since":"2026-11-22T14:00:00+23:60"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decodeRecord("a", data)
		if err != nil {
			if concord.KindOf(err) != concord.Corrupt {
				t.Fatal(err)
			}
			return
		}
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if s, err := decodeRecord("a", again); err == nil && len(r.Owns)+len(s.Owns) > 0 && !reflect.DeepEqual(r.Owns, s.Owns) {
			t.Fatalf("%+v and %+v", r.Owns, s.Owns)
		}
	})
}

// A newer version adds fields; an older one leaves fields out.
func TestRecordsOfOtherVersions(t *testing.T) {
	r, err := decodeRecord("a", []byte(`{"name":"a","life":"x","beat":3,"from_the_future":{"x":[1]},"capacity":1}`))
	if err != nil || r.Beat != 3 {
		t.Fatalf("%+v, %v", r, err)
	}
	big := Record{Name: "a", Keeps: make([]string, maxRecordItems+1)}
	if _, err := big.encode(); concord.KindOf(err) != concord.Invalid {
		t.Fatalf("a record too large to be read: %v", err)
	}
	if _, err := decodeRecord("a", []byte(`{"name":"b"}`)); concord.KindOf(err) != concord.Corrupt {
		t.Fatalf("a record under another name: %v", err)
	}
}
