package vault

import (
	"fmt"
	"slices"
	"testing"
)

func TestListsAreBounded(t *testing.T) {
	c := newListCache()
	c.put("first", make(pieces, 10))
	c.put("empty", nil)
	c.put("huge", make(pieces, cacheBlobs+1))
	for i := range 30 {
		c.put(fmt.Sprint(i), make(pieces, cacheBlobs/10))
		if _, ok := c.get("first"); !ok {
			t.Fatal("a list that is used was dropped")
		}
		if c.blobs > cacheBlobs || len(c.files) != c.order.Len() {
			t.Fatalf("%d entries, %d of %d lists", c.blobs, len(c.files), c.order.Len())
		}
	}
	for _, file := range []string{"empty", "huge", "0"} {
		if _, ok := c.get(file); ok {
			t.Errorf("%s is kept", file)
		}
	}
	for file := range c.files {
		c.drop(file)
	}
	if c.blobs != 0 || c.order.Len() != 0 {
		t.Errorf("%d entries of nothing", c.blobs)
	}
}

func TestHomesAreHints(t *testing.T) {
	h := newHomes()
	for i := range maxHomes + 100 {
		h.set(fmt.Sprint(i), "a")
	}
	if len(h.node) > maxHomes {
		t.Errorf("%d homes", len(h.node))
	}
	h.set("f", "c")
	live := []string{"a", "b", "c"}
	if got := h.order("f", live); !slices.Equal(got, []string{"c", "b", "a"}) || live[0] != "a" {
		t.Errorf("%v %v", got, live)
	}
	if got := h.order("f", []string{"a", "b"}); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("%v", got)
	}
}
