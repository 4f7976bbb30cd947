package node

import (
	"errors"
	"slices"
	"testing"

	"concord"
)

// Nodes that wait answer each other, and none of them knows whether the cluster works.
func TestBestAnswer(t *testing.T) {
	yes, no := readyAnswer{Go: true, Peers: []string{"a"}}, readyAnswer{Why: "not yet", Peers: []string{"a", "c"}}
	waits := readyAnswer{Waits: true, Why: "waits", Peers: []string{"b"}}
	gone := concord.Errorf(concord.Unavailable, "gone")
	removed := concord.Errorf(concord.Unauthorized, "removed")
	for _, c := range []struct {
		name    string
		answers []readyAnswer
		errs    []error
		want    readyAnswer
		err     error
	}{
		{"nobody is known", nil, nil, readyAnswer{}, nil},
		{"who waits, then who knows", []readyAnswer{waits, no}, []error{nil, nil}, no, nil},
		{"who knows, then who waits", []readyAnswer{no, waits}, []error{nil, nil}, no, nil},
		{"one says go", []readyAnswer{waits, no, yes}, []error{nil, nil, nil}, yes, nil},
		{"the first is away", []readyAnswer{{}, waits}, []error{gone, nil}, waits, nil},
		{"all are away", []readyAnswer{{}, {}}, []error{gone, gone}, readyAnswer{}, gone},
		{"removed", []readyAnswer{{}, {}}, []error{removed, gone}, readyAnswer{}, removed},
		{"one has not heard of the removal", []readyAnswer{{}, yes}, []error{removed, nil}, yes, nil},
	} {
		got, err := bestAnswer(c.answers, c.errs)
		if len(c.answers) == 0 {
			c.err = err // one of the function's own
			if concord.KindOf(err) != concord.Unavailable {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		if got.Go != c.want.Go || got.Waits != c.want.Waits || got.Why != c.want.Why || !errors.Is(err, c.err) {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
	a, _ := bestAnswer([]readyAnswer{waits, no}, []error{nil, nil})
	if want := []string{"a", "b", "c"}; !slices.Equal(a.Peers, want) {
		t.Errorf("peers %v, want %v", a.Peers, want)
	}
}
