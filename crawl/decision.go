package crawl

import (
	"encoding/json"
	"time"

	"concord"
	"concord/warc"
)

// What the crawler concluded and what people told it goes into the archive beside what servers sent, as fields of
// metadata records whose values are JSON. With them, frontier and index are folds over the archive alone: Rebuild reads
// them.
const (
	// fieldDecision is in the metadata record of a capture.
	fieldDecision = "concord-decision"
	// The others are in notes, records of their own.
	fieldCrawl   = "concord-crawl"   // crawlNote: a crawl begins
	fieldEnd     = "concord-end"     // endNote: a crawl ends
	fieldRemoval = "concord-removal" // removalNote: the operator deleted a page
)

// decisionVersion is the version of the JSON; a newer one is read like a capture without any.
const decisionVersion = 1

// decision is what the crawler concluded of one capture, as far as its records do not say it themselves.
type decision struct {
	Version  int            `json:"v"`
	By       string         `json:"by,omitempty"` // the operator: records copied from elsewhere are not ours
	Kind     string         `json:"kind"`         // page, sitemap, probe, robots, import or witness
	Start    int64          `json:"start"`        // ms, when the request was sent
	Took     int64          `json:"took,omitempty"`
	Size     int64          `json:"size"` // payload bytes
	Mime     string         `json:"mime,omitempty"`
	Text     concord.Digest `json:"text,omitzero"`
	Profile  string         `json:"profile,omitempty"`
	Robots   concord.Digest `json:"robots,omitzero"`
	Skip     string         `json:"skip,omitempty"` // of the capture
	Depth    int            `json:"depth,omitempty"`
	Hops     int            `json:"hops,omitempty"` // redirects on the way
	Recrawl  bool           `json:"recrawl,omitempty"`
	Adopted  bool           `json:"adopted,omitempty"`
	Indexed  bool           `json:"indexed,omitempty"` // the URL's page is in the index
	Reason   string         `json:"reason,omitempty"`  // why it is not
	Stands   bool           `json:"stands,omitempty"`  // what the index has of it stays as it was
	Other    string         `json:"duplicate,omitempty"`
	WaitsFor string         `json:"waitsFor,omitempty"`
	Replaces []string       `json:"replaces,omitempty"`
	// Removed are the pages that went out of the index with it.
	Removed []concord.Removal `json:"removed,omitempty"`
	Answer  *robotsDecision   `json:"answer,omitempty"` // of the last hop to a robots.txt
}

// robotsDecision says what came of the hops to a host's robots.txt.
type robotsDecision struct {
	For     string `json:"for"`   // URL of the robots.txt
	State   string `json:"state"` // weburl.RobotsState
	Outcome byte   `json:"outcome"`
	Note    string `json:"note,omitempty"`
}

var kindNames = map[urlKind]string{kindPage: "page", kindSitemap: "sitemap", kindProbe: "probe", kindRobots: "robots", kindImport: "import", kindWitness: "witness"}

// crawlNote is a crawl as it was asked for.
type crawlNote struct {
	ID      string            `json:"id"`
	Created int64             `json:"created"` // ms
	Spec    concord.CrawlSpec `json:"spec"`
}

// endNote says that a crawl ended.
type endNote struct {
	ID   string  `json:"id"`
	Why  closing `json:"why"`  // 1 finished, 2 stopped, 3 its page limit was reached
	Time int64   `json:"time"` // ms
}

// removalNote says that the operator deleted a page.
type removalNote struct {
	URL    string `json:"url"`
	Reason string `json:"reason"`
}

func jsonField(name string, v any) warc.Field {
	data, err := json.Marshal(v)
	if err != nil {
		data = []byte("{}") // strings, numbers and times of our own making always encode
	}
	return warc.Field{Name: name, Value: string(data)}
}

// note puts something on record in the archive, durably.
func (c *Crawler) note(field string, v any) error {
	_, err := c.cfg.Archive.Append([][]warc.Record{{warc.NewNote(time.Now(), jsonField(field, v))}})
	return err
}

// decided is what is concluded of a result's only capture.
func (f *Frontier) decided(kind urlKind, e *entry, m *fetchedMsg, res *result) *decision {
	c := res.captures[0]
	d := &decision{Version: decisionVersion, By: f.c.cfg.Operator, Kind: kindNames[kind], Start: m.Start, Took: m.Took, Size: c.Size, Mime: c.Mime,
		Text: c.Text, Profile: c.Profile, Robots: c.Robots, Skip: c.Skip, Indexed: m.Indexed, Reason: m.Skip, Stands: m.stood,
		Other: m.Duplicate, WaitsFor: m.WaitsFor, Replaces: m.Replaces, Removed: res.removals}
	if e != nil {
		d.Depth, d.Hops, d.Recrawl, d.Adopted = e.Depth, e.Redirects, e.has(entryRecrawl), e.has(entryAdopted)
	}
	return d
}

// writeDecision writes what was decided of a fetch into its records.
func (f *Frontier) writeDecision(j *job, m *fetchedMsg, res *result) {
	d := f.decided(j.fl.e.Kind, j.fl.e, m, res)
	res.groups[0] = warc.Annotate(res.groups[0], jsonField(fieldDecision, d))
}

// writeImport does so for a capture that was imported. Its record of ours stands before those that came with the
// capture, which may be another node's.
func (f *Frontier) writeImport(m *fetchedMsg, res *result) {
	group := res.groups[0]
	note := warc.NewCompanion(&group[0], time.Now(), jsonField(fieldDecision, f.decided(kindImport, nil, m, res)))
	res.groups[0] = append([]warc.Record{group[0], note}, group[1:]...)
}

// writeRobots does so for the hops to a robots.txt; the last of them says what came of it.
func (f *Frontier) writeRobots(m *fetchedMsg, res *result) {
	for i, c := range res.captures {
		d := &decision{Version: decisionVersion, By: f.c.cfg.Operator, Kind: kindNames[kindRobots], Start: c.Time.UnixMilli(), Size: c.Size, Mime: c.Mime, Skip: c.Skip}
		if i == len(res.captures)-1 {
			d.Start, d.Took = m.Start, m.Took
			d.Answer = &robotsDecision{For: m.URL, State: m.RobotsKind, Outcome: byte(m.Outcome), Note: m.Note}
		}
		res.groups[i] = warc.Annotate(res.groups[i], warc.Field{Name: "crawl", Value: m.Crawl.String()}, jsonField(fieldDecision, d))
	}
}

// decisionOf reads what was decided of a capture from its records, with the crawl it was fetched for. Nil: nothing is on
// record, or what is cannot be read.
func decisionOf(it *warc.Item) (d *decision, crawl string) {
	for i := range it.Related {
		fields := it.Related[i].Metadata()
		if crawl == "" {
			crawl = fields.Get("crawl")
		}
		v := fields.Get(fieldDecision)
		if v == "" {
			continue
		}
		d := new(decision)
		if json.Unmarshal([]byte(v), d) != nil || d.Version != decisionVersion {
			return nil, crawl
		}
		return d, crawl
	}
	return nil, crawl
}
