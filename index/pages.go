package index

// pageAlloc copies slices into pages, so that small ones cost no allocation each, none is rounded up, and the garbage collector has
// no pointers to follow: a slice is known by its place.
type pageAlloc[T any] struct {
	pages [][]T // those in use
	open  int   // the one that is being filled
	room  int   // elements at its end that are free
	free  [][]T // of an earlier use
	total int64 // elements of pages in use
}

// place is where a slice lies in a pageAlloc.
type place struct{ page, at, size uint32 }

// allocPage is the number of elements of a page; slices of a quarter and more get their own when they do not fit the open one.
const allocPage = 1 << 17

// clone copies s, which has less than 2^32 elements.
func (a *pageAlloc[T]) clone(s []T) place {
	if len(s) == 0 {
		return place{}
	}
	if len(s) > a.room {
		if len(s) >= allocPage/4 {
			a.total += int64(len(s))
			a.pages = append(a.pages, append(make([]T, 0, len(s)), s...))
			return place{page: uint32(len(a.pages) - 1), size: uint32(len(s))}
		}
		a.open, a.room = len(a.pages), allocPage
		a.total += allocPage
		a.pages = append(a.pages, a.newPage())
	}
	p := place{page: uint32(a.open), at: uint32(allocPage - a.room), size: uint32(len(s))}
	copy(a.slice(p), s)
	a.room -= len(s)
	return p
}

func (a *pageAlloc[T]) newPage() []T {
	if last := len(a.free) - 1; last >= 0 {
		page := a.free[last]
		a.free = a.free[:last]
		return page
	}
	return make([]T, allocPage)
}

// slice returns what lies at p. It is not a copy.
func (a *pageAlloc[T]) slice(p place) []T {
	if p.size == 0 {
		return nil
	}
	return a.pages[p.page][p.at : p.at+p.size : p.at+p.size]
}

// absorb takes over the pages of o, which must not be used afterwards: what was its page n is page first + n.
func (a *pageAlloc[T]) absorb(o *pageAlloc[T]) (first uint32) {
	first = uint32(len(a.pages))
	a.pages = append(a.pages, o.pages...)
	a.total += o.total
	return first
}

// reset makes all pages free; nobody may use a place from before.
func (a *pageAlloc[T]) reset() {
	for _, p := range a.pages {
		if len(p) == allocPage {
			a.free = append(a.free, p)
		}
	}
	clear(a.pages)
	*a = pageAlloc[T]{pages: a.pages[:0], free: a.free}
}
