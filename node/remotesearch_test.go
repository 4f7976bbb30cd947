package node

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"concord"
	"concord/bus"
	"concord/query"
	"concord/search"
)

// fixed is a searcher that answers what a test wants and keeps the question.
type fixed struct {
	stats  concord.Stats
	answer *concord.Answer
	err    error
	asked  concord.Request
}

func (f *fixed) Stats(_ context.Context, query string) (concord.Stats, error) {
	f.asked = concord.Request{Query: query}
	return f.stats, f.err
}

func (f *fixed) Search(_ context.Context, req concord.Request) (*concord.Answer, error) {
	f.asked = req
	return f.answer, f.err
}

func openAlone(t testing.TB) *bus.Bus {
	t.Helper()
	b, err := bus.Open(t.Context(), bus.Config{Dir: t.TempDir(), NodeName: "node-1", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// serveShard lets a bus answer for shard 3 with a searcher; holds counts those got and not released.
func serveShard(t testing.TB, b *bus.Bus, s concord.Searcher) (holds *atomic.Int64) {
	t.Helper()
	holds = new(atomic.Int64)
	for service, handle := range shardServices(func(i int) (concord.Searcher, func(), bool) {
		if i != 3 {
			return nil, nil, false
		}
		holds.Add(1)
		return s, func() { holds.Add(-1) }, true
	}) {
		stop, err := b.Serve(context.WithoutCancel(t.Context()), service, handle)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(stop)
	}
	return holds
}

// everything is an answer in which each field has a value, some of them hard to write down.
func everything() *concord.Answer {
	fetched := time.Date(2026, 11, 1, 2, 3, 4, 5, time.UTC)
	return &concord.Answer{
		Hits: []concord.Hit{
			{URL: "https://a.example/?a=<&>", Title: "Ünï \u2028 \x00 \"quoted\" 🦫", Site: "a.example", Language: "en", FileType: "html", Fetched: fetched,
				Published: fetched.AddDate(-100, 0, 0), Capture: "01234567-89ab", NoArchive: true,
				Snippet: []concord.Fragment{{Text: "a "}, {Text: "river", Match: true}}, Score: 0.1 + 0.2,
				Explanation: &concord.Explanation{Text: "river", Matches: true, Score: math.SmallestNonzeroFloat64, Details: []string{"x", ""},
					Parts: []concord.Explanation{{Text: "-lake", Score: math.Copysign(0, -1)}}}},
			{URL: "https://b.example/", Score: math.MaxFloat64},
		},
		Total: math.MaxUint64, AtLeast: true, Shards: 1, Answered: 1, Failures: []string{"shard 1"}, Suggestion: "rivers",
		Facets: []concord.Facet{{Field: "lang", Values: []concord.FacetValue{{Value: "", Count: 3}}}, {Field: "year"}, {Field: "site", Values: []concord.FacetValue{}}},
	}
}

func TestRemoteShardIsAsLocal(t *testing.T) {
	b := openAlone(t)
	f := &fixed{}
	holds := serveShard(t, b, f)
	remote := remoteShard{b, "node-1", 3}
	for _, st := range []concord.Stats{{}, {Docs: math.MaxUint64, Terms: map[string]uint64{"all:a": 1, "title:ü": 0, "": 2}, Langs: map[string]uint64{}}} {
		f.stats = st
		got, err := remote.Stats(t.Context(), "river \xff")
		if err != nil || !reflect.DeepEqual(got, st) || f.asked.Query != "river \xff" {
			t.Errorf("%+v came as %+v, %v; asked %q", st, got, err, f.asked.Query)
		}
	}
	for _, a := range []*concord.Answer{everything(), {}, {Hits: []concord.Hit{}}} {
		f.answer = a
		got, err := remote.Search(t.Context(), concord.Request{Query: "x", Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		if got.Took <= 0 {
			t.Errorf("it took %v", got.Took)
		}
		got.Took = 0
		if !reflect.DeepEqual(got, a) {
			t.Errorf("%+v\ncame as\n%+v", a, got)
		}
	}
	for _, req := range []concord.Request{
		{}, {Query: "a", Only: []string{}, Facets: []string{}}, {Query: "\xff\xfe é", Offset: 3, Limit: 9, AnyTotal: true, Bare: true, Facets: concord.FacetFields()},
		{Query: "a", Explain: true, Only: []string{"https://a.example/?<>&"}, Stats: &concord.Stats{Docs: 4, Terms: map[string]uint64{"all:a": 2}}},
	} {
		if _, err := remote.Search(t.Context(), req); err != nil || !reflect.DeepEqual(f.asked, req) {
			t.Errorf("%+v came as %+v, %v", req, f.asked, err)
		}
	}
	if n := holds.Load(); n != 0 {
		t.Errorf("%d searchers are held", n)
	}
}

func TestRemoteShardErrors(t *testing.T) {
	b := openAlone(t)
	f := &fixed{}
	holds := serveShard(t, b, f)
	remote := remoteShard{b, "node-1", 3}
	for _, q := range []string{"(river", `"never closed`, "\xff (", "", strings.Repeat("ü", concord.MaxQueryBytes)} {
		_, f.err = query.Parse(q)
		if f.err == nil {
			t.Fatalf("%q is well formed", q)
		}
		_, statsErr := remote.Stats(t.Context(), q)
		_, searchErr := remote.Search(t.Context(), concord.Request{Query: q, Limit: 1})
		for _, err := range []error{statsErr, searchErr} {
			var want, got *concord.QueryError
			if errors.As(f.err, &want); !errors.As(err, &got) || *got != *want || concord.KindOf(err) != concord.Invalid || err.Error() != f.err.Error() {
				t.Errorf("%v came as %v: %+v", f.err, err, got)
			}
		}
	}
	var none *concord.QueryError
	f.err = concord.Errorf(concord.Invalid, "limit 0 is not between 1 and 100")
	if _, err := remote.Stats(t.Context(), "a"); concord.KindOf(err) != concord.Invalid || err.Error() != f.err.Error() || errors.As(err, &none) {
		t.Errorf("%v", err)
	}
	for _, kind := range []concord.Kind{concord.Internal, concord.Unavailable, concord.Corrupt} {
		f.err = concord.Errorf(kind, "because")
		if _, err := remote.Stats(t.Context(), "a"); concord.KindOf(err) != kind || !strings.HasSuffix(err.Error(), "because") {
			t.Errorf("%v: %v", kind, err)
		}
	}
	if _, err := (remoteShard{b, "node-1", 4}).Stats(t.Context(), "a"); concord.KindOf(err) != concord.Unavailable || !strings.Contains(err.Error(), "shard 4 is not here") {
		t.Errorf("a shard that is elsewhere: %v", err)
	}
	if _, err := (remoteShard{b, "node-2", 3}).Stats(t.Context(), "a"); concord.KindOf(err) != concord.Unavailable {
		t.Errorf("a node that is not there: %v", err)
	}
	f.err = nil
	if _, err := remote.Search(t.Context(), concord.Request{Limit: 1}); concord.KindOf(err) != concord.Corrupt {
		t.Errorf("neither answer nor error: %v", err)
	}
	if _, err := remote.Search(t.Context(), concord.Request{Query: strings.Repeat("a", bus.MaxMessageBytes), Limit: 1, Only: nil}); err == nil && f.asked.Query == "" {
		t.Errorf("a question of 4 MiB: %v", err)
	}
	if n := holds.Load(); n != 0 {
		t.Errorf("%d searchers are held", n)
	}
}

// What a node of another version sends, or no node, is no reason to refuse the person's query.
func TestRemoteShardOfAnotherVersion(t *testing.T) {
	b := openAlone(t)
	var reply []byte
	var fail error
	stop, err := b.Serve(t.Context(), serviceShardSearch, func(context.Context, []byte) ([]byte, error) { return reply, fail })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	remote := remoteShard{b, "node-1", 3}
	reply = []byte(`{"answer":{"hits":[{"url":"u","new":{"x":[1]}}],"more":1},"later":true}`)
	if a, err := remote.Search(t.Context(), concord.Request{}); err != nil || len(a.Hits) != 1 || a.Hits[0].URL != "u" {
		t.Errorf("fields of a newer version: %+v, %v", a, err)
	}
	for _, bad := range []string{"", "null", "{}", "[]", `{"answer":7}`, zstdMagic, zstdMagic + "xxxx", "\x00"} {
		reply = []byte(bad)
		if _, err := remote.Search(t.Context(), concord.Request{}); concord.KindOf(err) != concord.Corrupt {
			t.Errorf("%q: %v", bad, err)
		}
	}
	fail = concord.Errorf(concord.Invalid, "the question cannot be read")
	if _, err := remote.Search(t.Context(), concord.Request{}); concord.KindOf(err) != concord.Internal {
		t.Errorf("%v", err)
	}
}

// The places of as many results as a request may ask for fit into a message.
func TestRemoteShardDeepPage(t *testing.T) {
	b := openAlone(t)
	f := &fixed{answer: &concord.Answer{Shards: 1, Answered: 1}}
	serveShard(t, b, f)
	for i := range concord.MaxOffset + concord.MaxLimit {
		f.answer.Hits = append(f.answer.Hits, concord.Hit{URL: "https://site.example/" + strings.Repeat("a-long-path/", 40) + string(rune('a'+i%26)) + time.Duration(i).String(), Site: "site.example", Score: math.Sqrt(float64(i))})
	}
	a, err := remoteShard{b, "node-1", 3}.Search(t.Context(), concord.Request{Bare: true, Limit: concord.MaxOffset + concord.MaxLimit})
	if err != nil || !reflect.DeepEqual(a.Hits, f.answer.Hits) {
		t.Errorf("%v", err)
	}
}

// A copy on a node that is gone costs one question to the next, over the bus as in one process.
func TestCopiesOverTheBus(t *testing.T) {
	b := openAlone(t)
	f := &fixed{answer: everything()}
	serveShard(t, b, f)
	c, err := search.NewCopies(search.CopiesConfig{Name: "shard 3", Copies: func() []search.Copy {
		return []search.Copy{{Node: "node-2", Searcher: remoteShard{b, "node-2", 3}}, {Node: "node-1", Searcher: remoteShard{b, "node-1", 3}}}
	}})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if a, err := c.Search(t.Context(), concord.Request{Query: "x", Limit: 10}); err != nil || len(a.Hits) != 2 {
			t.Errorf("%v, %v", a, err)
		}
	}
	if n := c.Counts().Copies; n[0].Answered != 3 || n[0].Failovers != 1 || n[1].Failed != 1 || !n[1].Behind {
		t.Errorf("%+v", n)
	}
}

func FuzzShardReply(f *testing.F) {
	for _, reply := range []shardReply{{Stats: &concord.Stats{Docs: 1}}, {Answer: everything()}, {Refused: &refusal{Message: "no", Query: &malformedQuery{Query: []byte("("), Length: 1}}}} {
		data, err := json.Marshal(reply)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		enc, _ := packers()
		f.Add(enc.EncodeAll(data, nil))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := remoteShard{to: said(data), node: "n", shard: 3}
		if st, err := r.Stats(t.Context(), "x"); err == nil {
			again, err := pack(shardReply{Stats: &st})
			if err != nil {
				t.Fatal(err)
			}
			if back, err := (remoteShard{to: said(again)}).Stats(t.Context(), "x"); err != nil || !reflect.DeepEqual(back, st) {
				t.Errorf("%+v came as %+v, %v", st, back, err)
			}
		}
		if a, err := r.Search(t.Context(), concord.Request{}); err == nil && a == nil {
			t.Error("neither answer nor error")
		} else if err != nil && err.Error() == "" && concord.KindOf(err) != concord.Invalid {
			t.Errorf("an error without a word: %v", err)
		}
	})
}

func FuzzShardQuestion(f *testing.F) {
	data, _ := json.Marshal(shardQuestion{Shard: 3, Request: concord.Request{Query: "a", Limit: 1}, RawQuery: []byte("\xff")})
	f.Add(data)
	f.Add([]byte(`{"shard":-1,"request":{"Limit":-5,"Only":[null]}}`))
	one := search.New()
	f.Cleanup(func() { one.Close() })
	services := shardServices(func(i int) (concord.Searcher, func(), bool) { return one, func() {}, i == 3 })
	f.Fuzz(func(t *testing.T, data []byte) {
		for name, handle := range services {
			reply, err := handle(t.Context(), data)
			var r shardReply
			if err == nil {
				err = unpack(reply, &r)
				if err != nil || r.Stats == nil && r.Answer == nil && r.Refused == nil {
					t.Errorf("%s: %s, %v", name, reply, err)
				}
			}
		}
	})
}

// said is an asker who is always answered the same.
type said []byte

func (s said) Ask(context.Context, string, string, []byte) ([]byte, error) { return s, nil }
func (s said) AskAny(context.Context, string, []byte) ([]byte, error)      { return s, nil }
