package crawl

import (
	"testing"
	"time"

	"concord"
	"concord/warc"
)

// Whatever stands in a metadata record, reading it again does no harm: it may be another node's, or written by hand.
func FuzzRebuildEntry(f *testing.F) {
	f.Add(`{"v":1,"by":"me.example","kind":"page","start":1,"size":3,"mime":"text/html","indexed":true,"depth":2,"waitsFor":"http://a.example/x"}`)
	f.Add(`{"v":1,"by":"me.example","kind":"robots","answer":{"for":"http://a.example/robots.txt","state":"rules","outcome":0}}`)
	f.Add(`{"v":1,"by":"me.example","kind":"probe","removed":[{"url":"http://a.example/y","reason":"gone"}]}`)
	f.Add(`{"v":1,"by":"me.example","kind":"page","stands":true,"recrawl":true,"skip":"status 304"}`)
	f.Add(`{"v":2}`)
	f.Add(`{"id":"0000000000000001","why":1,"time":5}`)
	// One state for all: to make one takes longer than everything that is tested.
	r, err := NewRebuild(Config{Dir: f.TempDir(), Partitions: 1, Operator: "me.example"}, func(string) ([]byte, error) { return nil, concord.Errorf(concord.NotFound, "none") })
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { r.Close() })
	f.Fuzz(func(t *testing.T, decision string) {
		apply := func(e warc.Entry) {
			if _, err := r.Apply(t.Context(), r.Prepare(t.Context(), e)); err != nil {
				t.Fatal(err)
			}
		}
		note := warc.NewNote(time.Unix(1, 0), jsonField(fieldCrawl, &crawlNote{"0000000000000001", 1, concord.CrawlSpec{Seeds: []string{"http://a.example/"}}}))
		apply(warc.Entry{Note: &note})
		for _, name := range []string{fieldCrawl, fieldEnd, fieldRemoval} {
			hostile := warc.NewNote(time.Unix(1, 0), warc.Field{Name: name, Value: decision})
			apply(warc.Entry{Note: &hostile})
		}
		for _, response := range []string{"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<title>t</title><a href=/b>b</a> some words", "HTTP/1.1 302 Found\r\nLocation: /c\r\n\r\n"} {
			it := itemOf(t, response, warc.Field{Name: "crawl", Value: "0000000000000001"}, warc.Field{Name: fieldDecision, Value: decision})
			apply(warc.Entry{Item: &it})
		}
		if err := r.flush(1); err != nil {
			t.Fatal(err)
		}
	})
}

// itemOf is an exchange as an archive hands it out.
func itemOf(t *testing.T, response string, metadata ...warc.Field) warc.Item {
	t.Helper()
	group, info, err := warc.Build(warc.Exchange{URL: "http://a.example/", Time: time.Unix(1e9, 0), Response: []byte(response), Metadata: metadata})
	if err != nil {
		t.Fatal(err)
	}
	return warc.Item{Kind: warc.TypeResponse, ID: info.ID, URL: "http://a.example/", Time: time.Unix(1e9, 0), Status: info.Head.Status, Header: info.Head.Header,
		Mime: "text/html", Payload: info.Payload, Raw: info.Raw, Block: info.Record, Record: group[0], Related: group[1:]}
}
