package vault

import (
	"container/list"
	"slices"
	"sync"
)

const (
	// cacheBlobs bounds the entries of all lists at hand, about 24 bytes each; a sealed file has some 32.
	cacheBlobs = 200_000
	// maxHomes bounds the files of which it is remembered who has them.
	maxHomes = 10_000
)

// listCache keeps the lists of blobs that were used last.
type listCache struct {
	mu    sync.Mutex
	blobs int
	files map[string]*list.Element // of *listed
	order *list.List               // the one used last is at the front
}

type listed struct {
	file string
	ps   pieces
}

func newListCache() *listCache {
	return &listCache{files: map[string]*list.Element{}, order: list.New()}
}

func (c *listCache) get(file string) (pieces, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.files[file]
	if !ok {
		return nil, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*listed).ps, true
}

// put takes a list over; nobody changes it any more. An empty one is not kept: the file may come to be any time.
func (c *listCache) put(file string, ps pieces) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removeLocked(file)
	if len(ps) == 0 || len(ps) > cacheBlobs {
		return
	}
	c.files[file] = c.order.PushFront(&listed{file, ps})
	c.blobs += len(ps)
	for c.blobs > cacheBlobs {
		c.removeLocked(c.order.Back().Value.(*listed).file)
	}
}

func (c *listCache) drop(file string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removeLocked(file)
}

func (c *listCache) removeLocked(file string) {
	if e, ok := c.files[file]; ok {
		c.blobs -= len(e.Value.(*listed).ps)
		c.order.Remove(e)
		delete(c.files, file)
	}
}

// homes remembers which node had a file.
type homes struct {
	mu   sync.Mutex
	node map[string]string
}

func newHomes() *homes { return &homes{node: map[string]string{}} }

func (h *homes) set(file, node string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.node[file]; !ok && len(h.node) >= maxHomes {
		for other := range h.node { // whichever: it is only a hint
			delete(h.node, other)
			break
		}
	}
	h.node[file] = node
}

// order returns the live nodes, the one first that had the file the last time.
func (h *homes) order(file string, live []string) []string {
	h.mu.Lock()
	first := h.node[file]
	h.mu.Unlock()
	live = slices.Clone(live)
	if i := slices.Index(live, first); i > 0 {
		live[0], live[i] = live[i], live[0]
	}
	return live
}
