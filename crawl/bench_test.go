package crawl

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"concord"
)

// BenchmarkCrawl crawls a loopback web of many hosts without delays, archive and index messages included. The servers
// run in the same process and are part of the cost.
func BenchmarkCrawl(b *testing.B) {
	const hosts = 64
	perHost := max(b.N/hosts, 4)
	var seeds []string
	for range hosts {
		seeds = append(seeds, benchSite(b, perHost)+"/p0")
	}
	r := newRig(b, func(c *Config) {
		c.Partitions, c.Shards = 4, 4
		p := &c.Politeness
		p.MinDelay, p.MaxDelay, p.PerAddress = time.Nanosecond, time.Nanosecond, time.Nanosecond
	})
	b.ReportAllocs()
	b.ResetTimer()
	began := time.Now()
	id := r.begin(concord.CrawlSpec{Seeds: seeds})
	for {
		crawl, err := r.c.Crawl(b.Context(), id)
		if err != nil {
			b.Fatal(err)
		}
		if crawl.Done() {
			if crawl.Fetched != int64(hosts*perHost) {
				b.Fatalf("crawl: %+v", crawl)
			}
			b.ReportMetric(float64(crawl.Fetched)/time.Since(began).Seconds(), "pages/s")
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	b.StopTimer()
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.HeapAlloc)/1e6, "heapMB")
}

// benchSite is a server with as little cost of its own as can be: pages of some 6 kB with 30 links.
func benchSite(b *testing.B, n int) string {
	k := siteCount.Add(1)
	ln, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", 1+k>>16, k>>8&255, k&255))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go serveBench(c, n)
		}
	}()
	return "http://" + ln.Addr().String()
}

func serveBench(c net.Conn, n int) {
	defer c.Close()
	in := bufio.NewReader(c)
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		var i int
		body, status := "", "404 Not Found"
		if _, err := fmt.Sscanf(req.URL.Path, "/p%d", &i); err == nil && i < n {
			status = "200 OK"
			var p strings.Builder
			fmt.Fprintf(&p, "<html lang=en><head><title>Page %d</title></head><body><main>", i)
			for k := range 30 {
				to := (i + 1 + k*k*k) % n
				if k < 2 {
					to = min(2*i+1+k, n-1)
				}
				fmt.Fprintf(&p, "<p>%s <a href=\"/p%d\">page number %d</a></p>", words(i*31 + k)[:120], to, to)
			}
			p.WriteString("</main></body></html>")
			body = p.String()
		}
		fmt.Fprintf(c, "HTTP/1.1 %s\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
	}
}
