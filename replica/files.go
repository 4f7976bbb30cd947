package replica

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"concord"
	"concord/durable"
	"concord/receipt"
)

const suffix = ".batch"

// load finds out what is kept, by the files' names alone: what is in them is checked when they are read.
func (k *Keeper) load() error {
	if err := os.MkdirAll(k.dir, 0o700); err != nil {
		return err
	}
	if err := durable.RemoveTemps(durable.OS, k.dir); err != nil {
		return err
	}
	list, err := os.ReadDir(k.dir)
	if err != nil {
		return err
	}
	now := k.cfg.Now()
	for _, f := range list {
		index, author, ok := parseName(f.Name())
		info, err := f.Info()
		if !ok || err != nil || !info.Mode().IsRegular() {
			continue // not ours
		}
		k.hold(index, author, info.Size(), now)
	}
	return nil
}

func fileName(index uint64, author string) string {
	return strconv.FormatUint(index, 10) + "-" + author + suffix
}

// parseName reads what fileName wrote.
func parseName(name string) (index uint64, author string, ok bool) {
	base, ok := strings.CutSuffix(name, suffix)
	number, author, dash := strings.Cut(base, "-")
	index, err := strconv.ParseUint(number, 10, 64)
	return index, author, ok && dash && err == nil && plainName(author) && fileName(index, author) == name
}

// plainName reports whether an operator's name can be part of a file's.
func plainName(s string) bool {
	return s != "" && len(s) <= 200 && s[0] != '.' && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '.' && r != '-' && (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
}

// onDisk is what a file takes.
func onDisk(size int64) int64 { return (size + blockBytes - 1) / blockBytes * blockBytes }

// hold notes that a batch is kept. The mutex is held, or nobody else is there yet.
func (k *Keeper) hold(index uint64, author string, size int64, now time.Time) {
	h, p := k.held[index], k.of(author)
	if h == nil {
		h = &held{author: p.Operator, due: k.firstDue(now)}
		k.held[index] = h
		p.Batches++
	}
	p.Bytes += onDisk(size) - h.bytes
	h.bytes = onDisk(size)
}

// firstDue spreads polls over time, also after a restart.
func (k *Keeper) firstDue(now time.Time) time.Time {
	if k.cfg.Every == 0 {
		return now
	}
	return now.Add(time.Duration(rand.Int64N(int64(k.cfg.Every))))
}

// share is the disk space for each author's batches. The mutex is held.
func (k *Keeper) share() int64 { return k.cfg.Bytes / int64(max(1, len(k.peers))) }

// fits reports whether a batch belongs to those of its author that are kept. The mutex is held.
func (k *Keeper) fits(author string, index uint64) bool {
	return k.cfg.Bytes > 0 && plainName(author) && k.score(index) < k.of(author).bar
}

// evictAll gives up what the shares have no room for: they become smaller when an operator joins.
func (k *Keeper) evictAll() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for name := range k.peers {
		k.evict(name)
	}
}

// evict gives up batches of an author, those with the largest scores first, until the rest has room. The mutex is held.
func (k *Keeper) evict(author string) {
	p := k.of(author)
	if p.Bytes <= k.share() {
		return
	}
	type scored struct{ score, index uint64 }
	var list []scored
	for i, h := range k.held {
		if h.author == author {
			list = append(list, scored{k.score(i), i})
		}
	}
	slices.SortFunc(list, func(a, b scored) int { return cmp.Compare(b.score, a.score) })
	for _, b := range list {
		if p.Bytes <= k.share() {
			return
		}
		p.bar = min(p.bar, b.score)
		if !k.drop(b.index) {
			return
		}
		k.unwant(b.index)
	}
}

// drop removes a batch that is kept, and reports whether it could. The mutex is held.
func (k *Keeper) drop(index uint64) bool {
	h := k.held[index]
	if err := os.Remove(k.path(index, h.author)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		k.cfg.Logger.Warn("a replica cannot be removed", "entry", index, "error", err)
		return false
	}
	delete(k.held, index)
	p := k.of(h.author)
	p.Batches--
	p.Bytes -= h.bytes
	return true
}

func (k *Keeper) path(index uint64, author string) string {
	return filepath.Join(k.dir, fileName(index, author))
}

// put makes a batch durable that was checked.
func (k *Keeper) put(index uint64, author string, text []byte) error {
	err := durable.WriteFile(k.path(index, author), 0o600, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.hold(index, author, int64(len(text)), k.cfg.Now())
	h := k.held[index]
	h.pages, h.written = nil, h.written+1 // the filter may have been that of a damaged copy
	if h.damaged {
		h.damaged = false
		k.totals.repaired++
	}
	k.unwant(index)
	k.evict(author)
	return nil
}

// unwant ends the asking for a batch. The mutex is held.
func (k *Keeper) unwant(index uint64) {
	if w := k.wants[index]; w != nil {
		delete(k.wants, index)
		k.of(w.author).wants--
	}
}

// read returns a batch that is kept, after it was checked against the root in the ledger. NotFound: it is not kept; Corrupt: it is damaged, and is asked for
// again from now on.
func (k *Keeper) read(e *concord.LedgerEntry) (text []byte, b *receipt.Batch, err error) {
	k.mu.Lock()
	h := k.held[e.Index]
	k.mu.Unlock()
	if h == nil {
		return nil, nil, concord.Errorf(concord.NotFound, "the batch of entry %d is not kept here", e.Index)
	}
	path := k.path(e.Index, e.From)
	text, err = readFile(path)
	if err == nil {
		b, err = receipt.ParseBatch([]byte(e.Text), text)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		return text, b, nil
	}
	if k.held[e.Index] != h {
		return nil, nil, concord.Errorf(concord.NotFound, "the batch of entry %d is not kept here any more", e.Index)
	}
	if h.author != e.From { // a file with another name than its own
		k.drop(e.Index)
	} else if !h.damaged {
		h.damaged = true
		k.totals.damaged++
		k.cfg.Logger.Warn("a replica is damaged, and is fetched again", "file", path, "reason", err)
	}
	if k.wants[e.Index] == nil {
		k.wants[e.Index] = &want{index: e.Index, author: e.From, at: k.cfg.Now()}
		k.of(e.From).wants++
	}
	return nil, nil, concord.Errorf(concord.Corrupt, "%s: %w", path, err)
}

// readFile reads a file of at most the size that a batch has.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, receipt.MaxBatchBytes+1))
}
