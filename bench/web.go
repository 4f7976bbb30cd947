package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"concord/e2e/loopweb"
)

// serveCommand is the argument that makes this program the web: a process of its own, so that its work is in nobody's account.
const serveCommand = "serve-web"

// forbidden is the page of every made-up host that robots.txt forbids. It links to nothing new.
const forbidden = "/p/%d"

// tolerance is by how much two requests to a host may seem to overlap: a client may have the whole answer, and ask on
// another connection, before the server has noted that it is done.
const tolerance = 2 * time.Millisecond

// webSpec says which web to serve.
type webSpec struct {
	Hosts  int      `json:"hosts"`  // made-up hosts
	Pages  int      `json:"pages"`  // of each
	Sites  string   `json:"sites"`  // directory of documentation packages; empty: none
	Only   []string `json:"only"`   // packages taken
	Sample int      `json:"sample"` // every how many pages one is reported as served; 0: none
	Subnet byte     `json:"subnet"`
}

// webStats is what the web saw.
type webStats struct {
	Pages     []string  `json:"pages"` // HTML pages answered with 200, as host and path, sorted
	Requests  int       `json:"requests"`
	Repeats   int       `json:"repeats"`   // requests for a page that had been answered before
	Overlaps  int       `json:"overlaps"`  // requests while the host was answering another
	Forbidden int       `json:"forbidden"` // requests against robots.txt
	Robots    int       `json:"robots"`    // requests for robots.txt
	First     time.Time `json:"first"`     // begin of the first request for a page
	Last      time.Time `json:"last"`      // end of the last
	Waits     []float64 `json:"waits"`     // milliseconds from the end of an answer to the next request at the same host
}

// served is one sampled page.
type served struct {
	URL   string    `json:"url"`
	Title string    `json:"title"`
	At    time.Time `json:"at"` // end of the answer
}

// line is one line of the web's output.
type line struct {
	Seeds  []string  `json:"seeds,omitempty"`
	Stats  *webStats `json:"stats,omitempty"`
	Served *served   `json:"served,omitempty"`
}

// serve reads a webSpec, serves it, and answers every further line with statistics, until its input ends.
func serve(in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	if !lines.Scan() {
		return io.ErrUnexpectedEOF
	}
	var spec webSpec
	if err := json.Unmarshal(lines.Bytes(), &spec); err != nil {
		return err
	}
	var mu sync.Mutex
	enc := json.NewEncoder(out)
	say := func(l line) {
		mu.Lock()
		defer mu.Unlock()
		_ = enc.Encode(l)
	}
	hosts, err := spec.hosts(say)
	if err != nil {
		return err
	}
	web, err := loopweb.Start(spec.Subnet, hosts...)
	if err != nil {
		return err
	}
	defer web.Close()
	say(line{Seeds: web.Seeds()})
	for lines.Scan() {
		say(line{Stats: statsOf(web, spec)})
	}
	return lines.Err()
}

func (s *webSpec) hosts(say func(line)) ([]*loopweb.Host, error) {
	var hosts []*loopweb.Host
	if s.Sites != "" {
		docs, err := loopweb.Docs(s.Sites, s.Only...)
		if err != nil {
			return nil, err
		}
		for _, h := range docs {
			h.Handler = withoutSitemaps(h.Handler)
		}
		hosts = docs
	}
	var count atomic.Int64
	for i := range s.Hosts {
		h := loopweb.Generated(fmt.Sprintf("site%d", i), s.Pages)
		inner := h.Handler
		h.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/robots.txt" {
				fmt.Fprintf(w, "User-agent: *\nDisallow: "+forbidden+"\n", s.Pages-1)
				return
			}
			inner.ServeHTTP(w, r)
			if s.Sample > 0 && isPage(r.URL.Path) && count.Add(1)%int64(s.Sample) == 0 {
				number := path.Base(r.URL.Path)
				if number == "/" {
					number = "0"
				}
				say(line{Served: &served{URL: h.URL(r.URL.Path), Title: h.Name + " page " + number, At: time.Now()}})
			}
		})
		hosts = append(hosts, h)
	}
	return hosts, nil
}

