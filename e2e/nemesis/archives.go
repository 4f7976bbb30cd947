package nemesis

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	"concord/e2e/loopweb"
	"concord/warc"
)

// Archives reads every WARC file in the directories of all nodes' archives and holds it against the web: every record is whole and has the
// digests it states, every response is what the web says under that URL, and every page that is to be found has been captured. Nothing may write to the
// archives meanwhile.
func Archives(web *loopweb.Web, dirs ...string) *Report {
	a := &archives{report: &Report{Name: "archives"}, hosts: map[string]*loopweb.Host{}, kept: map[string]int{}}
	for _, h := range web.Hosts {
		a.hosts[h.Addr] = h
	}
	for _, dir := range dirs {
		a.dir(dir)
	}
	for _, h := range web.Hosts {
		for _, p := range h.Index {
			if a.kept[h.URL(p)] == 0 {
				a.report.Add("%s was never captured", h.URL(p))
			}
		}
	}
	for _, n := range a.kept {
		a.report.Repeats += n - 1
	}
	a.report.Checked = fmt.Sprintf("%d files, %d records, %d responses, %d of them for URLs that had one", a.files, a.records, a.responses, a.report.Repeats)
	return a.report
}

type archives struct {
	report                    *Report
	hosts                     map[string]*loopweb.Host
	kept                      map[string]int // responses with status 200, by URL
	files, records, responses int
}

func (a *archives) dir(dir string) {
	files, err := filepath.Glob(filepath.Join(dir, "*.warc.gz"))
	if err != nil || len(files) == 0 {
		a.report.Add("%s has no WARC files (%v)", dir, err)
	}
	damage, _ := filepath.Glob(filepath.Join(dir, "*.damage"))
	for _, d := range damage {
		a.report.Add("%s says that a file is damaged", d)
	}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			a.report.Add("%v", err)
			continue
		}
		sum, err := warc.Scan(f, filepath.Base(name), warc.Limits{}, func(it warc.Item) error {
			a.item(&it)
			return nil
		})
		_ = f.Close()
		if err != nil {
			a.report.Add("%s: %v", name, err)
		}
		for _, p := range sum.Problems {
			a.report.Add("%s", p)
		}
		a.files++
		a.records += sum.Records
	}
}

func (a *archives) item(it *warc.Item) {
	if it.Check.Block != warc.Verified || it.Kind == warc.TypeResponse && it.Check.Payload != warc.Verified {
		a.report.Add("the %s of %s does not have the digests it states", it.Kind, it.URL)
	}
	if it.Kind != warc.TypeResponse {
		return
	}
	a.responses++
	u, err := url.Parse(it.URL)
	h := (*loopweb.Host)(nil)
	if err == nil {
		h = a.hosts[u.Host]
	}
	if h == nil {
		a.report.Add("there is a response of %s, which is not in the web", it.URL)
		return
	}
	status, _, body := h.Answer(u.RequestURI())
	if it.Status != status || !bytes.Equal(it.Payload, body) {
		a.report.Add("the response of %s has status %d and %d bytes, the web says %d and %d bytes", it.URL, it.Status, len(it.Payload), status, len(body))
	}
	if it.Status == http.StatusOK {
		a.kept[it.URL]++
	}
}
