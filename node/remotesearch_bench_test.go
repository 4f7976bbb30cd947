package node

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"concord"
	"concord/index"
	"concord/search"
)

// BenchmarkRemoteShard compares one page of results from a shard in this process with the same over the bus: to itself, and to another
// node of a cluster on this machine. A page is three questions: statistics, places and the hits whole.
func BenchmarkRemoteShard(b *testing.B) {
	local := benchShard(b, 20_000)
	b.Run("here", func(b *testing.B) { benchPages(b, local) })
	b.Run("copies", func(b *testing.B) { benchPages(b, copiesOf(b, local)) })
	b.Run("bus", func(b *testing.B) {
		alone := openAlone(b)
		serveShard(b, alone, local)
		benchPages(b, remoteShard{alone, "node-1", 3})
	})
	b.Run("cluster", func(b *testing.B) {
		buses := openThree(b)
		serveShard(b, buses[1], local)
		remote := remoteShard{buses[0], "node-1", 3}
		awaitShard(b, remote)
		b.Run("remote", func(b *testing.B) { benchPages(b, remote) })
		b.Run("copies", func(b *testing.B) { benchPages(b, copiesOf(b, remote, local)) })
		b.Run("dead", func(b *testing.B) { // the preferred copy is on a node that never answers
			never := make(chan struct{})
			defer close(never)
			benchPages(b, copiesOf(b, mute{never}, remote))
		})
	})
	b.Run("json", func(b *testing.B) { benchJSON(b, local) })
}

// mute is a copy that never answers.
type mute struct{ never chan struct{} }

func (m mute) Stats(ctx context.Context, _ string) (concord.Stats, error) {
	select {
	case <-ctx.Done():
	case <-m.never:
	}
	return concord.Stats{}, ctx.Err()
}

func (m mute) Search(ctx context.Context, _ concord.Request) (*concord.Answer, error) {
	_, err := m.Stats(ctx, "")
	return nil, err
}

func copiesOf(b *testing.B, all ...concord.Searcher) concord.Searcher {
	var copies []search.Copy
	for i, s := range all {
		copies = append(copies, search.Copy{Node: fmt.Sprint("node-", i), Searcher: s})
	}
	c, err := search.NewCopies(search.CopiesConfig{Name: "shard 3", Copies: func() []search.Copy { return copies }})
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// benchWord is the i-th most frequent word.
func benchWord(i uint64) string {
	return "w" + strings.Map(func(r rune) rune { return r + 49 }, fmt.Sprint(i))
}

// benchShard is a shard of documents of a hundred words, distributed as words are.
func benchShard(b *testing.B, docs int) *search.Searcher {
	words := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.1, 2, 50_000)
	bu := index.NewBuilder(index.Config{})
	for i := range docs {
		var body strings.Builder
		for range 100 {
			body.WriteString(benchWord(words.Uint64()) + " ")
		}
		site := fmt.Sprintf("site%d.example", i%500)
		if err := bu.Add(&index.Document{URL: fmt.Sprintf("https://%s/page/%d", site, i), Site: site, Host: site, Language: "en", FileType: "html",
			Title: "Page of " + benchWord(words.Uint64()), Body: body.String(), Fetched: time.Unix(1_800_000_000, 0).UTC(), Capture: "01234567-89ab-cdef-0123-456789abcdef"}); err != nil {
			b.Fatal(err)
		}
	}
	path := filepath.Join(b.TempDir(), "segment")
	if _, err := bu.Write(path); err != nil {
		b.Fatal(err)
	}
	seg, err := index.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	s := search.New(seg)
	seg.Close()
	b.Cleanup(func() { s.Close() })
	return s
}

// benchPages asks for pages of ten by a fan-out over one shard, and reports the median and the slowest of a hundred.
func benchPages(b *testing.B, s concord.Searcher) {
	fan, err := search.NewFanout(search.FanoutConfig{Shards: []concord.Searcher{s}})
	if err != nil {
		b.Fatal(err)
	}
	var took []time.Duration
	n := uint64(0)
	for b.Loop() {
		q := benchWord(n%200) + " " + benchWord(3+n%37)
		n++
		began := time.Now()
		a, err := fan.Search(b.Context(), concord.Request{Query: q, Limit: 10, AnyTotal: true})
		if err != nil || a.Answered != 1 {
			b.Fatal(err, a)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "median-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// benchJSON measures what writing and reading the three answers of a page costs.
func benchJSON(b *testing.B, s concord.Searcher) {
	q := benchWord(20) + " " + benchWord(30)
	st, err := s.Stats(b.Context(), q)
	if err != nil {
		b.Fatal(err)
	}
	bare, err := s.Search(b.Context(), concord.Request{Query: q, Limit: 10, Bare: true, Stats: &st})
	if err != nil {
		b.Fatal(err)
	}
	whole, err := s.Search(b.Context(), concord.Request{Query: q, Limit: 10, Stats: &st})
	if err != nil {
		b.Fatal(err)
	}
	for name, v := range map[string]any{
		"stats": shardReply{Stats: &st}, "bare": shardReply{Answer: bare}, "whole": shardReply{Answer: whole},
		"question": shardQuestion{Request: concord.Request{Query: q, Stats: &st, Bare: true, Limit: 10}},
	} {
		b.Run(name, func(b *testing.B) {
			var size int
			for b.Loop() {
				data, err := pack(v)
				if err != nil {
					b.Fatal(err)
				}
				size = len(data)
				if _, ok := v.(shardQuestion); ok {
					err = unpack(data, new(shardQuestion))
				} else {
					err = unpack(data, new(shardReply))
				}
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(size), "bytes")
		})
	}
}