// withoutSitemaps takes the sitemaps away: they name pages that no link leads to, and only Concord would read them.
func withoutSitemaps(inner http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/robots.txt":
			fmt.Fprint(w, "User-agent: *\nDisallow: /never/\n")
		case strings.HasPrefix(r.URL.Path, "/sitemap"):
			http.NotFound(w, r)
		default:
			inner.ServeHTTP(w, r)
		}
	})
}

// isPage reports whether a path is content, not what crawlers ask for by themselves.
func isPage(p string) bool {
	return p != "/robots.txt" && p != "/favicon.ico" && !strings.HasPrefix(p, "/sitemap")
}

// isHTML leaves out what only some crawlers take for a page: images, style sheets, scripts, files for download.
func isHTML(p string) bool {
	p, _, _ = strings.Cut(p, "?")
	ext := path.Ext(path.Base(p))
	return isPage(p) && (ext == "" || strings.HasPrefix(ext, ".html") || strings.HasSuffix(p, "/") || strings.HasPrefix(p, "/p/"))
}

func statsOf(web *loopweb.Web, spec webSpec) *webStats {
	s := &webStats{Pages: []string{}}
	for _, h := range web.Hosts {
		seen := map[string]bool{}
		var busy time.Time
		for _, r := range h.Requests() {
			s.Requests++
			if r.Begin.Add(tolerance).Before(busy) {
				s.Overlaps++
			}
			if !busy.IsZero() {
				s.Waits = append(s.Waits, max(r.Begin.Sub(busy).Seconds()*1000, 0))
			}
			if r.End.After(busy) {
				busy = r.End
			}
			if r.Path == "/robots.txt" {
				s.Robots++
			}
			if strings.HasPrefix(r.Path, "/never/") || spec.Hosts > 0 && r.Path == fmt.Sprintf(forbidden, spec.Pages-1) {
				s.Forbidden++
			}
			if !isHTML(r.Path) || r.Status != http.StatusOK {
				continue
			}
			if s.First.IsZero() || r.Begin.Before(s.First) {
				s.First = r.Begin
			}
			if r.End.After(s.Last) {
				s.Last = r.End
			}
			if seen[r.Path] {
				s.Repeats++
				continue
			}
			seen[r.Path] = true
			s.Pages = append(s.Pages, h.Name+" "+r.Path)
		}
	}
	sort.Strings(s.Pages)
	return s
}

// web is the running process.
type web struct {
	seeds  []string
	served chan served // sampled pages; closed with the process
	cmd    *exec.Cmd
	in     io.WriteCloser
	stats  chan *webStats
}

func startWeb(spec webSpec) (*web, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if spec.Subnet == 0 {
		spec.Subnet = 91
	}
	w := &web{cmd: exec.Command(self, serveCommand), served: make(chan served, 10_000), stats: make(chan *webStats, 1)}
	w.cmd.Stderr = os.Stderr
	if w.in, err = w.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := w.cmd.Start(); err != nil {
		return nil, err
	}
	if err := json.NewEncoder(w.in).Encode(spec); err != nil {
		return nil, err
	}
	dec := json.NewDecoder(out)
	var first line
	if err := dec.Decode(&first); err != nil || len(first.Seeds) == 0 {
		w.close()
		return nil, fmt.Errorf("the loopback web did not start, or has no hosts: %w", err)
	}
	w.seeds = first.Seeds
	go w.read(dec)
	return w, nil
}

func (w *web) read(dec *json.Decoder) {
	defer close(w.served)
	defer close(w.stats)
	for {
		var l line
		if err := dec.Decode(&l); err != nil {
			return
		}
		if l.Stats != nil {
			w.stats <- l.Stats
		}
		if l.Served != nil {
			w.served <- *l.Served
		}
	}
}

func (w *web) seen() (*webStats, error) {
	if _, err := io.WriteString(w.in, "stats\n"); err != nil {
		return nil, err
	}
	s, ok := <-w.stats
	if !ok {
		return nil, io.ErrUnexpectedEOF
	}
	return s, nil
}

func (w *web) close() {
	w.in.Close()
	_ = w.cmd.Wait()
}
