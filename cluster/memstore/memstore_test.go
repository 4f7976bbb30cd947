package memstore

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"concord"
)

var _ concord.Manifests = (*Store)(nil)

func TestCompareAndSet(t *testing.T) {
	s, ctx := New(), t.Context()
	if _, err := s.Get(ctx, "a"); concord.KindOf(err) != concord.NotFound {
		t.Fatalf("get of nothing: %v", err)
	}
	one, err := s.Put(ctx, "a", []byte("1"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(ctx, "a", []byte("2"), 0); concord.KindOf(err) != concord.Conflict {
		t.Fatalf("made twice: %v", err)
	}
	two, err := s.Put(ctx, "a", []byte("2"), one)
	if err != nil || two <= one {
		t.Fatalf("replaced: %d after %d, %v", two, one, err)
	}
	if err := s.Delete(ctx, "a", one); concord.KindOf(err) != concord.Conflict {
		t.Fatalf("deleted under an old revision: %v", err)
	}
	if err := s.Delete(ctx, "a", two); err != nil {
		t.Fatal(err)
	}
	if three, err := s.Put(ctx, "a", nil, 0); err != nil || three <= two {
		t.Fatalf("made again: %d after %d, %v", three, two, err)
	}
}

func TestWatchTellsValuesThenChanges(t *testing.T) {
	s, ctx := New(), t.Context()
	rev, _ := s.Put(ctx, "x/a", []byte("1"), 0)
	s.Put(ctx, "y", []byte("1"), 0)
	var told []string
	done := errors.New("done")
	err := s.Watch(ctx, "x/", func(name string, m concord.Manifest) error {
		told = append(told, fmt.Sprintf("%s=%s", name, m.Data))
		switch len(told) {
		case 1:
			if _, err := s.Put(ctx, "x/a", []byte("2"), rev); err != nil {
				t.Error(err)
			}
		case 2:
			if err := s.Delete(ctx, "x/a", m.Revision); err != nil {
				t.Error(err)
			}
		case 3:
			if m.Revision != 0 {
				t.Error("a deleted value has a revision")
			}
			return done
		}
		return nil
	})
	if err != done || fmt.Sprint(told) != "[x/a=1 x/a=2 x/a=]" {
		t.Fatalf("%v, %v", told, err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := s.Watch(ended, "", func(string, concord.Manifest) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}
